"""Registers, tensor memory and shared memory of a block before it is compiled, and how many fit a multiprocessor.

Registers are counted, not allocated: sums and scores of a thread, fragments of operands, addresses of copies, and a
number of others that is assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .block import Block
from .instructed import instruction, warp_grid
from .occupancy import LIMITS, resident
from .shared_memory import loaded_at_once, shared_bytes, sharing_rows

OTHERS = {"sm_80": 24, "sm_90": 24, "sm_100": 16, "gfx942": 40}  # indices, bounds, running values: assumed
ROWS = 8  # those of a kernel without products
NUMBERS = 4  # and where it computes
FURTHER = 6  # of a second vector beside rows, or the numbers of a function: assumed
HIDDEN = 8  # what tells which scores are hidden, where nothing else stands in for it: assumed
VECTOR = 4  # of a vector beside the products: assumed
COPY_REGISTERS = {"sm_80": 2, "sm_90": 1, "sm_100": 1}  # a 64-bit address, or what it adds to a uniform register
COPY_BYTES = 16  # of one cp.async of a thread


@dataclass(frozen=True)
class Estimate:
    """What a block is expected to take: registers of a thread, bytes of shared memory, and blocks that fit at once."""

    registers: int
    shared_bytes: int
    tensor_columns: int
    blocks: int


def estimate(block: Block, target: str, warps: int, stages: int, most: int | None = None) -> Estimate:
    """The estimate for a target, compiled with these warps and stages, and at most so many registers of a thread."""
    threads = warps * LIMITS[target].lanes
    columns = _tensor_columns(block, target, warps)
    bounds = (
        LIMITS[target].most_registers,
        4 * 512 * LIMITS[target].lanes // threads // 8 * 8,
        most or LIMITS[target].most_registers,
    )
    registers = min(*bounds, _registers(block, target, warps, stages))
    shared = shared_bytes(block, target, warps, stages)
    return Estimate(registers, shared, columns, resident(target, threads, registers, shared, columns))


def _tensor_columns(block: Block, target: str, warps: int) -> int:
    """Columns of tensor memory, a power of two: sums of 32 bits, and computed left operands as words. Two of 64 rows
    that are equally wide lie above each other.
    """
    known = {*block.streamed, *block.resident}
    whole, halves = [], []
    for one in block.products:
        if instruction(one, target, warps) == "tcgen05":
            parts = [one.columns] if one.left in known else [one.columns, one.summed * block.word_bytes // 4]
            (halves if one.rows == 64 else whole).extend(parts)
    columns = sum(whole) + sum(-(-halves.count(width) // 2) * width for width in set(halves))
    return max(32, 1 << (columns - 1).bit_length()) if columns else 0


def _registers(block: Block, target: str, warps: int, stages: int) -> int:
    threads = warps * LIMITS[target].lanes
    live = (block.values + block.packed * block.word_bytes / 4) / threads
    if not block.products:
        return round(_of_rows(block, live, target, warps))
    known = {*block.streamed, *block.resident}
    fragments: list[float] = []
    whole = 0.0
    for one in block.products:
        how = instruction(one, target, warps)
        live += 0 if one.onto else one.rows * one.columns / threads
        # A product's operand is made while the sums of the one before are still needed; with more than two, the last
        # takes the registers of what it was made of.
        if one.left not in known and (len(block.products) <= 2 or one is not block.products[-1]):
            live += one.rows * one.summed * block.word_bytes / 4 / threads
        if how in ("mma", "mfma"):
            down, across = warp_grid(block, one, how, warps)
            step = min(one.summed, 32 // block.word_bytes) if how == "mma" else one.summed
            each = (one.rows / down + one.columns / across) * step * block.word_bytes / 4 / LIMITS[target].lanes
            fragments += [each] if how == "mfma" else [each, each]
            if how == "mma" and one.right not in known and one.right not in block.made:  # it is read whole
                whole += one.columns / across * one.summed * block.word_bytes / 4 / LIMITS[target].lanes
        elif how == "lanes":  # a thread's rows and columns
            sums = max(1.0, one.rows * one.columns / threads)
            down = 2 ** (math.log2(sums) // 2)
            fragments += [down + sums / down, down + sums / down]
    # Those that are multiplied, and the next; most of a long turn where there are registers enough.
    at_once = 2
    if target == "gfx942":
        at_once = len(fragments) if len(fragments) > 3 else max(1, len(fragments) - 1)
        live += HIDDEN * block.hidden
    others = (
        OTHERS[target if _tensor_columns(block, target, warps) or target != "sm_100" else "sm_90"]
        + live
        + whole
        + sum(sorted(fragments, reverse=True)[:at_once])
    )
    beside = VECTOR * len(block.vectors) if target != "gfx942" else 0
    return round(others + beside + _moving(block, target, threads, stages))


def _moving(block: Block, target: str, threads: int, stages: int) -> float:
    """Registers of a thread for what is on the way: addresses of copies, or the words themselves."""
    words = {name: block.word_bytes * block.elements(name) / 4 / threads for name in block.streamed}
    if target == "gfx942":
        return sum(words.values()) if stages > 1 else 0.0
    if block.descriptors and target != "sm_80":
        return 0.0
    passing = sum(words[name] for name in block.turned) if target == "sm_80" else 0.0
    return passing * (stages - 1) + COPY_REGISTERS[target] * 4 * (sum(words.values()) - passing) / COPY_BYTES


def _of_rows(block: Block, live: float, target: str, warps: int) -> float:
    """Registers of a thread without products: what is live, addresses of loads, sums of the rows that it has."""
    rows, columns = block.reduced
    threads = warps * LIMITS[target].lanes
    summed = 1.25 * rows * sharing_rows(block, target, warps) / warps if columns else 0.0
    if block.values:
        vector = loaded_at_once(block, block.values, target, warps)
        address = 1 if vector > 1 else 2  # vectors are reached from one address
        loads = address / vector + block.beside * block.word_bytes / COPY_BYTES
        live += NUMBERS + loads * block.values / threads + FURTHER * max(0, block.beside - 1)
    return ROWS + max(live, summed)
