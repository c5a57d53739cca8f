"""How long a turn of a loop, and the code around loops, take a block that has a multiprocessor to itself, by the
control words of its SASS.

NVIDIA's assembler writes into every instruction after how many cycles the warp may issue its next one, which of six
barriers it sets, and which it awaits (Jia et al., arXiv 1804.06826, section 2.1: a count of stalls, an index of a write
and of a read barrier, a mask of those awaited). With the time that each kind of instruction holds its unit and takes to
its result, all measured (`lightbound probe cuda`, H200), a warp can be followed through the loop. The block's warps on
one quarter of the multiprocessor are followed together; the other quarters do the same at the same time.

What the code does not say: words from memory are taken to be in the L2 cache, those that the memory engine brings to
be there, lanes to ask for different banks of shared memory, and branches within the loop not to be taken.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from .assembly import Instruction, Loop, around, loops
from .instructions import macs_of

TIMED = "sm_90"  # the target whose units were measured
TURNS = 16  # followed; the mean of the second half counts
QUARTERS = 4  # of a multiprocessor, one scheduler each; they share the path to shared memory
QUEUE = 32  # cycles of work that shared memory and special functions accept ahead of time, assumed
HELD = 4  # cycles an instruction beside warp-group products, which hold three issue slots of four (beside.group2)
MACS = 512  # multiply-accumulates of a quarter in a cycle, by warp groups
MACS_SYNC = 325  # the same, warp by warp (mma_sync.fp16)
PRODUCT = 72  # from the last multiplication of a group to the warp that awaits it (latency.wgmma)
BARRIER, THREADS = 12.6, 16  # cycles of a barrier, and one more for every so many threads (latency.barrier)
NEAR = 282  # words from the L2 cache (chase.8MiB)

# By kind: the unit of a quarter, cycles that an instruction of a warp holds it, and cycles until its result is there.
_UNITS: dict[str, tuple[str, float, float]] = {
    "fma": ("fp32", 1, 4.15),
    "fp32": ("fp32", 1, 4.15),
    "compare": ("integer", 2, 4.15),
    "convert": ("integer", 2, 4.15),
    "integer": ("integer", 2, 4.15),
    "move": ("integer", 2, 4.15),
    "mufu": ("special", 8, 17.1),
    "shuffle": ("shared", 1, 24.1),
    "ldmatrix": ("shared", 1, 29),
    "shared_load": ("shared", 1, 23),
    "shared_store": ("shared", 1, 23),
    "atomic": ("shared", 1, NEAR),
    "async_copy": ("shared", 1, NEAR),
    "global_load": ("shared", 1, NEAR),
    "global_store": ("shared", 1, 23),
    "mma": ("tensor", 0, 24.1),  # as many cycles as it has work
}
_OTHER = ("", 1, 4.15)
_MULTIPLIERS = ("IMAD", "IDP", "XMAD")  # integers that the FP32 lanes multiply, at half of their rate
_READ = 2  # from the time that a unit takes an instruction on until the registers it read may be written


def followed(program: Sequence[Instruction], target: str, threads: int) -> tuple[list[Loop], int | None, int | None]:
    """The loops of a program with the cycles of their turns, and the cycles of the code before the first and behind the
    last one, for blocks of so many threads; None in their place on targets whose units were not measured.
    """
    if target != TIMED:
        return loops(program), None, None
    start, end = (once_cycles(code, threads) for code in around(program))
    timed = loops(program, partial(turn_cycles, threads=threads))
    return timed, None if start is None else round(start), None if end is None else round(end)


def turn_cycles(loop: Sequence[Instruction], threads: int) -> float | None:
    """Cycles of a turn through instructions that follow each other, of a block of so many threads that is alone; None
    without control words.
    """
    if not loop or any(one.control is None for one in loop):
        return None
    quarter = _quarter(threads)
    ends = [quarter.turn(loop) for _ in range(TURNS)]
    return (ends[-1] - ends[TURNS // 2 - 1]) / (TURNS - TURNS // 2)


def once_cycles(code: Sequence[Instruction], threads: int) -> float | None:
    """Cycles of code that a block goes through once, alone; None without control words."""
    if any(one.control is None for one in code):
        return None
    return _quarter(threads).turn(code)


def _quarter(threads: int) -> _Quarter:
    return _Quarter([_Warp() for _ in range(max(1, threads // (32 * QUARTERS)))], threads)


@dataclass
class _Warp:
    """When a warp may issue next, when its barriers are free, and when copies and products that it awaits are done."""

    ready: float = 0.0
    barriers: list[float] = field(default_factory=lambda: [0.0] * 6)
    copying: float = 0.0
    copies: list[float] = field(default_factory=list)
    products: list[float] = field(default_factory=list)

    def may_issue(self, one: Instruction) -> float:
        assert one.control is not None
        times = [self.ready, *(free for number, free in enumerate(self.barriers) if one.control.awaits >> number & 1)]
        if one.mnemonic.startswith("WARPGROUP.DEPBAR"):
            times += _all_but(self.products, one)
        elif one.mnemonic.startswith("DEPBAR"):
            times += _all_but(self.copies, one)
        return max(times)


def _all_but(groups: Sequence[float], one: Instruction) -> Sequence[float]:
    """The ends of groups that an instruction awaits, which may leave the last few under way."""
    match = re.search(r"0x([0-9a-f]+)\s*$", one.operands)
    left = int(match[1], 16) if match else 0
    return groups[: len(groups) - left] if left else groups


@dataclass
class _Quarter:
    """Warps of a block on one scheduler, and the units that they share."""

    warps: Sequence[_Warp]
    threads: int
    slot: float = 0.0  # when the scheduler may issue again
    busy_until: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    held: tuple[float, float] = (0.0, 0.0)  # from when until when products of warp groups follow each other

    def turn(self, loop: Sequence[Instruction]) -> float:
        """All warps through the loop once, in the order in which they may issue; when the last unit is done."""
        at = [0] * len(self.warps)
        arrived: dict[int, float] = {}
        while any(place < len(loop) for place in at):
            times = {
                number: max(self._may_go(loop[place], warp), self.slot)
                for number, (place, warp) in enumerate(zip(at, self.warps, strict=True))
                if place < len(loop) and number not in arrived
            }
            number = min(times, key=lambda one: times[one])
            instruction = loop[at[number]]
            self._issue(instruction, self.warps[number], times[number])
            at[number] += 1
            if instruction.mnemonic.startswith("BAR"):
                arrived[number] = times[number]
                if len(arrived) == len(self.warps):
                    passed = max(arrived.values()) + BARRIER + self.threads / THREADS
                    for one in arrived:
                        self.warps[one].ready = max(self.warps[one].ready, passed)
                    arrived = {}
        return max(self.slot, *self.busy_until.values()) if self.busy_until else self.slot

    def _may_go(self, one: Instruction, warp: _Warp) -> float:
        unit, _, _ = _work(one)
        ahead = {"": float("inf"), "tensor": float("inf"), "shared": QUEUE, "special": QUEUE}.get(unit, 0)
        return max(warp.may_issue(one), self.busy_until[unit] - ahead)

    def _issue(self, one: Instruction, warp: _Warp, at: float) -> None:
        assert one.control is not None
        unit, holds, takes = _work(one)
        begins = max(at, self.busy_until[unit]) if unit else at
        if unit:
            self.busy_until[unit] = begins + holds
        done = begins + takes
        if one.mnemonic.startswith("HGMMA"):
            if begins > self.held[1]:
                self.held = begins, begins
            self.held = self.held[0], begins + holds
            if "gsb0" in one.operands:
                warp.products.append(begins + holds + PRODUCT)
        elif one.mnemonic.startswith("LDGSTS"):
            warp.copying = max(warp.copying, done)
        elif one.mnemonic.startswith("LDGDEPBAR"):
            warp.copies.append(warp.copying)
        self.slot = at + (HELD if self.held[0] <= at < self.held[1] else 1)
        if one.control.writes is not None:
            warp.barriers[one.control.writes] = max(warp.barriers[one.control.writes], done)
        if one.control.reads is not None:
            read = begins + holds + _READ
            warp.barriers[one.control.reads] = max(warp.barriers[one.control.reads], read)
        warp.ready = at + max(1, one.control.stall)


def _work(one: Instruction) -> tuple[str, float, float]:
    """The unit of an instruction, how long it holds it, and how long its result takes."""
    unit, holds, takes = _UNITS.get(one.kind, _OTHER)
    if unit == "integer" and one.mnemonic.startswith(_MULTIPLIERS):
        return "fp32", holds, takes
    if unit == "tensor":
        grouped = one.mnemonic.startswith("HGMMA")  # four warps make it, one in each quarter
        return unit, macs_of(one.mnemonic) / (QUARTERS * MACS if grouped else MACS_SYNC), takes
    if unit == "shared":
        # a request moves 128 bytes a cycle; those of the other quarters come at the same time, half of them before
        parts = _requests(one)
        return "shared", QUARTERS * parts, takes + (QUARTERS - 1) / 2 * parts
    return unit, holds, takes


def _requests(one: Instruction) -> int:
    """Times 32 lanes by 4 bytes that an instruction of a warp moves."""
    if one.kind == "ldmatrix":
        return int(one.mnemonic[-1]) if one.mnemonic[-1] in "24" else 1
    match = re.search(r"\.(64|128)\b", one.mnemonic)
    return int(match[1]) // 32 if match else 1
