"""Masks and speedup bounds: counts made twice, the published simulator's figures, measured kernels below their bounds,
and kernel times predicted from machine constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from lightbound.sim.outside import run_speedup
from lightbound.workloads.masks.block_sparsity import minimum_block_sparse_stride
from lightbound.workloads.masks.gna import GNA
from lightbound.workloads.masks.strides import pruned_strides
from lightbound.workloads.registry import workload

from ..cases import Case, Column, read_cases
from ..masked_timings import COLUMNS, DENSE, FORWARD, Timing, measured_speedups, published_timings, user_timings
from ..statistics import rank_correlation
from ..suite import Check, Score, Suite, SuiteReport, largest_error

PUBLISHED = Path(__file__).parents[1] / "published"
PREDICTED = ("blackwell-fna", "hopper-fna", "cudnn")  # kernels of the kind that the fused mapping describes
ROUNDING = 1e-9
_TILES = (Column("q_tile", "text"), Column("kv_tile", "text"))
_DESIGN = (Column("preset", "text"), Column("window", "text"), Column("stride", "text"), *_TILES)
_SOURCE = Column("source", "text")
_VECTORS = (
    *(Column(name, "text") for name in ("grid", "window", "stride", "dilation", "causal", "q_tile", "kv_tile")),
    *(Column(name, "whole") for name in ("q_tiles", "dense_kv_tiles", "visits_max", "visits_total")),
    *(Column(name, "whole") for name in ("dynamic_max", "dynamic_total", "pairs")),
    Column("block_sparse", "text", ("yes", "no")),
    _SOURCE,
)
_CHARTS = (
    *_DESIGN,
    *(Column(name, "number") for name in ("simulated", "b200_kernel", "b200_total", "h100_kernel", "h100_total")),
    _SOURCE,
)
_RUNS = (
    *_DESIGN,
    Column("simulated", "number"),
    Column("simulated_mixed", "number", empty=True),
    Column("measured", "number"),
    Column("measured_mixed", "number", empty=True),
    _SOURCE,
)
_STRIDES = (Column("preset", "text"), Column("window", "text"), *_TILES, Column("strides", "text"), _SOURCE)
_SPARSE = (
    Column("preset", "text"),
    *_TILES,
    Column("minimum_stride", "whole", empty=True),
    Column("sparsity", "number", empty=True),
    Column("speedup", "number", empty=True),
    _SOURCE,
)
_SLIDING = (
    *(Column(name, "text") for name in ("grid", "window", "tile")),
    Column("speedup", "number", empty=True),
    Column("full_tiles", "number", empty=True),
    _SOURCE,
)
_NOTES = (
    "Published bounds count the KV tiles of the worst Q tile: the rung `worst tile`. Tiles of Cosmos and of "
    "HunyuanVideo's 58 % window are not printed; they are inferred from the strides. End-to-end figures use the "
    "printed shares of time.",
    "Measured speedups are over cuDNN, whose tiles are slower than those of the block-sparse kernels on the same GPU. "
    "The bound is raised by that ratio, one number a GPU; the row that sets it touches its bound by construction.",
    "Predicted times use the constants of the machine and the fused attention mapping. Chosen with such rows in view: "
    "two contexts on an SM, and the clock under load. Instructions of the mask's test were counted in the source of "
    "the kernels.",
    "The Ampere kernel on A100 gathers its tiles token by token: 55 instructions for each vector of 16 bytes, counted "
    "in its source after its two times had been seen. Its backward passes are not predicted.",
)


def run() -> SuiteReport:
    """All published figures and timings."""
    charts, runs = _chart_scores(), _run_scores()
    timings = published_timings()
    checks = (
        Check("fields of 22 masks that differ from their counts", 0, _vector_mismatches()),
        Check("printed bounds of two charts that are not met to the digit", 0, sum(map(_misprinted, charts))),
        Check(f"mean difference to {len(runs)} simulated end-to-end speedups", 0.005, fmean(map(_distance, runs))),
        Check(f"largest difference to {len(runs)} simulated end-to-end speedups", 0.016, max(map(_distance, runs))),
        Check("stride tables that pruning does not reproduce", 0, _stride_mismatches()),
        Check("statements on block sparsity that do not hold", 0, _sparsity_mismatches()),
        Check("statements on Sliding Tile Attention that do not hold", 0, _sliding_mismatches()),
        *_timing_checks(timings),
    )
    return SUITE.report(checks, [*charts, *runs, *_timing_scores(timings)], _NOTES)


def score_file(path: Path) -> SuiteReport:
    """The timings of a user's file, held to the same bars."""
    timings = user_timings(path)
    return SUITE.report(_timing_checks(timings), _timing_scores(timings), _NOTES[1:])


def _read(name: str, columns: Sequence[Column]) -> list[Case]:
    return read_cases(PUBLISHED / f"gna_{name}.csv", columns)


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("x"))


def _mask(cells: Any) -> GNA:
    """The mask of a preset with the window and stride of a row."""
    options = {name: _shape(cells[name]) for name in ("window", "stride") if name in cells}
    mask = workload("gna", cells["preset"]).with_options(**options).mask
    assert isinstance(mask, GNA)
    return mask


def _vector_mismatches() -> int:
    wrong = 0
    for case in _read("vectors", _VECTORS):
        cells = case.cells
        causal = tuple(bool(flag) for flag in _shape(cells["causal"]))
        grid, window, stride, dilation = (_shape(cells[name]) for name in ("grid", "window", "stride", "dilation"))
        mask = GNA(grid, window, stride, dilation, causal)
        tiles = _shape(cells["q_tile"]), _shape(cells["kv_tile"])
        static, dynamic = mask.count(*tiles), mask.count(*tiles, "dynamic")
        found = {
            **{name: getattr(static, name) for name in ("q_tiles", "dense_kv_tiles", "visits_max", "visits_total")},
            "dynamic_max": dynamic.visits_max,
            "dynamic_total": dynamic.visits_total,
            "pairs": static.attended_pairs,
            "block_sparse": "yes" if static.block_sparse else "no",
        }
        wrong += sum(cells[name] != value for name, value in found.items())
    return wrong


def _chart_scores() -> list[Score]:
    scores = []
    for case in _read("charts", _CHARTS):
        cells = case.cells
        count = _mask(cells).count(_shape(cells["q_tile"]), _shape(cells["kv_tile"]))
        keys = {name: cells[name] for name in ("preset", "window", "stride", "q_tile", "kv_tile")}
        scores.append(Score("charts", "bound", keys, cells["simulated"], count.worst_tile_speedup))
    return scores


def _misprinted(score: Score) -> bool:
    return round(score.predicted, 1) != score.published


def _run_scores() -> list[Score]:
    scores = []
    for case in _read("end_to_end", _RUNS):
        cells = case.cells
        speedup = _mask(cells).count(_shape(cells["q_tile"]), _shape(cells["kv_tile"])).worst_tile_speedup
        whole = workload("gna", cells["preset"]).end_to_end
        assert whole is not None
        keys = {name: cells[name] for name in ("preset", "window", "stride")}
        for column, dense_steps in (("simulated", 0), ("simulated_mixed", whole.dense_steps)):
            if column in cells:
                predicted = run_speedup(speedup, whole.share, whole.steps, dense_steps)
                scores.append(Score("end to end", column, keys, cells[column], predicted))
    return scores


def _distance(score: Score) -> float:
    return abs(score.predicted - score.published)


def _stride_mismatches() -> int:
    """Tables whose strides are not those that survive pruning: on each axis the same, and every one a survivor."""
    wrong = 0
    for case in _read("strides", _STRIDES):
        listed = [_shape(text) for text in case.cells["strides"].split()]
        tiles = _shape(case.cells["q_tile"]), _shape(case.cells["kv_tile"])
        kept = pruned_strides(_mask(case.cells), *tiles)
        same_axes = [set(axis) for axis in zip(*listed, strict=True)] == [set(axis) for axis in zip(*kept, strict=True)]
        wrong += not (same_axes and set(listed) <= set(kept))
    return wrong


def _sparsity_mismatches() -> int:
    wrong = 0
    for case in _read("block_sparse", _SPARSE):
        cells = case.cells
        mask = _mask(cells)
        tiles = _shape(cells["q_tile"]), _shape(cells["kv_tile"])
        if "minimum_stride" in cells:
            smallest = minimum_block_sparse_stride(mask, *tiles)
            wrong += smallest != (cells["minimum_stride"],)
        if "speedup" in cells:
            count = mask.count(*tiles)
            printed = abs(100 * (1 - count.density) - cells["sparsity"]) < 1
            wrong += not (printed and count.block_sparse and _close(count.worst_tile_speedup, cells["speedup"]))
    return wrong


def _sliding_mismatches() -> int:
    """Speedups above the bound, although one library made both kernels; and windows of another number of tiles."""
    wrong = 0
    for case in _read("sliding_tiles", _SLIDING):
        cells = case.cells
        tile = _shape(cells["tile"])
        count = GNA(_shape(cells["grid"]), _shape(cells["window"]), tile).count(tile, tile)
        wrong += not count.block_sparse
        wrong += cells.get("speedup", 0) > count.total_visits_speedup
        covered = 100 * count.full_tiles / (count.q_tiles * count.dense_kv_tiles)
        wrong += round(covered, 2) != cells.get("full_tiles", round(covered, 2))
    return wrong


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= ROUNDING * b


def _timing_checks(timings: Sequence[Timing]) -> list[Check]:
    pairs = measured_speedups(timings)
    checks = []
    if pairs:
        above = [pair for pair in pairs if pair.speedup > pair.normalised_bound * (1 + ROUNDING)]
        raw = [pair for pair in pairs if pair.speedup > pair.timing.ladder.rung("worst tile").speedup]
        names = f" ({'; '.join(pair.timing.name for pair in raw)})" if raw else ""
        checks = [
            Check(
                f"of {len(pairs)} measured speedups, above the bound over an equally fast dense kernel", 0, len(above)
            ),
            Check(f"of {len(pairs)} measured speedups, above the published bound over cuDNN{names}", None, len(raw)),
        ]
    forward = [timing for timing in timings if timing.kernel in (DENSE, FORWARD)]
    early = [timing for timing in forward if timing.measured_s < (timing.ladder.time_s or 0)]
    checks.append(Check(f"of {len(forward)} kernels, measured faster than their least time", 0, len(early)))
    every = _timing_scores(timings)
    if every:
        what = f"predicted time of all {len(every)} kernels: mean absolute error"
        checks.append(Check(what, 0.12, fmean(abs(score.error) for score in every)))
    scores = [score for score in every if score.group == "several heads"]
    if scores:
        what = f"predicted time of {len(scores)} kernels of several heads"
        rank = rank_correlation([score.predicted for score in scores], [score.published for score in scores])
        checks += [
            Check(f"{what}: mean absolute error", 0.15, fmean(abs(score.error) for score in scores)),
            Check(f"{what}: largest error", 0.25, largest_error(scores)),
        ]
        if rank is not None:
            checks.append(Check(f"{what}: 1 - rank correlation", 0.05, 1 - rank))
    return checks


def _timing_scores(timings: Sequence[Timing]) -> list[Score]:
    """Predicted and measured seconds of the forward kernels, in groups of their own where no bar is set."""
    scores = []
    for timing in timings:
        if timing.kernel not in (DENSE, FORWARD) or timing.predicted_s is None:
            continue
        ladder = timing.ladder
        group = "several heads" if timing.heads * timing.batch > 1 else "one head"
        keys = {
            "kernel": f"{timing.backend} {timing.kernel}",
            "case": timing.name,
            "tiles": f"{_text(ladder.count.q_tile)}/{_text(ladder.count.kv_tile)}",
            "tax": ladder.estimate.tax if ladder.estimate else None,
        }
        group = group if timing.backend in PREDICTED else timing.backend
        scores.append(Score(group, "kernel_s", keys, timing.measured_s, timing.predicted_s))
    return scores


def _text(numbers: tuple[int, ...]) -> str:
    return "x".join(map(str, numbers))


SUITE = Suite(
    name="gna",
    title="Generalized neighbourhood attention: counts, published bounds, measured kernels",
    source="Hassani et al. 2025, arXiv 2504.16922; NATTEN's documentation, 0.20.0; nvidia-cosmos/cosmos-predict2",
    run=run,
    score=score_file,
    columns=tuple(column.name for column in COLUMNS),
)
