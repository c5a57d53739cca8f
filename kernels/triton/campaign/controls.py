"""Two timings that belong to no kernel: a launch that does nothing, and one fixed product that shows drift."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .timing import Goal, Timer, Timing

SIZE = 4096  # of the square matrices of the control, in bf16


def controls(device: str, timer: Timer) -> dict[str, Callable[[Goal], Timing]]:
    """Both, on a GPU; none where there is only the interpreter."""
    if device == "cpu":
        return {}
    return {"launch": lambda goal: timer.time([_launch(device)] * 64, goal), "control": _control(device, timer)}


def _launch(device: str) -> Callable[[], Any]:
    """One wave of blocks that return at once."""
    import torch

    from ..device.empty import empty

    launched: Any = empty
    nothing = torch.empty(1, device=device)
    blocks = torch.cuda.get_device_properties(device).multi_processor_count
    return lambda: launched[(blocks,)](nothing, SIZE=1, num_warps=4)


def _control(device: str, timer: Timer) -> Callable[[Goal], Timing]:
    def time(goal: Goal) -> Timing:
        import torch

        with timer.place():
            made = [torch.randn(SIZE, SIZE, device=device, dtype=torch.bfloat16) for _ in range(6)]
        return timer.time([lambda a=a, b=b: a @ b for a, b in zip(made[::2], made[1::2], strict=True)], goal)

    return time
