"""SPT: fine-tuning with attention to an eighth of the keys, and feed-forward networks of which each token runs a half.

New: which keys a query keeps is found by comparing codes of a product quantizer (integers that are equal or not), never
by scores; what is kept, and stored for the backward pass, is a fixed number of keys for each query. The feed-forward
network is cut into blocks, and a router sends each token to half of them. Weights stay as they were trained; low-rank
additions (LoRA) learn, and gradients are of these, of the router and of what came in.

Ranks: b sequences, h heads, p and n tokens as queries and keys, e head dimension as m subspaces of w, c codewords (z is
1: the nearest), j kept keys. Rows of a batch: t tokens, d model dimension, a outputs of a projection, g blocks of f
hidden units with s tokens each, u blocks of a token, y hidden units of a dense network, r the low rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..claim import Claim, Run
from ..method import Method

if TYPE_CHECKING:
    import torch

# Keys are counted by equal codes and fall into four buckets, best first, within one in their order; as in the fused
# kernel, no count is kept.
ATTENTION = """
V: [B, H, N, E]
CDQ[b,h,p,m,c] = sum(abs(Q[b,h,p,m*W+w] - CB[m,c,w]), w)
CQ[b,h,p,m,z]  = topk(-CDQ[b,h,p,m,c], c)
CDK[b,h,n,m,c] = sum(abs(K[b,h,n,m*W+w] - CB[m,c,w]), w)
CK[b,h,n,m,z]  = topk(-CDK[b,h,n,m,c], c)
IX[b,h,p,j]    = topk(where(n <= p, min(sum(where(CQ[b,h,p,m,z] == CK[b,h,n,m,z], 1, 0), m, z) // (M / 4), 3), -1), n)
RS[b,h,p,j]    = sum(Q[b,h,p,e] * K[b,h,IX[b,h,p,j],e], e) / sqrt(E)
SV[b,h,p,j]    = min(max(RS[b,h,p,j], -10), 10)            # no maximum is subtracted: the clamp keeps it safe
EX[b,h,p,j]    = where(IX[b,h,p,j] <= p, exp(SV[b,h,p,j]), 0)
SD[b,h,p]      = max(sum(EX[b,h,p,j], j), 1e-9)
A[b,h,p,j]     = EX[b,h,p,j] / SD[b,h,p]
O[b,h,p,e]     = sum(A[b,h,p,j] * V[b,h,IX[b,h,p,j],e], j)
"""
_ATTENTION_BACK = """
GA[b,h,p,j] = sum(GO[b,h,p,e] * V[b,h,IX[b,h,p,j],e], e)
GT[b,h,p]   = sum(A[b,h,p,j] * GA[b,h,p,j], j)
GS[b,h,p,j] = where(-10 <= RS[b,h,p,j] <= 10, A[b,h,p,j] * (GA[b,h,p,j] - GT[b,h,p]), 0) / sqrt(E)
GQ[b,h,p,e] = sum(GS[b,h,p,j] * K[b,h,IX[b,h,p,j],e], j)
GK[b,h,n,e] = scatter(sum, GS[b,h,p,j] * Q[b,h,p,e], IX[b,h,p,j], p, j)
GV[b,h,n,e] = scatter(sum, A[b,h,p,j] * GO[b,h,p,e], IX[b,h,p,j], p, j)
"""

DENSE_ATTENTION = """
S[b,h,p,n]  = where(n <= p, sum(Q[b,h,p,e] * K[b,h,n,e], e) / sqrt(E), -inf)
SG[b,h,p]   = max(S[b,h,p,n], n)
SN[b,h,p,n] = exp(S[b,h,p,n] - SG[b,h,p])
SD[b,h,p]   = sum(SN[b,h,p,n], n)
A[b,h,p,n]  = SN[b,h,p,n] / SD[b,h,p]
O[b,h,p,e]  = sum(A[b,h,p,n] * V[b,h,n,e], n)
"""
_DENSE_ATTENTION_BACK = """
GA[b,h,p,n] = sum(GO[b,h,p,e] * V[b,h,n,e], e)
GT[b,h,p]   = sum(A[b,h,p,n] * GA[b,h,p,n], n)
GS[b,h,p,n] = A[b,h,p,n] * (GA[b,h,p,n] - GT[b,h,p]) / sqrt(E)
GQ[b,h,p,e] = sum(GS[b,h,p,n] * K[b,h,n,e], n)
GK[b,h,n,e] = sum(GS[b,h,p,n] * Q[b,h,p,e], p)
GV[b,h,n,e] = sum(A[b,h,p,n] * GO[b,h,p,e], p)
"""

PROJECTION = """
XL[t,r] = sum(X[t,d] * L1[r,d], d)
Y[t,a]  = sum(X[t,d] * WP[a,d], d) + sum(XL[t,r] * RP1[a,r], r)
"""
_PROJECTION_BACK = """
GXL[t,r]  = sum(GY[t,a] * RP1[a,r], a)
GRP1[a,r] = sum(GY[t,a] * XL[t,r], t)
GL1[r,d]  = sum(GXL[t,r] * X[t,d], t)
GX[t,d]   = sum(GY[t,a] * WP[a,d], a) + sum(GXL[t,r] * L1[r,d], r)
"""

_ROUTED = """
X: [T, D]
P[t,g]    = sigmoid(sum(X[t,d] * WR[g,d], d))
TI[t,u]   = topk(P[t,g], g)
ON[t,g]   = scatter(sum, 1, TI[t,u], u)
LI[g,s]   = topk(ON[t,g], t)                               # the tokens of a block, in their order, then others
HAS[g,s]  = ON[LI[g,s],g]
PS[g,s]   = 2 * P[LI[g,s],g]
XG[g,s,d] = X[LI[g,s],d]
XL[t,r]   = sum(X[t,d] * L1[r,d], d)
XLG[g,s,r] = XL[LI[g,s],r]
"""
FEED_FORWARD = (
    _ROUTED
    + """
A1[g,s,f] = sum(XG[g,s,d] * W1[g,f,d], d) + B1[g,f]
Z[g,s,f]  = PS[g,s] * A1[g,s,f] + sum(XLG[g,s,r] * R1[g,f,r], r)
H[g,s,f]  = relu(Z[g,s,f])
HL[g,s,r] = sum(H[g,s,f] * L2[g,r,f], f)
A2[g,s,d] = sum(H[g,s,f] * W2[g,d,f], f)
YG[g,s,d] = HAS[g,s] * (PS[g,s] * A2[g,s,d] + sum(HL[g,s,r] * R2[d,r], r))
Y[t,d]    = scatter(sum, YG[g,s,d], LI[g,s], g, s)
"""
)
_FEED_FORWARD_BACK = """
GY: [T, D]
GYG[g,s,d] = HAS[g,s] * GY[LI[g,s],d]
GHL[g,s,r] = sum(GYG[g,s,d] * R2[d,r], d)
GR2[d,r]   = sum(GYG[g,s,d] * HL[g,s,r], g, s)
GL2[g,r,f] = sum(GHL[g,s,r] * H[g,s,f], s)
GH[g,s,f]  = PS[g,s] * sum(GYG[g,s,d] * W2[g,d,f], d) + sum(GHL[g,s,r] * L2[g,r,f], r)
GZ[g,s,f]  = where(Z[g,s,f] > 0, GH[g,s,f], 0)
GXLG[g,s,r] = sum(GZ[g,s,f] * R1[g,f,r], f)
GR1[g,f,r] = sum(GZ[g,s,f] * XLG[g,s,r], s)
GPS[g,s]   = sum(GYG[g,s,d] * A2[g,s,d], d) + sum(GZ[g,s,f] * A1[g,s,f], f)
GXG[g,s,d] = PS[g,s] * sum(GZ[g,s,f] * W1[g,f,d], f)
GXL[t,r]   = scatter(sum, GXLG[g,s,r], LI[g,s], g, s)
GL1[r,d]   = sum(GXL[t,r] * X[t,d], t)
GP[t,g]    = scatter(sum, GPS[g,s], LI[g,s], s)
GLO[t,g]   = 2 * GP[t,g] * P[t,g] * (1 - P[t,g])
GWR[g,d]   = sum(GLO[t,g] * X[t,d], t)
GXS[t,d]   = scatter(sum, GXG[g,s,d], LI[g,s], g, s)
GX[t,d]    = GXS[t,d] + sum(GXL[t,r] * L1[r,d], r) + sum(GLO[t,g] * WR[g,d], g)
"""
GATED = (
    _ROUTED
    + """
Z[g,s,f]  = PS[g,s] * sum(XG[g,s,d] * W1[g,f,d], d) + sum(XLG[g,s,r] * R1[g,f,r], r)
SI[g,s,f] = PS[g,s] * sum(XG[g,s,d] * W3[g,f,d], d) + sum(XLG[g,s,r] * R3[g,f,r], r)
H[g,s,f]  = silu(Z[g,s,f]) * SI[g,s,f]
HL[g,s,r] = sum(H[g,s,f] * L2[g,r,f], f)
A2[g,s,d] = sum(H[g,s,f] * W2[g,d,f], f)
YG[g,s,d] = HAS[g,s] * (PS[g,s] * A2[g,s,d] + sum(HL[g,s,r] * R2[d,r], r))
Y[t,d]    = scatter(sum, YG[g,s,d], LI[g,s], g, s)
"""
)
DENSE_FEED_FORWARD = """
XL[t,r] = sum(X[t,d] * L1[r,d], d)
Z[t,y]  = sum(X[t,d] * WD1[y,d], d) + BD1[y] + sum(XL[t,r] * RD1[y,r], r)
H[t,y]  = relu(Z[t,y])
HL[t,r] = sum(H[t,y] * LD2[r,y], y)
Y[t,d]  = sum(H[t,y] * WD2[d,y], y) + sum(HL[t,r] * R2[d,r], r)
"""
_DENSE_FEED_FORWARD_BACK = """
GHL[t,r]  = sum(GY[t,d] * R2[d,r], d)
GR2[d,r]  = sum(GY[t,d] * HL[t,r], t)
GLD2[r,y] = sum(GHL[t,r] * H[t,y], t)
GH[t,y]   = sum(GY[t,d] * WD2[d,y], d) + sum(GHL[t,r] * LD2[r,y], r)
GZ[t,y]   = where(Z[t,y] > 0, GH[t,y], 0)
GXL[t,r]  = sum(GZ[t,y] * RD1[y,r], y)
GRD1[y,r] = sum(GZ[t,y] * XL[t,r], t)
GL1[r,d]  = sum(GXL[t,r] * X[t,d], t)
GX[t,d]   = sum(GZ[t,y] * WD1[y,d], y) + sum(GXL[t,r] * L1[r,d], r)
"""

CASCADES = {
    "attention": ATTENTION,
    "feed_forward": FEED_FORWARD,
    "feed_forward_gated": GATED,
    "projection": PROJECTION,
    "dense_attention": DENSE_ATTENTION,
    "dense_feed_forward": DENSE_FEED_FORWARD,
    "attention_training": ATTENTION + _ATTENTION_BACK,
    "feed_forward_training": FEED_FORWARD + _FEED_FORWARD_BACK,
    "projection_training": PROJECTION + _PROJECTION_BACK,
    "dense_attention_training": DENSE_ATTENTION + _DENSE_ATTENTION_BACK,
    "dense_feed_forward_training": DENSE_FEED_FORWARD + _DENSE_FEED_FORWARD_BACK,
}
LEARNED = {
    "attention": ("Q", "K", "V"),
    "feed_forward": ("X", "WR", "L1", "R1", "L2", "R2"),
    "projection": ("X", "L1", "RP1"),
    "dense_attention": ("Q", "K", "V"),
    "dense_feed_forward": ("X", "L1", "RD1", "LD2", "R2"),
}


def _sparse(given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> torch.Tensor:
    """Query by query: sort the keys before it by bucket, and attend the first of them."""
    import torch

    q, k, v = given["Q"], given["K"], given["V"]
    parts, width = sizes["M"], sizes["W"]

    def codes(x: torch.Tensor) -> torch.Tensor:
        return (x.unflatten(-1, (parts, 1, width)) - given["CB"]).abs().sum(-1).argmin(-1)

    of_queries, of_keys = codes(q), codes(k)
    rows = []
    for p in range(q.shape[2]):
        equal = (of_queries[:, :, p, None] == of_keys[:, :, : p + 1]).sum(-1)
        bucket = (equal * 4 // parts).clamp(max=3)
        kept = bucket.argsort(dim=-1, descending=True, stable=True)[..., : sizes["J"], None].expand(
            -1, -1, -1, q.shape[3]
        )
        scores = torch.einsum("bhe,bhje->bhj", q[:, :, p], k.gather(2, kept)) / q.shape[3] ** 0.5
        weights = scores.clamp(-10, 10).exp()
        weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-9)
        rows.append(torch.einsum("bhj,bhje->bhe", weights, v.gather(2, kept)))
    return torch.stack(rows, 2)


def _routed(given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> torch.Tensor:
    """Block by block, with the tokens that chose it."""
    import torch
    from torch.nn.functional import silu

    x = given["X"]
    share = (x @ given["WR"].T).sigmoid()
    best = share.topk(sizes["U"], -1).indices
    y = torch.zeros_like(x)
    for g in range(len(given["WR"])):
        own = (best == g).any(-1).nonzero()[:, 0]
        scale = 2 * share[own, g, None]
        low = x[own] @ given["L1"].T
        if "W3" in given:
            gate = scale * (x[own] @ given["W1"][g].T) + low @ given["R1"][g].T
            hidden = silu(gate) * (scale * (x[own] @ given["W3"][g].T) + low @ given["R3"][g].T)
        else:
            hidden = (scale * (x[own] @ given["W1"][g].T + given["B1"][g]) + low @ given["R1"][g].T).relu()
        out = scale * (hidden @ given["W2"][g].T) + hidden @ given["L2"][g].T @ given["R2"].T
        y = y.index_add(0, own, out)
    return y


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """After ytgui/SPT-proto; what a training step adds is PyTorch's automatic gradient."""
    import torch
    from torch.nn.functional import linear, scaled_dot_product_attention

    name, training = variant.removesuffix("_training"), variant.endswith("_training")
    given = {
        key: value.clone().requires_grad_(training and key in LEARNED.get(name, ())) for key, value in given.items()
    }
    match name:
        case "attention":
            out, y = "O", _sparse(given, sizes)
        case "dense_attention":
            out, y = "O", scaled_dot_product_attention(given["Q"], given["K"], given["V"], is_causal=True)
        case "projection":
            low = linear(linear(given["X"], given["L1"]), given["RP1"])
            out, y = "Y", linear(given["X"], given["WP"]) + low
        case "dense_feed_forward":
            low = linear(linear(given["X"], given["L1"]), given["RD1"])
            hidden = (linear(given["X"], given["WD1"], given["BD1"]) + low).relu()
            out, y = "Y", linear(hidden, given["WD2"]) + linear(linear(hidden, given["LD2"]), given["R2"])
        case _:
            out, y = "Y", _routed(given, sizes)
    if not training:
        return {out: y}
    learned = LEARNED[name]
    gradients = torch.autograd.grad(y, [given[key] for key in learned], given[f"G{out}"])
    return {out: y, **{f"G{key}": gradient for key, gradient in zip(learned, gradients, strict=True)}}


PAPER = "Gui et al. 2023, SPT, arXiv 2312.10365"
CODE = "ytgui/SPT-proto"


def _model(d: int, h: int, hidden: int, b: int = 16, n: int = 512) -> dict[str, int]:
    e = d // h
    return {"B": b, "H": h, "P": n, "N": n, "E": e, "M": e // 8, "W": 8, "C": 16, "Z": 1, "J": n // 8, "T": b * n,
            "D": d, "A": d, "G": 4, "F": hidden // 4, "S": b * n // 2, "U": 2, "Y": hidden, "R": 16}  # fmt: skip


def _training(name: str, times: float = 1) -> Run:
    return Run(f"{name}_training", "opt2048_n512_b16", times=times)


_PROJECTIONS = _training("projection", 4)
_SPARSE = (_training("attention"), _PROJECTIONS)
_DENSE = (_training("dense_attention"), _PROJECTIONS)
_FFN, _DENSE_FFN = _training("feed_forward"), _training("dense_feed_forward")
_TABLE = f"{PAPER}, table 1"
_NOTE = "the table does not say which model and card: OPT-2048 with 16 sequences of 512 tokens on an A100 is assumed"
_RATE = (
    f"{_NOTE}. The table's times are those of 13 to 15 TFLOP/s, FP32 without tensor cores; here products run on tensor "
    "cores, so that gathers and comparisons, which do not, weigh more"
)


def _faster(name: str, text: str, value: float, runs: tuple[Run, ...], base: tuple[Run, ...]) -> Claim:
    return Claim(name, text, value, "x", _TABLE, "paper", "latency_s", runs, base, machine="a100", note=_RATE)


METHOD = Method(
    name="spt",
    title="SPT: fine-tuning with sparse attention and a routed feed-forward network",
    question="Why does attention to an eighth of the keys save three times the memory and no time?",
    source=f"{PAPER}; {CODE}",
    cascades=CASCADES,
    sizes=_model(2048, 32, 8192),
    presets={
        "opt2048_n512_b16": _model(2048, 32, 8192),
        "opt2560_n512_b16": _model(2560, 32, 10240),
        "llama4096_n512_b16": _model(4096, 32, 11008),
        "tiny": {**_model(16, 1, 16, b=1, n=16), "M": 2, "C": 4, "J": 4, "S": 16, "A": 6, "R": 2, "Y": 16, "F": 4},
    },
    preset_sources={
        **dict.fromkeys(("opt2048_n512_b16", "opt2560_n512_b16", "llama4096_n512_b16"),
                        f"{CODE}, profiling scripts: 16 sequences of 512 tokens, an eighth of the keys, two of four "
                        "blocks, rank 16; blocks get equal shares of the tokens, assumed"),
        "tiny": "our choice, for tests: every block has room for all tokens",
    },
    weights=("CB", "WP", "L1", "RP1", "WR", "W1", "B1", "R1", "L2", "W2", "R2", "W3", "R3", "WD1", "BD1", "RD1", "LD2",
             "WD2"),
    reference=reference,
    claims=(
        _faster("attention", "attention with its projections takes 54.1 ms, with LoRA alone 52.5", 52.5 / 54.1,
                _SPARSE, _DENSE),
        _faster("feed-forward", "the network takes 54.9 ms, with LoRA alone 108.5", 108.5 / 54.9, (_FFN,),
                (_DENSE_FFN,)),
        _faster("block", "a Transformer block takes 106.0 ms, with LoRA alone 161.0", 161.0 / 106.0, (*_SPARSE, _FFN),
                (*_DENSE, _DENSE_FFN)),
        Claim("attention's memory", "attention needs 0.9 GB at its peak, with LoRA alone 2.6", 2.6 / 0.9, "x", _TABLE,
              "paper", "peak_memory_bytes", (_training("attention"),), (_training("dense_attention"),),
              note=f"{_NOTE}; masks and dropout keep more of dense attention's scores than these graphs do"),
        Claim("feed-forward's memory", "the network needs 1.1 GB at its peak, as with LoRA alone", 1.0, "x", _TABLE,
              "paper", "peak_memory_bytes", (_FFN,), (_DENSE_FFN,), note=_NOTE),
        Claim("peak memory", "up to 50 % less memory at the peak", 50, "%", f"{PAPER}, abstract", "abstract",
              not_derivable="the model, its length and batch at which it was measured are not known here"),
        Claim("speed", "up to 2.2 times faster", 2.2, "x", f"{PAPER}, abstract", "abstract",
              not_derivable="the model, its length and batch at which it was measured are not known here"),
    ),
    assumed={
        "slots without a key": "masked; the code repeats key 0",
        "tokens of a block": "half of all in each block of four; in the data they are uneven",
        "low rank": "on every projection and both layers of the network",
    },
    counted_apart={
        **dict.fromkeys(("mac", "exp", "max"),
            "the first J - 1 queries of the reference attend fewer than J keys; RS, SV, EX, SD and O cover J for each "
            "query"
        ),
        "div": (
            "the reference divides for keys up to the query (buckets) and for those it attends; IX for all keys, A "
            "for J"
        ),
        "mul": (
            "the reference multiplies equal codes by four, and the product with a single key's value is no sum; IX "
            "divides by M / 4"
        ),
        "add": "the reference sums equal codes of keys up to the query, IX of all keys",
        **dict.fromkeys(("compare", "min"),
            "the reference compares codes of, and clamps buckets of, keys up to the query; IX those of all keys"
        ),
        "select": (
            "CQ and CK select codes, IX equal ones and keys up to the query; the reference has argmin and sorts what "
            "it has cut"
        ),
    },
)  # fmt: skip
