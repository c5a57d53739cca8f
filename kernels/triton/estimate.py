"""Registers and shared memory of a block before it is compiled, from its tile alone: a model of how Triton allocates.

Shared memory holds the operands that a loop streams, once for every stage in flight, those that stay, computed operands
that other warps need, and scratch for reductions and layouts where nothing else is live. How many stages are in flight
hangs on the matrix instructions: asynchronous ones still read a stage while the next is waited for.

Registers are counted, not allocated: sums and scores of a thread, fragments of operands, addresses of copies, and a
number of others that is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .block import Block, Product
from .occupancy import KIB, LIMITS, resident

OTHERS = {"sm_80": 24, "sm_90": 24, "sm_100": 16, "gfx942": 40}  # indices, bounds, running values: assumed
ROWS = 8  # those of a kernel without products
NUMBERS = 4  # and where it computes
FURTHER = 6  # of a second vector beside rows, or the numbers of a function: assumed
HIDDEN = 8  # what tells which scores are hidden, where nothing else stands in for it: assumed
VECTOR = 4  # of a vector beside the products: assumed
COPY_REGISTERS = {"sm_80": 2, "sm_90": 1, "sm_100": 1}  # a 64-bit address, or what it adds to a uniform register
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
    exchanged = list(_exchanged(block, target, warps).values())
    held = sum(size[name] for name in block.resident) if target != "gfx942" else 0
    if stages > 1:
        held += sum(size[name] * _buffers(block, name, target, warps, stages) for name in block.streamed)
        if block.products and target != "gfx942":
            held += _beside(block, target, overlapped, stages)
        # Sums in tensor memory are waited for at the end of a turn, so its operands are all there at once.
        held += sum(exchanged) if target == "sm_100" and overlapped else _passing(block, size, target, warps)
    elif overlapped:
        held += sum(size[name] for name in block.streamed) + sum(exchanged)
    elif target == "gfx942":  # each is written, read into fragments and gone
        held = max([*size.values(), *exchanged], default=0)
    else:
        held += _most_at_once(block, size, _exchanged(block, target, warps))
    held += _barriers(block, target, warps, stages) * MBARRIER
    if target == "sm_100" and overlapped and not any(one.keeps for one in block.products):
        held += block.word_bytes * block.stored // 4  # a turn's results leave tensor memory in four parts
    scratch = block.word_bytes * block.stored if block.products and target != "gfx942" else 0
    return max(held + _across_warps(block, target, warps), scratch)


def _buffers(block: Block, name: str, target: str, warps: int, stages: int) -> int:
    """Buffers of an operand that comes by: one less than stages, and one more where instructions read it later."""
    if name in block.turned and target == "sm_80":
        return 0  # it waits in registers
    ahead = _ahead(block, stages) + _again(block, name, target)
    return ahead + 1 if _asynchronous(block, target, warps) and name not in block.read else ahead


def _beside(block: Block, target: str, overlapped: bool, stages: int) -> int:
    """Bytes of vectors that come by, and of the number that tells where a tile lies."""
    vectors = 4 * sum(block.vectors) * _ahead(block, stages)
    if not block.looked_up or stages < 3:
        return vectors
    if target == "sm_90" and overlapped:  # one stands before what wgmma reads, which begins at multiples of a KiB
        return KIB + (4 if vectors else 0)
    return vectors + 4


def _again(block: Block, name: str, target: str) -> int:
    """1 where the memory engine's buffer is still read by a later product, in tensor memory, of the turn before."""
    return int(block.descriptors and target == "sm_100" and sum(name in (o.left, o.right) for o in block.products) > 1)


def _ahead(block: Block, stages: int) -> int:
    """Turns that loads are ahead of their use: one less where they wait for another load."""
    return stages - 2 if block.looked_up and stages > 2 else stages - 1


def _most_at_once(block: Block, size: Mapping[str, int], exchanged: Mapping[str, int]) -> int:
    """Bytes of operands from the first product that takes them to the last, without a pipeline."""
    uses: dict[tuple[str, int], list[int]] = {}  # a product along other sums takes a copy in another layout
    for at, one in enumerate(block.products):
        for name in {one.left, one.right} & {*block.streamed}:
            uses.setdefault((name, one.summed), []).append(at)
    first = {name: min(at[0] for (used, _), at in uses.items() if used == name) for name, _ in uses}
    most = 0
    for at, one in enumerate(block.products):
        here = sum(size[name] for (name, _), till in uses.items() if first[name] <= at <= till[-1])
        most = max(most, here + sum(exchanged.get(name, 0) for name in (one.left, one.right)))
    return most


def _passing(block: Block, size: Mapping[str, int], target: str, warps: int) -> int:
    """The most bytes that pass through shared memory at a product: computed operands, turned ones at their first."""
    exchanged = _exchanged(block, target, warps)
    turned = {name: size[name] for name in block.turned} if target == "sm_80" else {}
    return max(
        (sum(exchanged.get(name, 0) + turned.pop(name, 0) for name in (one.left, one.right)) for one in block.products),
        default=0,
    )


def _exchanged(block: Block, target: str, warps: int) -> dict[str, int]:
    """Bytes of computed operands that pass through shared memory."""
    known = {*block.streamed, *block.resident}
    found = {}
    chain = block.products[-1] if len(block.products) > 1 else None
    for one in block.products:
        how = instruction(one, target, warps)
        if one.right not in known:
            found[one.right] = block.word_bytes * one.summed * one.columns
        # A warp that has whole rows of what it computed multiplies them at once. Products that feed each other split
        # their rows among warps only where the last has no more columns than rows.
        apart = one.left in block.made and how != "tcgen05"
        apart |= how == "mma" and chain is not None and chain.rows < chain.columns
        apart |= how == "mma" and (one.rows < 16 * warps or block.hidden)
        apart |= how == "mfma" and 32 < one.rows < 32 * warps  # fewer rows are computed by every warp
        if one.left not in known and apart:
            found[one.left] = block.word_bytes * one.rows * one.summed
    return found


def _barriers(block: Block, target: str, warps: int, stages: int) -> int:
    count = 0
    if target == "sm_100":
        products = sum(instruction(one, target, warps) == "tcgen05" and not one.onto for one in block.products)
        count += 2 * products if stages > 1 else min(products, 1)
    if block.descriptors and target in ("sm_90", "sm_100"):
        # Those of what is loaded before the loop are gone by then; without a pipeline, one at a time is enough.
        again = sum(2 * _again(block, name, target) for name in block.streamed)
        count += len(block.streamed) * stages + again if stages > 1 else 1
    return count


def _across_warps(block: Block, target: str, warps: int) -> int:
    """Bytes by which warps that share a row reduce it, where nothing else makes room for them."""
    rows, columns = block.reduced
    if block.products:
        return rows * 4 * (warps // 4 - 1) if _tensor_columns(block, target, warps) and warps > 4 else 0
    lanes = LIMITS[target].lanes
    vector = _vector(block, rows * columns, target, warps)
    sharing = _sharing(block, target, warps)
    found = [rows * sharing if sharing > 1 else 0, *block.vectors]
    # A vector beside the rows is loaded in a layout of its own, and passes into that of the rows unless they are alike.
    alike = vector == min(COPY_BYTES // block.word_bytes, max(1, columns // (warps * lanes))) and sharing == warps
    if block.beside and columns and not alike:
        found.append(columns * block.word_bytes // 4)
    return 4 * max(found)


def _vector(block: Block, elements: int, target: str, warps: int) -> int:
    """Words that a thread loads at once."""
    each = max(1, elements // (warps * LIMITS[target].lanes))
    return min(COPY_BYTES // block.word_bytes, block.aligned, each)


def _sharing(block: Block, target: str, warps: int) -> int:
    """Warps that have some of each row."""
    rows, columns = block.reduced
    across = LIMITS[target].lanes * _vector(block, rows * columns, target, warps)
    return min(warps, -(-columns // across)) if columns else warps


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
            down, across = _warp_grid(block, one, how, warps)
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
    summed = 1.25 * rows * _sharing(block, target, warps) / warps if columns else 0.0
    if block.values:
        vector = _vector(block, block.values, target, warps)
        address = 1 if vector > 1 else 2  # vectors are reached from one address
        loads = address / vector + block.beside * block.word_bytes / COPY_BYTES
        live += NUMBERS + loads * block.values / threads + FURTHER * max(0, block.beside - 1)
    return ROWS + max(live, summed)


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
