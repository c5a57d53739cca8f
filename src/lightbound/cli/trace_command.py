"""``lightbound trace FILE:FACTORY`` and ``lightbound memory WORKLOAD``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .commands import Format, Preset, Set, Variant, Workload, app
from .output import check_format, note, publish


@app.command()
def trace(
    factory: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py:FACTORY",
            help="A function that returns (module, input, ...); or PACKAGE.MODULE:FACTORY.",
            show_default=False,
        ),
    ],
    train: Annotated[
        bool, typer.Option("--train", help="A training step: forward, and backward to gradients.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=N,...", help="Arguments of the factory: tokens=128K,layers=32."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.einsum", help="Write the cascade and its sizes, for other commands."),
    ] = None,
    form: Format = "table",
) -> None:
    """Turn a torch module into a cascade, and say what it computes.

    Operations by kind and by operator, passes over its ranks, and every operator that is opaque. Nothing is run:
    only shapes are looked at, so that the size of the model does not matter.
    """
    from .tracing import answer

    check_format(form)
    publish(answer(factory, train, set_ or (), out), form)
    if out is not None:
        note(f"Written to {out}")


@app.command()
def memory(
    workload: Workload,
    preset: Preset = None,
    variant: Variant = None,
    set_: Set = None,
    training: Annotated[bool, typer.Option("--training", help="Also the backward pass, and what it keeps.")] = False,
    parameters: Annotated[
        str | None, typer.Option("--parameters", metavar="W,...", help="The inputs that are weights.")
    ] = None,
    order: Annotated[
        str, typer.Option("--order", metavar="ORDER", help="given, or best for the smallest peak.")
    ] = "given",
    in_place: Annotated[
        bool, typer.Option("--in-place/--no-in-place", help="Whether pointwise Einsums write over dead operands.")
    ] = True,
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", metavar="N|A,...", help="Segments, or Einsums kept; the rest is recomputed."),
    ] = None,
    fused: Annotated[
        str | None, typer.Option("--fused", metavar="RANK,...", help="Ranks taken one coordinate at a time.")
    ] = None,
    detached: Annotated[
        str | None, typer.Option("--detached", metavar="A,...", help="Einsums that no gradient flows through.")
    ] = None,
    optimizer: Annotated[
        str, typer.Option("--optimizer", metavar="NAME", help="none, sgd, momentum, adam or adam_mixed.")
    ] = "none",
    word_bytes: Annotated[int, typer.Option("--word-bytes", metavar="N", help="Of every element.")] = 2,
    form: Format = "table",
) -> None:
    """The most memory that a workload needs at once: at which Einsum, and what is alive there."""
    from . import given
    from .remembering import answer

    check_format(form)
    work = given.workload(workload, preset, variant, set_ or (), word_bytes)
    publish(answer(work, training, parameters, order, in_place, checkpoint, fused, detached, optimizer), form)
