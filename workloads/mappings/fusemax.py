"""The mappings of the FuseMax article: two 3-pass ones it compares with, and three steps to its own.

Tiles, holds and slots are the article's and its artifact's. What these took as an input is an input here too and said
so: the reload factor of `unfused` and the table of `flat` came out of searches of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightbound.base.errors import LightboundError

_PAPER = "FuseMax, MICRO 2024, arXiv 2406.10491, section V, and its artifact"
_EVERY = ["BQK", "LM", "RM", "SLN", "SLD", "SLNV", "PRM", "SPD", "RD", "SPNV", "RNV", "AV"]
_SOFTMAX = ["GM", "SN", "SD", "A"]

# Queries stay in tiles of P1 x P0, keys stream past them tile by tile; running tensors stay beside the queries.
_KEYS_STREAM = [
    {"for": "b"},
    {"for": "h"},
    {"for": "p", "tile": "P0 * P1"},
    {"hold": ["Q", "RM", "RD", "RNV"], "in": "global_buffer"},
    {"for": "m1"},
    {"hold": ["K", "V"], "in": "global_buffer"},
    {"for": "p", "tile": "P0"},
]
_BOTH_ARRAYS = [
    {"einsums": ["BQK", "LM", "SLN", "SLD", "SLNV"], "unit": "2d", "space": {"rows": "p", "cols": "m0"}},
    {"einsums": ["RM", "PRM", "SPD", "RD", "SPNV", "RNV", "AV"], "unit": "1d", "space": {"rows": "p"}},
]
_TILES = {"P0": "pe_dim", "P1": {"fit": "global_buffer", "divides": "ceil_div(P, P0)"}}

BINDING = {
    "source": f"{_PAPER}: +Binding, that is FuseMax",
    "variant": "1-pass",
    "sizes": {"M0": "pe_dim"},
    "params": _TILES,
    "bind": _BOTH_ARRAYS,
    "groups": [
        {
            "einsums": _EVERY,
            "nest": _KEYS_STREAM,
            "slots": [["BQK", "LM", "RD", "RNV", "AV"], ["RM"], ["SLN", "SLD", "PRM", "SPD"], ["SLNV", "SPNV"]],
            "depth": "full",
        }
    ],
}

ARCHITECTURE = {
    **BINDING,
    "source": f"{_PAPER}: +Architecture, one tile at a time",
    "groups": [
        {
            "einsums": _EVERY,
            "nest": _KEYS_STREAM,
            "slots": [["BQK", "LM", "RD", "AV"], ["RM"], ["SLN", "SLD", "PRM", "SPD"], ["SLNV", "SPNV", "RNV"]],
            "depth": 1,
        }
    ],
}

CASCADE = {
    "source": f"{_PAPER}: +Cascade, the 1-pass cascade on FLAT's arrays; half the buffer, as the artifact sizes it",
    "variant": "1-pass",
    "sizes": {"M0": "pe_dim"},
    "params": {"P0": "pe_dim", "P1": {"fit": "global_buffer", "divides": "ceil_div(P, P0)", "share": 0.5}},
    "bind": [
        {"einsums": ["BQK", "SLNV"], "unit": "2d", "space": {"rows": "p", "cols": "m0"}},
        {
            "einsums": [name for name in _EVERY if name not in ("BQK", "SLNV")],
            "unit": "1d",
            "space": {"rows": "p"},
        },
    ],
    "groups": [
        {
            "einsums": _EVERY,
            "nest": [*_KEYS_STREAM[:-1], {"hold": ["BQK", "SLN"], "in": "global_buffer"}, _KEYS_STREAM[-1]],
        }
    ],
}

_THREE_PASS_BIND = [
    {"einsums": ["QK", "AV"], "unit": "2d", "space": {"rows": "p", "cols": "m"}},
    {"einsums": _SOFTMAX, "unit": "1d", "space": {"rows": "m"}},
]
_HEADS = [{"for": "b"}, {"for": "h"}]

UNFUSED = {
    "source": f"{_PAPER}: unfused. R, how often K and V are fetched, came out of the artifact's mapper: an input",
    "variant": "3-pass",
    "params": {
        "R": "where(4 * P * E <= global_buffer_bytes, 1, max(1, E // 8))",
        "PR": "ceil_div(P, R)",
        "P0": "pe_dim",
        "M0": "pe_dim",
    },
    "bind": _THREE_PASS_BIND,
    "groups": [
        {
            "einsums": ["QK"],
            "nest": [
                *_HEADS,
                {"for": "p", "tile": "PR"},
                {"hold": "Q", "in": "global_buffer"},
                {"for": "m", "tile": "M0"},
                {"hold": "K", "in": "global_buffer"},
            ],
        },
        {
            "einsums": _SOFTMAX,
            "nest": [*_HEADS, {"for": "p"}, {"hold": ["QK", "SN"], "in": "global_buffer"}],
        },
        {
            "einsums": ["AV"],
            "nest": [
                *_HEADS,
                {"for": "p", "tile": "PR"},
                {"hold": "AV", "in": "global_buffer"},
                {"for": "m", "tile": "M0"},
                {"hold": "V", "in": "global_buffer"},
            ],
        },
    ],
}

# FLAT's own search, as the artifact records it: from this length on, what stays on chip, which operand is stationary,
# and how many queries are fused at a time (None: all of a head).
_FLAT_TABLE: dict[int, tuple[tuple[int, tuple[str, ...], str, int | None], ...]] = {
    64: (
        (0, ("QK", "A"), "output", None),
        (16384, ("QK", "A"), "output", 1024),
        (65536, ("QK", "A", "AV"), "output", 256),
        (262144, ("Q", "AV"), "weight", 1024),
    ),
    128: (
        (0, ("QK", "A", "V"), "output", None),
        (16384, ("Q", "QK", "A"), "output", 1024),
        (65536, ("Q", "QK", "A", "AV"), "output", 256),
        (262144, ("Q", "AV"), "weight", 1024),
    ),
}


def flat(sizes: Mapping[str, Any], machine: Mapping[str, Any]) -> dict[str, Any]:
    """FLAT at these sizes: the row of its table for the nearest head dimension and the nearest length not above."""
    rows = _FLAT_TABLE[64 if sizes["E"] <= 96 else 128]
    length = max(sizes["M"], sizes["P"])
    _, on_chip, stationary, fused = next(row for row in reversed(rows) if row[0] <= length)
    fused_queries = sizes["P"] if fused is None else min(fused, sizes["P"])
    buffer = "global_buffer"
    staged = [
        {"stage": f"2 * {rows_} * {width} * word_bytes", "in": buffer}
        for tensor, width, rows_ in (("Q", "E", "P0"), ("K", "E", "M0"), ("V", "F", "M0"), ("AV", "F", "P0"))
        if tensor not in on_chip
    ]
    keys = [{"hold": tensor, "in": buffer, "copies": 2} for tensor in ("K", "V") if tensor in on_chip]
    queries = [{"hold": tensor, "in": buffer, "copies": 2} for tensor in ("Q", "AV") if tensor in on_chip]
    scores = "QK" in on_chip
    shared = [{"hold": ["QK", "SN", "A"], "in": buffer, "alias": True}] if scores else []
    by_row = [] if scores else [{"for": "p"}, {"hold": ["QK", "SN"], "in": buffer}]
    if stationary == "output":
        spaces = {"QK": {"rows": "p", "cols": "m"}, "AV": {"rows": "p", "cols": "f"}}
        qk = [{"for": "p", "tile": "P0"}, {"for": "m", "tile": "M0"}]
        av = [{"for": "p", "tile": "P0"}, {"for": "m"}]
    else:
        spaces = {"QK": {"rows": "m", "cols": "e"}, "AV": {"rows": "m", "cols": "f"}}
        qk = av = [{"for": "m", "tile": "M0"}, {"for": "p"}]
    return {
        "source": f"{_PAPER}: FLAT (Kao et al., ASPLOS 2023). Its choices come from FLAT's own search: an input",
        "variant": "3-pass",
        "params": {"P1": fused_queries, "P0": "pe_dim", "M0": "pe_dim"},
        "bind": [
            *({"einsums": [name], "unit": "2d", "space": space} for name, space in spaces.items()),
            {"einsums": _SOFTMAX, "unit": "1d", "space": {"rows": "m"}},
        ],
        "groups": [
            {
                "einsums": ["QK", *_SOFTMAX, "AV"],
                "nest": [
                    *_HEADS,
                    *keys,
                    {"for": "p", "tile": "P1"},
                    *queries,
                    *shared,
                    *staged,
                    {"do": ["QK"], "nest": qk},
                    {"do": _SOFTMAX, "nest": by_row},
                    {"do": ["AV"], "nest": av},
                ],
                "spill": [] if scores else ["QK", "A"],
                "overbook": True,
            }
        ],
    }


MAPPINGS = {
    "binding": BINDING,
    "architecture": ARCHITECTURE,
    "cascade": CASCADE,
    "flat": flat,
    "unfused": UNFUSED,
}


def linear(sizes: Mapping[str, Any], machine: Mapping[str, Any]) -> dict[str, Any]:
    """The matrix products of an encoder layer, one after the other, as the artifact's mapper laid them.

    Weights that fit the buffer stay in it; otherwise half the buffer holds rows and the weights stream past them.
    """
    buffer = machine.get("global_buffer_bytes")
    if buffer is None:
        raise LightboundError(
            "machine.levels",
            "global_buffer",
            "is not there, and mapping 'linear' of encoder_linear holds rows and weights in it",
            "Use a machine that has one, such as fusemax or flat, or no mapping by name: the search finds one.",
        )
    products = {"YQ": "XQ WQ d n", "YK": "XK WK d n", "YV": "XV WV d n"}
    products |= {"YZ": "XZ WZ n d", "YH": "XH WH d s", "YO": "XO WO s d"}
    groups = []
    bind = []
    for name, spelled in products.items():
        rows, weights, inner, outer = spelled.split()
        whole = 2 * sizes[inner.upper()] * sizes[outer.upper()] < buffer
        over_rows = {"for": "r", "tile": "R0" if whole else f"max(R0, global_buffer_bytes // (4 * {inner.upper()}))"}
        tail = [{"for": outer, "tile": "N0"}, {"hold": weights, "in": "global_buffer"}, {"for": "r", "tile": "R0"}]
        head = [{"hold": weights, "in": "global_buffer"}] if whole else []
        nest = [*head, over_rows, {"hold": rows, "in": "global_buffer"}, *(tail[:1] if whole else tail)]
        groups.append({"einsums": [name], "nest": nest})
        bind.append({"einsums": [name], "unit": "2d", "space": {"rows": "r", "cols": outer}})
    return {
        "source": f"{_PAPER}: linear layers. The row tile is the outcome of the artifact's mapper: an input",
        "params": {"R0": "pe_dim", "N0": "pe_dim"},
        "bind": bind,
        "groups": groups,
    }
