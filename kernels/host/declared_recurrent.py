"""Recurrences as data: prefix averages (csrc/host_rows.hpp), linear attention (csrc/host_products.hpp)."""

from __future__ import annotations

from .declared import COPIED, STREAMED, TILE, Declared, Mapping, on

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
# Two chains, of maxima and of a product and a sum (the denominators), go by beside values: of the stretch before, and
# of the one before that. The recurrence of the output has features along lanes, eight vectors side by side. Operations
# on one number take a cycle of their unit.
_PREFIX_PARAMS = {
    "VECTORS": "max(min(8, F / simd), 1)",  # of features, side by side: a coefficient is brought once for all
    "SUMS": "max(recurrence_latency - 1 - 2 * F / simd, 0)",  # where there are too few to hide it
    # Of a stretch of tokens: two loops end, and the second begins with numbers that the first stored last.
    "EXP": "max_latency + 3 * recurrence_latency + 3 * fma_latency",
    "STRETCH": "(2 * sum_end + 2 * load_latency + EXP) / min(T, 64)",
}


def _prefix_bind(suffix: str, output: bool) -> list[Mapping]:
    rm, pa, fr, ru, vf, rw = (name + suffix for name in ("RM", "PA", "FR", "RU", "VF", "RW"))
    last = ["O"] if output else []
    return [
        on("vector", [rm, ru], []),
        on("load", [rm], [], load=1),
        on("store", [rm], [], store=2),
        on("vector", [pa, fr], ["t"]),
        on("vector", [pa, fr], ["t"], mul=1),
        on("load", [pa, fr], ["t"], load=2),
        on("store", [pa, fr], ["t"], store=1),
        on("vector", [ru], [], wait="SUMS + STRETCH"),
        on("load", [ru], [], load=2),
        on("store", [ru], [], store=1),
        on("vector", [vf, rw, *last], ["f"]),
        on("load", [vf], ["f"], load=f"1 + {3 if output else 2} / VECTORS"),
        *([on("store", ["O"], ["f"], store=1)] if output else []),
    ]


def _prefix_group(suffix: str, output: bool) -> Mapping:
    """Coefficients of a stretch of tokens, then values, beside the chains of coefficients to come."""
    rm, pa, fr, ru, vf, rw = (name + suffix for name in ("RM", "PA", "FR", "RU", "VF", "RW"))
    last = "O" if output else "W"
    return {
        "einsums": [rm, pa, fr, ru, vf, rw, last],
        "nest": [
            {"for": "h", "over": "core"},
            {"for": "t", "tile": "min(T, 64)"},
            {"hold": [pa, fr, ru], "in": "l1"},
        ],
        "slots": [[pa, fr], [rm, ru, vf, rw, last]],
        "awaits": COPIED if output else STREAMED,
    }


def _lanes_only(bind: list[Mapping]) -> list[Mapping]:
    return [{key: value for key, value in one.items() if key != "space" or value["lanes"]} for one in bind]


PREFIX = Declared(
    name="prefix_attention",
    title="Softmax averages of all prefixes, token after token",
    cascade=_PREFIX_STATE + _PREFIX,
    mapping={
        "source": "csrc/host_rows.hpp, scan: 64 tokens at a time, eight vectors of features side by side",
        "params": _PREFIX_PARAMS,
        "bind": _lanes_only(_prefix_bind("", True)),
        "groups": [_prefix_group("", True)],
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
        "bind": _lanes_only([*_prefix_bind("B", False), on("vector", ["W"], ["f"]), *_prefix_bind("", True)]),
        "groups": [_prefix_group("B", False), _prefix_group("", True)],
    },
)

LINEAR = Declared(
    name="linear_attention",
    title="Causal linear attention, chunk by chunk",
    cascade="""
H[h,0,e,f]       = 0
KT[h,t1,s,e]     = K[h,t1,s,e]
A[h,t1,t0,s]     = sum(Q[h,t1,t0,e] * KT[h,t1,s,e], e)
X[h,t1,t0,f]     = sum(Q[h,t1,t0,e] * H[h,t1,e,f], e)
Y[h,t1,t0,f]     = sum(A[h,t1,t0,s] * V[h,t1,s,f], s)
O[h,t1,t0,f]     = (X[h,t1,t0,f] + Y[h,t1,t0,f]) / sqrt(E)
U[h,t1,e,f]      = sum(KT[h,t1,s,e] * V[h,t1,s,f], s)
H[h,t1+1,e,f]    = H[h,t1,e,f] + U[h,t1,e,f]
""",
    mapping={
        # Keys are turned, through the second cache, while nothing else goes on. Products read queries and values where
        # they lie; lines of all three are asked for a chunk ahead, behind every eight steps of a sum, so that they come
        # as those of a stream. Both sums of an output stay in registers one after the other. No token fades.
        "source": "csrc/host_products.hpp, linear: tokens of keys along lanes, the state in memory of its own",
        # Eight steps share moves of a pointer a step and of one a row, a branch, and asking for lines: 29 instructions.
        "params": {**TILE, "STEP": "29 / 8 / TILE"},
        "bind": [
            on("vector", ["KT"], ["s"]),
            on("vector", ["KT"], ["s"], mul=1, shuffle="SLOT / TURNED", wait="PACK"),
            on("load", ["KT"], ["s"], load="SLOT / MOVED"),
            on("store", ["KT"], ["s"], store="SLOT / MOVED"),
            *(
                piece
                for einsum, lanes, wait in (
                    ("A", ["t0", "s"], "REFILL / (TILE * E)"),
                    ("X", ["t0", "f"], ""),
                    ("Y", ["t0", "f"], "REFILL / (TILE * T0)"),
                    ("U", ["e", "f"], "REFILL / (TILE * T0)"),
                )
                for piece in (
                    on("vector", [einsum], lanes),
                    *([on("vector", [einsum], lanes, wait=wait)] if wait else []),
                    on("load", [einsum], lanes, load="LOADS"),
                    on("scalar", [einsum], [], iadd="STEP"),
                )
            ),
            # Scores of keys behind their token become zero before they are stored.
            on("vector", ["A"], ["t0", "s"], compare="1 / E", select="1 / E"),
            on("store", ["A"], ["t0", "s"], store="1 / E"),
            on("vector", ["O"], ["t0", "f"]),
            on("store", ["O"], ["t0", "f"], store=1),
            on("vector", ["H"], ["e", "f"]),
            on("load", ["H"], ["e", "f"], load=1),
            on("store", ["H"], ["e", "f"], store=1),
        ],
        "groups": [
            {
                "einsums": ["KT", "A", "X", "Y", "O", "U", "H"],
                "nest": [
                    {"for": "h", "over": "core"},
                    {"for": "t1"},
                    {"hold": ["H"], "in": "l2"},
                    {"hold": ["Q", "KT", "V"], "in": "l2"},
                ],
                "slots": [["KT"], ["A"], ["X", "Y", "O"], ["U", "H"]],
                "awaits": {level: f"{part} * (E + F) / (2 * E + F)" for level, part in COPIED.items()},  # F is written
            }
        ],
    },
)
