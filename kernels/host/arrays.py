"""What the host's kernels accept: fp32 arrays in row-major order, and a number of threads."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightbound._core import host
from lightbound.base.errors import LightboundError

Floats = NDArray[np.float32]


def floats(name: str, given: Any, rank: int, axes: str) -> Floats:
    """The array `name` with `rank` axes (`axes` in words); LightboundError unless in fp32 and row-major order."""
    try:
        array = np.asarray(given)
    except Exception as error:  # what an array on another device raises is its own affair
        raise LightboundError(
            name, type(given).__name__, "is not an array on the CPU", "Give a numpy array of float32."
        ) from error
    if array.dtype != np.float32:
        raise LightboundError(name, str(array.dtype), "is not the type of the kernels", "Convert it to float32.")
    if array.ndim != rank:
        raise LightboundError(name, array.shape, f"has {array.ndim} axes", f"Give {rank}: {axes}.")
    if not array.flags.c_contiguous:
        raise LightboundError(
            name, array.shape, "is not in row-major order", f"Copy it: numpy.ascontiguousarray({name})."
        )
    return array


def same(name: str, found: int, expected: int, what: str) -> None:
    """LightboundError unless two extents agree; `what` names the expected one."""
    if found != expected:
        raise LightboundError(name, found, f"differs from {what}, which is {expected}", "Give arrays that agree.")


def whole(name: str, given: Any, least: int, most: int | None = None) -> int:
    """A whole number within bounds."""
    top = "" if most is None else f" to {most}"
    if isinstance(given, bool) or not isinstance(given, int | np.integer):
        raise LightboundError(name, given, "is not a whole number", f"Give one from {least}{top} on.")
    if given < least or (most is not None and given > most):
        raise LightboundError(name, int(given), "is out of range", f"Give {least}{top or ' or more'}.")
    return int(given)


def thread_count(given: int | None) -> int:
    """The number of threads meant: as many as this process may use, where none is given."""
    if given is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return whole("threads", given, 1, 4096)


def factor(given: float | None, head_dim: int) -> float:
    """The factor of scores: 1 / sqrt(head_dim) where none is given."""
    if given is None:
        return float(1 / np.sqrt(max(head_dim, 1)))
    if not np.isfinite(given):
        raise LightboundError("scale", given, "is not a finite number", "Leave it out for 1 / sqrt(head dimension).")
    return float(given)


def instruction_sets() -> list[str]:
    """The instruction sets that this machine has, best first."""
    return host.isas()


def instruction_set() -> dict[str, Any]:
    """The instruction set in use: ``name``, ``lanes``, ``rows`` and ``vectors`` of a register tile, ``fma``.

    Raises LightboundError where the environment variable ``LIGHTBOUND_ISA`` names one that the machine does not have.
    """
    forced = os.environ.get("LIGHTBOUND_ISA")
    if forced and forced not in instruction_sets():
        raise LightboundError(
            "LIGHTBOUND_ISA",
            forced,
            "is not an instruction set of this machine",
            f"Choose from: {', '.join(instruction_sets())}.",
        )
    return host.isa()


def result(out: Any, shape: tuple[int, ...]) -> Floats:
    """The array that a kernel writes: `out`, which must have this shape, or a new one."""
    if out is None:
        return np.empty(shape, np.float32)
    given = floats("out", out, len(shape), "as the result has")
    if given.shape != shape or not given.flags.writeable:
        raise LightboundError("out", given.shape, f"is no writeable array of shape {shape}", "Leave it out.")
    return given


def keep(seconds: list[float] | None, found: list[float]) -> None:
    """Hand the processor time of each thread to who asked for it."""
    if seconds is not None:
        seconds[:] = found
