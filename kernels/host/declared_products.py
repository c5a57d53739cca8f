"""Product, softmax, exponential, and attention made of them, as data: csrc/host_products.hpp, host_rows.hpp."""

from __future__ import annotations

from .declared import (
    APART,
    COLUMNS,
    COPIED,
    DEPTH,
    PANEL,
    PIECE,
    ROWS,
    SOONER,
    TILE,
    Declared,
    Mapping,
    even,
    on,
    outward,
)

_HIGH = "min(tile_rows, MB)"  # a register tile


def _cut(name: str, rows: str, columns: str, *counted: str) -> dict[str, str]:
    """How a product is cut into register tiles, for the bindings of `_product`: vectors of its columns, the last of
    which may be partly filled; panels of them, as wide as each other or a vector wider; tiles along its rows.

    counted: how much more than there is the loops of the mapping count (`_whole`), rank by rank.
    """
    vectors, panels, along = f"ceil_div({columns}, simd)", f"{name}_PANELS", f"ceil_div({rows}, tile_rows)"
    sums = f"tile_rows * ({name}_VECTORS // {panels}) * simd / vector_lanes"  # cycles of a step of a narrower panel
    return {
        f"{name}_VECTORS": vectors,
        panels: f"ceil_div({name}_VECTORS, tile_vectors)",
        f"{name}_FILLED": f"{columns} / ({name}_VECTORS * simd)",
        # Of each element of the product, of all that is done once a tile, and what each tile loads in a step.
        f"{name}_TILES": f"{along} * {panels} / ({rows} * {columns})",
        f"{name}_LOADS": f"({along} * {name}_VECTORS + {rows} * {panels}) * simd / ({rows} * {columns})",
        # What too few sums wait for the last step's.
        f"{name}_CHAINS": f"max(0, fma_latency - {sums}) * ({panels} - {name}_VECTORS % {panels}) / {panels}",
        f"{name}_ACROSS": _across(columns),
        f"{name}_COUNTED": " * ".join(counted),
    }


def _whole(rank: str, *tiles: str) -> str:
    """How much longer a rank is where each of these tiles, one within the other, counts as whole: the kernel's last
    ones have fewer rows and columns, and take less time.
    """
    outer = (rank, *tiles[:-1])
    count = " * ".join(f"ceil_div({whole}, {tile})" for whole, tile in zip(outer, tiles, strict=True))
    return f"({count} * {tiles[-1]} / {rank})"


def _across(columns: str) -> str:
    """Of rows of so many elements, vectors that lie across two lines: all of a row that begins within a vector, where a
    vector is a line; every second where it is half a line.
    """
    even_by = "16"
    for power in (8, 4, 2, 1):
        even_by = f"where({columns} % {2 * power} == 0, {even_by}, {power})"
    return f"simd / 16 * (1 - min({even_by}, simd) / simd)"


def _product(name: str, einsum: str, ranks: list[str], depth: str, pack: str) -> list[Mapping]:
    """What a product that was cut by `_cut` does at each multiply-add; `pack`: what it waits there for packing."""
    spans, counted = f"ceil_div({depth}, {DEPTH})", f"{name}_COUNTED"
    written = f"(1 + {name}_ACROSS) / {name}_FILLED"
    ends = f"vector_lanes * {name}_TILES * (sum_end * {spans} / {depth} + {name}_CHAINS)"
    return [
        on("vector", [einsum], ranks),
        on("vector", [einsum], ranks, mac=f"1 / {name}_FILLED / {counted} - 1", wait=f"({ends} + {pack}) / {counted}"),
        on("load", [einsum], ranks, load=f"({name}_LOADS + {written} * ({spans} - 1) / {depth}) / {counted}"),
        on("scalar", [einsum], [], iadd=f"9 / 4 * {name}_TILES / {counted}"),
        on("store", [einsum], ranks, store=f"{written} * {spans} / {depth} / {counted}"),
    ]


def _rows(columns: str, walked: str) -> dict[str, str]:
    """What rows of softmax take besides, for the bindings of `_softmax`: their pieces begin and end, their last vector
    is partly filled, and vectors lie across two lines. Of an element each; `walked`: bytes in and out of all rows.
    """
    ahead = 2 * 4 * SOONER  # bytes, of what comes in and what goes out
    ends = f"PIECE_ENDS + where({columns} % (4 * simd) == 0, 0, PIECE_REST)"
    return {
        "FILLED": f"{columns} / (ceil_div({columns}, simd) * simd)",
        "ACROSS": _across(columns),
        "ENDS": f"({ends}) * ceil_div({columns}, {PIECE}) / {columns}",
        # Numerators of a row lie in one buffer. Where it, the row that is read and the one that is written, and lines
        # asked for far ahead, exceed the nearest cache, they come back from the second one, a half of a copy.
        "RING": f"where(12 * {columns} + where({walked} > last_cache / 4, {ahead}, 0) > l1_bytes, NEAR, 0)",
    }


def _softmax(largest: str, numerators: str, sums: str, quotients: str, rank: str) -> list[Mapping]:
    """One walk for numerators of a row, the largest element of the next and quotients of the one before. The latter two
    begin where a line does.
    """
    return [
        on("vector", [largest], [rank]),
        on("load", [largest], [rank], load=1),
        on("vector", [numerators], [rank]),
        # The first product takes the maximum off, and brings log2 e.
        on("vector", [numerators], [rank], mac="1 / FILLED", exp="1 / FILLED - 1", wait="ENDS + RING"),
        on("load", [numerators], [rank], load="1 + ACROSS + 2 * simd / 16"),  # and asks for two lines ahead
        on("store", [numerators], [rank], store=1),
        on("vector", [sums], [rank]),
        on("vector", [quotients], [rank]),
        on("load", [quotients], [rank], load="1 + ACROSS"),
        on("store", [quotients], [rank], store=1),
    ]


GEMM = Declared(
    name="gemm",
    title="Matrix product",
    control=True,
    cascade="Z[b,m,n] = sum(A[b,m,k] * B[b,k,n], k)\n",
    mapping={
        "source": "csrc/host_products.hpp: tasks of 192 rows by 256 columns pack both operands, 256 deep at a time",
        "params": {
            **TILE,
            "KB": even("K", DEPTH),
            "MB": even("M", ROWS),
            "NB": even("N", COLUMNS),
            **_cut("Z", "M", "N", _whole("M", "MB", _HIGH), _whole("N", "NB"), _whole("K", "KB")),
        },
        "bind": _product("Z", "Z", ["m", "n"], "K", "PACK * (1 / MB + 1 / NB)"),
        "groups": [
            {
                "einsums": ["Z"],
                "nest": [
                    {"for": "b", "over": "core"},
                    {"for": "m", "tile": "MB", "over": "core"},
                    {"for": "n", "tile": "NB", "over": "core"},
                    {"for": "k", "tile": "KB"},
                    {"hold": ["B"], "in": "l2"},
                    {"for": "m", "tile": _HIGH},
                    {"hold": ["A"], "in": "l1"},
                ],
                "awaits": APART,
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
        "source": "csrc/host_rows.hpp: one walk for quotients of a row and numerators of the next",
        "params": {
            **TILE,
            **_rows("N", "8 * R * N"),
        },
        "widths": {"Y": f"where(N >= 64, {outward('R * N')}, 4)"},
        "bind": [
            *_softmax("G", "NU", "D", "Y", "n"),
        ],
        "groups": [
            {
                "einsums": ["G", "NU", "D", "Y"],
                "nest": [
                    {"for": "r", "tile": 1, "over": "core"},
                    {"hold": ["X", "Y"], "in": "l2"},
                ],
                "slots": [["G", "Y"], ["NU", "D"]],
                "awaits": COPIED,
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
        "source": "csrc/host_vector.hpp, exp_each: beside what 2^x takes, a longer range reduction, and bounds",
        "widths": {"Y": outward("N")},
        "bind": [
            on("vector", ["Y"], ["n"]),
            on("vector", ["Y"], ["n"], wait="exp_range"),
            on("load", ["Y"], ["n"], load=1),
            on("store", ["Y"], ["n"], store=1),
        ],
        "groups": [
            {"einsums": ["Y"], "nest": [{"for": "n", "tile": "min(N, 16384)", "over": "core"}], "awaits": COPIED},
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
            **TILE,
            **_rows("M", "4 * B * H * P * M"),
            "MB": even("P", ROWS),
            "KB": even("M", DEPTH),
            "NB": even("M", COLUMNS),
            "NP": even("M", PANEL),
            "FB": even("F", COLUMNS),
            **_cut("S", "P", "M", _whole("P", "MB", _HIGH), _whole("M", "NP")),
            **_cut("O", "P", "F", _whole("P", "MB", _HIGH), _whole("M", "KB")),
        },
        "bind": [
            on("vector", ["KS"], ["m"]),
            on("vector", ["KS"], ["m"], shuffle="SLOT / TURNED * ceil_div(P, MB)"),
            on("load", ["KS"], ["m"], load="SLOT / MOVED * ceil_div(P, MB)"),
            on("store", ["KS"], ["m"], store="SLOT / MOVED * ceil_div(P, MB)"),
            *_product("S", "S", ["p", "m"], "E", "PACK / NB"),
            *_softmax("G", "NU", "D", "A", "m"),
            *_product("O", "O", ["p", "f"], "M", "PACK * (1 / MB + 1 / FB)"),
        ],
        "groups": [
            {
                "einsums": ["KS", "S"],
                "nest": [
                    {"for": "b", "over": "core"},
                    {"for": "h", "over": "core"},
                    {"for": "p", "tile": "MB", "over": "core"},
                    {"hold": ["Q"], "in": "l2"},
                    {"for": "m", "tile": "NP", "over": "core"},
                    {"hold": ["KS"], "in": "l1"},
                    {"for": "p", "tile": _HIGH},
                    {"hold": ["Q"], "in": "l1"},
                ],
                "slots": [["KS"], ["S"]],
                "awaits": APART,
            },
            {
                "einsums": ["G", "NU", "D", "A"],
                "nest": [
                    {"for": "b", "over": "core"},
                    {"for": "h", "over": "core"},
                    {"for": "p", "tile": 1, "over": "core"},
                    {"hold": ["S", "A"], "in": "l2"},
                ],
                "slots": [["G", "A"], ["NU", "D"]],
                "awaits": COPIED,
            },
            {
                "einsums": ["O"],
                "nest": [
                    {"for": "b", "over": "core"},
                    {"for": "h", "over": "core"},
                    {"for": "p", "tile": "MB", "over": "core"},
                    {"for": "m", "tile": "KB"},
                    {"hold": ["V"], "in": "l2"},
                    {"for": "p", "tile": _HIGH},
                    {"hold": ["A"], "in": "l1"},
                ],
                "awaits": APART,
            },
        ],
    },
)
