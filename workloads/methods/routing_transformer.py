"""Routing Transformer: heads that attend within clusters of tokens, which online k-means makes of queries and keys.

New: each of c centroids takes the w tokens that are nearest to it, in order, and attention is dense within such a
cluster. With as many clusters as the root of the length, a head costs n^1.5 instead of n^2. Queries serve as keys.
Other heads attend locally: their own block of tokens and the one before.

Ranks: b sequences, h heads (l local ones in a layer), n tokens, e head dimension, c clusters, i and j tokens of a
cluster as queries and keys (t before they are in order), g blocks of x tokens with y keys each, p and m tokens of a
dense head, d model dimension, f the feed-forward network's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..claim import Claim, Run
from ..method import Method

if TYPE_CHECKING:
    import numpy as np
    import torch

_NORMALIZED = """
MQ[b,h,n]   = sum(Q[b,h,n,e], e) / E
VQ[b,h,n]   = sum((Q[b,h,n,e] - MQ[b,h,n]) ** 2, e) / E
QN[b,h,n,e] = (Q[b,h,n,e] - MQ[b,h,n]) * rsqrt(VQ[b,h,n] + 1e-6)
DS[b,h,n,c] = sum(QN[b,h,n,e] * MU[h,c,e], e)              # how near a token is to a centroid
"""
_GATHERED = """
TW[b,h,c,t]   = topk(DS[b,h,n,c], n)                       # each centroid chooses tokens, nearest first
OT[b,h,c,i]   = topk(-TW[b,h,c,t], t)
IX[b,h,c,i]   = TW[b,h,c,OT[b,h,c,i]]                      # in the order of the sequence
QG[b,h,c,i,e] = QN[b,h,IX[b,h,c,i],e]
VG[b,h,c,i,e] = V[b,h,IX[b,h,c,i],e]
"""
_SOFTMAX = """
LG[b,h,c,i,j] = where(j <= i, S[b,h,c,i,j], -inf)
GM[b,h,c,i]   = max(LG[b,h,c,i,j], j)
SN[b,h,c,i,j] = exp(LG[b,h,c,i,j] - GM[b,h,c,i])
SD[b,h,c,i]   = sum(SN[b,h,c,i,j], j)
A[b,h,c,i,j]  = SN[b,h,c,i,j] / SD[b,h,c,i]
"""
_SCATTERED = """
NUM[b,h,n,e] = scatter(sum, OG[b,h,c,i,e], IX[b,h,c,i], c, i)
CNT[b,h,n]   = scatter(sum, 1, IX[b,h,c,i], c, i)
O[b,h,n,e]   = NUM[b,h,n,e] / (CNT[b,h,n] + 0.01)          # the mean over the clusters that hold the token
"""
_VALUES = "V: [B, H, N, E]\n"
ROUTING = (
    _NORMALIZED + _GATHERED + "S[b,h,c,i,j] = sum(QG[b,h,c,i,e] * QG[b,h,c,j,e], e) / sqrt(E)\n" + _SOFTMAX
    + "OG[b,h,c,i,e] = sum(A[b,h,c,i,j] * VG[b,h,c,j,e], j)\n" + _SCATTERED
)  # fmt: skip

RELATIVE = (
    _VALUES + "CLIP: size\nRE: [CLIP+1, E]\nRV: [CLIP+1, E]\n" + _NORMALIZED + _GATHERED
    + """
OFF[i,j]       = min(max(i - j, 0), CLIP)                  # distances within a cluster
RQ[b,h,c,i,j]  = sum(QG[b,h,c,i,e] * RE[OFF[i,j],e], e)
QK[b,h,c,i,j]  = sum(QG[b,h,c,i,e] * QG[b,h,c,j,e], e)
S[b,h,c,i,j]   = (QK[b,h,c,i,j] + RQ[b,h,c,i,j]) / sqrt(E)
""" + _SOFTMAX + """
AV[b,h,c,i,e]  = sum(A[b,h,c,i,j] * VG[b,h,c,j,e], j)
AR[b,h,c,i,e]  = sum(A[b,h,c,i,j] * RV[OFF[i,j],e], j)
OG[b,h,c,i,e]  = AV[b,h,c,i,e] + AR[b,h,c,i,e]
""" + _SCATTERED
)  # fmt: skip

_LOCAL = """
SL[b,l,g,x,y] = where(0 <= g*X + y - X <= g*X + x, sum(QL[b,l,g*X+x,e] * KL[b,l,g*X+y-X,e], e) / sqrt(E), -inf)
GL[b,l,g,x]   = max(SL[b,l,g,x,y], y)
NL[b,l,g,x,y] = exp(SL[b,l,g,x,y] - GL[b,l,g,x])
DL[b,l,g,x]   = sum(NL[b,l,g,x,y], y)
AL[b,l,g,x,y] = NL[b,l,g,x,y] / DL[b,l,g,x]
OL[b,l,g*X+x,e] = sum(AL[b,l,g,x,y] * VL[b,l,g*X+y-X,e], y)
"""
LOCAL = "KL: [B, L, G*X, E]\nVL: [B, L, G*X, E]\n" + _LOCAL

DENSE = """
S[b,h,p,m]  = where(m <= p, sum(Q[b,h,p,e] * K[b,h,m,e], e) / sqrt(E), -inf)
GM[b,h,p]   = max(S[b,h,p,m], m)
SN[b,h,p,m] = exp(S[b,h,p,m] - GM[b,h,p])
SD[b,h,p]   = sum(SN[b,h,p,m], m)
A[b,h,p,m]  = SN[b,h,p,m] / SD[b,h,p]
O[b,h,p,e]  = sum(A[b,h,p,m] * V[b,h,m,e], m)
"""

CENTROIDS = (
    _NORMALIZED
    + """
NB[b,h,n,z]  = topk(DS[b,h,n,c], c)                        # z is 1: the nearest centroid
CN[h,c]      = scatter(sum, 1, NB[b,h,n,z], b, n, z)
SM[h,c,e]    = scatter(sum, QN[b,h,n,e], NB[b,h,n,z], b, n, z)
CT1[h,c]     = 0.999 * CT0[h,c] + 0.001 * CN[h,c]          # running counts and sums
SM1[h,c,e]   = 0.999 * SM0[h,c,e] + 0.001 * SM[h,c,e]
ALL[h]       = sum(CT1[h,c], c)
SMO[h,c]     = (CT1[h,c] + 1e-5) / (ALL[h] + C * 1e-5) * ALL[h]
MU1[h,c,e]   = SM1[h,c,e] / SMO[h,c]
DF[b,h,n,e]  = QN[b,h,n,e] - sum(MU[h,NB[b,h,n,z],e], z)
LOSS         = 1e-4 * sum(DF[b,h,n,e] ** 2, b, h, n, e) / (B*H*N*E)
"""
)

LAYER = (
    """
M1[b,n]     = sum(IN[b,n,d], d) / D
V1[b,n]     = sum((IN[b,n,d] - M1[b,n]) ** 2, d) / D
X1[b,n,d]   = (IN[b,n,d] - M1[b,n]) * rsqrt(V1[b,n] + 1e-6) * G1[d] + B1[d]
QL[b,l,n,e] = sum(X1[b,n,d] * WQL[l,e,d], d)
KL[b,l,n,e] = sum(X1[b,n,d] * WKL[l,e,d], d)
VL[b,l,n,e] = sum(X1[b,n,d] * WVL[l,e,d], d)
Q[b,h,n,e]  = sum(X1[b,n,d] * WQ[h,e,d], d)
V[b,h,n,e]  = sum(X1[b,n,d] * WV[h,e,d], d)
"""
    + _LOCAL
    + ROUTING
    + """
Y1[b,n,d]   = IN[b,n,d] + sum(OL[b,l,n,e] * WOL[d,l,e], l, e) + sum(O[b,h,n,e] * WO[d,h,e], h, e)
M2[b,n]     = sum(Y1[b,n,d], d) / D
V2[b,n]     = sum((Y1[b,n,d] - M2[b,n]) ** 2, d) / D
X2[b,n,d]   = (Y1[b,n,d] - M2[b,n]) * rsqrt(V2[b,n] + 1e-6) * G2[d] + B2[d]
HF[b,n,f]   = relu(sum(X2[b,n,d] * W1[f,d], d))
Y[b,n,d]    = Y1[b,n,d] + sum(HF[b,n,f] * W2[d,f], f)
"""
)


def _routed(q: torch.Tensor, v: torch.Tensor, given: Mapping[str, torch.Tensor], width: int) -> torch.Tensor:
    """One cluster at a time, with its tokens written back by index."""
    import torch
    from torch.nn.functional import layer_norm

    batch, heads, _, e = q.shape
    q = layer_norm(q, (e,), eps=1e-6)
    total, count = torch.zeros_like(q), q.new_zeros(q.shape[:3])
    for b in range(batch):
        for h in range(heads):
            for centroid in given["MU"][h]:
                chosen = (q[b, h] @ centroid).topk(width).indices.sort().values
                own = q[b, h, chosen]
                scores = own @ own.T
                steps = torch.arange(width)
                far = (steps[:, None] - steps[None]).clamp(0, len(given["RE"]) - 1) if "RE" in given else None
                if far is not None:
                    scores = scores + torch.einsum("ie,ije->ij", own, given["RE"][far])
                scores = (scores / e**0.5).masked_fill(steps[None] > steps[:, None], float("-inf"))
                weights = scores.softmax(-1)
                out = weights @ v[b, h, chosen]
                if far is not None:
                    out = out + torch.einsum("ij,ije->ie", weights, given["RV"][far])
                total[b, h].index_add_(0, chosen, out)
                count[b, h].index_add_(0, chosen, q.new_ones(width))
    return total / (count[..., None] + 0.01)


def _local(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, block: int) -> torch.Tensor:
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    at = torch.arange(q.shape[2])
    back = at[:, None] // block - at[None] // block
    seen = (at[None] <= at[:, None]) & (back <= 1)
    return scaled_dot_product_attention(q, k, v, attn_mask=seen)


def _updated(given: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    import torch
    from torch.nn.functional import layer_norm, mse_loss, one_hot

    q, centroids = given["Q"], given["MU"]
    q = layer_norm(q, q.shape[-1:], eps=1e-6)
    nearest = torch.einsum("bhne,hce->bhnc", q, centroids).argmax(-1)
    member = one_hot(nearest, centroids.shape[1]).to(q)
    counts = 0.999 * given["CT0"] + 0.001 * member.sum((0, 2))
    sums = 0.999 * given["SM0"] + 0.001 * torch.einsum("bhnc,bhne->hce", member, q)
    total = counts.sum(-1, keepdim=True)
    smooth = (counts + 1e-5) / (total + centroids.shape[1] * 1e-5) * total
    heads = torch.arange(q.shape[1])[:, None]
    own = torch.stack([centroids[heads, one] for one in nearest])
    return {"CT1": counts, "SM1": sums, "MU1": sums / smooth[..., None], "LOSS": 1e-4 * mse_loss(q, own)}


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """After google-research/routing_transformer: clusters in a loop, results put back by index."""
    import torch
    from torch.nn.functional import layer_norm, scaled_dot_product_attention

    match variant:
        case "routing" | "routing_relative":
            return {"O": _routed(given["Q"], given["V"], given, sizes["I"])}
        case "local":
            return {"OL": _local(given["QL"], given["KL"], given["VL"], sizes["X"])}
        case "dense":
            return {"O": scaled_dot_product_attention(given["Q"], given["K"], given["V"], is_causal=True)}
        case "centroids":
            found = _updated(given)
            return {name: found[name] for name in ("MU1", "LOSS")}
        case _:
            pass
    x = given["IN"]
    normal = layer_norm(x, x.shape[-1:], given["G1"], given["B1"], 1e-6)
    heads = {name: torch.einsum("bnd,hed->bhne", normal, given[name]) for name in ("WQL", "WKL", "WVL", "WQ", "WV")}
    local = _local(heads["WQL"], heads["WKL"], heads["WVL"], sizes["X"])
    routed = _routed(heads["WQ"], heads["WV"], given, sizes["I"])
    both = torch.cat([local, routed], 1)
    x = x + torch.einsum("bhne,dhe->bnd", both, torch.cat([given["WOL"], given["WO"]], 1))
    normal = layer_norm(x, x.shape[-1:], given["G2"], given["B2"], 1e-6)
    return {"Y": x + (normal @ given["W1"].T).relu() @ given["W2"].T}


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """Running counts are positive."""
    return {"CT0": generator.uniform(1, 2, shapes["CT0"])} if "CT0" in shapes else {}


PAPER = "Roy et al. 2020, Efficient Content-Based Sparse Attention with Routing Transformers, arXiv 2003.05997"
CODE = "google-research/google-research, routing_transformer"


def _layer(n: int, d: int, local: int, routed: int, e: int, c: int, w: int, block: int, f: int) -> dict[str, int]:
    return {"B": 1, "N": n, "P": n, "M": n, "D": d, "L": local, "H": routed, "E": e, "C": c, "I": w, "J": w, "T": w,
            "X": block, "Y": 2 * block, "G": n // block, "F": f, "Z": 1, "CLIP": 513}  # fmt: skip


_PRESETS = {
    "pg19_8k": _layer(8192, 1032, 6, 2, 129, 16, 512, 256, 4096),
    "wikitext103_4k": _layer(4096, 1024, 8, 8, 64, 8, 512, 256, 3072),
    "enwik8_8k": _layer(8192, 1024, 4, 4, 128, 16, 512, 256, 3072),
    "enwik8_12k": _layer(12288, 1024, 4, 4, 128, 48, 256, 128, 3072),
    "imagenet64": _layer(12288, 1024, 12, 4, 64, 8, 2048, 256, 2048),
    "cifar10": _layer(3072, 1024, 4, 4, 128, 6, 512, 256, 2048),
    "arxiv_24k": _layer(24064, 1024, 6, 2, 128, 47, 512, 256, 4096),
}
_GROWN = {"N": 4 * 4096, "C": 2 * 64, "I": 2 * 64, "J": 2 * 64, "T": 2 * 64}
_ROOT = {"N": 4096, "C": 64, "I": 64, "J": 64, "T": 64}

METHOD = Method(
    name="routing_transformer",
    title="Routing Transformer: attention within clusters that k-means makes of tokens",
    question="How much faster than dense attention are attention within clusters, and how does it grow?",
    source=f"{PAPER}; {CODE}",
    cascades={
        "routing": _VALUES + ROUTING,
        "routing_relative": RELATIVE,
        "local": LOCAL,
        "dense": DENSE,
        "layer": LAYER,
        "centroids": CENTROIDS,
    },
    sizes=_PRESETS["pg19_8k"],
    presets={
        **_PRESETS,
        "tiny": {**_layer(12, 8, 2, 2, 4, 3, 6, 3, 5), "B": 2, "CLIP": 2},
    },
    preset_sources={
        **dict.fromkeys(_PRESETS, f"{CODE}, the hyperparameters of that name"),
        "tiny": "our choice, for tests: clusters overlap, and tokens may be in none",
    },
    weights=("RE", "RV", "WQL", "WKL", "WVL", "WQ", "WV", "WOL", "WO", "G1", "B1", "G2", "B2", "W1", "W2", "MU"),
    state=("CT0", "SM0"),
    reference=reference,
    inputs=inputs,
    claims=(
        Claim("complexity", "A head costs O(n^1.5 d): four times the tokens, eight times the operations", 8, "x",
              f"{PAPER}, abstract", "abstract", "macs", (Run("routing", "pg19_8k", sizes=_GROWN),),
              (Run("routing", "pg19_8k", sizes=_ROOT),), inverted=True, tolerance=0.01,
              note="as many clusters as the root of the length, each with as many tokens"),
        Claim("WikiText-103", "a perplexity of 15.8 against 18.3", 15.8, "perplexity", f"{PAPER}, abstract",
              "abstract", not_derivable="accuracy"),
        Claim("ImageNet-64", "3.43 bits a dimension against 3.44", 3.43, "bits", f"{PAPER}, abstract", "abstract",
              not_derivable="accuracy"),
        Claim("PG-19", "a perplexity of 33.2 with 22 layers at length 8192", 33.2, "perplexity", f"{PAPER}, abstract",
              "abstract", not_derivable="accuracy"),
        Claim("steps on CIFAR-10", "most steps a second with 2 routing heads in 2 layers and a window of 512", 2,
              "heads", f"{PAPER}, ablation", "third party",
              not_derivable="the steps a second of the table are not known here"),
    ),
    assumed={
        "epsilon": "1e-6 in normalizations, 1e-5 in the smoothing of counts",
        "feed-forward": "ReLU with no biases; PG-19 and arXiv use a gated GELU",
    },
    counted_apart={
        "add": (
            "index_add_ of the reference adds a cluster's sums to all tokens of a head, cluster by cluster; NUM and "
            "CNT scatter all clusters at once"
        ),
        "sub": (
            "LayerNorm: VQ, QN subtract the mean in the variance and again in the result; native_layer_norm keeps x - "
            "mean"
        ),
    },
)  # fmt: skip
