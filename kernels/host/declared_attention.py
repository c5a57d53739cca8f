"""Fused attention as data: csrc/host_attend.hpp.

The kernel moves the offset of a softmax only where a score exceeds it by 2^8: after a first visit, seldom. The cascade
moves it whenever a maximum does. That costs the kernel nothing it does not do anyhow, but for a subtraction a score and
an exponential a query and visit, 1 % of its instructions: it begins the sum of a score with the offset.
"""

from __future__ import annotations

from .declared import ATTEND_TILE, KEYS, QUERIES, STREAMED, Declared, Mapping, even, on

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


def _tests(axes: int, run: int) -> Mapping:
    """A pass over the scores. A key takes a distance, a comparison and a selection; a run of keys takes them once more
    on each other axis; and the place of the key goes up by one, for as many vectors as there are side by side.
    """
    each = f"(1 + {axes - 1} / {run})"
    return {
        "tests": {
            **on("vector", ["LM"], _SCORES),
            "implied": {"iadd": f"{each} + 1 / attend_vectors", "compare": each, "select": each},
        },
        "early": on("store", ["LM"], _SCORES, store=1),
    }


def _mapping(axes: int = 1, run: int = KEYS) -> Mapping:
    """The kernel in windows of so many axes, along whose last one so many keys of a visit follow each other."""
    gathered = axes > 1  # keys and values in several runs
    # What is asked for ahead is in the second cache; from there a tile waits for rows that follow no stream. Values are
    # read where they lie if a tile multiplies long enough, one more load a step, and else copied together first.
    keys = " + NEAR / BR" if gathered else ""
    values = " + where(attend_rows * attend_vectors >= 24, NEAR, PACK) / BR" if gathered else ""
    listed = 2 if gathered else 1  # pointers of a key and its value; values at one distance need none
    return {
        "source": "csrc/host_attend.hpp: 64 queries lie along lanes, keys come in tiles of 64",
        "sizes": {"M0": even("M", KEYS)},
        "params": {**ATTEND_TILE, "BR": even("P", QUERIES)},
        "bind": [
            on("vector", ["QS"], ["p"]),
            on("vector", ["QS"], ["p"], shuffle="SLOT / TURNED"),
            # Of a query three pointers are listed: to its row, to that of its result, and to one of the next tile.
            on("vector", ["QS"], ["p"], wait="NEAR + 3 * vector_lanes / E"),
            on("load", ["QS"], ["p"], load="SLOT / MOVED"),
            on("store", ["QS"], ["p"], store="SLOT / MOVED"),
            on("vector", ["S"], _SCORES),
            on("vector", ["S"], _SCORES, wait=f"REFILL / (TILE * E){keys}"),
            on("load", ["S"], _SCORES, load="LOADS"),
            on("scalar", ["S"], [], iadd="STEP"),
            on("vector", ["LM", "RM", "C", "RD"], ["p", "m0"]),
            on("load", ["LM"], _SCORES, load=1),
            # A register tile ends with stores, before the next one begins; and where keys lie is listed.
            on("store", ["RM"], ["p"], store=f"M0 + {listed} * SLOT * M0 / BR"),
            on("vector", ["N", "LD"], _SCORES),
            on("load", ["N"], _SCORES, load=1),
            on("store", ["N"], _SCORES, store=1),
            on("vector", ["LO"], _OUTPUT),
            on("vector", ["LO"], _OUTPUT, wait=f"REFILL / (TILE * M0){values}"),
            on("load", ["LO"], _OUTPUT, load="LOADS"),
            on("scalar", ["LO"], [], iadd="STEP"),
            on("vector", ["RO"], _OUTPUT),
            on("load", ["RO"], _OUTPUT, load=1),
            on("store", ["RO"], _OUTPUT, store=1),
            on("vector", ["O"], _OUTPUT),
            on("vector", ["O"], _OUTPUT, shuffle="SLOT / TURNED"),
            on("vector", ["O"], _OUTPUT, wait="NEAR"),
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
                "slots": [["QS"], ["S"], ["LM"], ["RM"], ["C", "N", "LD", "RD"], ["LO"], ["RO"], ["O"]],
                "awaits": STREAMED,
            }
        ],
        "masked": {
            "q_tile": "BR",
            "kv_tile": "M0",
            **_tests(axes, run),
            "order": "longest",
            "tested": "partial",
            "ends": "short",
        },
    }


def _declared(name: str, title: str, mapping: Mapping) -> Declared:
    return Declared(name=name, title=title, cascade=_ATTENTION, mapping=mapping)


ATTENTION = _declared("attention", "Fused attention, one pass over the keys", _mapping())
PLANES = _declared("attention_planes", "Fused attention in windows of a grid of two axes", _mapping(axes=2, run=8))
VOLUMES = _declared("attention_volumes", "Fused attention in windows of a grid of three axes", _mapping(axes=3, run=4))
