"""Lightning Attention: causal linear attention with a decay per head, in blocks, and the layer of TransNormerLLM.

A block reads its own keys as a masked product (left product) and everything before through a running state of D x E
(right product), so that no sum over positions is taken and a token costs the same at every length. `blocks` is the
kernel's arithmetic, `states` the part of it that makes the last state, `recurrent` the same token by token, `decode`
one step of it, `backward` the gradients, with the state recomputed and a second state that runs from the end,
`training` both directions, `layer` the whole layer: SiLU projections, the mixer, a normalization, a low-rank output
gate, and a gated linear unit. The released forward kernel handles 32 of the value dimensions at a time and does the
rest of the work again for each: presets `bench_released`.

Ranks: b batch, h heads, n token (n1 blocks of n0, j key in a block, r block from the end), d dimension of queries and
keys, e of values, c width, g width of the gate, f of the gated linear unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..claim import Claim, Run
from ..mappings.linear import LINEAR
from ..method import Method

if TYPE_CHECKING:
    import numpy as np
    import torch

_STATE = """
QK[b,h,n1,n0,j]    = sum(Q[b,h,n1*N0+n0,d] * K[b,h,n1*N0+j,d], d)
DK[h,n0,j]         = where(j <= n0, exp((j - n0) * A[h]), 0)              # the decay between two tokens of a block
P[b,h,n1,n0,j]     = QK[b,h,n1,n0,j] * DK[h,n0,j]
DI[h,n0]           = exp((0 - n0 - 1) * A[h])                             # from the state to a token of the block
DE[h,n0]           = exp((n0 + 1 - N0) * A[h])                            # from the token to the next state
DB[h]              = exp((0 - N0) * A[h])                                 # over a whole block
KD[b,h,n1,n0,d]    = K[b,h,n1*N0+n0,d] * DE[h,n0]
KV[b,h,d,e,0]      = 0
KV[b,h,d,e,n1+1]   = KV[b,h,d,e,n1] * DB[h] + sum(KD[b,h,n1,n0,d] * V[b,h,n1*N0+n0,e], n0)
"""
_OUTPUT = """
OI[b,h,n1,n0,e]    = sum(P[b,h,n1,n0,j] * V[b,h,n1*N0+j,e], j)            # within a block
OX[b,h,n1,n0,e]    = sum(Q[b,h,n1*N0+n0,d] * KV[b,h,d,e,n1], d) * DI[h,n0]
O[b,h,n1*N0+n0,e]  = OI[b,h,n1,n0,e] + OX[b,h,n1,n0,e]
"""
_GRADIENTS = """
GP[b,h,n1,n0,j]    = sum(GO[b,h,n1*N0+n0,e] * V[b,h,n1*N0+j,e], e) * DK[h,n0,j]
GQ[b,h,n1*N0+n0,d] = (
    sum(GP[b,h,n1,n0,j] * K[b,h,n1*N0+j,d], j) + sum(GO[b,h,n1*N0+n0,e] * KV[b,h,d,e,n1], e) * DI[h,n0]
)
QD[b,h,n1,n0,d]    = Q[b,h,n1*N0+n0,d] * DI[h,n0]
GS[b,h,d,e,0]      = 0                                                    # gradient of the state, from the end
GS[b,h,d,e,r+1]    = GS[b,h,d,e,r] * DB[h] + sum(QD[b,h,N1-1-r,n0,d] * GO[b,h,(N1-1-r)*N0+n0,e], n0)
GK[b,h,n1*N0+n0,d] = (
    sum(GP[b,h,n1,j,n0] * Q[b,h,n1*N0+j,d], j) + sum(V[b,h,n1*N0+n0,e] * GS[b,h,d,e,N1-1-n1], e) * DE[h,n0]
)
GV[b,h,n1*N0+n0,e] = sum(P[b,h,n1,j,n0] * GO[b,h,n1*N0+j,e], j) + sum(KD[b,h,n1,n0,d] * GS[b,h,d,e,N1-1-n1], d)
"""

BLOCKS = f"{_STATE}{_OUTPUT}"
BACKWARD = f"{_STATE}{_GRADIENTS}"
TRAINING = f"{_STATE}{_OUTPUT}{_GRADIENTS}"

STATES = """
DE[h,n0]           = exp((n0 + 1 - N0) * A[h])
DB[h]              = exp((0 - N0) * A[h])
KD[b,h,n1,n0,d]    = K[b,h,n1*N0+n0,d] * DE[h,n0]
KV[b,h,d,e,0]      = 0
KV[b,h,d,e,n1+1]   = KV[b,h,d,e,n1] * DB[h] + sum(KD[b,h,n1,n0,d] * V[b,h,n1*N0+n0,e], n0)
S[b,h,d,e]         = KV[b,h,d,e,N1]                                       # what a segment adds to the state
"""

RECURRENT = """
DB[h]            = exp(0 - A[h])
KV[b,h,d,e,0]    = 0
KV[b,h,d,e,n+1]  = KV[b,h,d,e,n] * DB[h] + K[b,h,n,d] * V[b,h,n,e]
O[b,h,n,e]       = sum(Q[b,h,n,d] * KV[b,h,d,e,n+1], d)
"""

DECODE = """
DB[h]            = exp(0 - A[h])
KV[b,h,d,e]      = KVP[b,h,d,e] * DB[h] + K[b,h,d] * V[b,h,e]
O[b,h,e]         = sum(Q[b,h,d] * KV[b,h,d,e], d)
"""

LAYER = f"""
SX[b,n]          = sum(X[b,n,c] ** 2, c) / C
XN[b,n,c]        = X[b,n,c] * rsqrt(SX[b,n] + 1e-6)
Q[b,h,n,d]       = silu(sum(XN[b,n,c] * WQ[c,h,d], c))
K[b,h,n,d]       = silu(sum(XN[b,n,c] * WK[c,h,d], c))
V[b,h,n,e]       = silu(sum(XN[b,n,c] * WV[c,h,e], c))
{_STATE}{_OUTPUT}
SO[b,n]          = sum(O[b,h,n,e] ** 2, h, e) / (H * E)
L[b,n,g]         = sum(XN[b,n,c] * WL[c,g], c)                            # the gate, through a narrow layer
GT[b,n,h,e]      = sigmoid(sum(L[b,n,g] * WG[g,h,e], g))
ON[b,n,h,e]      = O[b,h,n,e] * rsqrt(SO[b,n] + 1e-6) * GT[b,n,h,e]
Y[b,n,c]         = sum(ON[b,n,h,e] * WO[h,e,c], h, e) + X[b,n,c]
SY[b,n]          = sum(Y[b,n,c] ** 2, c) / C
YN[b,n,c]        = Y[b,n,c] * rsqrt(SY[b,n] + 1e-6)
U1[b,n,f]        = sum(YN[b,n,c] * W1[c,f], c)
U2[b,n,f]        = sum(YN[b,n,c] * W2[c,f], c)
UU[b,n,f]        = U1[b,n,f] * U2[b,n,f]
Z[b,n,c]         = sum(UU[b,n,f] * W3[f,c], f) + Y[b,n,c]
"""


def _mixed(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """All pairs at once: the decayed, masked product, without blocks and without a state."""
    import torch

    place = torch.arange(q.shape[-2], dtype=q.dtype)
    distance = place[:, None] - place
    decay = torch.where(distance >= 0, torch.exp(-slope[:, None, None] * distance), 0.0)
    return (q @ k.transpose(-1, -2) * decay) @ v


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """Quadratic attention with decay, and its gradients by autograd; a layer as a module would compute it."""
    import torch
    from torch.nn.functional import rms_norm, silu

    slope = given["A"]
    if variant == "decode":
        state = torch.exp(-slope)[:, None, None] * given["KVP"] + given["K"][..., :, None] * given["V"][..., None, :]
        return {"O": (given["Q"][..., None, :] @ state)[..., 0, :]}
    if variant == "states":
        left = torch.arange(given["K"].shape[2] - 1, -1, -1, dtype=slope.dtype)
        return {"S": torch.einsum("hn,bhnd,bhne->bhde", torch.exp(-slope[:, None] * left), given["K"], given["V"])}
    if variant != "layer":
        q, k, v = (given[name].clone().requires_grad_() for name in ("Q", "K", "V"))
        o = _mixed(q, k, v, slope)
        if variant in ("blocks", "recurrent"):
            return {"O": o}
        gq, gk, gv = torch.autograd.grad(o, (q, k, v), given["GO"])
        return {"GQ": gq, "GK": gk, "GV": gv, **({"O": o} if variant == "training" else {})}
    x, heads = given["X"], sizes["H"]

    def norm(y: torch.Tensor) -> torch.Tensor:
        return rms_norm(y, y.shape[-1:], eps=1e-6)

    def project(weight: str) -> torch.Tensor:
        return silu(norm(x) @ given[weight].flatten(1)).unflatten(-1, (heads, -1)).transpose(1, 2)

    mixed = _mixed(project("WQ"), project("WK"), project("WV"), slope).transpose(1, 2).flatten(2)
    gate = torch.sigmoid(norm(x) @ given["WL"] @ given["WG"].flatten(1))
    y = x + (norm(mixed) * gate) @ given["WO"].flatten(0, 1)
    hidden = (norm(y) @ given["W1"]) * (norm(y) @ given["W2"])
    return {"Z": y + hidden @ given["W3"]}


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """Slopes are positive."""
    return {"A": 0.05 + generator.random(shapes["A"])}


PAPER = "Qin et al. 2024, Various Lengths, Constant Speed, arXiv 2405.17381"
BENCH = "OpenNLPLab/lightning-attention, benchmark table: batch 4, 32 heads of 128, bf16"
_BENCH: dict[str, Any] = {"B": 4, "H": 32, "D": 128, "E": 128, "N0": 64, "J": 64}
_RELEASED = {**_BENCH, "H": 128, "E": 32}


def _lengths(base: dict[str, Any], tokens: int) -> dict[str, Any]:
    return {**base, "N": tokens, "R": tokens // base["N0"]}


def _model(width: int, hidden: int, tokens: int) -> dict[str, Any]:
    base = {"B": 1, "H": width // 128, "D": 128, "E": 128, "N0": 256, "J": 256, "C": width, "G": 128, "F": hidden}
    return _lengths(base, tokens)


def _against_flash(tokens: int, value: float) -> Claim:
    dense = Run(
        method="gna",
        sizes={"grid": (tokens,), "window": (tokens,), "causal": True, "B": 4, "H": 32, "E": 128, "F": 128},
        mapping="flash_sync",
    )
    return Claim(
        name=f"forward speedup at {tokens}",
        statement=f"Forward at {tokens} tokens, {value:g} times as fast as FlashAttention-2 (quotient of both times)",
        value=value,
        unit="x",
        source=BENCH,
        evidence="code",
        quantity="latency_s",
        runs=(Run("blocks", "bench_released", sizes={"N": tokens}),),
        baseline=(dense,),
        machine="a100",
        note="The GPU is not named; an A100 is assumed",
    )


def _time(name: str, runs: tuple[Run, ...], milliseconds: float) -> Claim:
    return Claim(
        name=name,
        statement=f"{name.capitalize()} takes {milliseconds:g} ms",
        value=milliseconds / 1e3,
        unit="s",
        source=BENCH,
        evidence="code",
        quantity="latency_s",
        runs=runs,
        machine="a100",
        note="The GPU is not named; an A100 is assumed",
    )


METHOD = Method(
    name="lightning_attention",
    title="Lightning Attention: linear attention with decay in blocks, at the same time per token at every length",
    question=(
        "Where is the crossover with FlashAttention-2, what does it gain not to recompute scores for each tile of "
        "values, and which block balances the work inside it against the chain of states?"
    ),
    source=f"{PAPER}; OpenNLPLab/lightning-attention and OpenNLPLab/TransnormerLLM",
    cascades={
        "blocks": BLOCKS,
        "recurrent": RECURRENT,
        "states": STATES,
        "decode": DECODE,
        "backward": BACKWARD,
        "training": TRAINING,
        "layer": LAYER,
    },
    sizes={**_model(2048, 5632, 8192), **_lengths(_BENCH, 8192)},
    presets={
        "tiny": {**_lengths({"B": 2, "H": 2, "D": 3, "E": 4, "N0": 4, "J": 4}, 16), "C": 6, "G": 3, "F": 8},
        "bench": _lengths(_BENCH, 8192),
        "bench_32k": _lengths(_BENCH, 32768),
        "bench_released": _lengths(_RELEASED, 8192),
        "tnl_385m": _model(1024, 2816, 2048),
        "tnl_1b": _model(2048, 5632, 8192),
        "tnl_7b": _model(4096, 11264, 8192),
    },
    preset_sources={
        "tiny": "our choice, for tests",
        "bench": f"{BENCH}; blocks of 64, as the forward kernel has them",
        "bench_32k": f"{BENCH}; the longest",
        "bench_released": f"{BENCH}; the four tiles of 32 value dimensions of each head as heads of their own",
        "tnl_385m": "OpenNLPLab/TransnormerLLM, configuration of the 385M model; blocks of 256",
        "tnl_1b": "recalled: 16 layers of width 2048; the count of parameters, 1.02 billion, agrees",
        "tnl_7b": "recalled: 30 layers of width 4096; the count of parameters, 6.9 billion, agrees",
    },
    mappings=LINEAR,
    interchangeable=("blocks", "recurrent"),
    weights=("WQ", "WK", "WV", "WL", "WG", "WO", "W1", "W2", "W3"),
    state=("KVP",),
    reference=reference,
    inputs=inputs,
    dense=Run(method="attention", sizes={"B": "B", "H": "H", "E": "D", "F": "E", "M": "N", "P": "N"}),
    claims=(
        *(_against_flash(n, value) for n, value in ((2048, 0.666), (4096, 1.223), (8192, 2.354), (32768, 9.224))),
        _time("forward at 32768 tokens", (Run("blocks", "bench_released", sizes={"N": 32768}),), 17.66),
        _time("backward at 32768 tokens", (Run("backward", "bench_32k"),), 74.59),
        Claim(
            name="forward memory",
            statement="Forward at 32,768 tokens takes 4096 MiB",
            value=4096 * 2**20,
            unit="B",
            source=BENCH,
            evidence="code",
            quantity="traffic_bytes",
            runs=(Run("blocks", "bench_32k"),),
            tolerance=1e-6,
            note="Queries, keys, values and outputs are held, and each is moved once",
        ),
        Claim(
            name="constant speed",
            statement="Time per token stays the same from 1024 tokens to 131,072 (1B model)",
            value=1,
            unit="exponent",
            source=f"{PAPER}, abstract and figure 1",
            evidence="paper",
            quantity="growth",
            runs=(Run("layer", "tnl_1b"),),
            grows_with=("N",),
            tolerance=0.01,
        ),
        Claim(
            name="constant state",
            statement="What a token of inference reads of the past does not grow",
            value=1,
            unit="x",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            quantity="state_bytes",
            runs=(Run("recurrent", "bench"),),
            baseline=(Run("recurrent", "bench", sizes={"N": 16384}),),
            exact=True,
        ),
        Claim(
            name="loss",
            statement="The lowest loss among efficient models of one size",
            value=1,
            unit="rank",
            source=f"{PAPER}, figure 1",
            evidence="paper",
            not_derivable="accuracy",
        ),
    ),
    assumed={
        "phase": "the rotation that the first layer applies to queries and keys is left out",
        "gated unit": "a product without activation; normalizations without a gain",
    },
    counted_apart={
        "mac": "the reference multiplies all N x N pairs; QK and OI the pairs of a block, KV and OX keep a state",
        **dict.fromkeys(
            ("exp", "select"),
            "the reference decays all N x N distances and masks; DK, DI, DE and DB those within a block",
        ),
        "mul": (
            "the reference multiplies distances and scores of all pairs; P those of a block, and KD, KV, OX the state"
        ),
        "add": "KV and O add the state's part; the reference has no state",
    },
)
