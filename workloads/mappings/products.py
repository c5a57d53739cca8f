"""Matrix products as GPU libraries do them: a block of threads makes one tile of the result, walking the sum in steps.

`gemm` uses matrix instructions, `gemm_fp32` the FP32 lanes (words of 4 bytes). Which tile, and in how many parts the
sum is split among blocks, is chosen by prediction from the list of tiles that libraries ship, as their heuristics do.
Parts of a sum are added in memory. A ragged tile takes as long as a full one. One block is on an SM: kernels that
load far ahead fill its shared memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

SOURCE = (
    "Tiles of CUTLASS's profiler and of cuBLAS's kernel names (ampere_sgemm_128x64_tn). A step costs a barrier (30 "
    "cycles) and the latency of the first operands from shared memory (33), a block 3500 cycles at its start and end: "
    "sums of published latencies, as in fused attention, assumed"
)


def _tile(rows: int, columns: int, warp_rows: int, warp_columns: int) -> dict[str, int]:
    return {"BM": rows, "BN": columns, "WM": warp_rows, "WN": warp_columns}


# Rows and columns of a block, and of one of its warps.
TILES = [
    _tile(256, 128, 64, 64),
    _tile(128, 256, 64, 64),
    _tile(256, 64, 64, 64),
    _tile(64, 256, 64, 64),
    _tile(128, 128, 64, 64),
    _tile(128, 64, 64, 32),
    _tile(64, 128, 32, 64),
    _tile(64, 64, 32, 32),
]
TILES_FP32 = [
    _tile(128, 128, 64, 32),
    _tile(128, 64, 64, 32),
    _tile(64, 128, 32, 64),
    _tile(64, 64, 32, 32),
    _tile(128, 32, 64, 16),
    _tile(32, 128, 16, 64),
    _tile(32, 32, 32, 32),
]
SPLITS = [{"SPLIT": parts} for parts in (1, 2, 3, 4, 6, 8)]


@dataclass(frozen=True)
class Product:
    """A product of matrices in a cascade: its Einsum, its operands, the ranks of batches, rows, columns and of the sum.

    `mark` tells its params from those of other products of the same mapping.
    """

    einsum: str = "Z"
    operands: tuple[str, str] = ("A", "B")
    batch: tuple[str, ...] = ()
    rows: str = "m"
    columns: str = "n"
    summed: str = "k"
    mark: str = ""

    def params(self, unit: str, tiles: list[dict[str, int]], step: int) -> dict[str, Any]:
        """The tile (the first of the list), what follows from it, and how many blocks an SM holds."""
        x, rows, columns = self.mark, self.rows.upper(), self.columns.upper()
        batches = "".join(f" * {rank.upper()}" for rank in self.batch)
        values = {
            **tiles[0],
            "SPLIT": 1,
            "STEP": step,
            "STAGES": "where(shared_bytes >= 131072, 3, 2)",
            "PARTS": f"where(ceil_div({rows}, BM) * ceil_div({columns}, BN){batches} >= sm, 1, SPLIT)",
            "WR": f"min(WM, {rows})",
            "WC": f"min(WN, {columns})",
            "FILLED": f"ceil_div({rows}, WR) * ceil_div({columns}, WC) * ceil_div(WR * WC, {unit}_lanes)",
            "WASTE": f"ceil_div({rows}, BM) * ceil_div({columns}, BN) * BM * BN / {unit}_lanes / FILLED - 1",
        }
        return {f"{name}{x}": _marked(value, x) for name, value in values.items()}

    def bind(self, unit: str) -> list[dict[str, Any]]:
        """The product, and of a ragged tile what lies beyond the matrix."""
        lanes = {"lanes": [self.rows, self.columns]}
        outside = {"einsums": [self.einsum], "unit": unit, "space": lanes}
        return [outside, {**outside, "implied": {"mac": f"WASTE{self.mark}"}}]

    def group(
        self, warp_groups: bool = False, together: bool = False, wide_sums: bool = False, **fields: Any
    ) -> dict[str, Any]:
        """The group of the product.

        With `warp_groups`, warps that share one matrix instruction (of WR rows) are contexts that contend for the unit.
        With `together`, HEIGHT rows of tiles are made column by column, so that blocks at work share their operands.
        With `wide_sums`, results are FP32 in memory too, as `widths` says.
        """
        x, operands = self.mark, list(self.operands)
        rows, columns, summed = self.rows.upper(), self.columns.upper(), self.summed.upper()
        tile = {"for": self.rows, "tile": f"min(BM{x}, {rows})", "over": "sm"}
        several = {"for": self.rows, "tile": f"min(HEIGHT{x} * BM{x}, {rows})", "over": "sm", "if_split": True}
        column = {"for": self.columns, "tile": f"min(BN{x}, {columns})", "over": "sm"}
        warp_rows = {"for": self.rows, "tile": f"WR{x}"}
        part = f"max(min(STEP{x}, {summed}), ceil_div({summed}, PARTS{x}))"
        return {
            "einsums": [self.einsum],
            "nest": [
                *({"for": rank, "over": "sm"} for rank in self.batch),
                *([several, column, {**tile, "if_split": True}] if together else [tile, column]),
                {"for": self.summed, "tile": part, "over": "sm", "if_split": True},
                {"hold": [self.einsum], "in": "registers", "copies": 1 if wide_sums else "4 / word_bytes"},
                {"for": self.summed, "tile": f"min(STEP{x}, {summed})"},
                {"hold": operands, "in": "l2"},
                {"hold": operands, "in": "shared", "copies": f"STAGES{x}"},
                *([warp_rows] if warp_groups else []),
                {
                    "do": [self.einsum],
                    "nest": [
                        *([] if warp_groups else [warp_rows]),
                        {"for": self.columns, "tile": f"WC{x}"},
                        {"hold": operands, "in": "registers"},
                    ],
                },
            ],
            "contexts": 1,
            "delay": 63,
            "overhead": 3500,
            **fields,
        }


_OWN = ("BM", "BN", "WM", "WN", "SPLIT", "STEP", "STAGES", "PARTS", "WR", "WC", "FILLED", "WASTE")


def _marked(value: Any, mark: str) -> Any:
    """A formula with the mark behind every name of its own product."""
    return re.sub(rf"\b({'|'.join(_OWN)})\b", rf"\1{mark}", value) if isinstance(value, str) else value


def marked_tiles(mark: str) -> list[dict[str, int]]:
    """The tiles of matrix units as settings of a marked product."""
    return [{f"{name}{mark}": value for name, value in tile.items()} for tile in TILES]


def _gemm(batched: bool, unit: str, tiles: list[dict[str, int]], step: int) -> dict[str, Any]:
    product = Product(batch=("b",) if batched else ())
    return {
        "source": SOURCE,
        "variant": "plain",
        "word_bytes": 2 if unit == "tensor_sync" else 4,
        "params": product.params(unit, tiles, step),
        "choose": {"tile": tiles, "split": SPLITS},
        "bind": product.bind(unit),
        "groups": [product.group()],
    }


TILES_GROUP = [{**tile, "WM": 64, "WN": tile["BN"]} for tile in TILES]  # one instruction of a group of four warps


def _group_gemm(batched: bool) -> dict[str, Any]:
    """As `gemm`, by the instructions of a group of warps: of Hopper on, whose libraries use no others."""
    made = _gemm(batched, "tensor", TILES_GROUP, 64)
    product = Product(batch=("b",) if batched else ())
    params = {**made["params"], "WR": "min(mma_rows, M)"}
    group = product.group(warp_groups=True, contexts="ceil_div(BM, WR)")
    return {**made, "params": params, "groups": [group]}


MAPPINGS = {
    "gemm": _gemm(False, "tensor_sync", TILES, 32),
    "gemm_group": _group_gemm(False),
    "gemm_fp32": _gemm(False, "alu", TILES_FP32, 8),
}
BATCHED = {
    "gemm": _gemm(True, "tensor_sync", TILES, 32),
    "gemm_group": _group_gemm(True),
    "gemm_fp32": _gemm(True, "alu", TILES_FP32, 8),
}
