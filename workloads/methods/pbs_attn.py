"""PBS-Attn: block-sparse prefill after the keys of each segment were sorted by importance.

New: softmax does not care about the order of keys. Within segments of 256 tokens keys and values are sorted by how much
the last block of queries attends them, so that heavy keys share blocks and fewer blocks have to be computed. Sorting
never leaves a segment, so blocks stay causal; only inside a query's own segment each key is tested by its old position.

Ranks: b sequences, h heads (keys repeated for each, as the code does), n tokens (v as values), e head dimension, u
queries of the last block, g segments of r tokens (s in their new order), i blocks of x queries, j blocks of y keys, o
blocks by score, k1 the blocks that are computed for a block of queries, of k0 keys each. Fused attention: p queries and
m keys, f dimension of V. The linear layers around it: d model dimension, a and c rows of query and key-value weights, w
feed-forward width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..claim import Claim, Evidence, Run
from ..masks.block_sparse import BlockSparse
from ..masks.causal import Causal
from ..method import Method
from .attention import METHOD as ATTENTION

if TYPE_CHECKING:
    import torch

    from ..masks.mask import Mask

_IMPORTANCE = """
Q: [B, H, N, E]
K: [B, H, N, E]
V: [B, H, N, E]
PQ[b,h,u,n] = where(n < G*R, sum(Q[b,h,N-U+u,e] * K[b,h,n,e], e) / sqrt(E), -inf)   # whole segments only, not causal
PG[b,h,u]   = max(PQ[b,h,u,n], n)
PN[b,h,u,n] = exp(PQ[b,h,u,n] - PG[b,h,u])
PD[b,h,u]   = sum(PN[b,h,u,n], n)
IM[b,h,n]   = sum(PN[b,h,u,n] / PD[b,h,u], u) / U
"""
_PERMUTATION = """
PI[b,h,g,s] = topk(IM[b,h,g*R+r], r)                        # each segment in descending importance
SEG[n]      = n // R
SLOT[n]     = n % R
IX[b,h,n]   = where(n < G*R, SEG[n] * R + PI[b,h,SEG[n],SLOT[n]], n)
KP[b,h,n,e] = K[b,h,IX[b,h,n],e]
VP[b,h,v,e] = V[b,h,IX[b,h,v],e]
"""
_SELECTION = """
TAU: []
QB[b,h,i,e] = sum(Q[b,h,i*X+x,e], x) / X                    # zeros behind the last token
KB[b,h,j,e] = sum(KP[b,h,j*Y+y,e], y) / Y
BS[b,h,i,j] = where(j*Y // R < i*X // R, sum(QB[b,h,i,e] * KB[b,h,j,e], e) / sqrt(E), -inf)
BG[b,h,i]   = max(BS[b,h,i,j], j)
BN[b,h,i,j] = where(j*Y // R < i*X // R, exp(BS[b,h,i,j] - BG[b,h,i]), 0)
BD[b,h,i]   = sum(BN[b,h,i,j], j)
BA[b,h,i,j] = BN[b,h,i,j] / max(BD[b,h,i], 1e-30)
ORD[b,h,i,o] = topk(BA[b,h,i,j], j)
CS[b,h,i,o] = scan(sum, BA[b,h,i,ORD[b,h,i,o]], o)
KN[b,h,i]   = min(where(CS[b,h,i,o] >= TAU, o, O), o)       # the first that reaches the threshold; none: all
RK[b,h,i,j] = scatter(sum, o + 0, ORD[b,h,i,o], o)          # the rank of a block by score
FB[b,h]     = sum(where(IX[b,h,n] == 0, n // Y, 0), n)      # where the first token lies now
SEL[b,h,i,j] = where(j*Y // R < i*X // R and (RK[b,h,i,j] <= KN[b,h,i] or FB[b,h] == j) or j*Y // R == i*X // R, 1, 0)
"""
_ATTENTION = """
CH[b,h,i,k1] = topk(SEL[b,h,i,j], j)                         # the chosen blocks first
POS[b,h,i,k1,k0] = CH[b,h,i,k1] * K0 + k0
OK[b,h,i,k1,k0] = where(SEL[b,h,i,CH[b,h,i,k1]] == 1 and POS[b,h,i,k1,k0] < N, 1, 0)
OLD[b,h,i,k1,k0] = IX[b,h,POS[b,h,i,k1,k0]]
QK[b,h,i,x,k1,k0] = sum(Q[b,h,i*X+x,e] * KP[b,h,POS[b,h,i,k1,k0],e], e) / sqrt(E)
S[b,h,i,x,k1,k0] = where(OK[b,h,i,k1,k0] == 1 and OLD[b,h,i,k1,k0] <= i*X + x, QK[b,h,i,x,k1,k0], -1e30)
RM[b,h,i,x,0] = -1e30                                       # what a row sums before its first key is wiped by it
RD[b,h,i,x,0] = 0
RO[b,h,i,x,e,0] = 0
LM[b,h,i,x,k1] = max(S[b,h,i,x,k1,k0], k0)
RM[b,h,i,x,k1+1] = max(RM[b,h,i,x,k1], LM[b,h,i,x,k1])
SN[b,h,i,x,k1,k0] = exp(S[b,h,i,x,k1,k0] - RM[b,h,i,x,k1+1])
LD[b,h,i,x,k1] = sum(SN[b,h,i,x,k1,k0], k0)
LO[b,h,i,x,e,k1] = sum(SN[b,h,i,x,k1,k0] * VP[b,h,POS[b,h,i,k1,k0],e], k0)
CR[b,h,i,x,k1] = exp(RM[b,h,i,x,k1] - RM[b,h,i,x,k1+1])
RD[b,h,i,x,k1+1] = RD[b,h,i,x,k1] * CR[b,h,i,x,k1] + LD[b,h,i,x,k1]
RO[b,h,i,x,e,k1+1] = RO[b,h,i,x,e,k1] * CR[b,h,i,x,k1] + LO[b,h,i,x,e,k1]
Y[b,h,i*X+x,e] = RO[b,h,i,x,e,K1] / RD[b,h,i,x,K1]
"""

LINEAR = """
XQ[n,a] = sum(XN[n,d] * WQ[a,d], d)
XK[n,c] = sum(XN[n,d] * WK[c,d], d)
XV[n,c] = sum(XN[n,d] * WV[c,d], d)
XO[n,d] = sum(XA[n,a] * WO[d,a], a)
XG[n,w] = sum(XF[n,d] * WG[w,d], d)
XU[n,w] = sum(XF[n,d] * WU[w,d], d)
XD[n,d] = sum(silu(XG[n,w]) * XU[n,w] * WD[d,w], w)
"""


def chosen_blocks(tokens: int, block: int, segment: int, density: float) -> Mask:
    """Causal blocks of which so large a share is computed; all of them, tested within the diagonal, where it is 1.

    A row computes the blocks of its own segment, the first block, and of the others as many as are left to it, spread
    evenly. Which they are depends on the tokens; how many, here, on the row's length alone.
    """
    if density >= 1:
        return Causal(tokens)
    count = -(-tokens // block)
    row = np.arange(count)
    start = row * block // segment * segment // block
    stop = np.minimum(start + segment // block, count)
    base = (stop - start) + (start > 0)
    free = np.maximum(start - 1, 0)
    share = max(0.0, (density * count * (count + 1) / 2 - base.sum()) / max(free.sum(), 1))
    pairs: list[tuple[int, int]] = []
    carried = 0.0
    for i in range(count):
        wanted = share * free[i] + carried
        taken = min(int(wanted), int(free[i]))
        carried = wanted - taken
        spread = 1 + np.unique(np.arange(taken) * free[i] // max(taken, 1))
        pairs += [(i, int(j)) for j in (*range(start[i], stop[i]), *([0] if start[i] else []), *spread)]
    return BlockSparse(tokens, block, np.array(sorted(set(pairs))))


def _permuted(q: torch.Tensor, k: torch.Tensor, block: int, segment: int) -> torch.Tensor:
    """The order of keys: within each whole segment, those first that the last block of queries attends most."""
    import torch

    n, e = k.shape
    whole = n // segment * segment
    weights = (q[-block:] @ k[:whole].T / e**0.5).softmax(-1).mean(0)
    inside = weights.unflatten(0, (-1, segment)).argsort(dim=-1, descending=True, stable=True)
    order = (inside + torch.arange(0, whole, segment)[:, None]).flatten()
    return torch.cat([order, torch.arange(whole, n)])


def _chosen(
    q: torch.Tensor, k: torch.Tensor, first: torch.Tensor, block: int, segment: int, share: torch.Tensor
) -> torch.Tensor:
    """Which blocks of keys (in their new order) each block of queries reads; `first` is the first token's place."""
    import torch

    count = len(q) // block
    means_q, means_k = (one.unflatten(0, (count, block)).mean(1) for one in (q, k))
    home = torch.arange(count) * block // segment
    earlier = home[None] < home[:, None]
    scores = (means_q @ means_k.T / q.shape[1] ** 0.5).masked_fill(~earlier, float("-inf"))
    ranked, places = scores.softmax(-1).nan_to_num(0.0).sort(dim=-1, descending=True, stable=True)
    keep = torch.zeros_like(earlier).scatter(1, places, ranked.cumsum(-1) - ranked < share) & earlier
    sink = earlier & (torch.arange(count) == first // block)
    return keep | sink | (home[None] == home[:, None])


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """After xinghaow99/pbs-attn: head by head, with the chosen blocks as a mask of tokens."""
    import torch
    from torch.nn.functional import linear, pad, scaled_dot_product_attention, silu

    if variant == "linear":
        hidden = silu(linear(given["XF"], given["WG"])) * linear(given["XF"], given["WU"])
        return {
            **{f"X{k}": linear(given["XN"], given[f"W{k}"]) for k in "QKV"},
            "XO": linear(given["XA"], given["WO"]),
            "XD": linear(hidden, given["WD"]),
        }
    if variant in ATTENTION.cascades:
        return {"O": scaled_dot_product_attention(given["Q"], given["K"], given["V"])}
    block, segment = sizes["U"], sizes["R"]
    found: list[dict[str, torch.Tensor]] = []
    for q, k, v in zip(*(given[name].flatten(0, 1) for name in "QKV"), strict=True):
        order = _permuted(q, k, block, segment)
        k, v = k[order], v[order]
        made = {"KP": k, "VP": v}
        if variant != "permutation":
            tail = (0, 0, 0, -len(q) % block)
            first = (order == 0).long().argmax()
            keep = _chosen(pad(q, tail), pad(k, tail), first, block, segment, given["TAU"])
            tokens = keep.repeat_interleave(block, 0).repeat_interleave(block, 1)[:, : len(k)]
            tokens = tokens & (order[None] <= torch.arange(len(tokens))[:, None])
            out = scaled_dot_product_attention(pad(q, tail), k, v, attn_mask=tokens)
            made |= {"Y": out, "SEL": keep.to(q)}
        found.append(made)
    shape = given["Q"].shape[:2]
    outputs = {"whole": ("Y",), "selection": ("VP", "SEL"), "permutation": ("KP", "VP")}[variant]
    return {name: torch.stack([one[name] for one in found]).unflatten(0, shape) for name in outputs}


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """The threshold, and queries and keys that are alike enough for some blocks to be left out."""
    large = {name: 2 * generator.standard_normal(shapes[name]) for name in ("Q", "K") if name in shapes}
    return {"TAU": 0.9, **large} if "TAU" in shapes else {}


PAPER = "Sparser Block-Sparse Attention via Token Permutation, arXiv 2510.21270"
CODE = "xinghaow99/pbs-attn"
_TABLE_5 = {8: (2080, 1205), 16: (8256, 4005), 32: (32896, 13337), 64: (131328, 37632), 128: (524800, 114996)}
_TABLE_7 = {  # FlashAttention, permutation, selection, attention: milliseconds a layer
    8: (1.78, 0.82, 0.86, 1.31), 16: (6.67, 1.02, 0.62, 4.08), 32: (26.10, 1.68, 0.60, 13.83),
    64: (106.84, 3.24, 1.24, 42.44), 128: (443.29, 6.22, 3.21, 150.45),
}  # fmt: skip
_FIGURE_4 = {8: 0.89, 16: 1.18, 32: 1.56, 64: 1.93, 128: 2.26}
_TABLE_9 = {8: (326.8, 368.9), 16: (732.7, 715.0), 32: (1905.3, 1536.4), 64: (5573.0, 3540.4), 128: (18628.0, 8396.0)}
_KERNEL = "the rates of the table, 309 to 337 TFLOP/s, are those of FlashAttention-2: warps load operands themselves"
_LLAMA = {"D": 4096, "A": 4096, "C": 1024, "W": 14336}


def _sizes(thousands: int, heads: int, chosen: tuple[int, int]) -> dict[str, Any]:
    n = 1024 * thousands
    blocks = n // 128
    return {"B": 1, "H": heads, "N": n, "V": n, "E": 128, "F": 128, "U": 128, "G": n // 256, "R": 256, "S": 256,
            "I": blocks, "J": blocks, "O": blocks, "X": 128, "Y": 128, "K1": -(-chosen[1] // blocks), "K0": 128,
            "tokens": n, "density": chosen[1] / chosen[0], **_LLAMA}  # fmt: skip


def _ratio(
    name: str, text: str, value: float, runs: tuple[Run, ...], base: tuple[Run, ...], source: str,
    evidence: Evidence = "paper",
) -> Claim:  # fmt: skip
    note = f"{_KERNEL}; the share of causal blocks is what the paper measured (table 5), spread evenly over a row"
    return Claim(name, text, value, "x", source, evidence, "latency_s", runs, base, machine="h100_sxm", note=note)


def _claims() -> tuple[Claim, ...]:
    made: list[Claim] = []
    for length, (flash, permute, select, attend) in _TABLE_7.items():
        preset = f"llama31_8b_{length}k"
        sparse = Run("1-pass", preset, mapping="flash_sync")
        dense = replace(sparse, sizes={"density": 1.0})
        layer = f"a layer of Llama-3.1-8B at {length}K tokens, H100"
        made += [
            Claim(f"FlashAttention at {length}K", f"FlashAttention takes {flash} ms in {layer}", flash * 1e-3, "s",
                  f"{PAPER}, table 7", "paper", "latency_s", (dense,), machine="h100_sxm", note=_KERNEL),
            _ratio(f"attention at {length}K", f"the chosen blocks alone are faster than FlashAttention, {layer}",
                   flash / attend, (sparse,), (dense,), f"{PAPER}, table 7"),
            _ratio(f"layer at {length}K", f"with permutation and selection, {layer}",
                   flash / (permute + select + attend), (sparse, Run("selection", preset)), (dense,),
                   f"{PAPER}, table 7"),
        ]  # fmt: skip
        chosen = Run("selection", preset)
        linear = Run("linear", preset)
        made.append(_ratio(
            f"Llama-3.1-8B at {length}K", f"time to the first token of Llama-3.1-8B at {length}K tokens, H100",
            _FIGURE_4[length], (sparse, chosen, linear), (dense, linear), f"{PAPER}, figure 4, as read by others",
            "third party"))  # fmt: skip
        linear = replace(linear, sizes={"W": 12288})
        full, less = _TABLE_9[length]
        made.append(_ratio(
            f"Qwen3-8B at {length}K", f"time to the first token of Qwen3-8B at {length}K tokens, H100", full / less,
            (sparse, chosen, linear), (dense, linear), f"{PAPER}, table 9"))  # fmt: skip
    return tuple(made)


_ELSEWHERE = "it depends on what trained keys and queries hold; the counts are an input here"
METHOD = Method(
    name="pbs_attn",
    title="PBS-Attn: block-sparse prefill over keys that were sorted within segments",
    question="From which length does choosing blocks pay, and what is the most that it can bring?",
    source=f"{PAPER}; {CODE}",
    cascades={
        "whole": _IMPORTANCE + _PERMUTATION + _SELECTION + _ATTENTION,
        **ATTENTION.cascades,
        "selection": _IMPORTANCE + _PERMUTATION + _SELECTION,
        "permutation": _IMPORTANCE + _PERMUTATION,
        "linear": LINEAR,
    },
    sizes={symbol: size for symbol, size in _sizes(32, 32, _TABLE_5[32]).items() if symbol.isupper()},
    presets={
        **{f"llama31_8b_{length}k": _sizes(length, 32, chosen) for length, chosen in _TABLE_5.items()},
        "qwen25_7b_1m_128k": {
            **_sizes(128, 28, _TABLE_5[128]), "D": 3584, "A": 3584, "C": 512, "W": 18944,
        },
        "tiny": {
            "B": 2, "H": 2, "N": 70, "V": 70, "E": 8, "F": 8, "U": 4, "G": 8, "R": 8, "S": 8, "I": 18, "J": 18, "O": 18,
            "X": 4, "Y": 4, "K1": 18, "K0": 4, "D": 3, "A": 4, "C": 2, "W": 5, "M0": 16, "tokens": 64, "block": 8,
            "segment": 16, "density": 0.6,
        },
    },
    preset_sources={
        **{f"llama31_8b_{length}k": f"{PAPER}, table 5: blocks of 128 in segments of 256, threshold 0.9; 32 heads of "
           "128 after keys are repeated" for length in _TABLE_5},
        "qwen25_7b_1m_128k": "28 heads of 128; the share of blocks is that of Llama-3.1-8B, assumed",
        "tiny": "our choice, for tests: the last segment and the last block are cut",
    },
    mappings=ATTENTION.mappings,
    interchangeable=tuple(ATTENTION.cascades),
    mask=chosen_blocks,
    options={"tokens": 32768, "block": 128, "segment": 256, "density": 0.405},
    weights=("WQ", "WK", "WV", "WO", "WG", "WU", "WD"),
    reference=reference,
    inputs=inputs,
    claims=(
        *_claims(),
        Claim("permutation at 128K", "sorting takes 4 % of the time of the chosen blocks, H100", 0.04, "x",
              f"{PAPER}, appendix E", "paper", "latency_s", (Run("permutation", "llama31_8b_128k"),),
              (Run("1-pass", "llama31_8b_128k", mapping="flash_sync"),), inverted=True, machine="h100_sxm",
              note=_KERNEL),
        Claim("up to 2.75x", "2.75 times faster to the first token at 256K tokens, Llama-3.1-8B, H100", 2.75, "x",
              f"{PAPER}, abstract", "abstract", not_derivable="how many blocks are chosen at 256K is not published"),
        Claim("fewer blocks", "permutation spares 10.7 to 14.4 % of the chosen blocks from 8K to 128K", 14.4, "%",
              f"{PAPER}, table 5", "paper", not_derivable=_ELSEWHERE),
        Claim("heads", "70.8 % of 1024 heads are helped, 5.2 % harmed, at 32K", 70.8, "%", f"{PAPER}, table 6",
              "paper", not_derivable=_ELSEWHERE),
    ),
    assumed={
        "threshold never reached": "all blocks of earlier segments are taken, as the paper says; the code takes none",
        "blocks of a row": "the mean of the paper for each block of queries, K1 in the variant `whole`",
    },
    counted_apart={
        "mac": (
            "PQ scores all N keys, the reference those of whole segments; QK and LO multiply K1*K0 keys with the "
            "padding of the last block, the reference N"
        ),
        **dict.fromkeys(("exp", "max", "sub"),
            "PN and PG run over all N keys, BN over padded rows, SN and LM over K1*K0 keys, and CR, RM once a chosen "
            "block; the reference has one softmax over N keys"
        ),
        "add": (
            "LD, RD and RO carry sums from block to block, FB and RK add up places; softmax in one piece has none of "
            "these, but attention adds its mask"
        ),
        "mul": (
            "RD and RO rescale what was summed before, QK scales scores where attention scales Q and K, POS "
            "multiplies places"
        ),
        "div": "Y divides sums, the reference's softmax each of N weights",
        **dict.fromkeys(("min", "opaque"),
            "the first block that reaches the threshold is a minimum in KN, the first token's block an argmax "
            "(opaque) in the reference"
        ),
        **dict.fromkeys(("compare", "select"),
            "the reference compares and joins masks of all tokens and guards rows; KN, FB, SEL, OK and S compare "
            "chosen blocks only"
        ),
    },
)  # fmt: skip
