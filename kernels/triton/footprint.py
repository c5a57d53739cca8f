"""What a compiled kernel takes of a multiprocessor and what its loops issue, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .assembly import Loop
from .occupancy import resident


@dataclass(frozen=True)
class Resources:
    """One kernel compiled for one target.

    target: ``sm_90``, ``gfx942``. triton: the version that compiled it. registers: of a thread (AMD: vector registers,
    those of matrix results included). spill_bytes: what its code moves between registers and the thread's own memory,
    each instruction once. stack_bytes: of a thread. shared_bytes: of a block, without what the system reserves.
    tensor_columns: of tensor memory, 0 but on Blackwell. threads: of a block, those of warps that only load included.
    instructions: of the whole program, by kind. loops: its loops, in the order of the code. start_cycles, end_cycles:
    what the code before the first loop and behind the last takes a block that is alone, by its control words
    (turns.py), where they are known.
    """

    target: str
    triton: str
    registers: int
    spill_bytes: int
    stack_bytes: int
    shared_bytes: int
    tensor_columns: int
    threads: int
    instructions: Mapping[str, int]
    loops: Sequence[Loop] = ()
    start_cycles: int | None = None
    end_cycles: int | None = None

    @property
    def blocks(self) -> int:
        """Blocks that a multiprocessor holds at once."""
        return resident(self.target, self.threads, self.registers, self.shared_bytes, self.tensor_columns)

    @property
    def main_loop(self) -> Loop | None:
        """The innermost loop with the most matrix instructions, then exponentials, then instructions; the first of
        equals, None without loops.
        """
        inner = [loop for loop in self.loops if loop.innermost]
        weight = lambda loop: (loop.instructions.get("mma", 0), loop.exponentials, loop.total)  # noqa: E731
        return max(inner, key=weight, default=None)

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold, and `from_dict` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Resources:
        """The inverse of `to_dict`."""
        return cls(**{**given, "loops": tuple(Loop(**loop) for loop in given["loops"])})
