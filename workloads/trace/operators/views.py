"""Views: another index map onto the same buffer. They write no line and cost nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...expression import Affine
from ..builder import Builder
from ..values import Dims, Value, plain, through
from .registry import lowers

if TYPE_CHECKING:
    from ..record import Call


def around(place: int, count: int) -> int:
    """A dimension counted from the front."""
    return place + count if place < 0 else place


@lowers("alias", "detach", "lift_fresh", "lift", "_conj", "view_as", "lift_fresh_copy", "resolve_conj", "resolve_neg")
def _same(call: Call, value: Value, *_: Any) -> Value:
    return value


@lowers("permute")
def _permute(call: Call, value: Value, order: list[int]) -> Value:
    dims = tuple(value.dims[around(place, len(value.dims))] for place in order)
    return Value(value.buffer, dims, value.index)


@lowers("transpose", "swapaxes")
def _transpose(call: Call, value: Value, first: int, second: int) -> Value:
    count = len(value.dims)
    if not count:
        return value
    order = list(range(count))
    a, b = around(first, count), around(second, count)
    order[a], order[b] = order[b], order[a]
    return _permute(call, value, order)


@lowers("t", "numpy_T")
def _t(call: Call, value: Value) -> Value:
    return Value(value.buffer, tuple(reversed(value.dims)), value.index)


@lowers("unsqueeze")
def _unsqueeze(call: Call, value: Value, place: int) -> Value:
    at = around(place, len(value.dims) + 1)
    return Value(value.buffer, (*value.dims[:at], (), *value.dims[at:]), value.index)


@lowers("squeeze")
def _squeeze(call: Call, value: Value, places: int | list[int] | None = None) -> Value:
    shape = call.build.shape(value)
    chosen = range(len(shape)) if places is None else [places] if isinstance(places, int) else places
    gone = {around(place, len(shape)) for place in chosen if shape and shape[place] == 1}
    return drop(call.build, value, gone)


def drop(build: Builder, value: Value, gone: set[int]) -> Value:
    """Dimensions of length 1 left out."""
    moves = {rank: Affine() for place in gone for rank in value.dims[place]}
    dims = tuple(dim for place, dim in enumerate(value.dims) if place not in gone)
    return through(build.ranks, value, dims, moves)


@lowers("expand", "broadcast_to")
def _expand(call: Call, value: Value, shape: list[int], implicit: bool = False) -> Value:
    return broadcast(call.build, value, call.shape())


def broadcast(build: Builder, value: Value, shape: tuple[int, ...]) -> Value:
    """The value repeated without a copy: a new rank that no index uses."""
    dims: list[tuple[str, ...]] = [()] * (len(shape) - len(value.dims)) + list(value.dims)
    moves: dict[str, Affine] = {}
    for place, size in enumerate(shape):
        if build.size(dims[place]) != size:
            moves.update(dict.fromkeys(dims[place], Affine()))
            taken = [rank for dim in dims for rank in dim]
            dims[place] = (build.fresh(size, "g", taken),)
    return through(build.ranks, value, tuple(dims), moves)


@lowers("select")
def _select(call: Call, value: Value, place: int, index: int) -> Value:
    at = around(place, len(value.dims))
    length = call.build.size(value.dims[at])
    return fixed(call.build, value, at, int(index) + length if index < 0 else int(index))


def fixed(build: Builder, value: Value, at: int, index: int) -> Value:
    """One position along a dimension."""
    moves: dict[str, Affine] = {}
    for rank in reversed(value.dims[at]):
        index, rest = divmod(index, build.ranks.size(rank))
        moves[rank] = Affine((), rest)
    return through(build.ranks, value, (*value.dims[:at], *value.dims[at + 1 :]), moves)


@lowers("slice")
def _slice(
    call: Call, value: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Value:
    at = around(dim, len(value.dims))
    length = call.build.size(value.dims[at])
    first, last, _ = slice(start, end, step).indices(length)
    return sliced(call.build, value, at, first, max(0, -(-(last - first) // step)), step)


def sliced(build: Builder, value: Value, at: int, start: int, count: int, step: int = 1) -> Value:
    """Positions start, start + step, ... along a dimension."""
    length = build.size(value.dims[at])
    if start == 0 and count == length and step == 1:
        return value
    if count == 1:
        kept = fixed(build, value, at, start)
        return Value(kept.buffer, (*kept.dims[:at], (), *kept.dims[at:]), kept.index)
    dim = list(value.dims[at])
    outer = [rank for rank in dim if build.ranks.size(rank) != 1]
    inner = 1
    while len(outer) > 1:  # a part of whole inner ranks is a part of the outer one
        size = build.ranks.size(outer[-1])
        if start % (inner * size) or count % (inner * size) or step != 1:
            break
        inner *= size
        outer.pop()
    rest = [rank for rank in dim if build.ranks.size(rank) != 1][len(outer) :]
    if len(outer) > 1:
        value = build.flat(value, at)
        return sliced(build, value, at, start, count, step)
    taken = value.atoms
    part = build.fresh(count // inner, build_hint(build, outer[0]), taken)
    moves = {outer[0]: Affine(((step, part),), start // inner)}
    moves.update({rank: Affine() for rank in dim if build.ranks.size(rank) == 1})
    return through(build.ranks, value, (*value.dims[:at], (part, *rest), *value.dims[at + 1 :]), moves)


def build_hint(build: Builder, rank: str) -> str:
    """A new rank is called after the one it is a part of."""
    return build.ranks.hint(rank)


@lowers("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes")
def _split(call: Call, value: Value, sizes: int | list[int], dim: int = 0) -> list[Value]:
    at = around(dim, len(value.dims))
    length = call.build.size(value.dims[at])
    parts = [min(sizes, length - low) for low in range(0, length, sizes)] if isinstance(sizes, int) else sizes
    starts = [sum(parts[:number]) for number in range(len(parts))]
    return [sliced(call.build, value, at, start, part) for start, part in zip(starts, parts, strict=True)]


@lowers("unbind")
def _unbind(call: Call, value: Value, dim: int = 0) -> list[Value]:
    at = around(dim, len(value.dims))
    return [fixed(call.build, value, at, index) for index in range(call.build.size(value.dims[at]))]


@lowers("diagonal")
def _diagonal(call: Call, value: Value, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    first, second = around(dim1, len(value.dims)), around(dim2, len(value.dims))
    if len(value.dims[first]) != 1 or len(value.dims[second]) != 1:
        return NotImplemented
    rank = call.build.fresh(call.shape()[-1], "i", value.atoms)
    moves = {
        value.dims[first][0]: Affine(((1, rank),), max(0, -offset)),
        value.dims[second][0]: Affine(((1, rank),), max(0, offset)),
    }
    kept = [dim for place, dim in enumerate(value.dims) if place not in (first, second)]
    return through(call.build.ranks, value, (*kept, (rank,)), moves)


@lowers("unfold")
def _unfold(call: Call, value: Value, dim: int, size: int, step: int) -> Any:
    at = around(dim, len(value.dims))
    if len(value.dims[at]) != 1:
        value = call.build.flat(value, at)
    windows = call.shape()[at]
    window = call.build.fresh(windows, "w", value.atoms)
    inside = call.build.fresh(size, "t", (*value.atoms, window))
    terms = tuple(term for term, count in (((step, window), windows), ((1, inside), size)) if count > 1)
    moves = {value.dims[at][0]: Affine(terms)}
    dims = (
        *value.dims[:at],
        (window,) if windows > 1 else (),
        *value.dims[at + 1 :],
        (inside,) if size > 1 else (),
    )
    return through(call.build.ranks, value, dims, moves)


@lowers("flip")
def _flip(call: Call, value: Value, places: list[int]) -> Value:
    """A copy in torch, but reading backwards is an index here."""
    from ...expression import size_symbol

    moves: dict[str, Affine] = {}
    dims = list(value.dims)
    for place in (around(place, len(dims)) for place in places):
        fresh: list[str] = []
        for rank in dims[place]:
            back = call.build.fresh(call.build.ranks.size(rank), build_hint(call.build, rank), (*value.atoms, *fresh))
            moves[rank] = Affine(((-1, back),), f"{size_symbol(call.build.ranks.find(rank))} - 1")
            fresh.append(back)
        dims[place] = tuple(fresh)
    return through(call.build.ranks, value, tuple(dims), moves)


@lowers("view", "_unsafe_view", "reshape", "_reshape_alias", "view_copy", "_reshape_copy", "as_strided", "as_strided_")
def _view(call: Call, value: Value, *_: Any, **__: Any) -> Any:
    if call.word.startswith("as_strided") and tuple(call.args[0].shape) != call.shape():
        return NotImplemented
    if call.func.overloadpacket.__name__ == "view" and "dtype" in str(call.func):
        return NotImplemented
    return reshaped(call.build, value, call.shape())


def reshaped(build: Builder, value: Value, shape: tuple[int, ...]) -> Value:
    """The elements in row-major order under other dimensions: ranks are joined, or split where they must be."""
    ranks = build.ranks
    moves: dict[str, Affine] = {}
    waiting = [ranks.find(rank) for dim in value.dims for rank in dim]
    waiting.reverse()
    dims: list[tuple[str, ...]] = []
    for place, size in enumerate(shape):
        dim: list[str] = []
        covered = 1
        if size == 1 and waiting and ranks.size(waiting[-1]) == 1:
            dim.append(waiting.pop())
        while covered < size:
            rank = waiting.pop()
            length, need = ranks.size(rank), size // covered
            if need % length == 0 and size % covered == 0:
                dim.append(rank)
                covered *= length
            elif size % covered == 0 and length % need == 0:
                parts = _parts(shape, place, need, length)
                hints = part_hints(ranks.hint(rank), len(parts), last=not waiting)
                split = ranks.split(rank, parts, hints, [*waiting, *dim, *(one for found in dims for one in found)])
                moves[rank] = ranks.count(split)
                dim.append(split[0])
                covered *= need
                waiting.extend(reversed(split[1:]))
            else:
                return reshaped(build, _whole(build, value), shape)
        dims.append(tuple(dim))
    if waiting:  # ranks of length 1 that no dimension took
        if any(ranks.size(rank) != 1 for rank in waiting):
            return reshaped(build, _whole(build, value), shape)
        moves.update(dict.fromkeys(waiting, Affine()))
    return through(ranks, value, tuple(dims), moves)


def _parts(shape: tuple[int, ...], place: int, need: int, length: int) -> tuple[int, ...]:
    """The sizes a rank falls into, as far as the new dimensions say."""
    parts = [need]
    left = length // need
    for size in shape[place + 1 :]:
        if left == 1:
            break
        if size == 1:
            continue
        if left % size:
            break
        parts.append(size)
        left //= size
    if left > 1:
        parts.append(left)
    return tuple(parts)


def part_hints(hint: str, count: int, last: bool) -> tuple[str, ...]:
    """Heads of a width where the last dimension is split; tiles of what is split otherwise."""
    if last and count == 2:
        return ("h", "e")
    if last and count == 3:
        return ("c", "h", "e")
    letter = hint[:1] or "n"
    return tuple(f"{letter}{suffix}" for suffix in ("o", "i", "j", "k", "l", "m")[:count])


def _whole(build: Builder, value: Value) -> Value:
    """All dimensions as one rank, written out: for a view whose dimensions do not nest."""
    dims: Dims = (tuple(rank for dim in value.dims for rank in dim if build.ranks.size(rank) != 1),)
    moves = {rank: Affine() for rank in value.atoms if build.ranks.size(rank) == 1}
    joined = through(build.ranks, value, dims, moves)
    return build.flat(joined, 0)


__all__ = ["around", "broadcast", "drop", "fixed", "plain", "reshaped", "sliced"]
