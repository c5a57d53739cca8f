"""SinkLoRA's SF-Attn, and the S2-Attn of LongLoRA that it repairs: attention in groups, some heads half a group late.

Tokens attend causally within groups; shifted heads have their groups half a group later, so that information crosses.
S2-Attn shifts half of the heads by rolling the sequence, materialized and with a wrapped group whose first tokens see
the last ones. SF-Attn shifts fewer heads and lets every token see the first few tokens, the sinks. `sf` and `s2` are
whole layers with LoRA on frozen weights, `core` and `core_s2` their attention alone, `dense` and `core_dense` causal
attention over everything; `projections` and `feed_forward` are parts that LongLoRA counts apart. `training` is the
attention sublayer forward and backward: gradients of its input and of the adapters. `h2o_decode` is a step of decoding
against a cache that keeps the heavy hitters.

Ranks: b batch, n token (n1 groups of n0, j key in a group), s sink, h1 key head with h0 query heads, e head dimension,
d width, r LoRA rank, f feed-forward width, p and m query and key of dense attention, k kept entries of the cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..claim import Claim, Run
from ..method import Method

if TYPE_CHECKING:
    import numpy as np
    import torch

_PLACES = """
AT[h1,h0,n1,n0] = (n1 * N0 + n0 + SH[h1,h0]) % N                       # the token at a place of a group
INV[h1,h0,n]    = (n + N - SH[h1,h0]) % N                              # the place of a token
"""
_SF_SCORES = """
S[b,h1,h0,n1,n0,j]  = where(
    j <= n0 and AT[h1,h0,n1,j] <= AT[h1,h0,n1,n0],                     # no group wraps around the end
    sum(QR[b,AT[h1,h0,n1,n0],h1,h0,e] * KR[b,AT[h1,h0,n1,j],h1,e], e) / sqrt(E), -inf)
SS[b,h1,h0,n1,n0,s] = where(
    n0 + s < AT[h1,h0,n1,n0],                                          # a sink that the group does not hold anyway
    sum(QR[b,AT[h1,h0,n1,n0],h1,h0,e] * KR[b,s,h1,e], e) / sqrt(E), -inf)
G[b,h1,h0,n1,n0]    = max(max(S[b,h1,h0,n1,n0,j], j), max(SS[b,h1,h0,n1,n0,s], s))
P[b,h1,h0,n1,n0,j]  = exp(S[b,h1,h0,n1,n0,j] - G[b,h1,h0,n1,n0])
PS[b,h1,h0,n1,n0,s] = exp(SS[b,h1,h0,n1,n0,s] - G[b,h1,h0,n1,n0])
DN[b,h1,h0,n1,n0]   = sum(P[b,h1,h0,n1,n0,j], j) + sum(PS[b,h1,h0,n1,n0,s], s)
OG[b,h1,h0,n1*N0+n0,e] = (
    sum(P[b,h1,h0,n1,n0,j] * V[b,AT[h1,h0,n1,j],h1,e], j) + sum(PS[b,h1,h0,n1,n0,s] * V[b,s,h1,e], s)
) / DN[b,h1,h0,n1,n0]
"""
_SF = f"""{_PLACES}{_SF_SCORES}
O[b,n,h1,h0,e] = OG[b,h1,h0,INV[h1,h0,n],e]
"""
_S2 = f"""{_PLACES}
QG[b,h1,h0,n1,n0,e] = QR[b,AT[h1,h0,n1,n0],h1,h0,e]                    # rolled copies
KG[b,h1,h0,n1,n0,e] = KR[b,AT[h1,h0,n1,n0],h1,e]
VG[b,h1,h0,n1,n0,e] = V[b,AT[h1,h0,n1,n0],h1,e]
S[b,h1,h0,n1,n0,j]  = where(j <= n0, sum(QG[b,h1,h0,n1,n0,e] * KG[b,h1,h0,n1,j,e], e) / sqrt(E), -inf)
G[b,h1,h0,n1,n0]    = max(S[b,h1,h0,n1,n0,j], j)
P[b,h1,h0,n1,n0,j]  = exp(S[b,h1,h0,n1,n0,j] - G[b,h1,h0,n1,n0])
DN[b,h1,h0,n1,n0]   = sum(P[b,h1,h0,n1,n0,j], j)
OG[b,h1,h0,n1*N0+n0,e] = sum(P[b,h1,h0,n1,n0,j] * VG[b,h1,h0,n1,j,e], j) / DN[b,h1,h0,n1,n0]
O[b,n,h1,h0,e]      = OG[b,h1,h0,INV[h1,h0,n],e]
"""
_STORED = """
QR: [B, N, H1, H0, E]
KR: [B, N, H1, E]
V: [B, N, H1, E]
"""
_DENSE = """
S[b,h1,h0,p,m] = where(m <= p, sum(QR[b,p,h1,h0,e] * KR[b,m,h1,e], e) / sqrt(E), -inf)
G[b,h1,h0,p]   = max(S[b,h1,h0,p,m], m)
P[b,h1,h0,p,m] = exp(S[b,h1,h0,p,m] - G[b,h1,h0,p])
DN[b,h1,h0,p]  = sum(P[b,h1,h0,p,m], m)
O[b,p,h1,h0,e] = sum(P[b,h1,h0,p,m] * V[b,m,h1,e], m) / DN[b,h1,h0,p]
"""
_ADAPTED = """
SCALE: []
TQ[b,n,r]       = sum(XN[b,n,d] * AQ[d,r], d)
TK[b,n,r]       = sum(XN[b,n,d] * AK[d,r], d)
TV[b,n,r]       = sum(XN[b,n,d] * AV[d,r], d)
Q[b,n,h1,h0,e]  = sum(XN[b,n,d] * WQ[d,h1,h0,e], d) + sum(TQ[b,n,r] * BQ[r,h1,h0,e], r) * SCALE
K[b,n,h1,e]     = sum(XN[b,n,d] * WK[d,h1,e], d) + sum(TK[b,n,r] * BK[r,h1,e], r) * SCALE
V[b,n,h1,e]     = sum(XN[b,n,d] * WV[d,h1,e], d) + sum(TV[b,n,r] * BV[r,h1,e], r) * SCALE
ROT[e]          = (e + E // 2) % E                                     # rotary positions: the other half of a head
QR[b,n,h1,h0,e] = Q[b,n,h1,h0,e] * CS[n,e] + Q[b,n,h1,h0,ROT[e]] * SN[n,e]
KR[b,n,h1,e]    = K[b,n,h1,e] * CS[n,e] + K[b,n,h1,ROT[e]] * SN[n,e]
"""
_OUT = """
TO[b,n,r]       = sum(O[b,n,h1,h0,e] * AO[h1,h0,e,r], h1, h0, e)
A[b,n,d]        = sum(O[b,n,h1,h0,e] * WO[h1,h0,e,d], h1, h0, e) + sum(TO[b,n,r] * BO[r,d], r) * SCALE
"""
_NORM = """
MX[b,n]         = sum(X[b,n,d] ** 2, d) / D
XN[b,n,d]       = X[b,n,d] * rsqrt(MX[b,n] + 1e-5) * GA[d]
"""
_FEED = """
F1[b,n,f]       = silu(sum(YN[b,n,d] * W1[d,f], d))
F2[b,n,f]       = sum(YN[b,n,d] * W2[d,f], d)
FF[b,n,f]       = F1[b,n,f] * F2[b,n,f]
"""
_REST = f"""{_OUT}
Y[b,n,d]        = X[b,n,d] + A[b,n,d]
MY[b,n]         = sum(Y[b,n,d] ** 2, d) / D
YN[b,n,d]       = Y[b,n,d] * rsqrt(MY[b,n] + 1e-5) * GF[d]
{_FEED}
Z[b,n,d]        = Y[b,n,d] + sum(FF[b,n,f] * W3[f,d], f)
"""

PROJECTIONS = """
Q[b,n,h1,h0,e]  = sum(XN[b,n,d] * WQ[d,h1,h0,e], d)
K[b,n,h1,e]     = sum(XN[b,n,d] * WK[d,h1,e], d)
V[b,n,h1,e]     = sum(XN[b,n,d] * WV[d,h1,e], d)
A[b,n,d]        = sum(O[b,n,h1,h0,e] * WO[h1,h0,e,d], h1, h0, e)
"""
FEED_FORWARD = f"{_FEED}Z[b,n,d]        = sum(FF[b,n,f] * W3[f,d], f)\n"

_LORA_BACKWARD = """
GB{x}[r,{h},e]  = sum(T{x}[b,n,r] * G{x}[b,n,{h},e], b, n) * SCALE
GT{x}[b,n,r]    = sum(G{x}[b,n,{h},e] * B{x}[r,{h},e], {sum}, e) * SCALE
GA{x}[d,r]      = sum(XN[b,n,d] * GT{x}[b,n,r], b, n)
GX{x}[b,n,d]    = sum(G{x}[b,n,{h},e] * W{x}[d,{h},e], {sum}, e) + sum(GT{x}[b,n,r] * A{x}[d,r], r)
"""
TRAINING = f"""{_ADAPTED}{_SF}{_OUT}
GBO[r,d]        = sum(TO[b,n,r] * GY[b,n,d], b, n) * SCALE
GTO[b,n,r]      = sum(GY[b,n,d] * BO[r,d], d) * SCALE
GAO[h1,h0,e,r]  = sum(O[b,n,h1,h0,e] * GTO[b,n,r], b, n)
GO[b,n,h1,h0,e] = sum(GY[b,n,d] * WO[h1,h0,e,d], d) + sum(GTO[b,n,r] * AO[h1,h0,e,r], r)
DL[b,n,h1,h0]   = sum(GO[b,n,h1,h0,e] * O[b,n,h1,h0,e], e)
A1[b,h1,h0,n1,n0,j]  = P[b,h1,h0,n1,n0,j] / DN[b,h1,h0,n1,n0]
A2[b,h1,h0,n1,n0,s]  = PS[b,h1,h0,n1,n0,s] / DN[b,h1,h0,n1,n0]
GS[b,h1,h0,n1,n0,j]  = A1[b,h1,h0,n1,n0,j] * (
    sum(GO[b,AT[h1,h0,n1,n0],h1,h0,e] * V[b,AT[h1,h0,n1,j],h1,e], e) - DL[b,AT[h1,h0,n1,n0],h1,h0]) / sqrt(E)
GSS[b,h1,h0,n1,n0,s] = A2[b,h1,h0,n1,n0,s] * (
    sum(GO[b,AT[h1,h0,n1,n0],h1,h0,e] * V[b,s,h1,e], e) - DL[b,AT[h1,h0,n1,n0],h1,h0]) / sqrt(E)
GQG[b,h1,h0,n1*N0+n0,e] = (
    sum(GS[b,h1,h0,n1,n0,j] * KR[b,AT[h1,h0,n1,j],h1,e], j) + sum(GSS[b,h1,h0,n1,n0,s] * KR[b,s,h1,e], s))
GKG[b,h1,h0,n1*N0+n0,e] = sum(GS[b,h1,h0,n1,j,n0] * QR[b,AT[h1,h0,n1,j],h1,h0,e], j)
GVG[b,h1,h0,n1*N0+n0,e] = sum(A1[b,h1,h0,n1,j,n0] * GO[b,AT[h1,h0,n1,j],h1,h0,e], j)
GKS[b,h1,s,e]   = sum(GSS[b,h1,h0,n1,n0,s] * QR[b,AT[h1,h0,n1,n0],h1,h0,e], h0, n1, n0)
GVS[b,h1,s,e]   = sum(A2[b,h1,h0,n1,n0,s] * GO[b,AT[h1,h0,n1,n0],h1,h0,e], h0, n1, n0)
TOKEN[n]        = n                                                    # beyond the sinks, GKS and GVS are read as zero
GQR[b,n,h1,h0,e] = GQG[b,h1,h0,INV[h1,h0,n],e]
GKR[b,n,h1,e]   = sum(GKG[b,h1,h0,INV[h1,h0,n],e], h0) + GKS[b,h1,TOKEN[n],e]
GV[b,n,h1,e]    = sum(GVG[b,h1,h0,INV[h1,h0,n],e], h0) + GVS[b,h1,TOKEN[n],e]
GQ[b,n,h1,h0,e] = GQR[b,n,h1,h0,e] * CS[n,e] + GQR[b,n,h1,h0,ROT[e]] * SN[n,ROT[e]]
GK[b,n,h1,e]    = GKR[b,n,h1,e] * CS[n,e] + GKR[b,n,h1,ROT[e]] * SN[n,ROT[e]]
{_LORA_BACKWARD.format(x="Q", h="h1,h0", sum="h1, h0")}
{_LORA_BACKWARD.format(x="K", h="h1", sum="h1")}
{_LORA_BACKWARD.format(x="V", h="h1", sum="h1")}
GX[b,n,d]       = GXQ[b,n,d] + GXK[b,n,d] + GXV[b,n,d]
"""

H2O_DECODE = """
RECENT: size
S[b,h1,h0,m]    = sum(Q[b,h1,h0,e] * KC[b,h1,m,e], e) / sqrt(E)
G[b,h1,h0]      = max(S[b,h1,h0,m], m)
P[b,h1,h0,m]    = exp(S[b,h1,h0,m] - G[b,h1,h0])
DN[b,h1,h0]     = sum(P[b,h1,h0,m], m)
A[b,h1,h0,m]    = P[b,h1,h0,m] / DN[b,h1,h0]
O[b,h1,h0,e]    = sum(A[b,h1,h0,m] * VC[b,h1,m,e], m)
AN[b,h1,m]      = AC[b,h1,m] + sum(A[b,h1,h0,m], h0)                  # attention that a key has received so far
HIT[b,h1,m]     = where(m < M - RECENT, AN[b,h1,m], -inf)             # the most recent stay anyway
KEEP[b,h1,k]    = topk(HIT[b,h1,m], m)
NEXT[b,h1,k]    = AN[b,h1,KEEP[b,h1,k]]
"""


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """PyTorch's attention under an explicit mask for SF-Attn, on rolled groups for S2-Attn; gradients by autograd."""
    import torch
    from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu

    g = dict(given)

    def heads_first(x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2, 3).transpose(1, 2) if x.ndim == 5 else x.transpose(1, 2)

    def turned(x: torch.Tensor) -> torch.Tensor:
        shape = (1, x.shape[1], *[1] * (x.ndim - 3), x.shape[-1])
        first, second = x.chunk(2, -1)
        return x * g["CS"].view(shape) + torch.cat([second, first], -1) * g["SN"].view(shape)

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, form: str) -> torch.Tensor:
        shape = q.shape
        q, k, v = heads_first(q), heads_first(k), heads_first(v)
        k, v = (one.repeat_interleave(q.shape[1] // one.shape[1], 1) for one in (k, v))
        if form == "dense":
            mixed = scaled_dot_product_attention(q, k, v, is_causal=True)
            return mixed.transpose(1, 2).reshape(shape)
        group, shifts = sizes["N0"], g["SH"].flatten().long()
        if form == "s2":
            rolled = []
            for head, shift in enumerate(shifts.tolist()):
                qs, ks, vs = (one[:, head].roll(-shift, 1).unflatten(1, (-1, group)) for one in (q, k, v))
                mixed = scaled_dot_product_attention(qs, ks, vs, is_causal=True)
                rolled.append(mixed.flatten(1, 2).roll(shift, 1))
            return torch.stack(rolled, 2).reshape(shape)
        token = torch.arange(sizes["N"])
        home = torch.div(token - shifts[:, None], group, rounding_mode="floor")
        allowed = (home[:, :, None] == home[:, None]) | (token < sizes["S"])
        allowed &= token[:, None] >= token
        return scaled_dot_product_attention(q, k, v, attn_mask=allowed).transpose(1, 2).reshape(shape)

    def adapted(x: torch.Tensor, which: str, dims: int) -> torch.Tensor:
        plain = torch.tensordot(x, g["W" + which], dims)
        return plain + g["SCALE"] * torch.tensordot(torch.tensordot(x, g["A" + which], dims), g["B" + which], 1)

    def sublayer(x: torch.Tensor, form: str) -> torch.Tensor:
        q, k, v = (adapted(x, which, 1) for which in "QKV")
        return adapted(attend(turned(q), turned(k), v, form), "O", 3)

    def feed(y: torch.Tensor) -> torch.Tensor:
        return (silu(y @ g["W1"]) * (y @ g["W2"])) @ g["W3"]

    if variant == "projections":
        found = {which: torch.tensordot(g["XN"], g["W" + which], 1) for which in "QKV"}
        return {**found, "A": torch.tensordot(g["O"], g["WO"], 3)}
    if variant == "feed_forward":
        return {"Z": feed(g["YN"])}
    if variant.startswith("core"):
        form = {"core": "sf", "core_s2": "s2", "core_dense": "dense"}[variant]
        return {"O": attend(g["QR"], g["KR"], g["V"], form)}
    if variant == "h2o_decode":
        scores = torch.einsum("bghe,bgme->bghm", g["Q"], g["KC"]) / sizes["E"] ** 0.5
        weights = scores.softmax(-1)
        total = g["AC"] + weights.sum(2)
        kept = total[..., : sizes["M"] - sizes["RECENT"]].topk(sizes["K"], -1).values
        return {"O": torch.einsum("bghm,bgme->bghe", weights, g["VC"]), "NEXT": kept}
    if variant == "training":
        learned = [letter + which for which in "QKVO" for letter in "AB"]
        leaves = [g[name].clone().requires_grad_() for name in ("XN", *learned)]
        g.update(zip(("XN", *learned), leaves, strict=True))
        a = sublayer(g["XN"], "sf")
        gradients = torch.autograd.grad(a, leaves, given["GY"])
        return {"A": a, **dict(zip(("GX", *("G" + name for name in learned)), gradients, strict=True))}
    x = g["X"]
    y = x + sublayer(rms_norm(x, x.shape[-1:], g["GA"], 1e-5), variant)
    return {"Z": y + feed(rms_norm(y, y.shape[-1:], g["GF"], 1e-5))}


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """The last quarter of the heads is shifted by half a group; positions are rotary."""
    import numpy as np

    found: dict[str, Any] = {"SCALE": 2.0}
    if "SH" in shapes:
        heads = sizes["H1"] * sizes["H0"]
        found["SH"] = np.where(np.arange(heads) >= heads - heads // 4, sizes["N0"] // 2, 0).reshape(shapes["SH"])
    if "CS" in shapes:
        half = sizes["E"] // 2
        angle = np.arange(sizes["N"])[:, None] * 10000.0 ** (-np.arange(half) / half)
        found["CS"] = np.concatenate([np.cos(angle), np.cos(angle)], 1)
        found["SN"] = np.concatenate([-np.sin(angle), np.sin(angle)], 1)
    return found


PAPER = "Zhang 2024, SinkLoRA, arXiv 2406.05678"
LONGLORA = "Chen et al. 2023, LongLoRA, arXiv 2309.12307, appendix"


def _sizes(tokens: int, group: int, **more: int) -> dict[str, int]:
    return {"N": tokens, "P": tokens, "M": tokens, "N0": group, "J": group, **more}


_LLAMA2 = {"B": 1, "H1": 32, "H0": 1, "E": 128, "D": 4096, "F": 11008, "S": 4, "R": 8, "K": 1024, "RECENT": 1024}
_LLAMA3 = {**_LLAMA2, "H1": 8, "H0": 4, "F": 14336}


def _flops(what: str, variant: str, teraflops: tuple[float, ...]) -> tuple[Claim, ...]:
    """Of 32 layers at 8192, 16,384, 32,768 and 65,536 tokens, in groups of a quarter where there are groups."""
    made = []
    for tokens, value in zip((8192, 16384, 32768, 65536), teraflops, strict=True):
        sizes = {
            "core_dense": {"P": tokens, "M": tokens},
            "core_s2": {"N": tokens, "N0": tokens // 4, "J": tokens // 4},
        }
        made.append(
            Claim(
                name=f"{what} at {tokens}",
                statement=f"{what.capitalize()} of Llama-2 7B takes {value} TFLOP at {tokens} tokens",
                value=round(value * 10) * 1e11,
                unit="FLOP",
                source=LONGLORA,
                evidence="recalled",
                quantity="flops",
                runs=(Run(variant, "llama2_7b_8k", sizes=sizes.get(variant, {"N": tokens}), times=32),),
                exact=True,
                note="Attention counted without what causality saves",
            )
        )
    return tuple(made)


METHOD = Method(
    name="sinklora",
    title="SinkLoRA: grouped attention with shifted heads and sinks, for fine-tuning at long context",
    question=(
        "How much faster than dense attention can a layer be at a length and a group, what do four sinks add, and what "
        "does the roll cost where it is a copy?"
    ),
    source=f"{PAPER}; {LONGLORA}; dvlab-research/LongLoRA (SF-Attn has no released code)",
    cascades={
        "sf": f"{_NORM}{_ADAPTED}{_SF}{_REST}",
        "s2": f"{_NORM}{_ADAPTED}{_S2}{_REST}",
        "dense": f"{_NORM}{_ADAPTED}{_DENSE}{_REST}",
        "core": f"{_STORED}{_SF}",
        "core_s2": f"{_STORED}{_S2}",
        "core_dense": _DENSE,
        "projections": PROJECTIONS,
        "feed_forward": FEED_FORWARD,
        "training": TRAINING,
        "h2o_decode": H2O_DECODE,
    },
    sizes=_sizes(8192, 2048, **_LLAMA2),
    presets={
        "tiny": _sizes(16, 4, B=2, H1=2, H0=2, E=4, D=16, F=32, S=1, R=2, K=3, RECENT=4),
        "llama2_7b_8k": _sizes(8192, 2048, **_LLAMA2),
        "llama2_7b_32k": _sizes(32768, 8192, **_LLAMA2),
        "llama3_8b_32k": _sizes(32768, 8192, **_LLAMA3),
    },
    preset_sources={
        "tiny": "our choice, for tests",
        "llama2_7b_8k": f"{PAPER}, table 2, and {LONGLORA}: Llama-2 7B at 8192 tokens, groups of a quarter, 4 sinks",
        "llama2_7b_32k": f"{LONGLORA}: Llama-2 7B at 32,768 tokens, groups of a quarter",
        "llama3_8b_32k": f"{PAPER}: Llama-3 8B; 32,768 tokens in groups of a quarter are our choice",
    },
    weights=(
        "WQ",
        "WK",
        "WV",
        "WO",
        "AQ",
        "AK",
        "AV",
        "AO",
        "BQ",
        "BK",
        "BV",
        "BO",
        "GA",
        "GF",
        "W1",
        "W2",
        "W3",
    ),
    state=("KC", "VC", "AC"),
    reference=reference,
    inputs=inputs,
    dense=Run("dense"),
    claims=(
        *_flops("full attention", "core_dense", (35.2, 140.7, 562.9, 2251.8)),
        *_flops("S2 attention", "core_s2", (8.8, 35.2, 140.7, 562.9)),
        *_flops("projections", "projections", (35.2, 70.4, 140.7, 281.5)),
        *_flops("feed-forward", "feed_forward", (70.9, 141.8, 283.7, 567.3)),
        Claim(
            name="attention of longer sequences",
            statement="Attention over 8192 tokens costs 16 times that over 2048",
            value=16,
            unit="x",
            source="Chen et al. 2023, LongLoRA, arXiv 2309.12307, abstract",
            evidence="abstract",
            quantity="flops",
            runs=(Run("core_dense", "llama2_7b_8k"),),
            baseline=(Run("core_dense", "llama2_7b_8k", sizes={"P": 2048, "M": 2048}),),
            inverted=True,
            exact=True,
        ),
        Claim(
            name="time with half a cache",
            statement="About 1.5 times as fast with half of the cache (OpenBookQA, Llama-3 8B)",
            value=1.5,
            unit="x",
            source=f"{PAPER}, section 5.3",
            evidence="paper",
            not_derivable="lengths of the questions and the batch are not published",
        ),
        Claim(
            name="perplexity",
            statement="92 % of the gain of full fine-tuning, where S2-Attn has 39 %",
            value=92,
            unit="%",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            not_derivable="accuracy",
        ),
    ),
    assumed={
        "shifted heads": "a quarter: of the second half, one half is kept and one shifted; the algorithm is an image",
        "LoRA": "rank 8 on queries, keys, values and outputs, LongLoRA's default (recalled)",
        "cache": "half heavy hitters and half recent keys, 2048 in all",
        "ends": "shifted heads have half a group at both ends and no wrap, as in LongLoRA's FlashAttention path",
    },
    counted_apart={
        "mac": (
            "the reference attends N x N pairs (S, SS, OG: a group and sinks); MX and MY square (rms_norm: mul, add)"
        ),
        "mul": "rms_norm squares (mac in MX and MY), and attention scales Q and K; S and SS scale scores",
        **dict.fromkeys(
            ("add", "compare", "div", "exp", "max", "select", "sub"),
            "masks and softmax of the reference run over N x N pairs; S, SS, G, P, PS, DN, OG over a group and sinks",
        ),
    },
)
