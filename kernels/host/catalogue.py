"""What each of the host's kernels implements, as plain data: a cascade, its tiles, and how it is laid on a core.

Only instructions of the C++ loops are counted (csrc/host_tiles.hpp, host_attend.hpp, host_products.hpp, host_rows.hpp):
`implied` names loads, stores and shuffles at each point. A vector load is one element a point; an instruction that
brings one scalar, or four, takes a slot of the port all the same. No number here was fitted to a measurement; what
instructions cost is the machine's business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Mapping = dict[str, Any]

QUERIES, KEYS, PANEL, DEPTH, ROWS, COLUMNS = 64, 64, 64, 256, 192, 256  # as in csrc
CACHES = ["l3", "l2"]  # awaited by loops that jump from row to row of a tensor
STREAMS = ["l3"]  # awaited by loops that walk in a line: the next cache has been filled ahead of them

# Of a register tile: loads for a multiply-add of vectors, and what it waits for between two tiles: the loop's last
# branch, guessed wrongly, the first operands, the last result.
_TILE = {
    "LOADS": "1 / tile_vectors + 1 / tile_rows",
    "TILE": "tile_rows * tile_vectors * simd",
    "WAIT": "misprediction + load_latency + fma_latency",
    "REFILL": "WAIT * vector_lanes",
    "REDUCE": "2 * fma_latency * log2(simd)",  # of a vector to one number: a shuffle and an operation a halving
    "SLOT": "simd",  # elements of a slot of a port
}


@dataclass(frozen=True)
class Declared:
    """A kernel as data: `cascade` in lines, `mapping` as the simulator reads it, `word_bytes` of every tensor.

    `control`: a kernel whose cost needs no knowledge of attention. `scratch`: tensors of intermediates that live in
    memory beside inputs and outputs.
    """

    name: str
    title: str
    cascade: str
    mapping: Mapping
    control: bool = False
    scratch: tuple[str, ...] = ()
    word_bytes: int = 4
    sizes: dict[str, int] = field(default_factory=dict)


def _on(unit: str, einsums: list[str], lanes: list[str], **implied: str | float) -> Mapping:
    bound: Mapping = {"einsums": einsums, "unit": unit, "space": {"lanes": lanes}}
    return {**bound, "implied": implied} if implied else bound


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
ATTENTION = Declared(
    name="attention",
    title="Fused attention, one pass over the keys",
    cascade=_ATTENTION,
    mapping={
        "source": "csrc/host_attend.hpp: 64 queries lie along lanes, keys come in tiles of 64",
        "sizes": {"M0": f"min(M, {KEYS})"},
        "params": {**_TILE, "BR": f"min(P, {QUERIES})"},
        "bind": [
            _on("vector", ["QS"], ["p"]),
            _on("vector", ["QS"], ["p"], shuffle="SLOT / 2"),
            _on("load", ["QS"], ["p"], load="SLOT / 4"),
            _on("store", ["QS"], ["p"], store="SLOT / 4"),
            _on("vector", ["S"], _SCORES),
            _on("vector", ["S"], _SCORES, mac="REFILL / (TILE * E)"),
            _on("load", ["S"], _SCORES, load="LOADS"),
            _on("vector", ["LM", "RM", "C", "RD"], ["p", "m0"]),
            _on("load", ["LM"], _SCORES, load=1),
            _on("store", ["LM"], _SCORES, store=1),
            _on("vector", ["N", "LD"], _SCORES),
            _on("load", ["N"], _SCORES, load=1),
            _on("store", ["N"], _SCORES, store=1),
            _on("vector", ["LO"], _OUTPUT),
            _on("vector", ["LO"], _OUTPUT, mac="REFILL / (TILE * M0)"),
            _on("load", ["LO"], _OUTPUT, load="LOADS"),
            _on("vector", ["RO"], _OUTPUT),
            _on("load", ["RO"], _OUTPUT, load=1),
            _on("store", ["RO"], _OUTPUT, store=1),
            _on("vector", ["O"], _OUTPUT),
            _on("vector", ["O"], _OUTPUT, shuffle="SLOT / 2"),
            _on("load", ["O"], _OUTPUT, load="1 + SLOT / 4"),
            _on("store", ["O"], _OUTPUT, store="1 + SLOT / 4"),
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
                "awaits": CACHES,
            }
        ],
        "masked": {
            "q_tile": "BR",
            "kv_tile": "M0",
            "tests": {"einsums": ["LM"], "unit": "vector", "space": {"lanes": _SCORES}},
            "order": "longest",
            "tested": "partial",
        },
    },
)

GEMM = Declared(
    name="gemm",
    title="Matrix product",
    control=True,
    cascade="Z[b,m,n] = sum(A[b,m,k] * B[b,k,n], k)\n",
    mapping={
        "source": "csrc/host_products.hpp: tasks of 192 rows by 256 columns pack both operands, 256 of the depth at a time",
        "params": {**_TILE, "KB": f"min(K, {DEPTH})", "MB": f"min(M, {ROWS})", "NB": f"min(N, {COLUMNS})"},
        "bind": [
            _on("vector", ["Z"], ["m", "n"]),
            _on("vector", ["Z"], ["m", "n"], mac="REFILL / (TILE * KB)"),
            _on("load", ["Z"], ["m", "n"], load="LOADS + 1 / KB + 1 / MB + 1 / NB"),
            _on("store", ["Z"], ["m", "n"], store="1 / KB + 1 / MB + 1 / NB"),
        ],
        "groups": [
            {
                "einsums": ["Z"],
                "nest": [
                    {"for": "b", "over": "core"},
                    {"for": "m", "tile": "MB", "over": "core"},
                    {"for": "n", "tile": "NB", "over": "core"},
                    {"for": "k", "tile": "KB"},
                    {"hold": ["B"], "in": "l2"},
                    {"for": "m", "tile": "min(tile_rows, MB)"},
                    {"hold": ["A"], "in": "l1"},
                ],
                "awaits": STREAMS,
            }
        ],
    },
)

SOFTMAX = Declared(
    name="softmax",
    title="Softmax of rows",
    control=True,
    cascade="""
G[r]    = max(X[r,n], n)
NU[r,n] = exp(X[r,n] - G[r])
D[r]    = sum(NU[r,n], n)
Y[r,n]  = NU[r,n] / D[r]
""",
    mapping={
        "source": "csrc/host_rows.hpp: three walks over a row, which stays in the nearest cache that has room",
        "params": {**_TILE},
        "bind": [
            _on("vector", ["G"], ["n"]),
            _on("vector", ["G"], ["n"], mac="(WAIT + REDUCE) * vector_lanes / N"),
            _on("load", ["G"], ["n"], load=1),
            _on("vector", ["NU"], ["n"]),
            _on("vector", ["NU"], ["n"], mul=1),
            _on("load", ["NU"], ["n"], load=1),
            _on("store", ["NU"], ["n"], store=1),
            _on("vector", ["D"], ["n"]),
            _on("vector", ["D"], ["n"], mac="(WAIT + REDUCE) * vector_lanes / N"),
            _on("vector", ["Y"], ["n"]),
            _on("load", ["Y"], ["n"], load=1),
            _on("store", ["Y"], ["n"], store=1),
        ],
        "groups": [
            {
                "einsums": ["G", "NU", "D", "Y"],
                "nest": [
                    {"for": "r", "tile": 1, "over": "core"},
                    {"hold": ["X", "Y"], "in": "l2"},
                ],
                "slots": [["G"], ["NU", "D"], ["Y"]],
                "awaits": STREAMS,
            }
        ],
    },
)

EXP = Declared(
    name="exp",
    title="Exponential",
    control=True,
    cascade="Y[n] = exp(X[n])\n",
    mapping={
        "source": "csrc/host_vector.hpp: range reduction and polynomial, four selections for the ends of the range",
        "bind": [
            _on("vector", ["Y"], ["n"]),
            _on("vector", ["Y"], ["n"], mac=2, mul=2, compare=5, select=5),
            _on("load", ["Y"], ["n"], load=1),
            _on("store", ["Y"], ["n"], store=1),
        ],
        "groups": [
            {"einsums": ["Y"], "nest": [{"for": "n", "tile": "min(N, 16384)", "over": "core"}]},
        ],
    },
)

THREE_PASS = Declared(
    name="attention_three_pass",
    title="Attention that keeps all scores: product, softmax, product",
    scratch=("S",),
    cascade="""
KS[b,h,m,e] = K[b,h,m,e] / sqrt(E)
S[b,h,p,m]  = sum(Q[b,h,p,e] * KS[b,h,m,e], e)
G[b,h,p]    = max(S[b,h,p,m], m)
NU[b,h,p,m] = exp(S[b,h,p,m] - G[b,h,p])
D[b,h,p]    = sum(NU[b,h,p,m], m)
A[b,h,p,m]  = NU[b,h,p,m] / D[b,h,p]
O[b,h,p,f]  = sum(A[b,h,p,m] * V[b,h,m,f], m)
""",
    mapping={
        "source": "csrc/host_run.cpp: the kernels of gemm and softmax one after the other, softmax in place",
        "params": {
            **_TILE,
            "MB": f"min(P, {ROWS})",
            "EB": f"min(E, {DEPTH})",
            "KB": f"min(M, {DEPTH})",
            "NB": f"min(M, {COLUMNS})",
            "FB": f"min(F, {COLUMNS})",
        },
        "bind": [
            _on("vector", ["KS"], ["m"]),
            _on("vector", ["KS"], ["m"], shuffle="SLOT / 2 * ceil_div(P, MB)"),
            _on("load", ["KS"], ["m"], load="SLOT / 4 * ceil_div(P, MB)"),
            _on("store", ["KS"], ["m"], store="SLOT / 4 * ceil_div(P, MB)"),
            _on("vector", ["S"], ["p", "m"]),
            _on("vector", ["S"], ["p", "m"], mac="REFILL / (TILE * EB)"),
            _on("load", ["S"], ["p", "m"], load="LOADS + (ceil_div(E, EB) - 1) / E + 1 / NB"),
            _on("store", ["S"], ["p", "m"], store="1 / EB + 1 / NB"),
            _on("vector", ["G"], ["m"]),
            _on("vector", ["G"], ["m"], mac="(WAIT + REDUCE) * vector_lanes / M"),
            _on("load", ["G"], ["m"], load=1),
            _on("vector", ["NU"], ["m"]),
            _on("vector", ["NU"], ["m"], mul=1),
            _on("load", ["NU"], ["m"], load=1),
            _on("store", ["NU"], ["m"], store=1),
            _on("vector", ["D"], ["m"]),
            _on("vector", ["D"], ["m"], mac="(WAIT + REDUCE) * vector_lanes / M"),
            _on("vector", ["A"], ["m"]),
            _on("load", ["A"], ["m"], load=1),
            _on("store", ["A"], ["m"], store=1),
            _on("vector", ["O"], ["p", "f"]),
            _on("vector", ["O"], ["p", "f"], mac="REFILL / (TILE * KB)"),
            _on("load", ["O"], ["p", "f"], load="LOADS + 1 / KB + 1 / MB + 1 / FB"),
            _on("store", ["O"], ["p", "f"], store="1 / KB + 1 / MB + 1 / FB"),
        ],
        "groups": [
            {
                "einsums": ["KS", "S"],
                "nest": [
                    {"for": "b", "over": "core"},
                    {"for": "h", "over": "core"},
                    {"for": "p", "tile": "MB", "over": "core"},
                    {"hold": ["Q"], "in": "l2"},
                    {"for": "m", "tile": f"min(M, {PANEL})", "over": "core"},
                    {"hold": ["KS"], "in": "l1"},
                    {"for": "p", "tile": "min(tile_rows, MB)"},
                    {"hold": ["Q"], "in": "l1"},
                ],
                "slots": [["KS"], ["S"]],
                "awaits": STREAMS,
            },
            {
                "einsums": ["G", "NU", "D", "A"],
                "nest": [
                    {"for": "b", "over": "core"},
                    {"for": "h", "over": "core"},
                    {"for": "p", "tile": 1, "over": "core"},
                    {"hold": ["S", "A"], "in": "l2"},
                ],
                "slots": [["G"], ["NU", "D"], ["A"]],
                "awaits": STREAMS,
            },
            {
                "einsums": ["O"],
                "nest": [
                    {"for": "b", "over": "core"},
                    {"for": "h", "over": "core"},
                    {"for": "p", "tile": "MB", "over": "core"},
                    {"for": "m", "tile": "KB"},
                    {"hold": ["V"], "in": "l2"},
                    {"for": "p", "tile": "min(tile_rows, MB)"},
                    {"hold": ["A"], "in": "l1"},
                ],
                "awaits": STREAMS,
            },
        ],
    },
)

_PREFIX_STATE = """
RM[h,0]      = -inf
RU[h,0]      = 0
RW[h,f,0]    = 0
"""
_PREFIX = """
RM[h,t+1]    = max(RM[h,t], X[h,t])
PA[h,t]      = exp(RM[h,t] - RM[h,t+1])
FR[h,t]      = exp(X[h,t] - RM[h,t+1])
RU[h,t+1]    = RU[h,t] * PA[h,t] + FR[h,t]
VF[h,t,f]    = V[h,t,f] * FR[h,t]
RW[h,f,t+1]  = RW[h,f,t] * PA[h,t] + VF[h,t,f]
O[h,t,f]     = RW[h,f,t+1] / RU[h,t+1]
"""
# A chain of comparisons finds the maxima, one of a product and a sum the denominators; coefficients have tokens along
# lanes, the recurrence of the output has features along lanes.
_PREFIX_PARAMS = {"CHAIN": "fma_latency - 1", "SUMS": "2 * fma_latency - 1"}


def _prefix_bind(suffix: str, output: bool) -> list[Mapping]:
    rm, pa, fr, ru, vf, rw = (name + suffix for name in ("RM", "PA", "FR", "RU", "VF", "RW"))
    last = ["O"] if output else []
    return [
        _on("vector", [rm], []),
        _on("vector", [rm], [], mac="CHAIN"),
        _on("vector", [pa, fr], ["t"]),
        _on("vector", [pa, fr], ["t"], mul=1),
        _on("load", [pa, fr], ["t"], load=2),
        _on("store", [pa, fr], ["t"], store=1),
        _on("vector", [ru], []),
        _on("vector", [ru], [], mac="SUMS"),
        _on("vector", [vf, rw, *last], ["f"]),
        _on("load", [vf], ["f"], load=f"1 + {3 if output else 2} / 4"),
        *([_on("store", ["O"], ["f"], store=1)] if output else []),
    ]


def _prefix_group(suffix: str, output: bool, loops: list[Mapping]) -> Mapping:
    names = [name + suffix for name in ("RM", "PA", "FR", "RU", "VF", "RW")]
    last = ["O"] if output else []
    return {
        "einsums": [*names, *last],
        "nest": loops,
        "slots": [[names[0]], [names[1], names[2]], [names[3]], [names[4], names[5], *last]],
    }


def _lanes_only(bind: list[Mapping]) -> list[Mapping]:
    return [{key: value for key, value in one.items() if key != "space" or value["lanes"]} for one in bind]


_BY_HEAD = [{"for": "h", "over": "core"}]
PREFIX = Declared(
    name="prefix_attention",
    title="Softmax averages of all prefixes, token after token",
    cascade=_PREFIX_STATE + _PREFIX,
    mapping={
        "source": "csrc/host_rows.hpp, scan: 64 tokens at a time, four vectors of features side by side",
        "params": _PREFIX_PARAMS,
        "bind": _lanes_only(_prefix_bind("", True)),
        "groups": [_prefix_group("", True, _BY_HEAD)],
    },
)

_FIRST = (_PREFIX_STATE + _PREFIX).replace("[h", "B[h").replace("XB[", "X[").replace("VB[", "V[")
PREFIX_PARALLEL = Declared(
    name="prefix_attention_parallel",
    title="Softmax averages of all prefixes, in chunks side by side",
    cascade=_FIRST[: _FIRST.index("OB[")] + "W[h,f] = RWB[h,f,T]\n" + _PREFIX_STATE + _PREFIX,
    mapping={
        "source": "csrc/host_run.cpp: every chunk is walked for what it adds up to, and again with what stands before",
        "params": _PREFIX_PARAMS,
        "bind": _lanes_only([*_prefix_bind("B", False), _on("vector", ["W"], ["f"]), *_prefix_bind("", True)]),
        "groups": [
            {**_prefix_group("B", False, _BY_HEAD)},
            {"einsums": ["W"], "nest": _BY_HEAD},
            _prefix_group("", True, _BY_HEAD),
        ],
    },
)

LINEAR = Declared(
    name="linear_attention",
    title="Causal linear attention, chunk by chunk",
    cascade="""
H[h,0,e,f]       = 0
QS[h,t1,t0,e]    = Q[h,t1,t0,e] / sqrt(E)
X[h,t1,t0,f]     = sum(QS[h,t1,t0,e] * H[h,t1,e,f], e)
A[h,t1,t0,s]     = sum(QS[h,t1,t0,e] * K[h,t1,s,e], e)
Y[h,t1,t0,f]     = sum(A[h,t1,t0,s] * V[h,t1,s,f], s)
O[h,t1,t0,f]     = X[h,t1,t0,f] + Y[h,t1,t0,f]
U[h,t1,e,f]      = sum(K[h,t1,s,e] * V[h,t1,s,f], s)
H[h,t1+1,e,f]    = H[h,t1,e,f] + U[h,t1,e,f]
""",
    mapping={
        "source": "csrc/host_products.hpp, linear: tokens of a chunk along lanes, the state in memory of its own",
        "params": {**_TILE},
        "bind": [
            _on("vector", ["QS"], ["t0"]),
            _on("vector", ["QS"], ["t0"], shuffle="SLOT / 2"),
            _on("load", ["QS"], ["t0"], load="SLOT / 4"),
            _on("store", ["QS"], ["t0"], store="SLOT / 4"),
            *(
                piece
                for einsum, lanes, deep in (
                    ("X", ["t0", "f"], "min(E, 64)"),
                    ("A", ["t0", "s"], "E"),
                    ("Y", ["t0", "f"], "T0"),
                    ("U", ["f", "e"], "T0"),
                )
                for piece in (
                    _on("vector", [einsum], lanes),
                    _on("vector", [einsum], lanes, mac=f"REFILL / (TILE * {deep})"),
                    _on("load", [einsum], lanes, load=f"LOADS + 1 / {deep}"),
                    _on("store", [einsum], lanes, store=f"1 / {deep}"),
                )
            ),
            _on("vector", ["O"], ["t0", "f"], shuffle="SLOT / 2"),
            _on("vector", ["O"], ["t0", "f"]),
            _on("load", ["O"], ["t0", "f"], load="SLOT / 4"),
            _on("store", ["O"], ["t0", "f"], store="SLOT / 4"),
            _on("vector", ["H"], ["f"]),
        ],
        "groups": [
            {
                "einsums": ["QS", "X", "A", "Y", "O", "U", "H"],
                "nest": [
                    {"for": "h", "over": "core"},
                    {"for": "t1"},
                    {"hold": ["H"], "in": "l2"},
                    {"hold": ["K", "V"], "in": "l2"},
                ],
                "slots": [["QS"], ["X"], ["A"], ["Y"], ["O"], ["U"], ["H"]],
                "awaits": CACHES,
            }
        ],
    },
)

DECLARED = {one.name: one for one in (ATTENTION, THREE_PASS, LINEAR, PREFIX, PREFIX_PARALLEL, GEMM, SOFTMAX, EXP)}
"""Every kernel of the host, by name."""
