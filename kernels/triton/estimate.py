"""Registers and shared memory of a block before it is compiled, from its tile alone: a model of how Triton allocates.

Shared memory holds the operands that a loop streams, once for every stage in flight, those that stay, computed operands
that other warps need, and scratch for reductions and layouts where nothing else is live. How many stages are in flight
hangs on the matrix instructions: asynchronous ones still read a stage while the next is waited for.

Registers are counted, not allocated: sums and scores of a thread, fragments of operands, addresses of copies, and a
number of others that is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

from .block import Block, Product
from .occupancy import LIMITS, resident

OTHERS = {"sm_80": 24, "sm_90": 24, "sm_100": 16, "gfx942": 40}  # indices, bounds, running values: assumed
ROWS = 8  # those of a kernel without products
COPY_REGISTERS = 2  # a 64-bit address
COPY_BYTES = 16  # of one cp.async of a thread
MBARRIER = 8


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
    shared = _shared_bytes(block, target, warps, stages)
    return Estimate(registers, shared, columns, resident(target, threads, registers, shared, columns))


def instruction(product: Product, target: str, warps: int) -> str:
    """What multiplies: ``wgmma`` (sums in registers, operands in shared memory), ``tcgen05`` (sums in tensor memory),
    ``mma`` (a warp's own fragments), ``mfma``, or the ``lanes``.
    """
    if product.lanes:
        return "lanes"
    if target == "gfx942":
        return "mfma"
    wide = product.rows >= 64 and warps % 4 == 0
    return {"sm_90": "wgmma", "sm_100": "tcgen05"}.get(target, "mma") if wide else "mma"


def _asynchronous(block: Block, target: str, warps: int) -> bool:
    return any(instruction(one, target, warps) in ("wgmma", "tcgen05") for one in block.products)


def _shared_bytes(block: Block, target: str, warps: int, stages: int) -> int:
    size = {name: block.word_bytes * block.elements(name) for name in (*block.streamed, *block.resident)}
    overlapped = _asynchronous(block, target, warps)
    held = sum(size[name] for name in block.resident) if target != "gfx942" else 0
    if stages > 1:
        held += sum(size[name] for name in block.streamed) * (stages if overlapped else stages - 1)
        held += 4 * sum(block.vectors) * (stages - 1) if block.products and target != "gfx942" else 0
    elif overlapped:
        held += sum(size[name] for name in block.streamed)
    elif target == "gfx942":  # each is written, read into fragments and gone
        held += max(size.values(), default=0)
    else:
        held += max(
            (sum(size[name] for name in {one.left, one.right} & {*block.streamed}) for one in block.products), default=0
        )
    exchanged = [block.word_bytes * one for one in _exchanged(block, target, warps)]
    if target == "gfx942" and stages == 1:
        held = max(held, *exchanged, 0)
    else:
        held += sum(exchanged) if overlapped else max(exchanged, default=0)
    held += _barriers(block, target, warps, stages) * MBARRIER
    scratch = block.word_bytes * block.stored if block.products and target != "gfx942" else 0
    return max(held + _across_warps(block, target, warps), scratch)


def _exchanged(block: Block, target: str, warps: int) -> list[int]:
    """Elements of computed operands that pass through shared memory."""
    known = {*block.streamed, *block.resident}
    found = {}
    chain = block.products[-1] if len(block.products) > 1 else None
    for one in block.products:
        how = instruction(one, target, warps)
        if one.right not in known:
            found[one.right] = one.summed * one.columns
        # A warp that has whole rows of what it computed multiplies them at once. Products that feed each other split
        # their rows among warps only where the last has no more columns than rows.
        apart = one.left in block.made and how in ("mma", "mfma", "lanes")
        apart |= how == "mma" and chain is not None and chain.rows < chain.columns
        apart |= how == "mma" and one.rows < 16 * warps
        apart |= how == "mfma" and 32 < one.rows < 32 * warps  # fewer rows are computed by every warp
        if one.left not in known and apart:
            found[one.left] = one.rows * one.summed
    return list(found.values())


def _barriers(block: Block, target: str, warps: int, stages: int) -> int:
    count = 0
    if target == "sm_100":
        products = sum(instruction(one, target, warps) == "tcgen05" for one in block.products)
        count += 2 * products if stages > 1 else min(products, 1)
    if block.descriptors and target in ("sm_90", "sm_100"):
        # Those of what is loaded before the loop are gone by then; without a pipeline, one at a time is enough.
        count += len(block.streamed) * stages if stages > 1 else 1
    return count


def _across_warps(block: Block, target: str, warps: int) -> int:
    """Bytes by which warps that share a row reduce it, where nothing else makes room for them."""
    rows, columns = block.reduced
    if block.products:
        return rows * 4 * (warps // 4 - 1) if _tensor_columns(block, target, warps) and warps > 4 else 0
    vectors = LIMITS[target].lanes * COPY_BYTES // block.word_bytes  # that a warp loads side by side
    sharing = min(warps, -(-columns // vectors)) if columns else warps
    return 4 * max(rows * sharing if sharing > 1 else 0, *block.vectors, 0)


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
    known = {*block.streamed, *block.resident}
    live = block.values + block.packed * block.word_bytes / 4
    fragments: list[float] = []
    for one in block.products:
        how = instruction(one, target, warps)
        live += one.rows * one.columns
        # A product's operand is made while the sums of the one before are still needed; with more than two, the last
        # takes the registers of what it was made of.
        if one.left not in known and (len(block.products) <= 2 or one is not block.products[-1]):
            live += one.rows * one.summed * block.word_bytes / 4
        if how in ("mma", "mfma"):
            down, across = _warp_grid(block, one, how, warps)
            step = min(one.summed, 32 // block.word_bytes) if how == "mma" else one.summed
            each = (one.rows / down + one.columns / across) * step * block.word_bytes / 4 / LIMITS[target].lanes
            fragments += [each] if how == "mfma" else [each, each]
    at_once = 1 if target == "gfx942" else 2  # those that are multiplied, and the next
    copied = sum(block.word_bytes * block.elements(name) for name in block.streamed)
    if target == "gfx942":
        moving = copied / 4 / threads if stages > 1 else 0.0  # on the way through registers
    elif block.descriptors and target != "sm_80":
        moving = 0.0
    else:
        moving = COPY_REGISTERS * copied / COPY_BYTES / threads
    others = OTHERS[target] if block.products else ROWS
    return round(others + live / threads + sum(sorted(fragments)[-at_once:]) + moving)


def _warp_grid(block: Block, product: Product, how: str, warps: int) -> tuple[int, int]:
    """Warps along the rows and along the columns of a product."""
    if len(block.products) > 1:
        last = block.products[-1]
        return (warps, 1) if last.rows >= last.columns else (1, warps)
    tall, wide = (16, 8) if how == "mma" else (32, 32)
    down, across = 1, 1
    while down * across < warps:
        if product.rows / (tall * down) >= product.columns / (wide * across):
            down *= 2
        else:
            across *= 2
    return down, across
