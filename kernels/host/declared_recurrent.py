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
# A chain of maxima, each left before and behind its token; then one of a product and a sum, the denominators. An
# operation on one number takes a cycle of its unit: what a chain takes longer is waited for. Coefficients have tokens
# along lanes, the recurrence of the output has features along lanes, eight vectors side by side.
_PREFIX_PARAMS = {
    "CHAIN": "max(max_latency - 1, 0)",
    "SUMS": "recurrence_latency - 1",
    "BROADCASTS": "1 / max(min(8, F / simd), 1)",  # of a coefficient, for a vector of features
}


def _prefix_bind(suffix: str, output: bool) -> list[Mapping]:
    rm, pa, fr, ru, vf, rw = (name + suffix for name in ("RM", "PA", "FR", "RU", "VF", "RW"))
    last = ["O"] if output else []
    return [
        on("vector", [rm], []),
        on("vector", [rm], [], wait="CHAIN"),
        on("load", [rm], [], load=1),
        on("store", [rm], [], store=2),
        on("vector", [pa, fr], ["t"]),
        on("vector", [pa, fr], ["t"], mul=1),
        on("load", [pa, fr], ["t"], load=2),
        on("store", [pa, fr], ["t"], store=1),
        on("vector", [ru], []),
        on("vector", [ru], [], wait="SUMS"),
        on("load", [ru], [], load=2),
        on("store", [ru], [], store=1),
        on("vector", [vf, rw, *last], ["f"]),
        on("load", [vf], ["f"], load=f"1 + {3 if output else 2} * BROADCASTS"),
        *([on("store", ["O"], ["f"], store=1)] if output else []),
    ]


def _prefix_groups(suffix: str, output: bool, loops: list[Mapping]) -> list[Mapping]:
    """Coefficients of a stretch of tokens, then its values: no value is asked for while coefficients are made."""
    rm, pa, fr, ru, vf, rw = (name + suffix for name in ("RM", "PA", "FR", "RU", "VF", "RW"))
    last = "O" if output else "W"

    def kept(tensors: list[str]) -> list[Mapping]:
        return [*loops, {"for": "t", "tile": "min(T, 64)"}, {"hold": tensors, "in": "l1"}]

    return [
        {"einsums": [rm, pa, fr, ru], "nest": kept([pa, fr, ru]), "slots": [[rm], [pa, fr], [ru]]},
        {
            "einsums": [vf, rw, last],
            "nest": kept([pa, fr, *([ru] if output else [])]),
            "awaits": COPIED if output else STREAMED,
        },
    ]


def _lanes_only(bind: list[Mapping]) -> list[Mapping]:
    return [{key: value for key, value in one.items() if key != "space" or value["lanes"]} for one in bind]


_BY_HEAD = [{"for": "h", "over": "core"}]
PREFIX = Declared(
    name="prefix_attention",
    title="Softmax averages of all prefixes, token after token",
    cascade=_PREFIX_STATE + _PREFIX,
    mapping={
        "source": "csrc/host_rows.hpp, scan: 64 tokens at a time, eight vectors of features side by side",
        "params": _PREFIX_PARAMS,
        "bind": _lanes_only(_prefix_bind("", True)),
        "groups": _prefix_groups("", True, _BY_HEAD),
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
        "groups": [
            *_prefix_groups("B", False, _BY_HEAD),
            *_prefix_groups("", True, _BY_HEAD),
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
KD[h,t1,s,e]     = K[h,t1,s,e] * G[h]
U[h,t1,e,f]      = sum(KD[h,t1,s,e] * V[h,t1,s,f], s)
H[h,t1+1,e,f]    = H[h,t1,e,f] + U[h,t1,e,f]
""",
    mapping={
        # What a chunk keeps is three times the nearest cache: what is transposed or copied passes through the second
        # one while nothing else goes on. Lines of tensors are asked for a chunk ahead, behind register tiles: none is
        # awaited.
        "source": "csrc/host_products.hpp, linear: tokens of a chunk along lanes, the state in memory of its own",
        "params": {**TILE},
        "bind": [
            on("vector", ["QS"], ["t0"]),
            on("vector", ["QS"], ["t0"], shuffle="SLOT / TURNED", wait="PACK"),
            on("load", ["QS"], ["t0"], load="SLOT / MOVED"),
            on("store", ["QS"], ["t0"], store="SLOT / MOVED"),
            *(
                piece
                for einsum, lanes, deep in (
                    ("X", ["t0", "f"], "min(E, 64)"),
                    ("A", ["t0", "s"], "E"),
                    ("Y", ["t0", "f"], "T0"),
                    ("U", ["f", "e"], "T0"),
                )
                for piece in (
                    on("vector", [einsum], lanes),
                    on("vector", [einsum], lanes, wait=f"REFILL / (TILE * {deep})"),
                    on("load", [einsum], lanes, load="LOADS"),
                    on("scalar", [einsum], [], iadd="STEP"),
                )
            ),
            on("vector", ["O"], ["t0", "f"], shuffle="SLOT / TURNED", wait="PACK"),
            on("vector", ["O"], ["t0", "f"]),
            # Sums are left by every 64 features of a key and by the chunk's values, each but the first takes them up.
            on("load", ["O"], ["t0", "f"], load="ceil_div(E, 64) + SLOT / MOVED"),
            on("store", ["O"], ["t0", "f"], store="1 + ceil_div(E, 64) + SLOT / MOVED"),
            # Keys fade, values are copied, scores ahead of their query become zero.
            on("vector", ["KD"], ["e"]),
            on("vector", ["KD"], ["e"], wait="PACK * (1 + F / E)"),
            on("load", ["KD"], ["e"], load="1 + F / E"),
            on("store", ["KD"], ["e"], store="1 + F / E + 1.5 * T0 / E"),
            on("vector", ["H"], ["f"]),
            on("load", ["H"], ["f"], load=1),
            on("store", ["H"], ["f"], store=1),
        ],
        "groups": [
            {
                "einsums": ["QS", "X", "A", "Y", "O", "KD", "U", "H"],
                "nest": [
                    {"for": "h", "over": "core"},
                    {"for": "t1"},
                    {"hold": ["H"], "in": "l2"},
                    {"hold": ["K", "V"], "in": "l2"},
                ],
                "slots": [["QS"], ["X"], ["A"], ["Y"], ["O"], ["KD"], ["U"], ["H"]],
            }
        ],
    },
)
