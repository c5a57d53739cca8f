"""SHRP: attention heads as experts, one a token, and in the end one a layer.

New: while training, a router sends each token to one head; a small network that all heads share refines what it
returns. How often heads were chosen then decides which single head of a layer stays, so that what is deployed is small
and static.

Ranks: b sequences, p and m tokens, d width, x heads as experts, e head dimension, f hidden units of the shared network,
g of BERT's feed-forward network, k chosen experts (1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ..claim import Claim, Run
from ..method import Method

if TYPE_CHECKING:
    import torch

_HEADS = """
Q[b,x,p,e] = sum(X[b,p,d] * WQ[x,e,d], d) + BQ[x,e]
K[b,x,m,e] = sum(X[b,m,d] * WK[x,e,d], d) + BK[x,e]
V[b,x,m,e] = sum(X[b,m,d] * WV[x,e,d], d) + BV[x,e]
S[b,x,p,m] = sum(Q[b,x,p,e] * K[b,x,m,e], e) / sqrt(E)
SG[b,x,p]  = max(S[b,x,p,m], m)
SN[b,x,p,m] = exp(S[b,x,p,m] - SG[b,x,p])
SD[b,x,p]  = sum(SN[b,x,p,m], m)
"""
_ALL_HEADS = _HEADS + "HO[b,x,p,e] = sum(SN[b,x,p,m] * V[b,x,m,e], m) / SD[b,x,p]\n"


def _norm(given: str, made: str, number: int) -> str:
    return f"""
MN{number}[b,p] = sum({given}[b,p,d], d) / D
VN{number}[b,p] = sum(({given}[b,p,d] - MN{number}[b,p]) ** 2, d) / D
{made}[b,p,d] = ({given}[b,p,d] - MN{number}[b,p]) * rsqrt(VN{number}[b,p] + 1e-12) * G{number}[d] + B{number}[d]
"""


DENSE = (
    _ALL_HEADS
    + """
R1[b,p,d] = X[b,p,d] + sum(HO[b,x,p,e] * WO[d,x,e], x, e) + BO[d]
"""
    + _norm("R1", "X1", 1)
    + """
HF[b,p,g] = gelu(sum(X1[b,p,d] * WI[g,d], d) + BI[g])
R2[b,p,d] = X1[b,p,d] + sum(HF[b,p,g] * WF[d,g], g) + BF[d]
"""
    + _norm("R2", "Y", 2)
)

_EXPANDED = """
EH[b,p,f] = gelu(sum(SE[b,p,e] * WE1[f,e], e))
EX[b,p,e] = sum(EH[b,p,f] * WE2[e,f], f)
R1[b,p,d] = X[b,p,d] + sum(EX[b,p,e] * WOE[d,e], e)
""" + _norm("R1", "Y", 1)

TRAINING = (
    _ALL_HEADS
    + """
RL[b,p,x] = sum(X[b,p,d] * WR[x,d], d)
RG[b,p]   = max(RL[b,p,x], x)
RN[b,p,x] = exp(RL[b,p,x] - RG[b,p])
RD[b,p]   = sum(RN[b,p,x], x)
T1[b,p,k] = topk(RL[b,p,x], x)
US[x]     = scatter(sum, 1, T1[b,p,k], b, p, k)      # how often a head was chosen
GT[b,p,k] = RN[b,p,T1[b,p,k]] / RD[b,p]
SE[b,p,e] = sum(GT[b,p,k] * HO[b,T1[b,p,k],p,e], k)
"""
    + _EXPANDED
)

DEPLOYED = (
    _HEADS
    + """
SE[b,p,e] = sum(SN[b,x,p,m] * V[b,x,m,e], x, m) / sum(SD[b,x,p], x)
"""
    + _EXPANDED
)


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """A BERT layer, and the paper's prose; tokens are sent to experts one by one."""
    import torch
    from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention

    x = given["X"]

    def normed(x: torch.Tensor, number: int) -> torch.Tensor:
        return layer_norm(x, x.shape[-1:], given[f"G{number}"], given[f"B{number}"], 1e-12)

    q, k, v = (torch.einsum("bnd,xed->bxne", x, given[f"W{one}"]) + given[f"B{one}"][:, None] for one in "QKV")
    out = scaled_dot_product_attention(q, k, v)
    if variant == "dense":
        x = normed(x + torch.einsum("bxpe,dxe->bpd", out, given["WO"]) + given["BO"], 1)
        hidden = gelu(linear(x, given["WI"], given["BI"]))
        return {"Y": normed(x + linear(hidden, given["WF"], given["BF"]), 2)}
    used = torch.zeros(sizes["X"], dtype=x.dtype)
    if variant == "training":
        chances = linear(x, given["WR"]).softmax(-1)
        best = chances.argmax(-1)
        rows = []
        for b, p in [(b, p) for b in range(x.shape[0]) for p in range(x.shape[1])]:
            expert = int(best[b, p])
            used[expert] += 1
            rows.append(chances[b, p, expert] * out[b, expert, p])
        chosen = torch.stack(rows).unflatten(0, x.shape[:2])
    else:
        chosen = out[:, 0]
    expanded = linear(gelu(linear(chosen, given["WE1"])), given["WE2"])
    y = normed(x + linear(expanded, given["WOE"]), 1)
    return {"US": used, "Y": y} if variant == "training" else {"Y": y}


PAPER = "SHRP: Specialized Head Routing and Pruning, arXiv 2512.20635"
_BERT = {"B": 1, "P": 128, "M": 128, "D": 768, "X": 12, "E": 64, "F": 256, "G": 3072, "K": 1}
_ONE = {**_BERT, "X": 1}
_PRUNED = (Run("dense", "bert_base_dense"), Run("deployed", "shrp_1head", times=11))
_FULL = (Run("dense", "bert_base_dense", times=12),)


def _batched(runs: tuple[Run, ...]) -> tuple[Run, ...]:
    return tuple(replace(run, sizes={"B": 32}) for run in runs)


METHOD = Method(
    name="shrp",
    title="SHRP: heads as routed experts, pruned to one a layer",
    question="Why does a cut of operations to an eighth bring a factor of four?",
    source=f"{PAPER}; no code is public",
    cascades={"deployed": DEPLOYED, "training": TRAINING, "dense": DENSE},
    sizes=_ONE,
    presets={
        "shrp_1head": _ONE,
        "bert_base_dense": _BERT,
        "shrp_train_layer": _BERT,
        "tiny": {"B": 2, "P": 6, "M": 6, "D": 8, "X": 1, "E": 2, "F": 4, "G": 5, "K": 1},
    },
    preset_sources={
        "shrp_1head": "BERT-base with one head; 128 tokens and a shared network of 256, assumed",
        "bert_base_dense": "Devlin et al. 2018, arXiv 1810.04805; 128 tokens, assumed",
        "shrp_train_layer": "BERT-base with 12 experts; 128 tokens and a shared network of 256, assumed",
        "tiny": "our choice, for tests",
    },
    weights=("WQ", "BQ", "WK", "BK", "WV", "BV", "WO", "BO", "WI", "BI", "WF", "BF", "G1", "B1", "G2", "B2", "WE1",
             "WE2", "WOE", "WR"),
    reference=reference,
    claims=(
        Claim("operations", "11 of 12 layers pruned to one head leave 11.5 % of the operations, BERT-base", 0.115, "x",
              f"{PAPER}, abstract", "abstract", "flops", _PRUNED, _FULL, inverted=True, tolerance=0.02,
              note="128 tokens and a shared network of 4 head dimensions are assumed, the latter so that the number "
                   "comes out: it says that the graph is plausible, no more"),
        Claim("throughput", "11 of 12 layers pruned run 4.2 times as many inputs a second, BERT-base", 4.2, "x",
              f"{PAPER}, abstract", "abstract", "latency_s", _batched(_PRUNED), _batched(_FULL),
              machine="a100",
              note="neither the machine nor the batch is published: an A100 and 32 sequences are assumed"),
        Claim("fewer parameters", "48 % fewer parameters at 93 % of the accuracy", 48, "%", f"{PAPER}, abstract",
              "abstract", not_derivable="how many layers were pruned is not published"),
        Claim("accuracy", "84 % of the accuracy stays with 11 of 12 layers pruned", 84, "%", f"{PAPER}, abstract",
              "abstract", not_derivable="accuracy"),
    ),
    assumed={
        "module": "the order of router, head, shared network, output projection and norm; only the abstract was read",
        "shared network": "256 hidden units, 4 head dimensions",
        "tokens": "128, as is usual for GLUE",
    },
    counted_apart={
        "add": "SE adds the denominators of the heads it joins; softmax has them apart",
        "div": "SE divides the sums of values; softmax each weight",
        "sub": (
            "LayerNorm: VN1, Y subtract the mean in the variance and again in the result; native_layer_norm keeps x - "
            "mean"
        ),
    },
)  # fmt: skip
