"""TNT: a memory trained at test time in two levels, so that shards of a sequence learn in parallel.

A global memory takes the sequence in large chunks, one after the other, and is read with the weights of its chunk's
start. A local memory takes small chunks and is reset to learned weights at every shard, so that shards do not wait for
each other; it is read token by token, with the query projected onto the keys of the shard so far. The network is M(x) =
x + W1 gelu(W2 x), trained by plain gradient descent on |M(k) - v|^2.

`layer` has projections around both memories, `memories` is both alone, `global` and `local` one of them each. Several
local memories are several runs of `local`. `attention` is a layer of causal attention, to compare with.

Ranks: b batch, n token (n2 shards of n1 chunks of n0, j source in a chunk), g1 global chunks of g0 tokens, d and c
width, f hidden width of the memories, h heads, e head dimension, p and m query and key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..claim import Claim, Run
from ..method import Method
from ..references.titans import Memory

if TYPE_CHECKING:
    import numpy as np
    import torch

_GLOBAL = """
GV1[b,d,f,0]       = where(b >= 0, WG1[d,f], 0)                           # a copy for each sequence
GV2[b,d,f,0]       = where(b >= 0, WG2[d,f], 0)
GU[b,g1,g0,f]      = sum(K[b,g1*G0+g0,d] * GV2[b,d,f,g1], d)
GZ[b,g1,g0,f]      = gelu(GU[b,g1,g0,f])
GR[b,g1,g0,d]      = 2 * (K[b,g1*G0+g0,d] + sum(GZ[b,g1,g0,f] * GV1[b,d,f,g1], f) - V[b,g1*G0+g0,d])
GD[b,g1,g0,f]      = sum(GR[b,g1,g0,d] * GV1[b,d,f,g1], d)
GDU[b,g1,g0,f]     = GD[b,g1,g0,f] * (
    0.5 * (1 + erf(GU[b,g1,g0,f] / sqrt(2))) + GU[b,g1,g0,f] * exp(-0.5 * GU[b,g1,g0,f] ** 2) / sqrt(2 * pi))
GRE[b,g1,g0,d]     = GR[b,g1,g0,d] * ET[b,g1*G0+g0]
GKE[b,g1,g0,d]     = K[b,g1*G0+g0,d] * ET[b,g1*G0+g0]
GV1[b,d,f,g1+1]    = GV1[b,d,f,g1] - sum(GRE[b,g1,g0,d] * GZ[b,g1,g0,f], g0)
GV2[b,d,f,g1+1]    = GV2[b,d,f,g1] - sum(GKE[b,g1,g0,d] * GDU[b,g1,g0,f], g0)
GZQ[b,g1,g0,f]     = gelu(sum(Q[b,g1*G0+g0,d] * GV2[b,d,f,g1], d))
YG[b,g1*G0+g0,d]   = Q[b,g1*G0+g0,d] + sum(GZQ[b,g1,g0,f] * GV1[b,d,f,g1], f)
"""
_LOCAL = """
M1[b,n2,d,f,0]     = where(b >= 0 and n2 >= 0, W1[d,f], 0)                # every shard starts anew
M2[b,n2,d,f,0]     = where(b >= 0 and n2 >= 0, W2[d,f], 0)
PJ[b,n2,d,c,0]     = 0
QK[b,n2,n1,n0,j]   = where(j <= n0, sum(Q[b,n2*N1*N0+n1*N0+n0,d] * K[b,n2*N1*N0+n1*N0+j,d], d), 0)
QP[b,n2,n1,n0,d]   = (
    sum(PJ[b,n2,d,c,n1] * Q[b,n2*N1*N0+n1*N0+n0,c], c) + sum(QK[b,n2,n1,n0,j] * K[b,n2*N1*N0+n1*N0+j,d], j))
PJ[b,n2,d,c,n1+1]  = PJ[b,n2,d,c,n1] + sum(K[b,n2*N1*N0+n1*N0+n0,d] * K[b,n2*N1*N0+n1*N0+n0,c], n0)
U[b,n2,n1,n0,f]    = sum(K[b,n2*N1*N0+n1*N0+n0,d] * M2[b,n2,d,f,n1], d)
Z[b,n2,n1,n0,f]    = gelu(U[b,n2,n1,n0,f])
R[b,n2,n1,n0,d]    = 2 * (
    K[b,n2*N1*N0+n1*N0+n0,d] + sum(Z[b,n2,n1,n0,f] * M1[b,n2,d,f,n1], f) - V[b,n2*N1*N0+n1*N0+n0,d])
DZ[b,n2,n1,n0,f]   = sum(R[b,n2,n1,n0,d] * M1[b,n2,d,f,n1], d)
DU[b,n2,n1,n0,f]   = DZ[b,n2,n1,n0,f] * (
    0.5 * (1 + erf(U[b,n2,n1,n0,f] / sqrt(2))) + U[b,n2,n1,n0,f] * exp(-0.5 * U[b,n2,n1,n0,f] ** 2) / sqrt(2 * pi))
QW[b,n2,n1,n0,j]   = where(
    j <= n0, sum(QP[b,n2,n1,n0,d] * K[b,n2*N1*N0+n1*N0+j,d], d) * ET[b,n2*N1*N0+n1*N0+j], 0)
UQ[b,n2,n1,n0,f]   = (
    sum(QP[b,n2,n1,n0,d] * M2[b,n2,d,f,n1], d) - sum(QW[b,n2,n1,n0,j] * DU[b,n2,n1,j,f], j))
ZQ[b,n2,n1,n0,f]   = gelu(UQ[b,n2,n1,n0,f])
ZW[b,n2,n1,n0,j]   = where(
    j <= n0, sum(ZQ[b,n2,n1,n0,f] * Z[b,n2,n1,j,f], f) * ET[b,n2*N1*N0+n1*N0+j], 0)
YL[b,n2*N1*N0+n1*N0+n0,d] = (
    QP[b,n2,n1,n0,d] + sum(ZQ[b,n2,n1,n0,f] * M1[b,n2,d,f,n1], f) - sum(ZW[b,n2,n1,n0,j] * R[b,n2,n1,j,d], j))
RE[b,n2,n1,n0,d]   = R[b,n2,n1,n0,d] * ET[b,n2*N1*N0+n1*N0+n0]
KE[b,n2,n1,n0,d]   = K[b,n2*N1*N0+n1*N0+n0,d] * ET[b,n2*N1*N0+n1*N0+n0]
M1[b,n2,d,f,n1+1]  = M1[b,n2,d,f,n1] - sum(RE[b,n2,n1,n0,d] * Z[b,n2,n1,n0,f], n0)
M2[b,n2,d,f,n1+1]  = M2[b,n2,d,f,n1] - sum(KE[b,n2,n1,n0,d] * DU[b,n2,n1,n0,f], n0)
"""
_SUM = "YM[b,n,d]          = YG[b,n,d] + YL[b,n,d]\n"
MEMORIES = f"{_GLOBAL}{_LOCAL}{_SUM}"
LAYER = f"""
MX[b,n]            = sum(X[b,n,c] ** 2, c) / C
XN[b,n,c]          = X[b,n,c] * rsqrt(MX[b,n] + 1e-6) * GX[c]
Q0[b,n,d]          = sum(XN[b,n,c] * WQ[c,d], c)
K0[b,n,d]          = sum(XN[b,n,c] * WK[c,d], c)
V[b,n,d]           = sum(XN[b,n,c] * WV[c,d], c)
NQ[b,n]            = sum(Q0[b,n,d] ** 2, d)
NK[b,n]            = sum(K0[b,n,d] ** 2, d)
Q[b,n,d]           = Q0[b,n,d] * rsqrt(NQ[b,n] + 1e-6)
K[b,n,d]           = K0[b,n,d] * rsqrt(NK[b,n] + 1e-6)
ET[b,n]            = sigmoid(sum(XN[b,n,c] * WE[c], c))
{MEMORIES}
O[b,n,c]           = X[b,n,c] + sum(YM[b,n,d] * WO[d,c], d)
"""
ATTENTION = """
MX[b,n]            = sum(X[b,n,c] ** 2, c) / C
XN[b,n,c]          = X[b,n,c] * rsqrt(MX[b,n] + 1e-6) * GX[c]
QH[b,n,h,e]        = sum(XN[b,n,c] * HQ[c,h,e], c)
KH[b,n,h,e]        = sum(XN[b,n,c] * HK[c,h,e], c)
VH[b,n,h,e]        = sum(XN[b,n,c] * HV[c,h,e], c)
S[b,h,p,m]         = where(m <= p, sum(QH[b,p,h,e] * KH[b,m,h,e], e) / sqrt(E), -inf)
GM[b,h,p]          = max(S[b,h,p,m], m)
P[b,h,p,m]         = exp(S[b,h,p,m] - GM[b,h,p])
DN[b,h,p]          = sum(P[b,h,p,m], m)
OA[b,p,h,e]        = sum(P[b,h,p,m] * VH[b,m,h,e], m) / DN[b,h,p]
O[b,p,c]           = X[b,p,c] + sum(OA[b,p,h,e] * HO[h,e,c], h, e)
"""


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """Token by token; the memory's gradients are autograd's."""
    import torch
    from torch.nn.functional import rms_norm, scaled_dot_product_attention

    g = given

    def plain(rates: torch.Tensor) -> torch.Tensor:
        """No decay, no momentum, only a rate."""
        return torch.stack([rates * 0, rates * 0, rates], -1)

    def global_memory(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rates: torch.Tensor) -> torch.Tensor:
        memory, rows = Memory(g["WG1"], g["WG2"]), []
        for part in torch.arange(len(q)).split(sizes["G0"]):
            rows.append(memory.recall(memory.weights, q[part]))
            memory.write(k[part], v[part], plain(rates[part]))
        return torch.cat(rows)

    def local_memory(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rates: torch.Tensor) -> torch.Tensor:
        rows = []
        for shard in torch.arange(len(q)).split(sizes["N1"] * sizes["N0"]):
            memory, seen = Memory(g["W1"], g["W2"]), torch.zeros(q.shape[1], q.shape[1], dtype=q.dtype)
            for part in shard.split(sizes["N0"]):
                after = memory.write(k[part], v[part], plain(rates[part]))
                for t, row in enumerate(part):
                    seen = seen + torch.outer(k[row], k[row])
                    rows.append(memory.recall(after[t], seen @ q[row]))
        return torch.stack(rows)

    def both(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rates: torch.Tensor) -> torch.Tensor:
        return global_memory(q, k, v, rates) + local_memory(q, k, v, rates)

    if variant == "layer":
        xn = rms_norm(g["X"], g["X"].shape[-1:], g["GX"], 1e-6)
        q, k, v = (xn @ g["W" + which] for which in "QKV")
        q, k = (one * torch.rsqrt(one.square().sum(-1, keepdim=True) + 1e-6) for one in (q, k))
        found = [both(*one) for one in zip(q, k, v, torch.sigmoid(xn @ g["WE"]), strict=True)]
        return {"O": g["X"] + torch.stack(found) @ g["WO"]}
    if variant == "attention":
        xn = rms_norm(g["X"], g["X"].shape[-1:], g["GX"], 1e-6)
        q, k, v = (torch.einsum("bnc,che->bhne", xn, g["H" + which]) for which in "QKV")
        mixed = scaled_dot_product_attention(q, k, v, is_causal=True)
        return {"O": g["X"] + torch.einsum("bhne,hec->bnc", mixed, g["HO"])}
    of = {"memories": both, "local": local_memory, "global": global_memory}[variant]
    y = torch.stack([of(*one) for one in zip(g["Q"], g["K"], g["V"], g["ET"], strict=True)])
    return {{"memories": "YM", "local": "YL", "global": "YG"}[variant]: y}


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """Rates are positive and small, so that no step of descent overshoots."""
    return {"ET": 0.01 + 0.05 * generator.random(shapes["ET"])} if "ET" in shapes else {}


PAPER = "TNT: Improving Chunkwise Training for Test-Time Memorization, arXiv 2511.07343"


def _sizes(tokens: int, chunk: int, shard: int, batch: int) -> dict[str, int]:
    lengths = {"B": batch, "N": tokens, "P": tokens, "M": tokens, "N0": chunk, "J": chunk, "N1": shard // chunk}
    return {**lengths, "G": tokens, "G0": 2048, "C": 768, "D": 768, "F": 3072, "H": 12, "E": 64}


def _titans(chunk: int, tokens: int = 32768, batch: int = 16) -> Run:
    sizes = {"B": batch, "N": tokens, "N0": chunk, "J": chunk, "C": 768, "D": 768, "F": 3072}
    return Run("lmm_layer", method="titans", sizes=sizes)


_TPU = "On a TPU v4i, where the paper's is a TPU v5 pod; 12 layers scale both sides; forward only"

METHOD = Method(
    name="tnt",
    title="TNT: a global memory and local ones that are reset, so that chunks learn in parallel",
    question=(
        "How does a step's time depend on the chunk, for one memory and for shards in parallel, where is the knee, and "
        "how large a state do all resident shards take?"
    ),
    source=f"{PAPER}; no official code",
    cascades={
        "layer": LAYER,
        "memories": MEMORIES,
        "global": _GLOBAL,
        "local": _LOCAL,
        "attention": ATTENTION,
    },
    sizes=_sizes(32768, 16, 2048, 16),
    presets={
        "tiny": {
            "B": 2,
            "N": 16,
            "P": 16,
            "M": 16,
            "N0": 2,
            "J": 2,
            "N1": 4,
            "G": 16,
            "G0": 8,
            "C": 4,
            "D": 4,
            "F": 8,
            "H": 2,
            "E": 2,
        },
        "runtime_32k_16": _sizes(32768, 16, 2048, 16),
        "runtime_32k_128": _sizes(32768, 128, 2048, 16),
        "quality": _sizes(16384, 8, 4096, 64),
    },
    preset_sources={
        "tiny": "our choice, for tests",
        "runtime_32k_16": f"{PAPER}, figure 4: 32,768 tokens, 16 sequences, shards of 2048; width 768 assumed",
        "runtime_32k_128": f"{PAPER}, figure 4: the same with local chunks of 128",
        "quality": f"{PAPER}, table 2: 16,384 tokens, 1 million in a batch, shards of 4096; one of its local memories",
    },
    weights=(
        "WQ",
        "WK",
        "WV",
        "WO",
        "WE",
        "GX",
        "W1",
        "W2",
        "WG1",
        "WG2",
        "HQ",
        "HK",
        "HV",
        "HO",
    ),
    reference=reference,
    inputs=inputs,
    dense=Run("attention"),
    claims=(
        Claim(
            name="step at chunks of 16",
            statement="At 32K tokens and chunks of 16, a step is 5.1 times as fast as one of Titans",
            value=5.1,
            unit="x",
            source=f"{PAPER}, section 5.2 and figure 4",
            evidence="paper",
            quantity="latency_s",
            runs=(Run("layer", "runtime_32k_16"),),
            baseline=(_titans(16),),
            machine="tpu_v4i",
            note=_TPU,
        ),
        Claim(
            name="step at chunks of 128",
            statement="At 32K tokens and local chunks of 128, a step is 1.3 times as fast as with FlashAttention",
            value=1.3,
            unit="x",
            source=f"{PAPER}, section 5.2 and figure 4",
            evidence="paper",
            quantity="latency_s",
            runs=(Run("layer", "runtime_32k_128"),),
            baseline=(Run("attention", "runtime_32k_128"),),
            machine="tpu_v4i",
            note=_TPU,
        ),
        Claim(
            name="training on 10 billion tokens",
            statement="Titans with chunks of 8 takes 8.44 h, TNT with a local chunk of 8 takes 3.06 h",
            value=8.44 / 3.06,
            unit="x",
            source=f"{PAPER}, table 4",
            evidence="paper",
            quantity="latency_s",
            runs=(Run("layer", "quality"),),
            baseline=(_titans(8, 16384, 64),),
            machine="tpu_v4i",
            note=_TPU,
        ),
        Claim(
            name="time to a loss",
            statement="17.37 times as fast to a loss of 3.20 (local chunks of 64) as Titans with chunks of 8",
            value=17.37,
            unit="x",
            source=f"{PAPER}, table 1",
            evidence="paper",
            not_derivable="how many tokens each needs to reach a loss is a matter of accuracy",
        ),
        Claim(
            name="perplexity",
            statement="23.09 with four local memories, 25.07 of Titans, 23.58 of a Transformer (150M)",
            value=23.09,
            unit="perplexity",
            source=f"{PAPER}, table 2",
            evidence="paper",
            not_derivable="accuracy",
        ),
    ),
    assumed={
        "widths": "768 with a memory of 3072, 12 layers: the 170M row of the same authors' models",
        "updates": "the retrieval's projection is carried across the chunks of a shard, as in the paper's appendix",
        "training": "the outer gradient through the memories is not part of the cascades",
    },
    counted_apart={
        "mac": (
            "gradients of one token are outer products (mul) in the reference; GV1, GV2, M1, M2, PJ sum a chunk's, "
            "QW, UQ, ZW, YL apply them without the weights after each token, and MX, NQ, NK are sums of squares"
        ),
        **dict.fromkeys(
            ("gelu", "exp", "erf"),
            "GDU, GZ, DU, Z cover every token; the reference's last writes have no reader and are left out",
        ),
        **dict.fromkeys(
            ("mul", "add", "sub"), "the reference updates all weights at every token; M1, M2, GV1, GV2 once a chunk"
        ),
        "select": (
            "QK, QW, ZW mask later tokens of a chunk and M1, M2, GV1, GV2 start anew; the reference's loop does"
        ),
    },
)
