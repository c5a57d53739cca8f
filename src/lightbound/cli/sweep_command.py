"""The ``sweep`` and ``results`` commands and their options. They hand over to ``sweeping``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .commands import Format, Report, app
from .delivering import check_delivery, deliver


@app.command()
def sweep(
    spec: Annotated[
        Path, typer.Argument(metavar="SPEC.yaml", help="Which points, and what to keep.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The file of results; by default SPEC.sqlite in this folder."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Of a Dask cluster: tcp://host:8786."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option("--processes", metavar="N", help="Of this machine; as many as cores by default.")
    ] = None,
    report: Report = None,
    form: Format = "table",
) -> None:
    """Simulate every point of a grid, and keep the answers in one file.

    Points that the file holds are not computed again: a sweep that was interrupted goes on where it stopped. A point
    that fails is kept with its error.
    """
    from .sweeping import results_answer, run

    check_delivery(form, report)
    found = run(spec, out, scheduler, processes)
    deliver(results_answer(found), form, report, found.plan.spec.name or "Sweep")


@app.command()
def results(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What a sweep wrote.", show_default=False)],
    query: Annotated[
        str | None,
        typer.Option("--query", metavar="SQL", help="Rows of the table points: SELECT * FROM points."),
    ] = None,
    best: Annotated[int, typer.Option("--best", metavar="N", help="How many of the best points.")] = 10,
    objective: Annotated[
        str | None, typer.Option("--objective", metavar="GOAL", help='What is best: "min latency_s", "max edp".')
    ] = None,
    pareto: Annotated[
        str | None, typer.Option("--pareto", metavar="GOALS", help='A front: "min latency_s, min energy_j".')
    ] = None,
    report: Report = None,
    form: Format = "table",
) -> None:
    """What a sweep found: the best points, Pareto fronts, failures, or the answer to a query in SQL."""
    from lightbound.sim.sweep.results import SweepResults

    from .sweeping import query_answer, results_answer

    check_delivery(form, report)
    found = SweepResults(file)
    answer = query_answer(found, query) if query is not None else results_answer(found, best, objective, pareto)
    deliver(answer, form, report, found.plan.spec.name or "Sweep")
