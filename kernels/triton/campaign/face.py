"""A campaign by its options: what ``python -m lightbound.kernels.triton.campaign`` and ``lightbound measure`` share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lightbound.base.errors import LightboundError

from ..catalogue import find_kernel, kernels
from ..kernel import MissingPackage, TritonKernel, require
from .clock import sm_clock
from .controls import controls
from .fingerprint import fingerprint
from .fresh import seen_cases, with_fresh_cases
from .records import RecordFile
from .rest import Rest, light_clock
from .run import Asked, Bench, Outcome, run
from .telemetry import Telemetry
from .timing import READINGS, CudaTimer, HostTimer
from .tuned import tuning_text

DEVICES = ("cuda", "cpu")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|min|m|h)?")
_SECONDS = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, None: 1}


def campaign(
    out: Path,
    names: Sequence[str] = (),
    asked: Asked | None = None,
    device: str = "cuda",
    commit: str | None = None,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Measure these kernels (all by default) into a file, and go on where an earlier run left off.

    On ``cpu`` the tiny cases run in Triton's interpreter, which says nothing of any hardware: it tries the campaign
    itself. Raises MissingPackage without torch, triton or a GPU.
    """
    asked = asked or Asked()
    check_device(device)
    chosen: list[TritonKernel] = [find_kernel(name) for name in names] or list(kernels().values())
    if device == "cpu":
        chosen = [replace(one, cases=[case for case in one.tiny if case.dtype != "bf16"]) for one in chosen]
        asked = replace(asked, processes=0)
    if asked.fresh is not None:
        chosen = _fresh(chosen, asked)
    telemetry = Telemetry(device)
    timer = HostTimer() if device == "cpu" else _timer(device, telemetry)
    bench = Bench(device, timer, telemetry, controls(device, timer))
    file = RecordFile(out)
    outcome = run(file, chosen, bench, fingerprint(device, commit, telemetry), asked, say)
    say(f"{outcome.timed} timed, {outcome.failed} failed, {sum(outcome.left.values())} left, {outcome.seconds:.0f} s.")
    if outcome.left:
        say("Left: " + ", ".join(f"{count} of {name}" for name, count in outcome.left.items()) + ". Run it again.")
    if asked.tune:
        say(tuning_text(file.records))
    return outcome


def _fresh(chosen: Sequence[TritonKernel], asked: Asked) -> list[TritonKernel]:
    if asked.tune or asked.split != "all":
        problem = "goes with neither --split nor --tune: all of its shapes are held out"
        raise LightboundError("--fresh", asked.fresh, problem, "Leave these out.")
    return with_fresh_cases(chosen, asked.fresh or 0, seen_cases())


def _timer(device: str, telemetry: Telemetry) -> CudaTimer:
    clock = sm_clock(device, READINGS)
    return CudaTimer(telemetry, clock, None if clock is None else Rest(light_clock(clock, device)))


def check_device(device: str) -> None:
    """MissingPackage, with what to do, where kernels cannot run on ``cuda``, or on ``cpu`` by the interpreter."""
    require("torch", "triton")
    if device not in DEVICES:
        raise LightboundError(
            "--device", device, "is no place for these kernels", f"Choose from: {', '.join(DEVICES)}."
        )
    if device == "cpu":
        os.environ["TRITON_INTERPRET"] = "1"  # before any code for the device is loaded
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        problem = "is not there: torch sees no GPU"
        raise MissingPackage("--device", device, problem, "Run it on a machine with an NVIDIA GPU and its driver.")


def seconds_of(text: str) -> float:
    """``480s``, ``8min``, ``1.5h`` or ``480`` in seconds."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise LightboundError("--budget", text, "is no length of time", "Write 480s or 8min.")
    return float(match[1]) * _SECONDS[match[2]]
