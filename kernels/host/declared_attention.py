"""Fused attention as data: csrc/host_attend.hpp.

The kernel moves the offset of a softmax only where a score exceeds it by 2^8: after a first visit, seldom. The cascade
moves it whenever a maximum does. That costs the kernel nothing it does not do anyhow, but for a subtraction a score and
an exponential a query and visit, 1 % of its instructions: it begins the sum of a score with the offset.
"""

from __future__ import annotations

from copy import deepcopy

from .declared import APART, ATTEND_TILE, AWAITED, KEYS, QUERIES, Declared, Mapping, on

_ATTENTION = """
RM[b,h,p,0]      = -inf
RD[b,h,p,0]      = 0
RO[b,h,p,f,0]    = 0
QS[b,h,p,e]      = Q[b,h,p,e] / sqrt(E)
S[b,h,p,m1,m0]   = sum(QS[b,h,p,e] * K[b,h,m1*M0+m0,e], e)
LM[b,h,p,m1]     = max(S[b,h,p,m1,m0], m0)
RM[b,h,p,m1+1]   = max(RM[b,h,p,m1], LM[b,h,p,m1])
N[b,h,p,m1,m0]   = exp(S[b,h,p,m1,m0] - RM[b,h,p,m1+1])
LD[b,h,p,m1]     = sum(N[b,h,p,m1,m0], m0)
C[b,h,p,m1]      = exp(RM[b,h,p,m1] - RM[b,h,p,m1+1])
RD[b,h,p,m1+1]   = RD[b,h,p,m1] * C[b,h,p,m1] + LD[b,h,p,m1]
LO[b,h,p,f,m1]   = sum(N[b,h,p,m1,m0] * V[b,h,m1*M0+m0,f], m0)
RO[b,h,p,f,m1+1] = RO[b,h,p,f,m1] * C[b,h,p,m1] + LO[b,h,p,f,m1]
O[b,h,p,f]       = RO[b,h,p,f,M1] / RD[b,h,p,M1]
"""
_SCORES, _OUTPUT = ["p", "m0"], ["p", "f"]
_MAPPING: Mapping = {
    "source": "csrc/host_attend.hpp: 64 queries lie along lanes, keys come in tiles of 64",
    "sizes": {"M0": f"min(M, {KEYS})"},
    "params": {**ATTEND_TILE, "BR": f"min(P, {QUERIES})"},
    "bind": [
        on("vector", ["QS"], ["p"]),
        on("vector", ["QS"], ["p"], shuffle="SLOT / TURNED"),
        on("load", ["QS"], ["p"], load="SLOT / MOVED"),
        on("store", ["QS"], ["p"], store="SLOT / MOVED"),
        on("vector", ["S"], _SCORES),
        on("vector", ["S"], _SCORES, wait="REFILL / (TILE * E)"),
        on("load", ["S"], _SCORES, load="LOADS"),
        on("scalar", ["S"], [], iadd="STEP"),
        on("vector", ["LM", "RM", "C", "RD"], ["p", "m0"]),
        on("load", ["LM"], _SCORES, load=1),
        on("store", ["LM"], _SCORES, store=1),
        on("vector", ["N", "LD"], _SCORES),
        on("load", ["N"], _SCORES, load=1),
        on("store", ["N"], _SCORES, store=1),
        on("vector", ["LO"], _OUTPUT),
        on("vector", ["LO"], _OUTPUT, wait="REFILL / (TILE * M0)"),
        on("load", ["LO"], _OUTPUT, load="LOADS"),
        on("scalar", ["LO"], [], iadd="STEP"),
        on("vector", ["RO"], _OUTPUT),
        on("load", ["RO"], _OUTPUT, load=1),
        on("store", ["RO"], _OUTPUT, store=1),
        on("vector", ["O"], _OUTPUT),
        on("vector", ["O"], _OUTPUT, shuffle="SLOT / TURNED"),
        on("load", ["O"], _OUTPUT, load="SLOT / MOVED"),
        on("store", ["O"], _OUTPUT, store="SLOT / MOVED"),
    ],
    "groups": [
        {
            "einsums": ["QS", "S", "LM", "RM", "N", "LD", "C", "RD", "LO", "RO", "O"],
            "nest": [
                {"for": "b", "over": "core"},
                {"for": "h", "over": "core"},
                {"for": "p", "tile": "BR", "over": "core"},
                {"for": "m1"},
                {"hold": ["K", "V"], "in": "l2"},
            ],
            "slots": [["QS"], ["S"], ["LM"], ["RM", "C", "N", "LD", "RD"], ["LO"], ["RO"], ["O"]],
            "awaits": AWAITED,
        }
    ],
    "masked": {
        "q_tile": "BR",
        "kv_tile": "M0",
        "tests": {"einsums": ["LM"], "unit": "vector", "space": {"lanes": _SCORES}},
        "order": "longest",
        "tested": "partial",
    },
}
ATTENTION = Declared(
    name="attention",
    title="Fused attention, one pass over the keys",
    cascade=_ATTENTION,
    mapping=_MAPPING,
)


def _gathered() -> Mapping:
    """Keys of a visit in several runs: their rows do not follow each other, and those of values are copied together."""
    mapping = deepcopy(_MAPPING)
    (refill,) = (one for one in mapping["bind"] if one["einsums"] == ["LO"] and "wait" in one.get("implied", {}))
    # Where a tile multiplies long enough they are read where they lie: one more load a step.
    refill["implied"]["wait"] += " + where(attend_rows * attend_vectors >= 24, 0, PACK / BR)"
    mapping["groups"][0]["awaits"] = {"l2": 1, **APART}
    return mapping


GATHERED = Declared(
    name="attention_gathered",
    title="Fused attention in windows of a grid of several axes",
    cascade=_ATTENTION,
    mapping=_gathered(),
)
