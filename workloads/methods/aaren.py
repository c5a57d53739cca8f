"""Aaren: softmax attention with a learned query, so that each prefix is a step of a recurrence.

Attention of a fixed query over a prefix is a state of a maximum, a denominator and a numerator (m, u, w). An
associative operation joins two such states, so that all prefixes come out of a parallel scan in training, and one step
of constant memory in streaming. `recurrent` steps token by token; `scan` doubles its reach log2 N times (Hillis and
Steele); `chunked` steps tile by tile and is dense inside of one; `decode` is a single step. `transformer` and
`transformer_decode` are the block that it replaces, with a query of each token and a cache of keys and values.

Ranks: b batch, n token (n1 tiles of n0), i position in a tile and p token that ask, d width, h heads, e head dimension,
f hidden width, r level of the scan.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..claim import Claim, Run
from ..method import Method

if TYPE_CHECKING:
    import numpy as np
    import torch

_QUERY = """
Q[h,e]      = sum(T[d] * WQ[d,h,e], d) + CQ[h,e]                  # the learned query, the same for every token
"""
_KEYS = """
K[b,n,h,e]  = sum(X[b,n,d] * WK[d,h,e], d) + CK[h,e]
V[b,n,h,e]  = sum(X[b,n,d] * WV[d,h,e], d) + CV[h,e]
"""
_SCORES = f"""{_QUERY}{_KEYS}
S[b,h,n]    = sum(Q[h,e] * K[b,n,h,e], e) / sqrt(E)               # a product of a matrix and a vector for each head
"""
_BLOCK = """
Z[b,n,d]    = sum(O[b,n,h,e] * WO[h,e,d], h, e) + CO[d] + X[b,n,d]
MU[b,n]     = sum(Z[b,n,d], d) / D
VR[b,n]     = sum((Z[b,n,d] - MU[b,n]) ** 2, d) / D
ZN[b,n,d]   = (Z[b,n,d] - MU[b,n]) * rsqrt(VR[b,n] + 1e-5) * GA[d] + BA[d]
FF[b,n,f]   = relu(sum(ZN[b,n,d] * W1[d,f], d) + B1[f])
Y[b,n,d]    = sum(FF[b,n,f] * W2[f,d], f) + B2[d] + ZN[b,n,d]
MY[b,n]     = sum(Y[b,n,d], d) / D
VY[b,n]     = sum((Y[b,n,d] - MY[b,n]) ** 2, d) / D
YN[b,n,d]   = (Y[b,n,d] - MY[b,n]) * rsqrt(VY[b,n] + 1e-5) * GF[d] + BF[d]
"""

RECURRENT = f"""{_SCORES}
M[b,h,0]     = -inf
M[b,h,n+1]   = max(M[b,h,n], S[b,h,n])
C[b,h,n]     = exp(M[b,h,n] - M[b,h,n+1])                         # rescales what was summed before
P[b,h,n]     = exp(S[b,h,n] - M[b,h,n+1])
U[b,h,0]     = 0
U[b,h,n+1]   = U[b,h,n] * C[b,h,n] + P[b,h,n]
W[b,h,e,0]   = 0
W[b,h,e,n+1] = W[b,h,e,n] * C[b,h,n] + P[b,h,n] * V[b,n,h,e]
O[b,n,h,e]   = W[b,h,e,n+1] / U[b,h,n+1]
{_BLOCK}"""

SCAN = f"""{_SCORES}
STRIDE[0]    = 1
STRIDE[r+1]  = 2 * STRIDE[r]
LEFT[r,n]    = n - STRIDE[r]                                      # the state that is joined to the one of n
M[b,h,n,0]   = S[b,h,n]
M[b,h,n,r+1] = where(LEFT[r,n] >= 0, max(M[b,h,n,r], M[b,h,LEFT[r,n],r]), M[b,h,n,r])
CA[b,h,n,r]  = where(LEFT[r,n] >= 0, exp(M[b,h,LEFT[r,n],r] - M[b,h,n,r+1]), 0)
CB[b,h,n,r]  = exp(M[b,h,n,r] - M[b,h,n,r+1])
U[b,h,n,0]   = 1
U[b,h,n,r+1] = U[b,h,LEFT[r,n],r] * CA[b,h,n,r] + U[b,h,n,r] * CB[b,h,n,r]
W[b,h,n,e,0] = V[b,n,h,e]
W[b,h,n,e,r+1] = W[b,h,LEFT[r,n],e,r] * CA[b,h,n,r] + W[b,h,n,e,r] * CB[b,h,n,r]
O[b,n,h,e]   = W[b,h,n,e,R] / U[b,h,n,R]
{_BLOCK}"""

CHUNKED = f"""{_SCORES}
PM[b,h,n1,n0]   = scan(max, S[b,h,n1*N0+n0], n0)                  # largest so far within a tile
RM[b,h,0]       = -inf
RM[b,h,n1+1]    = max(RM[b,h,n1], max(S[b,h,n1*N0+n0], n0))       # and of the tiles before
M[b,h,n1,i]     = max(RM[b,h,n1], PM[b,h,n1,i])
P[b,h,n1,i,n0]  = where(n0 <= i, exp(S[b,h,n1*N0+n0] - M[b,h,n1,i]), 0)
C[b,h,n1,i]     = exp(RM[b,h,n1] - M[b,h,n1,i])
T1[b,h,n1,n0]   = exp(S[b,h,n1*N0+n0] - RM[b,h,n1+1])
TC[b,h,n1]      = exp(RM[b,h,n1] - RM[b,h,n1+1])
RU[b,h,0]       = 0
RU[b,h,n1+1]    = RU[b,h,n1] * TC[b,h,n1] + sum(T1[b,h,n1,n0], n0)
RW[b,h,e,0]     = 0
RW[b,h,e,n1+1]  = RW[b,h,e,n1] * TC[b,h,n1] + sum(T1[b,h,n1,n0] * V[b,n1*N0+n0,h,e], n0)
U[b,h,n1,i]     = RU[b,h,n1] * C[b,h,n1,i] + sum(P[b,h,n1,i,n0], n0)
W[b,h,n1,i,e]   = RW[b,h,e,n1] * C[b,h,n1,i] + sum(P[b,h,n1,i,n0] * V[b,n1*N0+n0,h,e], n0)
O[b,n1*N0+n0,h,e] = W[b,h,n1,n0,e] / U[b,h,n1,n0]
{_BLOCK}"""

TRANSFORMER = f"""{_KEYS}
Q[b,p,h,e]  = sum(X[b,p,d] * WQ[d,h,e], d) + CQ[h,e]
S[b,h,p,n]  = where(n <= p, sum(Q[b,p,h,e] * K[b,n,h,e], e) / sqrt(E), -inf)
G[b,h,p]    = max(S[b,h,p,n], n)
P[b,h,p,n]  = exp(S[b,h,p,n] - G[b,h,p])
U[b,h,p]    = sum(P[b,h,p,n], n)
W[b,h,p,e]  = sum(P[b,h,p,n] * V[b,n,h,e], n)
O[b,p,h,e]  = W[b,h,p,e] / U[b,h,p]
{_BLOCK}"""

_STEP_BLOCK = _BLOCK.replace("b,n", "b")
_STEP_KEYS = _KEYS.replace("b,n", "b")

DECODE = f"""{_STEP_KEYS}
S[b,h]      = sum(QF[h,e] * K[b,h,e], e) / sqrt(E)                # the projected query is a constant by now
M[b,h]      = max(MP[b,h], S[b,h])
C[b,h]      = exp(MP[b,h] - M[b,h])
P[b,h]      = exp(S[b,h] - M[b,h])
U[b,h]      = UP[b,h] * C[b,h] + P[b,h]
W[b,h,e]    = WP[b,h,e] * C[b,h] + P[b,h] * V[b,h,e]
O[b,h,e]    = W[b,h,e] / U[b,h]
{_STEP_BLOCK}"""

TRANSFORMER_DECODE = f"""{_STEP_KEYS}
Q[b,h,e]    = sum(X[b,d] * WQ[d,h,e], d) + CQ[h,e]
S[b,h,n]    = sum(Q[b,h,e] * KC[b,n,h,e], e) / sqrt(E)            # the keys so far
SN[b,h]     = sum(Q[b,h,e] * K[b,h,e], e) / sqrt(E)               # the token's own
G[b,h]      = max(max(S[b,h,n], n), SN[b,h])
P[b,h,n]    = exp(S[b,h,n] - G[b,h])
PN[b,h]     = exp(SN[b,h] - G[b,h])
U[b,h]      = sum(P[b,h,n], n) + PN[b,h]
W[b,h,e]    = sum(P[b,h,n] * VC[b,n,h,e], n) + PN[b,h] * V[b,h,e]
O[b,h,e]    = W[b,h,e] / U[b,h]
{_STEP_BLOCK}"""


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """PyTorch's own attention and layers, the learned query at every position; a step of decoding sums directly."""
    import torch
    from torch.nn.functional import layer_norm, linear, relu, scaled_dot_product_attention

    width = sizes["D"]

    def project(x: torch.Tensor, weight: str, bias: str) -> torch.Tensor:
        return torch.einsum("...d,dhe->...he", x, given[weight]) + given[bias]

    def block(mixed: torch.Tensor) -> torch.Tensor:
        y = mixed.flatten(-2) @ given["WO"].reshape(width, width) + given["CO"] + given["X"]
        y = layer_norm(y, (width,), given["GA"], given["BA"])
        hidden = relu(linear(y, given["W1"].T, given["B1"]))
        return layer_norm(y + linear(hidden, given["W2"].T, given["B2"]), (width,), given["GF"], given["BF"])

    x = given["X"]
    k, v = project(x, "WK", "CK"), project(x, "WV", "CV")
    if variant == "decode":
        past, now = given["MP"].exp(), (torch.einsum("he,bhe->bh", given["QF"], k) / sizes["E"] ** 0.5).exp()
        u = past * given["UP"] + now
        w = past[..., None] * given["WP"] + now[..., None] * v
        return {"YN": block(w / u[..., None])}
    if variant == "transformer_decode":
        keys = torch.cat([given["KC"], k[:, None]], 1).transpose(1, 2)
        values = torch.cat([given["VC"], v[:, None]], 1).transpose(1, 2)
        q = project(x, "WQ", "CQ")[:, :, None]
        return {"YN": block(scaled_dot_product_attention(q, keys, values)[:, :, 0])}
    token = x if variant == "transformer" else given["T"].expand(x.shape)
    q = project(token, "WQ", "CQ")
    q, k, v = (one.transpose(1, 2) for one in (q, k, v))
    mixed = scaled_dot_product_attention(q, k, v, is_causal=True)
    return {"YN": block(mixed.transpose(1, 2))}


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """A denominator is positive."""
    return {"UP": 0.5 + generator.random(shapes["UP"])} if "UP" in shapes else {}


PAPER = "Feng et al. 2024, Attention as an RNN, arXiv 2405.13956"
_WIDTH = {"D": 512, "H": 8, "E": 64, "F": 2048}
_STREAM = {"B": 1, "N": 1024, "N0": 64, "I": 64, "R": 10, "P": 1024, **_WIDTH}

METHOD = Method(
    name="aaren",
    title="Aaren: attention with a learned query as a recurrence, scanned in parallel or streamed in constant memory",
    question=(
        "At which length does the scan beat fused causal attention, how much buffer does a scan by tiles take, and "
        "what are tokens per second and bytes per token in streaming as the sequence grows?"
    ),
    source=f"{PAPER}; no official code was found",
    cascades={
        "recurrent": RECURRENT,
        "scan": SCAN,
        "chunked": CHUNKED,
        "decode": DECODE,
        "transformer": TRANSFORMER,
        "transformer_decode": TRANSFORMER_DECODE,
    },
    sizes=_STREAM,
    presets={
        "tiny": {"B": 2, "N": 9, "N0": 3, "I": 3, "R": 4, "P": 9, "D": 8, "H": 2, "E": 4, "F": 16},
        "stream": _STREAM,
        "forecasting": {**_STREAM, "B": 32, "N": 192, "R": 8, "P": 192},
        "long": {**_STREAM, "N": 65536, "R": 16, "P": 65536},
    },
    preset_sources={
        "tiny": "our choice, for tests",
        "stream": f"{PAPER}, section 4.5: one block of width 512, up to 1000 tokens; 1024 is our choice",
        "forecasting": "our choice: batches of 32 windows of 192 steps, as forecasting benchmarks have them",
        "long": "our choice: a long sequence, for the shape of the curve",
    },
    weights=(
        "T",
        "WQ",
        "WK",
        "WV",
        "WO",
        "CQ",
        "CK",
        "CV",
        "CO",
        "GA",
        "BA",
        "W1",
        "B1",
        "W2",
        "B2",
        "GF",
        "BF",
        "QF",
    ),
    state=("MP", "UP", "WP", "KC", "VC"),
    reference=reference,
    inputs=inputs,
    claims=(
        Claim(
            name="parameters",
            statement="A block of Aaren with width 512 has 3,152,896 parameters",
            value=3_152_896,
            unit="parameters",
            source=f"{PAPER}, section 4.5",
            evidence="recalled",
            quantity="parameters",
            runs=(Run("recurrent", "stream"),),
            exact=True,
        ),
        Claim(
            name="parameters of the Transformer",
            statement="The Transformer block that it replaces has 3,152,384 parameters, fewer by the learned query",
            value=3_152_384,
            unit="parameters",
            source=f"{PAPER}, section 4.5",
            evidence="recalled",
            quantity="parameters",
            runs=(Run("transformer", "stream"),),
            exact=True,
        ),
        Claim(
            name="constant memory",
            statement="What streaming has to remember is the same at twice as many tokens",
            value=1,
            unit="x",
            source=f"{PAPER}, abstract and section 4.5",
            evidence="paper",
            quantity="state_bytes",
            runs=(Run("recurrent", "stream"),),
            baseline=(Run("recurrent", "stream", sizes={"N": 2048}),),
            exact=True,
        ),
        Claim(
            name="linear memory of the cache",
            statement="A Transformer's cache of keys and values is twice as large at twice as many tokens",
            value=2,
            unit="x",
            source=f"{PAPER}, abstract and section 4.5",
            evidence="paper",
            quantity="state_bytes",
            runs=(Run("transformer_decode", "stream"),),
            baseline=(Run("transformer_decode", "stream", sizes={"N": 2048}),),
            exact=True,
        ),
        Claim(
            name="linear time",
            statement="All tokens of a stream together take linear time",
            value=1,
            unit="exponent",
            source=f"{PAPER}, section 4.5",
            evidence="recalled",
            quantity="growth",
            runs=(Run("recurrent", "long"),),
            grows_with=("N",),
        ),
        Claim(
            name="quadratic time of the cache",
            statement="With a cache of keys and values, all tokens of a stream together take quadratic time",
            value=2,
            unit="exponent",
            source=f"{PAPER}, section 4.5",
            evidence="recalled",
            quantity="growth",
            runs=(Run("transformer", "long"),),
            grows_with=("N", "P"),
            note="At 65,536 tokens, where attention is most of a block",
        ),
        Claim(
            name="quality",
            statement="Comparable to Transformers on 38 data sets of four kinds",
            value=38,
            unit="data sets",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            not_derivable="accuracy",
        ),
    ),
    dense=Run("transformer"),
    assumed={
        "heads": "8 of 64; the paper's text was not seen",
        "block": "normalization after each sum and ReLU, as PyTorch's encoder layer has them: the parameters agree",
        "lengths": "those of the presets forecasting and long",
    },
    counted_apart={
        "mac": (
            "scaled_dot_product_attention sums values over N x N pairs of tokens; W carries the sum along them (mul, "
            "add)"
        ),
        **dict.fromkeys(
            ("exp", "max", "div", "select"),
            "causal softmax over N x N pairs; M, C, P are once a token, O divides a token's sum, and a scan masks "
            "nothing",
        ),
        "mul": "U and W rescale what was summed before; attention over all pairs has no rescaling",
        "add": (
            "softmax adds N x N exponentials; U and W add one term a token (the sum of values is mac in the trace)"
        ),
        "sub": (
            "softmax subtracts for N x N pairs, C and P once a token; LayerNorm: VR, ZN, VY, YN subtract the mean in "
            "the variance and again in the result; native_layer_norm keeps x - mean"
        ),
    },
)
