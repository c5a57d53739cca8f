"""Convolutions in any number of dimensions, with groups, strides, dilation and padding, and their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as every
from typing import TYPE_CHECKING, Any

from ...expression import Affine, Apply, Expr, Number, RankValue, free_ranks
from ..builder import Builder, summed
from ..values import Value, plain, stored, substitute
from .pointwise import f, hint
from .products import written
from .registry import lowers
from .views import reshaped

if TYPE_CHECKING:
    from ..record import Call

LETTERS = "yxz"


def _spatial(build: Builder, value: Value, first: int = 2) -> Value:
    """Dimensions that a window moves over are counted by one rank each, and the value is a tensor."""
    for place in range(first, len(value.dims)):
        if len(value.dims[place]) > 1:
            value = build.flat(value, place)
    return value


def _grouped(build: Builder, value: Value, place: int, groups: int) -> Value:
    shape = build.shape(value)
    if groups == 1:
        return Value(value.buffer, (*value.dims[:place], (), *value.dims[place:]), value.index)
    return reshaped(build, value, (*shape[:place], groups, shape[place] // groups, *shape[place + 1 :]))


def _ungrouped(build: Builder, value: Value, place: int) -> Value:
    joined = (*value.dims[place], *value.dims[place + 1])
    return Value(value.buffer, (*value.dims[:place], joined, *value.dims[place + 2 :]), value.index)


def _index(step: int, rank: str | None, taps: int, tap: str | None, offset: int) -> Affine:
    terms = tuple((factor, one) for factor, one in ((step, rank), (taps, tap)) if one is not None)
    return Affine(terms, offset)


def bounded(
    build: Builder, expr: Expr, dims: Sequence[Sequence[str]], indices: Sequence[Affine], outside: float
) -> Expr:
    """An expression at other positions of some dimensions: what would be read beyond their ends is `outside`.

    A tensor gives 0 there by itself, which needs no condition, unless a bare rank would run beyond its end. Each
    dimension is counted by one rank at most.
    """
    moves = {dim[0]: index for dim, index in zip(dims, indices, strict=True) if dim}
    read = substitute(build.ranks, expr, moves)
    stored = set(free_ranks(expr)) if not isinstance(expr, Number | RankValue | Apply) else set[str]()
    shifted = all(
        index.rank is None or build.size(index.ranks) <= build.size(dim)
        for dim, index in zip(dims, indices, strict=True)
    )
    if outside == 0 and shifted and all(dim and build.ranks.find(dim[0]) in stored for dim in dims):
        return read
    condition: Expr | None = None
    for dim, index in zip(dims, indices, strict=True):
        length = build.size(dim)
        low = int(index.offset) if isinstance(index.offset, int) else 0
        steps = [(int(factor), build.ranks.size(rank) - 1) for factor, rank in index.terms if isinstance(factor, int)]
        high = low + sum(factor * most for factor, most in steps if factor > 0)
        low += sum(factor * most for factor, most in steps if factor < 0)
        tests = [Apply("ge", (RankValue(index), Number(0)))] if low < 0 else []
        tests += [Apply("lt", (RankValue(index), Number(length)))] if high >= length else []
        for test in tests:
            condition = test if condition is None else Apply("and", (condition, test))
    return read if condition is None else f("where", condition, read, outside)


@lowers("convolution", "_convolution", "cudnn_convolution", "mkldnn_convolution")
def _convolution(
    call: Call, value: Value, weight: Value, bias: Value | None, stride: list[int], padding: list[int],
    dilation: list[int], transposed: bool = False, output_padding: Any = None, groups: int = 1, *_: Any,
) -> Any:  # fmt: skip
    build = call.build
    count = len(value.dims) - 2
    stride, padding, dilation = (
        list(one) * count if len(one) == 1 else list(one) for one in (stride, padding, dilation)
    )
    value, weight = _spatial(build, written(call, value)), _spatial(build, weight)
    if transposed:
        made = transposed_convolution(call, value, weight, call.shape(), stride, padding, dilation, groups, "")
    else:
        made = _forward(call, value, weight, call.shape(), stride, padding, dilation, groups)
    if bias is None or made is NotImplemented:
        return made
    return _biased(call, made, bias)


def _biased(call: Call, made: Value, bias: Value) -> Value:
    """The bias goes into the line of the convolution, where that is one line."""
    build = call.build
    labels = [str(at) for at in range(len(made.dims))]
    space = build.space([made, bias], [labels, ["1"]])
    line = build.lines[-1]
    accessed = build.read(made)
    if line.output == accessed and space.exprs[0] == accessed:
        line.expr = f("add", line.expr, space.exprs[1])
        return made
    return build.emit(space.dims(labels), f("add", *space.exprs), hint(call, "bias"))


def _forward(
    call: Call, value: Value, weight: Value, shape: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int,
) -> Value:  # fmt: skip
    build = call.build
    source, kernel = _grouped(build, value, 1, groups), _grouped(build, weight, 0, groups)
    space, out, taps = _windows(build, source, kernel, shape[2:])
    indices = [_index(stride[at], out[at], dilation[at], taps[at], -padding[at]) for at in range(len(out))]
    read = bounded(build, space.exprs[0], space.dims([f"i{at}" for at in range(len(out))]), indices, 0)
    body = Apply("mul", (read, space.exprs[1]))
    reduced = (*space.ranks["c"], *(tap for tap in taps if tap is not None))
    dims = (space.ranks["n"], space.ranks["g"], space.ranks["o"], *((rank,) if rank else () for rank in out))
    made = build.emit(dims, summed(body, reduced, build), hint(call, "convolution"), product=True)
    return _ungrouped(build, made, 1)


def _windows(build: Builder, source: Value, kernel: Value, sizes: Sequence[int]) -> tuple[Any, list[Any], list[Any]]:
    """Batch, groups and channels tied; fresh ranks for the output's positions; the kernel's own for its taps."""
    count = len(source.dims) - 3
    labels = [["n", "g", "c", *(f"i{at}" for at in range(count))], ["g", "o", "c", *(f"t{at}" for at in range(count))]]
    space = build.space([source, kernel], labels)
    out: list[str | None] = []
    for at, size in enumerate(sizes):
        old = space.ranks[f"i{at}"]
        same = old and build.ranks.size(old[0]) == size
        hint_ = build.ranks.hint(old[0]) if old else LETTERS[at]
        rank = build.ranks.find(old[0]) if same else build.fresh(size, hint_, space.used) if size > 1 else None
        out.append(rank)
        if rank is not None:
            space.used.add(rank)
    taps = [space.ranks[f"t{at}"][0] if space.ranks[f"t{at}"] else None for at in range(count)]
    return space, out, taps


def transposed_convolution(
    call: Call, value: Value, weight: Value, shape: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, role: str,
) -> Any:  # fmt: skip
    """Each phase of the output (its position modulo the stride) is a convolution with every stride-th tap.

    `weight` is [in, out/groups, taps]. Output position t reads input (t + padding - tap * dilation) / stride.
    """
    build = call.build
    phases = list(every(*(range(step) for step in stride)))
    if len(phases) > 64:
        return NotImplemented
    source, kernel = _grouped(build, value, 1, groups), _grouped(build, weight, 0, groups)
    made = [_phase(call, source, kernel, shape, stride, padding, dilation, phase, role) for phase in phases]
    if len(made) == 1:
        return _ungrouped(build, made[0], 1)
    return _interleaved(call, made, phases, stride, shape)


def _phase(
    call: Call, source: Value, kernel: Value, shape: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], phase: Sequence[int], role: str,
) -> Any:  # fmt: skip
    from .views import sliced

    build = call.build
    lengths = [build.size(dim) for dim in kernel.dims[3:]]
    firsts: list[tuple[int, int]] = []
    for at, length in enumerate(lengths):
        step = stride[at]
        good = [tap for tap in range(length) if (phase[at] + padding[at] - tap * dilation[at]) % step == 0]
        if not good:
            firsts.append((0, 0))
            continue
        gap = good[1] - good[0] if len(good) > 1 else 1
        kernel = sliced(build, kernel, 3 + at, good[0], len(good), gap)
        firsts.append((phase[at] + padding[at] - good[0] * dilation[at], gap * dilation[at]))
    sizes = [max(1, -(-(shape[2 + at] - phase[at]) // stride[at])) for at in range(len(lengths))]
    turned = Value(kernel.buffer, (kernel.dims[0], kernel.dims[2], kernel.dims[1], *kernel.dims[3:]), kernel.index)
    space, out, taps = _windows(build, source, turned, sizes)
    if any(gap == 0 for _, gap in firsts):
        dims = (space.ranks["n"], space.ranks["g"], space.ranks["o"], *((rank,) if rank else () for rank in out))
        return stored(Number(0), dims)
    indices = [
        _index(1, out[at], -(firsts[at][1] // stride[at]), taps[at], firsts[at][0] // stride[at])
        for at in range(len(out))
    ]
    read = bounded(build, space.exprs[0], space.dims([f"i{at}" for at in range(len(out))]), indices, 0)
    body = Apply("mul", (read, space.exprs[1]))
    reduced = (*space.ranks["c"], *(tap for tap in taps if tap is not None))
    dims = (space.ranks["n"], space.ranks["g"], space.ranks["o"], *((rank,) if rank else () for rank in out))
    return build.emit(dims, summed(body, reduced, build), hint(call, role or "convolution"), product=True)


def _interleaved(
    call: Call, made: list[Value], phases: list[tuple[int, ...]], stride: Sequence[int], shape: Sequence[int]
) -> Value:
    """``Y[u*S + v] = phase v at u``: the phases put side by side, and what is beyond the end left out."""
    from .views import sliced

    build = call.build
    count = len(stride)
    labels = ["n", "g", "o"]
    space = build.space(made, [[*labels, *(f"{at}.{number}" for at in range(count))] for number in range(len(made))])
    first = space.dims(labels)
    outer: list[str | None] = []
    inner: list[str | None] = []
    used = set(space.flat(labels))
    for at in range(count):
        size = -(-shape[2 + at] // stride[at])
        for group, length, word in ((outer, size, LETTERS[at]), (inner, stride[at], f"{LETTERS[at]}p")):
            rank = build.fresh(length, word, used) if length > 1 else None
            used |= {rank} if rank else set()
            group.append(rank)
    expr: Expr = Number(0)
    for number in reversed(range(len(made))):
        moves = {
            rank: plain(other) if (other := outer[at]) is not None else Affine()
            for at in range(count)
            for rank in space.ranks[f"{at}.{number}"]
        }
        read = substitute(build.ranks, space.exprs[number], moves)
        tests = [
            Apply("eq", (RankValue(plain(rank)), Number(phases[number][at])))
            for at in range(count)
            if (rank := inner[at]) is not None
        ]
        condition = tests[0]
        for test in tests[1:]:
            condition = Apply("and", (condition, test))
        expr = f("where", condition, read, expr)
    spatial = [tuple(rank for rank in (outer[at], inner[at]) if rank) for at in range(count)]
    whole = build.emit((*first, *spatial), expr, hint(call, "interleaved"), moves=True)
    value = _ungrouped(build, whole, 1)
    for at in range(count):
        if build.size(value.dims[2 + at]) != shape[2 + at]:
            value = build.flat(value, 2 + at)
            value = sliced(build, value, 2 + at, 0, shape[2 + at])
    return value


@lowers("convolution_backward")
def _convolution_backward(
    call: Call, grad: Value, value: Value, weight: Value, bias_sizes: Any, stride: list[int], padding: list[int],
    dilation: list[int], transposed: bool, output_padding: Any, groups: int, mask: list[bool],
) -> Any:  # fmt: skip
    """The gradient of the input is a transposed convolution, that of the weight a correlation with the input."""
    build = call.build
    grad, value, weight = (_spatial(build, written(call, one)) for one in (grad, value, weight))
    d_value = d_weight = d_bias = None
    if mask[0] and transposed:
        d_value = _forward(call, grad, weight, build.shape(value), stride, padding, dilation, groups)
    elif mask[0]:
        d_value = transposed_convolution(
            call, grad, weight, build.shape(value), stride, padding, dilation, groups, "d_input"
        )
        if d_value is NotImplemented:
            return NotImplemented
    if mask[1]:
        sides = (value, grad) if transposed else (grad, value)
        d_weight = _weight_gradient(call, *sides, weight, stride, padding, dilation, groups)
    if mask[2]:
        places = [at for at in range(len(grad.dims)) if at != 1]
        ranks = [build.ranks.find(rank) for at in places for rank in grad.dims[at]]
        d_bias = build.emit([grad.dims[1]], summed(build.read(grad), ranks, build), hint(call, "d_bias"))
    return [one for one, wanted in zip((d_value, d_weight, d_bias), mask, strict=True) if wanted]


def _weight_gradient(
    call: Call, grad: Value, value: Value, weight: Value, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int,
) -> Value:  # fmt: skip
    build = call.build
    g = _grouped(build, grad, 1, groups)
    x, w = _grouped(build, value, 1, groups), _grouped(build, weight, 0, groups)
    count = len(grad.dims) - 2
    labels = [
        ["n", "g", "o", *(f"p{at}" for at in range(count))],
        ["n", "g", "c", *(f"i{at}" for at in range(count))],
        ["g", "o", "c", *(f"t{at}" for at in range(count))],
    ]
    space = build.space([g, x, w], labels)
    out = [space.ranks[f"p{at}"][0] if space.ranks[f"p{at}"] else None for at in range(count)]
    taps = [space.ranks[f"t{at}"][0] if space.ranks[f"t{at}"] else None for at in range(count)]
    indices = [_index(stride[at], out[at], dilation[at], taps[at], -padding[at]) for at in range(count)]
    read = bounded(build, space.exprs[1], space.dims([f"i{at}" for at in range(count)]), indices, 0)
    body = Apply("mul", (space.exprs[0], read))
    reduced = (*space.ranks["n"], *(rank for rank in out if rank is not None))
    dims = (space.ranks["g"], space.ranks["o"], space.ranks["c"], *((tap,) if tap else () for tap in taps))
    made = build.emit(dims, summed(body, reduced, build), hint(call, "d_weight"), product=True)
    return _ungrouped(build, made, 0)
