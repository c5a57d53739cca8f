"""``lightbound resources``: what the kernels for GPUs take of one, without one."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Format, app
from .output import check_format, note, publish


@app.command()
def resources(
    kernels: Annotated[
        list[str] | None, typer.Argument(metavar="[KERNEL]...", help="Kernels in Triton; all by default.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", metavar="TARGET", help="sm_80, sm_90, sm_100 or gfx942; all by default."),
    ] = None,
    tiles: Annotated[
        list[str] | None,
        typer.Option("--tiles", metavar="NAME=N,...", help="Another tile: constants, warps, stages; or all."),
    ] = None,
    case: Annotated[
        str | None, typer.Option("--case", metavar="WORDS", help="Only cases whose names hold these words.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Compile all anew and write the tables of lightbound.")
    ] = False,
    form: Format = "table",
) -> None:
    """Registers, spills, shared memory and instructions of kernels in Triton, on any machine.

    What is on record is read; what is not is compiled, which needs triton but no GPU. Beside it stands what the
    simulator estimates from the tile alone. Instructions are those of a turn of the loop that does most of the work.
    """
    from .resourcing import answer, write_tables

    check_format(form)
    if write:
        for path in write_tables(kernels or (), target or ()):
            note(f"Written to {path}")
        return
    publish(answer(kernels or (), target or (), tiles or (), case), form)
