"""Bytes through which Triton passes a tile from one layout to another: its rule, as a function of the two layouts.

A tile goes through shared memory in rounds. What both layouts keep in a thread's registers, beyond what one
instruction moves, needs no room at once: each of these bits halves the scratch. Which instructions move it (vectors of
16 bytes, or matrix fragments, plain or transposed) is chosen by bank conflicts, then by rounds.

After Triton 3.7, lib/Tools/GenericSwizzling.cpp; layouts are linear: arXiv 2505.23819.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

BANK_BITS = 32 * 32
VECTOR_BITS = 128


@dataclass(frozen=True)
class Layout:
    """Where the elements of a tile lie: for each bit of the number of a register, a lane and a warp, how far apart in
    the tile, row by row, the elements are that it tells apart; 0 where both have the same.
    """

    registers: Sequence[int]
    lanes: Sequence[int]
    warps: Sequence[int]


@dataclass(frozen=True)
class _Access:
    """An instruction: bits of a lane's number that lie side by side in shared memory, and those that address it."""

    contiguous: Sequence[int]
    addressing: Sequence[int]

    @property
    def missing(self) -> int:
        return len(self.contiguous) + len(self.addressing) - 3


_VECTOR = _Access((), (0, 1, 2))
_MATRIX = _Access((0, 1), (2, 3, 4))
_TRANSPOSED = _Access((2, 3, 4), (0, 1))


def blocked(rows: int, columns: int, vector: int, warps: int, tall: int = 1, lanes: int = 32) -> Layout:
    """Threads that have `vector` words of `tall` rows each, side by side: for loads, stores, and products by lanes."""
    across = min(lanes, max(1, columns // vector))
    wide = min(warps, max(1, columns // (vector * across)))
    row, end = columns * tall, columns * rows
    below = row * (lanes // across)
    return Layout(
        [
            *_bits(1, vector),
            *_bits(columns, row),
            *_bits(vector * across * wide, columns),
            *_bits(below * (warps // wide), end),
        ],
        [*_bits(vector, vector * across), *_within(row, below, end)],
        [*_bits(vector * across, vector * across * wide), *_within(below, below * (warps // wide), end)],
    )


def sums(rows: int, columns: int, down: int, across: int) -> Layout:
    """Sums of a warp's own matrix instructions, 16 rows by 8 columns, with so many warps down and across."""
    return Layout(
        [1, 8 * columns, *_bits(8 * across, columns), *_bits(16 * columns * down, rows * columns)],
        [2, 4, columns, 2 * columns, 4 * columns],
        [*_within(8, 8 * across, columns), *_within(16 * columns, 16 * columns * down, rows * columns)],
    )


def left_of_turned(rows: int, columns: int, down: int, across: int, word_bytes: int) -> Layout:
    """A tile that is loaded row by row and multiplied from the left with its columns as rows."""
    pair = 4 // word_bytes
    return Layout(
        [*_bits(columns, pair * columns), 8, 4 * pair * columns,
         *_bits(8 * pair * columns, rows * columns), *_bits(16 * down, columns)],
        [pair * columns, 2 * pair * columns, 1, 2, 4],
        [*[0] * (across.bit_length() - 1), *_within(16, 16 * down, columns)],
    )  # fmt: skip


def right_of_turned(rows: int, columns: int, down: int, across: int, word_bytes: int) -> Layout:
    """A tile that is loaded row by row and multiplied from the right with its rows as columns."""
    pair = 4 // word_bytes
    return Layout(
        [*_bits(1, pair), 4 * pair, *_bits(8 * pair, columns), *_bits(8 * across * columns, rows * columns)],
        [pair, 2 * pair, columns, 2 * columns, 4 * columns],
        [*_within(8 * columns, 8 * across * columns, rows * columns), *[0] * (down.bit_length() - 1)],
    )


def tensor_memory(rows: int, columns: int, warps: int) -> Layout:
    """Sums of tensor memory as four warps or eight load them: a lane has a row, or half of it where rows are 64."""
    half = rows == 64
    wide = columns // 2 if half else columns
    groups = warps // 4
    beside = wide // groups if groups > 1 else wide
    return Layout(
        _bits(1, beside),
        [*_bits(columns, (16 if half else 32) * columns), *([columns // 2] if half else [])],
        [*_bits((16 if half else 32) * columns, rows * columns), *_bits(beside, wide)],
    )


def scratch_bytes(
    source: Layout, target: Layout, word_bytes: int, matrix_stores: bool, matrix_loads: bool = True
) -> int:
    """Bytes of shared memory at once for a conversion.

    matrix_loads, matrix_stores: whether warps load and store matrix fragments there (sm_75 and sm_90 on).
    """
    bits = 8 * word_bytes
    size = _rank([*source.registers, *source.lanes, *source.warps])
    source = Layout([one for one in source.registers if one], source.lanes, source.warps)
    target = Layout([one for one in target.registers if one], target.lanes, target.warps)
    if list(source.warps) == list(target.warps) and len({*source.registers} & {*target.lanes} - {0}) < 2:
        return 0  # lanes shuffle them
    best: tuple[int, int] | None = None
    for store in _accesses(bits, matrix_stores):
        for load in _accesses(bits, matrix_loads):
            if (found := _moved(source, target, store, load, bits, size)) is not None:
                best = found if best is None else min(best, found)
    rounds = -best[1] if best is not None else _rounds_of_vectors(source, target, bits, size)
    return (1 << size) // rounds * word_bytes


def _accesses(bits: int, matrices: bool) -> list[_Access]:
    return [
        _VECTOR,
        *([_MATRIX] if matrices and bits <= 32 else []),
        *([_TRANSPOSED] if matrices and bits == 16 else []),
    ]


def _moved(
    source: Layout, target: Layout, store: _Access, load: _Access, bits: int, size: int
) -> tuple[int, int] | None:
    """Bank conflicts, and rounds with a minus, of a pair of instructions; None where they do not fit the layouts."""
    needed = (VECTOR_BITS // bits).bit_length() - 1
    vector = _shared_vector(source, target, store, load, needed)
    if vector is None:
        return None
    tiles = [_tile(store, source, vector), _tile(load, target, vector)]
    if None in tiles:
        return None
    written, read = (tile or [] for tile in tiles)
    segment = _segment(vector + written, vector + read, size, _segment_bits(vector, bits, size))
    kept = min(store.missing, load.missing)
    conflicts = sum((1 << _common(segment, tile)) - 1 for tile in (written, read))
    return conflicts, -_rounds(segment, source, target, kept)


def _shared_vector(source: Layout, target: Layout, store: _Access, load: _Access, needed: int) -> list[int] | None:
    """What lies side by side in shared memory for both instructions."""
    one, other, first, second = source, target, store, load
    if len(first.contiguous) > len(second.contiguous):
        one, other, first, second = target, source, load, store
    fewer = needed - len(second.contiguous)
    both = [base for base in one.registers if base in set(other.registers)]
    if fewer < 0 or len(both) < fewer:
        return None
    mine = [one.lanes[at] for at in first.contiguous]
    theirs = [other.lanes[at] for at in second.contiguous]
    more = len(second.contiguous) - len(first.contiguous)
    if 0 in mine or 0 in theirs or any(base not in one.registers for base in theirs[:more]) or mine != theirs[more:]:
        return None
    return both[:fewer] + theirs


def _tile(access: _Access, layout: Layout, vector: Sequence[int]) -> list[int] | None:
    """What the threads that one phase of an instruction serves reach, beside the vector."""
    needed = 3 - len(access.addressing)
    free = [base for base in layout.registers if base not in vector][:needed]
    return [*free, *(layout.lanes[at] for at in access.addressing)] if len(free) == needed else None


def _segment_bits(vector: Sequence[int], bits: int, size: int) -> int:
    banks = min((BANK_BITS // ((1 << len(vector)) * bits)).bit_length() - 1, size - len(vector))
    return size - banks - len(vector)


def _segment(written: Sequence[int], read: Sequence[int], size: int, length: int) -> list[int]:
    """Which elements lie in the same bank, one above the other."""
    of_write, of_read = {one for one in written if one}, {one for one in read if one}
    free = [1 << bit for bit in range(size) if 1 << bit not in of_write | of_read]
    if len(free) >= length:
        return free[:length]
    fewer, more = sorted((sorted(of_write - of_read), sorted(of_read - of_write)), key=len)
    clashing = min(max(0, length - len(fewer) - len(free)), len(fewer))
    crossed = [fewer[at] ^ more[at] for at in range(clashing, len(fewer))]
    return [*free, *crossed, *fewer[:clashing], *more[:clashing]][:length]


def _rounds(segment: Sequence[int], source: Layout, target: Layout, kept: int) -> int:
    """Rounds in which a tile passes: bits of the segment that both have in registers; the first few stay together."""
    both = [one for one in segment if one in source.registers and one in target.registers]
    return 1 << max(0, len(both) - kept)


def _rounds_of_vectors(source: Layout, target: Layout, bits: int, size: int) -> int:
    """Rounds with vectors of fewer than 16 bytes."""
    vector = [base for base in source.registers if base in set(target.registers)][
        : (VECTOR_BITS // bits).bit_length() - 1
    ]
    one, other = source, target
    if (1 << len(vector)) * bits < 32:
        filled = [_filled(layout.registers, vector, bits) for layout in (source, target)]
        if _beyond(target, filled[1], source, bits) > _beyond(source, filled[0], target, bits):
            one, other = target, source
        vector = filled[one is target]
    vector = [*vector, *_beyond(one, vector, other, bits)]
    written, read = (_reached(layout, vector, bits) for layout in (source, target))
    segment = _segment([*vector, *written], [*vector, *read], size, _segment_bits(vector, bits, size))
    return _rounds(segment, source, target, 0)


def _filled(registers: Sequence[int], vector: Sequence[int], bits: int) -> list[int]:
    """A vector of at least one bank."""
    ordered = [*vector, *(one for one in registers if one not in vector)]
    return ordered[: max(len(vector), (32 // bits).bit_length() - 1)]


def _beyond(layout: Layout, vector: Sequence[int], other: Layout, bits: int) -> list[int]:
    """Registers that lengthen a vector since the other layout has them in lanes."""
    most = (VECTOR_BITS // max(bits, 32)).bit_length() - 1
    return [one for one in layout.registers if one not in vector and one in other.lanes][:most]


def _reached(layout: Layout, vector: Sequence[int], bits: int) -> list[int]:
    """Lanes that one phase of a load or store serves."""
    same = 0
    while same < min(len(vector), len(layout.registers)) and layout.registers[same] == vector[same]:
        same += 1
    wide = (max(1, (1 << same) * bits // 32)).bit_length() - 1
    return [one for one in layout.lanes[: len(layout.lanes) - wide] if one not in vector]


def _bits(first: int, end: int) -> list[int]:
    """Powers of two from `first` until `end`."""
    found = []
    while first < end:
        found.append(first)
        first *= 2
    return found


def _within(first: int, end: int, most: int) -> list[int]:
    """Powers of two from `first` until `end`; 0 for those that the tile does not reach."""
    return [one if one < most else 0 for one in _bits(first, end)]


def _rank(vectors: Iterable[int]) -> int:
    """Dimensions of a span over the field of two elements."""
    basis: list[int] = []
    for one in vectors:
        for known in basis:
            one = min(one, one ^ known)
        if one:
            basis.append(one)
    return len(basis)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Dimensions that two spans share."""
    return _rank(one) + _rank(other) - _rank([*one, *other])
