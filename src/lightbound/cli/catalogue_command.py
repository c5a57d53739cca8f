"""``lightbound catalogue``: every method on a machine, in one table, page or file."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Format, Report, app
from .delivering import check_delivery, deliver


@app.command()
def catalogue(
    machine: Annotated[
        list[str] | None,
        typer.Option("--machine", metavar="MACHINE", help="A name or a .yaml file; several by repeating it."),
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option("--method", metavar="NAME", help="One method, or several; all by default.")
    ] = None,
    every_preset: Annotated[bool, typer.Option("--every-preset", help="All presets, not each method's first.")] = False,
    events: Annotated[bool, typer.Option("--events", help="By the event engine too, where sizes allow.")] = False,
    dense: Annotated[
        bool, typer.Option("--dense/--no-dense", help="Beside the dense workload it replaces, a quarter of the work.")
    ] = True,
    report: Report = None,
    form: Format = "table",
) -> None:
    """Every method on a machine: operations, passes, traffic, latency, what binds it, speedup over dense.

    Exits with 1 where a method could not be simulated.
    """
    from .cataloguing import answer

    check_delivery(form, report)
    found, complete = answer(machine or ("h200",), method, every_preset, events, dense)
    deliver(found, form, report, "Methods")
    if not complete:
        raise typer.Exit(1)
