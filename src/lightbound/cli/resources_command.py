"""``lightbound resources``: what the kernels for GPUs take of one, without one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .commands import Format, app
from .output import check_format, publish


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
        typer.Option("--tiles", metavar="NAME=N,...", help="Other constants, warps or stages; all: a kernel's others."),
    ] = None,
    case: Annotated[
        str,
        typer.Option("--case", metavar="WORDS", help="Only cases whose names hold these words.", show_default=False),
    ] = "",
    code: Annotated[
        Path | None,
        typer.Option(
            "--code",
            metavar="FILE",
            help="Read compiled code instead: a cubin, an executable, or what cuobjdump -sass printed.",
        ),
    ] = None,
    function: Annotated[
        str,
        typer.Option(
            "--function",
            metavar="WORDS",
            help="With --code: functions whose names hold these words.",
            show_default=False,
        ),
    ] = "",
    warps: Annotated[
        int | None,
        typer.Option("--warps", min=1, max=32, help="With --code: of a block; by default what a cubin states, or 4."),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Compile the default tiles, and put them on record.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Compile them, and compare with what is on record.")] = False,
    form: Format = "table",
) -> None:
    """Registers, spills, shared memory and instructions of kernels in Triton.

    No GPU is needed: what is on record is read, and the rest compiled, with triton installed. Beside it stands the
    estimate from the tile alone. With --check it exits with 1 where a kernel does not compile as recorded. With --code
    it reads the loops of any kernel, and says how many cycles a turn takes a block of Hopper that is alone.
    """
    from .resourcing import answer, compiled, recorded

    check_format(form)
    if code is not None:
        publish(compiled(str(code), warps, function), form)
        return
    if write or check:
        found, agrees = recorded(kernels or (), check)
        publish(found, form)
        if not agrees:
            raise typer.Exit(1)
        return
    publish(answer(kernels or (), target or (), tiles or (), case), form)
