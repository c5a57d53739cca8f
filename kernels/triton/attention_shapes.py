"""What a case of attention is: its sizes and mask, and what follows from them alone.

Sizes: B sequences, H heads of queries, KV heads of keys and values (H is a multiple), P queries, M keys, and E, the
head dimension. Options: `mask` is ``causal`` (query i sees keys up to i + M - P) or ``window`` (of those the last
`before` + 1); without it every query sees every key. With `lse` the forward pass also writes, for a backward pass, the
logarithm of each row's sum of exponentials.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .kernel import Case, Tile, Work

WORD_BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}
SECTION_BYTES = 16 << 20  # of keys and values that blocks walk at once: they stay in the L2 caches of today's GPUs


@dataclass(frozen=True)
class Shape:
    """The sizes of a case by their names, `group` queries' heads to one of keys, and its mask."""

    batch: int
    heads: int
    heads_kv: int
    queries: int
    keys: int
    dim: int
    dtype: str
    mask: str | None
    before: int
    lse: bool

    @property
    def group(self) -> int:
        """Heads of queries that share one of keys."""
        return self.heads // self.heads_kv

    @property
    def word_bytes(self) -> int:
        """Bytes of a number."""
        return WORD_BYTES[self.dtype]

    @property
    def causal(self) -> int:
        """1 where no query looks ahead: a window does not either."""
        return int(self.mask is not None)

    @property
    def window(self) -> int:
        """1 for a window."""
        return int(self.mask == "window")

    @property
    def pairs(self) -> int:
        """Queries and keys that see each other, in one head."""
        if self.mask is None:
            return self.queries * self.keys
        ahead = self.keys - self.queries

        def ramp(start: int) -> int:
            """The sum of max(0, start + i) over all queries i."""
            below, last = max(0, start - 1), max(0, start + self.queries - 1)
            return (last * (last + 1) - below * (below + 1)) // 2

        return ramp(ahead + 1) - (ramp(ahead - self.before) if self.window else 0)

    @property
    def section(self) -> int:
        """Heads whose blocks start together. Where blocks are of equal length, one head follows the other; under a
        causal mask those that see most keys come first, and more heads at a time even out the end better.
        """
        if self.mask != "causal":
            return 1
        kept = 2 * self.keys * self.dim * self.word_bytes
        return min(self.batch * self.heads, max(1, SECTION_BYTES // kept) * self.group)

    @property
    def section_kv(self) -> int:
        """The same of heads of keys."""
        return max(1, self.section // self.group)

    @property
    def launch_mask(self) -> Mapping[str, Any] | None:
        """The mask as a Launch states it."""
        if self.mask == "window":
            return {"kind": "window", "before": self.before, "after": 0}
        return None if self.mask is None else {"kind": self.mask}

    @property
    def sizes(self) -> dict[str, int]:
        """The ranks of the simulator's workloads, which know no shared heads of keys."""
        return {"B": self.batch, "H": self.heads, "P": self.queries, "M": self.keys, "E": self.dim, "F": self.dim}

    def blocks(self, rows: int, tile: int, heads: int) -> int:
        """Blocks of threads that take `rows` in tiles, of all sequences and so many heads."""
        return -(-rows // tile) * self.batch * heads


def shape_of(case: Case) -> Shape:
    """The shape of a case."""
    sizes, options = case.sizes, case.options
    return Shape(
        batch=sizes["B"],
        heads=sizes["H"],
        heads_kv=sizes["KV"],
        queries=sizes["P"],
        keys=sizes["M"],
        dim=sizes["E"],
        dtype=case.dtype,
        mask=options.get("mask"),
        before=options.get("before", 0),
        lse=bool(options.get("lse", 0)),
    )


def case_of(
    kernel: str, batch: int, heads: int, length: int, dim: int, dtype: str = "bf16", keys: int = 0, shared: int = 1,
    **options: Any,
) -> Case:  # fmt: skip
    """A case: as many keys as queries unless said, `shared` heads of queries to one of keys."""
    sizes = {"B": batch, "H": heads, "KV": heads // shared, "P": length, "M": keys or length, "E": dim}
    return Case(kernel, sizes, dtype, options)


def precision(dtype: str) -> str:
    """How products multiply: FP32 exactly, since TF32 would miss the tolerance."""
    return "ieee" if dtype == "fp32" else "tf32"


def forward_work(shape: Shape) -> Work:
    """Two products and an exponential for every pair that sees each other."""
    pairs = shape.pairs * shape.batch * shape.heads
    rows = shape.batch * shape.heads * shape.queries
    moved = 2 * rows * shape.dim + 2 * shape.batch * shape.heads_kv * shape.keys * shape.dim
    return Work(2 * pairs * shape.dim, pairs, moved * shape.word_bytes + 4 * rows * shape.lse)


def backward_work(shape: Shape) -> Work:
    """Five products: scores again, three gradients, and that of the weights. Reads q, k, v, out, its gradient and the
    sums; writes three gradients.
    """
    pairs = shape.pairs * shape.batch * shape.heads
    rows = shape.batch * shape.heads * shape.queries
    moved = 4 * rows * shape.dim + 4 * shape.batch * shape.heads_kv * shape.keys * shape.dim
    return Work(5 * pairs * shape.dim, pairs, moved * shape.word_bytes + 4 * rows)


def tile_of(bq: int, bk: int, warps: int, stages: int, tma: int = 0, **others: int) -> Tile:
    """A tile of queries by keys."""
    return Tile({"BQ": bq, "BK": bk, "TMA": tma, **others}, warps, stages)
