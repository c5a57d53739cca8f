"""The command that runs a campaign on a GPU: ``measure``. It hands over to ``measuring``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .commands import Format, app
from .output import check_format, publish


@app.command()
def measure(
    kernels: Annotated[list[str] | None, typer.Argument(metavar="[KERNEL]...", help="Kernels; all by default.")] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="DEVICE", help="cuda; cpu tries the campaign itself, in an interpreter.")
    ] = "cuda",
    output: Annotated[
        Path,
        typer.Option("--output", metavar="FILE.jsonl", help="Where records are appended; a run goes on from there."),
    ] = Path("measurements.jsonl"),
    budget: Annotated[str, typer.Option("--budget", metavar="TIME", help="When to stop: 480s, 8min.")] = "8min",
    split: Annotated[str, typer.Option("--split", metavar="SPLIT", help="calibration, held_out or all.")] = "all",
    fresh: Annotated[
        int | None,
        typer.Option("--fresh", metavar="N", help="New shapes instead, drawn from this number; all are held out."),
    ] = None,
    peers: Annotated[bool, typer.Option("--peers", help="Time other implementations beside them.")] = False,
    tune: Annotated[bool, typer.Option("--tune", help="Compare tiles on a few cases instead.")] = False,
    commit: Annotated[
        str | None, typer.Option("--commit", metavar="HASH", help="Of this code, where git cannot tell.")
    ] = None,
    form: Format = "table",
) -> None:
    """Time lightbound's kernels on a GPU, and record every sample with where and how it was taken.

    Kernels are compared with float64 first; one that fails is recorded and not timed. A run that is stopped, by its
    budget or otherwise, goes on when it is started again. Score the file with `lightbound validate gpu --cases FILE`.

    With --fresh the shapes are new: sizes are drawn between the smallest and the largest of each kernel, the same ones
    for the same number, and none that is on record. No model has been compared with them.
    """
    from lightbound.kernels.triton.campaign.face import seconds_of
    from lightbound.kernels.triton.campaign.run import Asked

    from .measuring import answer

    check_format(form)
    asked = Asked(split=split, peers=peers, tune=tune, budget_s=seconds_of(budget), fresh=fresh)
    publish(answer(kernels or (), device, output, asked, commit), form)
