"""Shared memory of a block before it is compiled: its buffers, and when they live.

A loop that is pipelined has a buffer for every operand that comes by and each stage in flight, with the barriers that
its loads and its matrix instructions are waited for at; operands that stay live through all loops; computed operands
and scratch, in which tiles pass from one layout to another, live for a moment. They are laid out as Triton does.
"""

from __future__ import annotations

from collections.abc import Mapping

from .allocation import Buffer, allocated
from .block import Block, Product
from .conversion import (
    Layout,
    blocked,
    left_of_turned,
    right_of_turned,
    scratch_bytes,
    sums,
    tensor_memory,
)
from .instructed import asynchronous, exchanged, instruction, makers, warp_grid
from .occupancy import LIMITS

MBARRIER = 8
VECTOR_BYTES = 16  # that a thread loads at once
SCRATCH_ALIGNMENT = 128
TURN = 1000  # steps of a program that a loop is given, more than it has buffers
NUMBER = 4  # bytes of one that tells where a tile lies


def shared_bytes(block: Block, target: str, warps: int, stages: int) -> int:
    """Bytes of a block, compiled for a target with these warps and stages."""
    if target == "gfx942":
        return _on_amd(block, warps, stages) + across_warps(block, target, warps)
    if not block.products:
        return across_warps(block, target, warps)
    if stages > 1:
        return allocated(_pipelined(block, target, warps, stages))
    moment = exchanged(block, target, warps)
    size = {name: block.word_bytes * block.elements(name) for name in (*block.streamed, *block.resident)}
    from_memory = asynchronous(block, target, warps)
    held = sum(size[name] for name in block.resident) + _most_at_once(block, size, moment, copied=not from_memory)
    if from_memory:
        held += MBARRIER * (target == "sm_100" or block.descriptors)  # one at a time
    return max(held + across_warps(block, target, warps), _scratch_of_result(block, target, warps))


def _on_amd(block: Block, warps: int, stages: int) -> int:
    """A pipeline keeps what comes by; without one, each operand is written, read into fragments and gone."""
    size = {name: block.word_bytes * block.elements(name) for name in (*block.streamed, *block.resident)}
    moment = exchanged(block, "gfx942", warps)
    if stages == 1:
        return max([*size.values(), *moment.values()], default=0)
    at_once = (sum(moment.get(name, 0) for name in (one.left, one.right)) for one in block.products)
    return sum(size[name] for name in block.streamed) * (stages - 1) + max(at_once, default=0)


def _pipelined(block: Block, target: str, warps: int, stages: int) -> list[Buffer]:
    end = (block.loops + 1) * TURN
    buffers = [
        Buffer(block.word_bytes * block.elements(name), step, end, _alignment(block, name, target, warps))
        for step, name in enumerate(block.resident)
    ]
    for loop in range(block.loops):
        start = (loop + 1) * TURN - TURN // 2
        lasting = [
            *_waits(block, target, warps),
            *([(NUMBER, 16)] if block.looked_up and stages > 2 else []),
            *[(4 * length * _ahead(block, stages), 16) for length in block.vectors if loop == block.loops - 1],
            *_copies(block, target, warps, stages),
        ]
        latest = start + TURN // 2 - 1
        buffers += [
            Buffer(size, start + step, latest - step, alignment) for step, (size, alignment) in enumerate(lasting)
        ]
        # A loop over tensor memory leaves its last turn to the code that follows it.
        turns = 2 if target == "sm_100" and asynchronous(block, target, warps) else 1
        for turn in range(turns):
            buffers += _momentary(block, target, warps, start + len(lasting) + 1 + turn * TURN // 5)
    keeps = any(one.keeps for one in block.products)
    after = end if keeps else end - TURN - 100  # a turn's result is stored within the loop
    buffers.append(Buffer(_scratch_of_result(block, target, warps), after, after + 1, SCRATCH_ALIGNMENT))
    return [one for one in buffers if one.size]


def _waits(block: Block, target: str, warps: int) -> list[tuple[int, int]]:
    """Sizes and alignments of what matrix instructions of tensor memory are waited for at, and of operands in shared
    memory that are computed from what is loaded: both are there before the loop.
    """
    if target != "sm_100":
        return []
    found = []
    sizes = exchanged(block, target, warps)
    for one in block.products:
        if instruction(one, target, warps) == "tcgen05" and not _at_once(block, one):
            found.append((2 * MBARRIER, 16))
            if one.right in block.made:
                found.append((sizes[one.right], _alignment(block, one.right, target, warps)))
    return found


def _at_once(block: Block, product: Product) -> bool:
    """Whether a matrix instruction of tensor memory is waited for where it is: where it multiplies by another's sums,
    and where such a one adds to the same sums.
    """
    known = {*block.streamed, *block.resident, *block.made}
    after = block.products[list(block.products).index(product) + 1 :]
    return product.right not in known or bool(after and after[0].onto and after[0].right not in known)


def _copies(block: Block, target: str, warps: int, stages: int) -> list[tuple[int, int]]:
    """Sizes and alignments of the buffers of what comes by, then of the barriers of the memory engine."""
    buffers, barriers = [], []
    for name in block.streamed:
        count = _buffers(block, name, target, warps, stages)
        size = block.word_bytes * block.elements(name)
        buffers.append((size * count, _alignment(block, name, target, warps)))
        barriers.append((MBARRIER * count if block.descriptors and target != "sm_80" else 0, 16))
    return [*buffers, *barriers]


def _buffers(block: Block, name: str, target: str, warps: int, stages: int) -> int:
    """Buffers of an operand that comes by: one less than stages, and one more where instructions read it later."""
    if name in block.turned and not asynchronous(block, target, warps):
        return 0  # it waits in registers
    ahead = _ahead(block, stages) + _again(block, name, target)
    return ahead + 1 if asynchronous(block, target, warps) and name not in block.read else ahead


def _again(block: Block, name: str, target: str) -> int:
    """1 where the memory engine's buffer is still read by a later product, in tensor memory, of the turn before."""
    return int(block.descriptors and target == "sm_100" and sum(name in (o.left, o.right) for o in block.products) > 1)


def _ahead(block: Block, stages: int) -> int:
    """Turns that loads are ahead of their use: one less where they wait for another load."""
    return stages - 2 if block.looked_up and stages > 2 else stages - 1


def _alignment(block: Block, name: str, target: str, warps: int) -> int:
    """Rows that matrix instructions read from shared memory lie in groups of eight of up to 128 bytes."""
    if not asynchronous(block, target, warps):
        return 16
    return 8 * min(128, block.word_bytes * block.width(name))


def _momentary(block: Block, target: str, warps: int, start: int) -> list[Buffer]:
    """What lives within a turn: computed operands from where they are made to their product, and scratch."""
    found = []
    sizes = exchanged(block, target, warps)
    from_memory = asynchronous(block, target, warps)
    for at, one in enumerate(block.products):
        step = start + 20 * at
        for name in dict.fromkeys((one.left, one.right)):
            hoisted = target == "sm_100" and from_memory and name in block.made
            if name in sizes and not hoisted:
                alignment = _alignment(block, name, target, warps) if from_memory else 16
                found.append(Buffer(sizes[name], step + 5, step + 10, alignment))
                if block.spread and one.lanes:
                    found.append(Buffer(4 * block.spread, step + 6, step + 7, SCRATCH_ALIGNMENT))
            if name in block.turned and not from_memory:
                found.append(_turned(block, one, name, target, warps, step))
        if target == "sm_100" and instruction(one, target, warps) == "tcgen05" and _at_once(block, one):
            found.append(Buffer(MBARRIER, step + 9, step + 12))
        if not from_memory and (size := _joined(block, one, target, warps)):
            found.append(Buffer(size, step + 1, step + 2, SCRATCH_ALIGNMENT))
    if scratch := across_warps(block, target, warps):
        found.append(Buffer(scratch, start + 3, start + 4, SCRATCH_ALIGNMENT))
    return found


def _turned(block: Block, product: Product, name: str, target: str, warps: int, step: int) -> Buffer:
    """A tile in registers that is multiplied along its rows: stored where one product takes it; where several do, it
    passes into the layout of each.
    """
    words = block.elements(name)
    if sum(name in (one.left, one.right) for one in block.products) == 1:
        return Buffer(block.word_bytes * words, step + 5, step + 10)
    left = name == product.left
    across = product.rows if left else product.summed
    down, wide = warp_grid(block, product, "mma", warps)
    source = blocked(words // across, across, VECTOR_BYTES // block.word_bytes, warps)
    fragments = (left_of_turned if left else right_of_turned)(words // across, across, down, wide, block.word_bytes)
    scratch = scratch_bytes(source, fragments, block.word_bytes, target != "sm_80")
    return Buffer(scratch, step + 1, step + 2, SCRATCH_ALIGNMENT)


def _joined(block: Block, product: Product, target: str, warps: int) -> int:
    """Scratch of sums of several products that make an operand together, where warps share them out unlike."""
    made_of = makers(block, product) if product.left not in {*block.streamed, *block.resident, *block.made} else []
    if len(made_of) < 2 or instruction(product, target, warps) != "mma":
        return 0
    first, last = (warp_grid(block, one, "mma", warps) for one in (made_of[0], made_of[-1]))
    shape = (product.rows, product.summed)
    if first == last:
        return 0
    return scratch_bytes(sums(*shape, *first), sums(*shape, *last), 4, target != "sm_80")


def _scratch_of_result(block: Block, target: str, warps: int) -> int:
    """Scratch through which the tile of the result passes from sums to rows of 16 bytes a thread."""
    if not block.products or not block.stored or target == "gfx942":
        return 0
    last = block.products[-1]
    rows, columns = last.rows, last.columns
    word_bytes = block.word_bytes * block.stored // (rows * columns)
    each = max(1, rows * columns // (32 * warps))
    vector = min(VECTOR_BYTES // word_bytes, block.aligned, each)
    source = _sums(block, last, target, warps)
    return scratch_bytes(source, blocked(rows, columns, vector, warps), word_bytes, target != "sm_80")


def _sums(block: Block, product: Product, target: str, warps: int) -> Layout:
    how = instruction(product, target, warps)
    rows, columns = product.rows, product.columns
    if how == "tcgen05":
        return tensor_memory(rows, columns, warps)
    if how == "lanes":
        side = 4 if rows * columns >= 16 * 32 * warps else 2 if rows * columns >= 4 * 32 * warps else 1
        return blocked(rows, columns, side, warps, side)
    return sums(rows, columns, *((warps, 1) if how == "wgmma" else warp_grid(block, product, how, warps)))


def _most_at_once(block: Block, size: Mapping[str, int], moment: Mapping[str, int], copied: bool) -> int:
    """Bytes of operands from the first product that takes them to the last, without a pipeline. copied: a product along
    other sums takes a copy in another layout.
    """
    uses: dict[tuple[str, int], list[int]] = {}
    for at, one in enumerate(block.products):
        for name in {one.left, one.right} & {*block.streamed}:
            uses.setdefault((name, one.summed if copied else 0), []).append(at)
    first = {name: min(at[0] for (used, _), at in uses.items() if used == name) for name, _ in uses}
    most = 0
    for at, one in enumerate(block.products):
        here = sum(size[name] for (name, _), till in uses.items() if first[name] <= at <= till[-1])
        most = max(most, here + sum(moment.get(name, 0) for name in (one.left, one.right)))
    return most


def across_warps(block: Block, target: str, warps: int) -> int:
    """Bytes by which warps that share a row reduce it, where nothing else makes room for them."""
    rows, columns = block.reduced
    if block.products:
        tensor = any(instruction(one, target, warps) == "tcgen05" for one in block.products)
        return rows * 4 * (warps // 4 - 1) if tensor and warps > 4 else 0
    lanes = LIMITS[target].lanes
    vector = loaded_at_once(block, rows * columns, target, warps)
    sharing = sharing_rows(block, target, warps)
    found = [rows * sharing if sharing > 1 else 0, *block.vectors]
    # A vector beside the rows is loaded in a layout of its own, and passes into that of the rows unless they are alike.
    alike = vector == min(VECTOR_BYTES // block.word_bytes, max(1, columns // (warps * lanes))) and sharing == warps
    if block.beside and columns and not alike:
        found.append(columns * block.word_bytes // 4)
    return 4 * max(found)


def loaded_at_once(block: Block, elements: int, target: str, warps: int) -> int:
    """Words that a thread loads at once."""
    each = max(1, elements // (warps * LIMITS[target].lanes))
    return min(VECTOR_BYTES // block.word_bytes, block.aligned, each)


def sharing_rows(block: Block, target: str, warps: int) -> int:
    """Warps that have some of each row."""
    rows, columns = block.reduced
    across = LIMITS[target].lanes * loaded_at_once(block, rows * columns, target, warps)
    return min(warps, -(-columns // across)) if columns else warps
