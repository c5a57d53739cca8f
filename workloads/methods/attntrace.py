"""AttnTrace: which passages of a long context an answer rests on, by the attention of the answer's tokens.

A frozen language model reads prompt, passages and answer; of its attention only the rows of the answer are kept,
averaged over layers, heads and rows. A passage scores the mean of its K largest tokens, averaged over trials that each
keep a random part of the passages.

`prefill_layer` is a layer of the model; `extract` is what the released code does beside it for each layer, with queries
of all tokens and keys projected again; `extract_cached` needs only the answer's queries, against the keys of the cache;
`fused` is a layer with the extraction in it; `score` turns the weights of all trials into ranked passages.

Ranks: n token and p query, t answer token, y context token, d width, h1 key head with h0 query heads, e head dimension,
f feed-forward width; z trial, w passage kept in it, i token of a passage, k largest of these, x passage, r rank of one.
START is where the context begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..claim import Claim, Run
from ..method import Method

if TYPE_CHECKING:
    import numpy as np
    import torch

_NORM = """
MX[n]          = sum(X[n,d] ** 2, d) / D
XN[n,d]        = X[n,d] * rsqrt(MX[n] + 1e-5) * GA[d]
ROT[e]         = (e + E // 2) % E                                       # rotary positions: the other half of a head
"""
_KEYS = """
K0[n,h1,e]     = sum(XN[n,d] * WK[d,h1,e], d)
K[n,h1,e]      = K0[n,h1,e] * CS[n,e] + K0[n,h1,ROT[e]] * SN[n,e]
"""
_QUERIES = """
Q0[n,h1,h0,e]  = sum(XN[n,d] * WQ[d,h1,h0,e], d)
Q[n,h1,h0,e]   = Q0[n,h1,h0,e] * CS[n,e] + Q0[n,h1,h0,ROT[e]] * SN[n,e]
"""
_LAYER = """
V[n,h1,e]      = sum(XN[n,d] * WV[d,h1,e], d)
S[h1,h0,p,n]   = where(n <= p, sum(Q[p,h1,h0,e] * K[n,h1,e], e) / sqrt(E), -inf)
G[h1,h0,p]     = max(S[h1,h0,p,n], n)
P[h1,h0,p,n]   = exp(S[h1,h0,p,n] - G[h1,h0,p])
DN[h1,h0,p]    = sum(P[h1,h0,p,n], n)
O[p,h1,h0,e]   = sum(P[h1,h0,p,n] * V[n,h1,e], n) / DN[h1,h0,p]
A[n,d]         = X[n,d] + sum(O[n,h1,h0,e] * WO[h1,h0,e,d], h1, h0, e)
MA[n]          = sum(A[n,d] ** 2, d) / D
AN[n,d]        = A[n,d] * rsqrt(MA[n] + 1e-5) * GF[d]
F1[n,f]        = silu(sum(AN[n,d] * W1[d,f], d))
F2[n,f]        = sum(AN[n,d] * W2[d,f], d)
FF[n,f]        = F1[n,f] * F2[n,f]
Y[n,d]         = A[n,d] + sum(FF[n,f] * W3[f,d], f)
"""


def _rows(query: str) -> str:
    """Attention of the answer's rows, each of which predicts an answer token; of it, the context's part, summed."""
    return f"""
START: size
RS[h1,h0,t,n]  = where(n <= t + N - T - 1, sum({query} * K[n,h1,e], e) / sqrt(E), -inf)
RG[h1,h0,t]    = max(RS[h1,h0,t,n], n)
RP[h1,h0,t,n]  = exp(RS[h1,h0,t,n] - RG[h1,h0,t])
RD[h1,h0,t]    = sum(RP[h1,h0,t,n], n)
RA[h1,h0,t,y]  = RP[h1,h0,t,y+START] / RD[h1,h0,t]
AC[y]          = AP[y] + sum(RA[h1,h0,t,y], h1, h0, t)                  # on top of the layers before
"""


PREFILL = f"{_NORM}{_KEYS}{_QUERIES}{_LAYER}"
EXTRACT = f"{_NORM}{_KEYS}{_QUERIES}{_rows('Q[t+N-T-1,h1,h0,e]')}"
EXTRACT_CACHED = f"""
X: [N, D]
CS: [N, E]
SN: [N, E]
MX[t]          = sum(X[t+N-T-1,d] ** 2, d) / D
XN[t,d]        = X[t+N-T-1,d] * rsqrt(MX[t] + 1e-5) * GA[d]
ROT[e]         = (e + E // 2) % E
Q0[t,h1,h0,e]  = sum(XN[t,d] * WQ[d,h1,h0,e], d)
Q[t,h1,h0,e]   = Q0[t,h1,h0,e] * CS[t+N-T-1,e] + Q0[t,h1,h0,ROT[e]] * SN[t+N-T-1,e]
{_rows("Q[t,h1,h0,e]")}"""
FUSED = f"{PREFILL}{_rows('Q[t+N-T-1,h1,h0,e]')}"
SCORE = """
TOP[z,w,k]     = topk(WT[z,w,i], i)
SC[z,w]        = sum(WT[z,w,TOP[z,w,k]], k) / K                         # of a passage in a trial
HIT[x]         = sum(where(KEPT[z,w] == x, 1, 0), z, w)
SUM[x]         = sum(where(KEPT[z,w] == x, SC[z,w], 0), z, w)
MEAN[x]        = SUM[x] / max(HIT[x], 1)
OUT[r]         = topk(MEAN[x], x)
FOUND[r]       = OUT[r]
"""


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """A layer as a model computes it; attention weights in full, of which rows are taken; passages one by one."""
    import torch
    from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu

    g = given
    if variant == "score":
        found: dict[int, list[torch.Tensor]] = {x: [] for x in range(sizes["X"])}
        for weights, kept in zip(g["WT"], g["KEPT"].long(), strict=True):
            for passage, tokens in zip(kept.tolist(), weights, strict=True):
                found[passage].append(tokens.sort(descending=True).values[: sizes["K"]].mean())
        means = torch.stack([torch.stack(each).mean() if each else torch.zeros(()).double() for each in found.values()])
        return {"FOUND": means.argsort(descending=True, stable=True)[: sizes["R"]].double()}
    x, tokens = g["X"], sizes["N"]
    xn = rms_norm(x, x.shape[-1:], g["GA"], 1e-5)

    def turned(y: torch.Tensor) -> torch.Tensor:
        first, second = y.chunk(2, -1)
        return y * g["CS"] + torch.cat([second, first], -1) * g["SN"]

    def extracted(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        every = (q @ k.transpose(-1, -2) / sizes["E"] ** 0.5).masked_fill(
            torch.ones(tokens, tokens, dtype=torch.bool).triu(1), -torch.inf
        )
        start = sizes["START"]
        rows = every.softmax(-1)[:, tokens - sizes["T"] - 1 : -1, start : start + sizes["Y"]]
        return g["AP"] + rows.sum((0, 1))

    q = turned(torch.einsum("nd,dghe->ghne", xn, g["WQ"]))
    if variant == "extract_cached":
        return {"AC": extracted(q.flatten(0, 1), g["K"].transpose(0, 1).repeat_interleave(sizes["H0"], 0))}
    k = turned(torch.einsum("nd,dge->gne", xn, g["WK"])).repeat_interleave(sizes["H0"], 0)
    if variant == "extract":
        return {"AC": extracted(q.flatten(0, 1), k)}
    v = torch.einsum("nd,dge->gne", xn, g["WV"]).repeat_interleave(sizes["H0"], 0)
    o = scaled_dot_product_attention(q.flatten(0, 1), k, v, is_causal=True)
    a = x + o.transpose(0, 1).flatten(1) @ g["WO"].flatten(0, 2)
    an = rms_norm(a, a.shape[-1:], g["GF"], 1e-5)
    y = a + (silu(an @ g["W1"]) * (an @ g["W2"])) @ g["W3"]
    return {"Y": y, **({"AC": extracted(q.flatten(0, 1), k)} if variant == "fused" else {})}


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """Rotary positions, and the passages of each trial in order."""
    import numpy as np

    found: dict[str, Any] = {}
    if "CS" in shapes:
        half = sizes["E"] // 2
        angle = np.arange(sizes["N"])[:, None] * 10000.0 ** (-np.arange(half) / half)
        found["CS"] = np.concatenate([np.cos(angle), np.cos(angle)], 1)
        found["SN"] = np.concatenate([-np.sin(angle), np.sin(angle)], 1)
    if "KEPT" in shapes:
        trials, kept = shapes["KEPT"]
        found["KEPT"] = np.stack([np.sort(generator.permutation(sizes["X"])[:kept]) for _ in range(trials)])
    return found


PAPER = "AttnTrace: Attention-based Context Traceback for Long-Context LLMs, arXiv 2508.03793"
CODE = "Wang-Yanting/AttnTrace, read in the fork marissazli/AttnPIProbe"
_MODEL = {"D": 4096, "H1": 8, "H0": 4, "E": 128, "F": 14336, "T": 50, "START": 100, "K": 5, "R": 5}


def _sizes(context: int, passages: int, kept: float, trials: int) -> dict[str, int]:
    """Prompts of 200 tokens in all, an answer of 50, and the kept part of the context between them."""
    tokens, every = int(kept * context) + 250, int(kept * passages)
    trial = {"N": tokens, "P": tokens, "Y": int(kept * context)}
    return {**trial, **_MODEL, "Z": trials, "W": every, "I": context // passages, "X": passages}


METHOD = Method(
    name="attntrace",
    title="AttnTrace: tracing an answer to passages by attention, over random parts of the context",
    question=(
        "How long and how much memory does tracing an answer take, how does that split between prefill and extraction, "
        "and what do a fused extraction and the cache save?"
    ),
    source=f"{PAPER}; {CODE}",
    cascades={
        "fused": FUSED,
        "prefill_layer": PREFILL,
        "extract": EXTRACT,
        "extract_cached": EXTRACT_CACHED,
        "score": SCORE,
    },
    sizes=_sizes(32768, 330, 0.4, 30),
    presets={
        "tiny": {
            "N": 18,
            "P": 18,
            "Y": 12,
            "D": 8,
            "H1": 2,
            "H0": 2,
            "E": 4,
            "F": 6,
            "T": 3,
            "START": 2,
            "K": 2,
            "R": 2,
            "Z": 4,
            "W": 3,
            "I": 4,
            "X": 6,
        },
        "llama31_8b_32k": _sizes(32768, 330, 0.4, 30),
        "musique": _sizes(13000, 100, 0.4, 30),
        "whole_context": _sizes(32768, 330, 1.0, 1),
    },
    preset_sources={
        "tiny": "our choice, for tests",
        "llama31_8b_32k": f"{PAPER}: 30 trials of 40 %, Llama-3.1-8B; 330 passages of about 100 tokens assumed",
        "musique": f"{PAPER}: 50 retrieved texts; 13,000 tokens in 100 passages assumed",
        "whole_context": f"{PAPER}: average attention without trials, 32,768 tokens",
    },
    weights=("GA", "WQ", "WK", "WV", "WO", "GF", "W1", "W2", "W3"),
    state=("K",),
    reference=reference,
    inputs=inputs,
    dense=Run("prefill_layer"),
    claims=(
        Claim(
            name="parameters of the model",
            statement="Llama-3.1-8B has 6.98 billion parameters beside its embeddings",
            value=6.98e9,
            unit="parameters",
            source="meta-llama, configuration of Llama-3.1-8B: 32 layers, width 4096, 8 key heads, 14,336",
            evidence="code",
            quantity="parameters",
            runs=(Run("prefill_layer", "llama31_8b_32k", times=32),),
            exact=True,
        ),
        Claim(
            name="other tracers",
            statement="TracLLM takes hundreds of seconds for a pair of an answer and its context",
            value=100,
            unit="s",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            not_derivable="another method's time, without its lengths or its machine",
        ),
        Claim(
            name="speedup",
            statement="10 to 20 times as fast as methods that perturb the context",
            value=10,
            unit="x",
            source="a summary by others; another one says 3.2",
            evidence="third party",
            not_derivable="other methods' programs, whose counts of passes are not given",
        ),
    ),
    assumed={
        "passages": "about 100 tokens each",
        "prompts": "200 tokens before and behind the context, 50 of an answer",
    },
    counted_apart={
        "mac": (
            "the reference scores all rows for its weights, RS the last T; MX and MA are sums of squares (rms_norm: "
            "pow, mean)"
        ),
        **dict.fromkeys(
            ("exp", "max", "sub"),
            "the reference's second softmax runs over all rows and keys; RG and RP over the last T rows",
        ),
        "add": (
            "rms_norm adds squares (mac in MX and MA), attention adds its mask (P masks in S), the second softmax "
            "adds over all rows (RD: T rows)"
        ),
        "mul": (
            "rms_norm multiplies squares (mac in MX and MA), attention scales Q and K (S: scores), and scores of all "
            "rows are scaled (RS: T rows)"
        ),
        "div": "softmax divides each weight of all rows; O divides sums, RA the rows it keeps",
        "select": "masks of all rows as tensors and the guard of _safe_softmax; S and RS select scores",
        "compare": (
            "scaled_dot_product_attention guards rows that are masked as a whole (_safe_softmax); no line does"
        ),
    },
)
