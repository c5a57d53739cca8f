"""The commands that measure: ``probe`` and ``compare``. They hand over to ``probing`` and ``comparing``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lightbound.base.errors import LightboundError

from .commands import Format, Report, app
from .delivering import check_delivery, deliver
from .output import check_format, note, publish


@app.command()
def probe(
    device: Annotated[str, typer.Argument(metavar="[host|cuda]", help="What to measure.")] = "host",
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE.yaml", help="Where to write the machine; by default the user's cache."),
    ] = None,
    given: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE.json", help="Raw results of a GPU that were measured elsewhere."),
    ] = None,
    budget: Annotated[
        float | None, typer.Option("--budget", metavar="SECONDS", help="Time for measuring a GPU; 75 by default.")
    ] = None,
    form: Format = "table",
) -> None:
    """Measure this machine or its GPU, and write it as one that --machine host or --machine cuda names.

    host: peak rates by width and type, exponentials, caches and memory by number of threads, latencies, the start of a
    thread, the clock. Takes about a minute. cuda: rates and latencies of instructions, tensor cores, memory,
    launches, and how the clock follows load; about a minute. Each is a median with its spread.
    """
    from .probing import answer

    check_format(form)
    found, path = answer(device, output, given, budget)
    publish(found, form)
    note(f"Written to {path}")


@app.command()
def compare(
    kernels: Annotated[list[str] | None, typer.Argument(metavar="[KERNEL]...", help="Kernels; all by default.")] = None,
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="Where to run: host or cuda.")] = "host",
    threads: Annotated[int, typer.Option("--threads", metavar="N", help="Threads that a kernel uses.")] = 1,
    repeats: Annotated[int, typer.Option("--repeats", metavar="N", help="Undisturbed samples of a case.")] = 20,
    budget: Annotated[float, typer.Option("--budget", metavar="SECONDS", help="Time for all measurements.")] = 60.0,
    fresh: Annotated[
        int | None,
        typer.Option("--fresh", metavar="N", help="On the host: new shapes instead, drawn from this number."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw scatter and roofline: .png, .svg or .pdf.")
    ] = None,
    peer: Annotated[
        str, typer.Option("--peer", metavar="A,B", help="On a GPU: other implementations to time; all by default.")
    ] = "",
    machine: Annotated[
        str | None, typer.Option("--machine", metavar="MACHINE", help="On a GPU: predict on this machine.")
    ] = None,
    report: Report = None,
    form: Format = "table",
) -> None:
    """Predict lightbound's own kernels on this machine, run them, and show both.

    By kernel and shape: predicted and measured time, error, what was achieved of the bound, the bottleneck. With
    --fresh the shapes are drawn at random, ten of each kernel, the same ones for the same number, and none of those
    that are always compared.
    """
    from .comparing import answer
    from .plots import check_drawable

    check_delivery(form, report)
    if device == "cuda":
        if fresh is not None:
            raise LightboundError("--fresh", fresh, "is for the host", "On a GPU: lightbound measure --fresh N.")
        from .measuring import compare_on_gpu

        found = compare_on_gpu(kernels or (), budget, [name for name in peer.split(",") if name], machine)
        deliver(found, form, report, "Predicted and measured on this GPU")
        return
    if plot is not None:
        check_drawable(plot)
    found = answer(kernels or (), device, threads, repeats, budget, plot, fresh)
    deliver(found, form, report, "Predicted and measured on this machine")
    if plot is not None:
        note(f"Drawn to {plot}")
