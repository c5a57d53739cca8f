"""Fused attention as the Einsums it stands for, forward and backward."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...expression import Apply, Expr, RankValue
from ..builder import Builder
from ..values import Value, plain
from .pointwise import f, hint
from .products import product
from .reductions import kept, over, reduced
from .registry import lowers
from .views import reshaped

if TYPE_CHECKING:
    from ..record import Call


def _grouped(build: Builder, query: Value, key: Value) -> tuple[bool, int]:
    """Whether several query heads share a head of keys, and how many."""
    heads, shared = build.size(query.dims[1]), build.size(key.dims[1])
    return heads != shared, heads // shared


def _scores(
    call: Call, query: Value, key: Value, causal: bool, mask: Value | None, scale: float | None, mask_is_bool: bool
) -> Value:
    """``Q K^T`` with its scale and mask, over (b, h, p, m), the heads in groups where keys are shared."""
    build = call.build
    factor = 1 / math.sqrt(build.size(query.dims[-1])) if scale is None else scale
    left, right, result = _labels(query)
    scores = product(call, query, key, left, right, result, scale=factor, role="scores")
    if causal:
        p, m = position(build, scores.dims[-2]), position(build, scores.dims[-1])
        visible = Apply("le", (RankValue(m), RankValue(p)))
        scores = build.emit(scores.dims, f("where", visible, build.read(scores), -math.inf), hint(call, "masked"))
    if mask is not None:
        count = len(scores.dims)
        if count == 5 and len(mask.dims) == 4:
            mask = _split_heads(build, mask, scores)
        labels = [[str(at) for at in range(count)], [str(count - len(mask.dims) + at) for at in range(len(mask.dims))]]
        space = build.space([scores, mask], labels)
        s, other = space.exprs
        expr = f("where", other, s, -math.inf) if mask_is_bool else f("add", s, other)
        scores = build.emit(space.dims(labels[0]), expr, hint(call, "masked"))
    return scores


def _split_heads(build: Builder, mask: Value, scores: Value) -> Value:
    shape = build.shape(mask)
    heads = (build.size(scores.dims[1]), build.size(scores.dims[2])) if shape[1] != 1 else (1, 1)
    return reshaped(build, mask, (shape[0], *heads, *shape[2:]))


def position(build: Builder, dim: tuple[str, ...]) -> Any:
    """The position that a dimension's ranks count."""
    return build.ranks.count(dim) if len(dim) > 1 else plain(build.ranks.find(dim[0])) if dim else plain_zero()


def plain_zero() -> Any:
    """The position along a dimension of length 1."""
    from ...expression import Affine

    return Affine()


def _labels(query: Value) -> tuple[str, str, str]:
    return ("bhgpe", "bhme", "bhgpm") if len(query.dims) == 5 else ("bhpe", "bhme", "bhpm")


@lowers("_scaled_dot_product_flash_attention_for_cpu")
def _attention(
    call: Call, query: Value, key: Value, value: Value, dropout_p: float = 0.0, is_causal: bool = False, *,
    attn_mask: Value | None = None, scale: float | None = None,
) -> Any:  # fmt: skip
    """Softmax attention with its maximum subtracted, and the logarithm of the sum for the backward pass."""
    if dropout_p:
        return NotImplemented
    build = call.build
    shape = build.shape(query)
    grouped, group = _grouped(build, query, key)
    if grouped:
        query = reshaped(build, query, (shape[0], shape[1] // group, group, *shape[2:]))
    scores = _scores(call, query, key, is_causal, attn_mask, scale, _bool(call))
    last = len(scores.dims) - 1
    rows, ranks = kept(scores, [last], True), over(scores, [last])
    top = build.emit(rows, reduced(build, "max", build.read(scores), ranks), hint(call, "max"))
    exps = build.emit(scores.dims, f("exp", f("sub", build.read(scores), build.read(top))), hint(call, "exp"))
    total = build.emit(rows, reduced(build, "sum", build.read(exps), ranks), hint(call, "sum_exp"))
    weights = build.emit(scores.dims, f("div", build.read(exps), build.read(total)), hint(call, "softmax"))
    _, _, inner = _labels(query)
    out = product(call, weights, value, inner, "bhmf", inner[:-1] + "f", role="attended")
    lse = build.emit(rows[:-1], f("add", f("log", build.read(total)), build.read(top)), hint(call, "log_sum"))
    if grouped:
        out, lse = reshaped(build, out, (*shape[:3], build.size(value.dims[-1]))), reshaped(build, lse, shape[:3])
    return [out, lse]


def _bool(call: Call) -> bool:
    import torch

    mask = call.kwargs.get("attn_mask")
    return mask is not None and mask.dtype == torch.bool


@lowers("_scaled_dot_product_flash_attention_for_cpu_backward")
def _attention_backward(
    call: Call, grad: Value, query: Value, key: Value, value: Value, out: Value, lse: Value, dropout_p: float,
    is_causal: bool, *, attn_mask: Value | None = None, scale: float | None = None,
) -> Any:  # fmt: skip
    """Scores and weights are computed again from the saved logarithm: five products, as fused kernels do."""
    build = call.build
    if dropout_p or _grouped(build, query, key)[0]:
        return NotImplemented
    factor = 1 / math.sqrt(build.size(query.dims[-1])) if scale is None else scale
    scores = _scores(call, query, key, is_causal, attn_mask, scale, _bool(call))

    def point(role: str, made: Any, *operands: tuple[Value, str]) -> Value:
        space = build.space([scores, *(one for one, _ in operands)], ["bhpm", *(labels for _, labels in operands)])
        return build.emit(space.dims("bhpm"), made(*space.exprs), hint(call, role))

    def weight(s: Expr, norm: Expr) -> Expr:
        return f("exp", f("sub", s, norm))

    weights = point("weights", weight, (lse, "bhp"))
    d_value = product(call, weights, grad, "bhpm", "bhpf", "bhmf", role="d_value")
    d_weights = product(call, grad, value, "bhpf", "bhmf", "bhpm", role="d_weights")
    space = build.space([grad, out], ["bhpf", "bhpf"])
    body = Apply("mul", tuple(space.exprs))
    delta = build.emit(space.dims("bhp"), reduced(build, "sum", body, space.ranks["f"]), hint(call, "delta"))

    def slope(s: Expr, w: Expr, dw: Expr, d: Expr) -> Expr:
        return f("mul", f("mul", w, f("sub", dw, d)), factor)

    d_scores = point("d_scores", slope, (weights, "bhpm"), (d_weights, "bhpm"), (delta, "bhp"))
    d_query = product(call, d_scores, key, "bhpm", "bhme", "bhpe", role="d_query")
    d_key = product(call, d_scores, query, "bhpm", "bhpe", "bhme", role="d_key")
    return [d_query, d_key, d_value]
