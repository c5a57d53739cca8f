"""Recurrences as data: prefix averages (csrc/host_scan.hpp), linear attention (csrc/host_products.hpp)."""

from __future__ import annotations

from .declared import COPIED, STREAMED, TILE, Declared, Mapping, on

# Scores are counted from the first one, as the kernel does until one exceeds its offset by 2^8, which is seldom.
_PREFIX_STATE = """
RU[h,0]      = 0
RW[h,f,0]    = 0
"""
_PREFIX = """
FR[h,t]      = exp(X[h,t] - X[h,0])
RU[h,t+1]    = RU[h,t] + FR[h,t]
RW[h,f,t+1]  = RW[h,f,t] + FR[h,t] * V[h,t,f]
O[h,t,f]     = RW[h,f,t+1] / RU[h,t+1]
"""
_PREFIX_PARAMS = {
    "MOST": "where(simd == 16, 16, 8)",
    "ALL": "(F + simd - 1) // simd",  # vectors of features
    "SETS": "(ALL + MOST - 1) // MOST",  # of vectors side by side: each brings coefficients, and walks through tokens
    "VECTORS": "ALL / SETS",
    "AGAIN": "where(ALL < 2 * MOST, 0, 1 / 4)",  # of a sum, kept in memory behind every four tokens
    # Where a set, the last one at least, has too few to hide it: one alone is the only one.
    "CHAIN": "max(fma_latency - max((ALL - 1) % MOST + 1, where(SETS > 1, 2, 1)), 0)",
    "HALVINGS": "where(simd == 16, 4, where(simd == 8, 3, where(simd == 4, 2, 0)))",  # to add up the lanes of a vector
    # Of the first coefficients of a walk, which values wait for: an exponential, sums along lanes, a reciprocal (as
    # long as three products and sums, about), and what is stored and loaded again.
    "FIRST": "max_latency + 5 * fma_latency + (4 + HALVINGS + 3) * recurrence_latency + 3 * load_latency",
}
_STEP = 5  # instructions of a token in a set of vectors besides: pointers, a comparison and a branch


def _prefix_bind(suffix: str, output: bool) -> list[Mapping]:
    """Coefficients have tokens along lanes, values have features. Of 1,024 tokens the first ones wait
    for theirs; of shorter chunks too, which no size here tells."""
    fr, ru, rw = (name + suffix for name in ("FR", "RU", "RW"))
    token, tokens, last = ("t", "T", ["O"]) if output else ("s", "S", [])
    # Lines of values that are not written beside are asked for.
    values = "1 + AGAIN + 2 / VECTORS" if output else "1 + AGAIN + 1 / VECTORS + simd / 16"
    return [
        on("vector", [fr], [token]),
        on("vector", [fr], [token], mul=1, compare=1),
        on("load", [fr], [token], load=2),
        on("store", [fr], [token], store=2 if output else 1),
        on("vector", [ru], []),  # an addition a token, as many as instructions that add up lanes
        on("vector", [rw, *last], ["f"]),
        on("vector", [ru], [], wait=f"CHAIN + FIRST / min({tokens}, 1024)"),
        on("load", [rw], ["f"], load=values),
        on("store", [rw], ["f"], store="AGAIN"),
        on("scalar", [ru], [], iadd=f"{_STEP} * SETS"),
        *([on("store", ["O"], ["f"], store=1)] if output else []),
    ]


def _prefix_group(suffix: str, output: bool) -> Mapping:
    """Coefficients of a stretch of tokens, then values."""
    fr, ru, rw = (name + suffix for name in ("FR", "RU", "RW"))
    token, tokens, last = ("t", "T", "O") if output else ("s", "S", "W")
    return {
        "einsums": [fr, ru, rw, last],
        "nest": [
            {"for": "h", "over": "core"},
            {"for": token, "tile": f"min({tokens}, 64)"},
            {"hold": [fr, ru], "in": "l1"},
        ],
        "slots": [[fr, ru], [rw, last]],
        "awaits": COPIED if output else STREAMED,
    }


def _lanes_only(bind: list[Mapping]) -> list[Mapping]:
    return [{key: value for key, value in one.items() if key != "space" or value["lanes"]} for one in bind]


PREFIX = Declared(
    name="prefix_attention",
    title="Softmax averages of all prefixes, token after token",
    cascade=_PREFIX_STATE + _PREFIX,
    mapping={
        "source": "csrc/host_scan.hpp: 64 tokens at a time, up to eight vectors of features side by side, or sixteen",
        "params": _PREFIX_PARAMS,
        "bind": _lanes_only(_prefix_bind("", True)),
        "groups": [_prefix_group("", True)],
    },
)

# The first walk is of S tokens: those of all chunks but the last.
_FIRST = (_PREFIX_STATE + _PREFIX).replace("[h", "B[h").replace("XB[", "X[").replace("VB[", "V[").replace("t", "s")
PREFIX_PARALLEL = Declared(
    name="prefix_attention_parallel",
    title="Softmax averages of all prefixes, in chunks side by side",
    cascade=_FIRST[: _FIRST.index("OB[")] + "W[h,f] = RWB[h,f,S]\n" + _PREFIX_STATE + _PREFIX,
    mapping={
        "source": "csrc/host_run.cpp: chunks are walked for what they add up to, and again with what stands before",
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
