"""Published timings of attention kernels on GPUs: every row whose kernel has a mapping is predicted.

Tiles and launch order of each kernel are those of attention_kernels.yaml, everything else is machine constants: nothing
is chosen by row. What cannot be predicted is listed with its reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.sim.bound import fastest
from lightbound.sim.masked import as_problem
from lightbound.workloads.masks.causal import Causal
from lightbound.workloads.masks.dense import Dense
from lightbound.workloads.masks.mask import Mask
from lightbound.workloads.masks.sliding_window import SlidingWindow
from lightbound.workloads.registry import workload

from ..cases import Case, Column, read_cases
from ..kernels import Found, Shape, find_kernel
from ..statistics import rank_correlation
from ..suite import Check, Score, Suite, SuiteReport

PUBLISHED = Path(__file__).parents[1] / "published" / "attention.csv"
OVERALL, EACH, BACKWARD, OTHERS, ORDER = 0.06, 0.09, 0.06, 0.12, 0.95
GOALS_ON = ("a100", "h100_sxm", "rtx4090")  # the GPUs that the bars of fused forward kernels are about
FUSED = ("flash-attn-2", "flash-attn-3", "triton", "triton-2025", "cudnn")
BACKWARD_ON = ("a100", "h100_sxm")
METRIC = "latency_s"
DOUBT = "listed apart"
DECODING = "decode"
ABOVE = {"rtx4090": "cards run above the 2520 MHz of the data sheet"}

_SIZES = ("head_dim", "batch", "heads_q", "heads_kv", "seqlen_q", "seqlen_k")
_IGNORED = ("head_dim_v", "gbps", "flop_convention", "source_kind", "notes")
COLUMNS = (
    *(Column(name, "text") for name in ("gpu", "kernel", "dtype")),
    *(
        Column(name, "text", optional=True)
        for name in (*_SIZES, "causal", "mask", "pass", "source", "doubt", *_IGNORED)
    ),
    *(Column(name, "number", optional=True) for name in ("tflops", "ms")),
)
_NOTES = (
    "Chosen with these rows in view, by whoever wrote down the machine constants: the cycles at the start and end of a "
    "block, how register ports are shared, the clock of a long run, and which tile Triton's tuning picks.",
    "Figures read by eye carry a few per cent; two hosts with the same kernel and GPU differ by up to 9 %.",
)
_PASSES = {"fwd": 1.0, "bwd": 2.5, "fwd+bwd": 3.5}  # operations over those of a forward pass, by convention
_WINDOW = re.compile(r"sliding_window causal \(window (\d+)")
_HALF = re.compile(r"(fp16|bf16)(/(fp16|bf16))?( \(default\))?")


@dataclass(frozen=True)
class _Row:
    """A row read: its cells with whole numbers as such, and the seconds that it states."""

    cells: Mapping[str, Any]
    seconds: float

    @property
    def causal(self) -> bool:
        return self.cells.get("causal") == "1"

    @property
    def passes(self) -> str:
        return self.cells.get("pass", "fwd")

    @property
    def what(self) -> str:
        """What queries attend, in a word."""
        mask = self.cells.get("mask", "")
        named = "decode" if mask == DECODING else "window" if _WINDOW.search(mask) else ""
        return named or ("causal" if self.causal else "full")

    @property
    def shape(self) -> Shape:
        cells = self.cells
        queries, keys = cells["seqlen_q"], cells["seqlen_k"]
        window = _WINDOW.search(cells.get("mask", ""))
        mask: Mask = Causal(queries, keys) if self.causal else Dense((queries,), (keys,))
        if window is not None:
            mask = SlidingWindow(queries, int(window[1]), 0, keys)
        return Shape(mask, cells["batch"], cells["heads_q"], cells["heads_kv"], cells["head_dim"])


@dataclass(frozen=True)
class _Predicted:
    """A row beside what is predicted, and the least time that the machine allows it."""

    score: Score
    machine: str
    kernel: str
    passes: str
    least_s: float
    doubt: str

    @property
    def is_forward_goal(self) -> bool:
        """Whether the bars of fused forward kernels are about it."""
        return self.kernel in FUSED and self.machine in GOALS_ON and self.passes == "fwd"

    @property
    def is_backward_goal(self) -> bool:
        """Whether the bar of backward passes is about it."""
        return self.kernel == "flash-attn-2" and self.machine in BACKWARD_ON and self.passes != "fwd"


def run() -> SuiteReport:
    """The rows that ship with lightbound."""
    predicted, left_out = _predict(read_cases(PUBLISHED, COLUMNS))
    return _report(predicted, left_out, _checks(predicted))


def score_file(path: Path) -> SuiteReport:
    """The rows of a user's file, reported without bars."""
    predicted, left_out = _predict(read_cases(path, COLUMNS))
    sure = [one for one in predicted if not one.doubt]
    checks = [Check("MAPE over all", None, _mape(sure))] if sure else []
    return _report(predicted, left_out, checks)


def _predict(cases: Iterable[Case]) -> tuple[list[_Predicted], Counter[str]]:
    predicted: list[_Predicted] = []
    left_out: Counter[str] = Counter()
    for case in cases:
        row = _row(case.cells)
        if isinstance(row, str):
            left_out[row] += 1
            continue
        found = find_kernel(row.cells["gpu"], row.cells["kernel"], row.cells["head_dim"], row.causal, row.passes)
        if found.why_not:
            left_out[found.why_not] += 1
            continue
        try:
            predicted.append(_predicted(row, found))
        except LightboundError as error:
            raise LightboundError(f"{case.where}: {error.field}", error.value, error.problem, error.remedy) from error
    return predicted, left_out


def _row(cells: Mapping[str, Any]) -> _Row | str:
    """The row with its numbers, or why it cannot be predicted."""
    if not _HALF.fullmatch(cells["dtype"]):
        return f"no rates of {cells['dtype']} in the machines"
    mask = cells.get("mask", "none")
    if mask not in ("none", "causal", DECODING, "") and _WINDOW.search(mask) is None:
        return f"no mapping for the mask {mask}"
    read: dict[str, Any] = dict(cells)
    for name in _SIZES:
        text = str(cells.get(name, ""))
        if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 24):
            return "sizes that are not stated as numbers"
        read[name] = int(text)
    if read["heads_q"] % read["heads_kv"] or (mask != DECODING and read["heads_q"] != read["heads_kv"]):
        return "no mapping for grouped queries but in decoding"
    if cells.get("head_dim_v", cells["head_dim"]) != cells["head_dim"]:
        return "no tiles for values of another width than keys"
    row = _Row(read, 0.0)
    if "ms" in cells:
        return _Row(read, cells["ms"] / 1e3)
    if "tflops" in cells:
        pairs = read["batch"] * read["heads_q"] * read["seqlen_q"] * read["seqlen_k"] * (0.5 if row.causal else 1.0)
        return _Row(read, 4 * pairs * read["head_dim"] * _PASSES[row.passes] / (cells["tflops"] * 1e12))
    return "no time (out of memory)"


def _predicted(row: _Row, found: Found) -> _Predicted:
    assert found.machine is not None
    cells, shape = row.cells, row.shape
    what = row.what
    passes = "" if row.passes == "fwd" else f"{row.passes}, "
    group = f"{found.kernel} on {found.machine.name}, {passes}d {shape.dim}, {what}"
    doubt = cells.get("doubt", "")
    keys_of_row = {name: cells[name] for name in (*_SIZES, "causal", "pass", "source", "doubt") if name in cells}
    return _Predicted(
        Score(f"{group} ({DOUBT})" if doubt else group, METRIC, keys_of_row, row.seconds, found.seconds(shape)),
        found.machine.name,
        found.kernel,
        row.passes,
        _least_s(found.machine, shape, row.passes),
        doubt,
    )


def _least_s(machine: Machine, shape: Shape, passes: str) -> float:
    """The roofline of what is attended: every unit at its peak, no tile, no padding, every tensor moved once."""
    least = 0.0
    for name, part in (("attention", "fwd"), ("attention_backward", "bwd")):
        if part not in passes:
            continue
        problem = as_problem(workload(name, **shape.sizes(name)).with_mask(shape.mask), None, None, None)
        pairs = problem.mask.attended_pairs * problem.copies
        bandwidth = machine.levels[0].bandwidth_bytes_per_s
        shared = shape.heads_kv / shape.heads  # of what is moved, keys and values of a group are one
        moved = problem.io_bytes * (shared if shape.mask.queries == 1 else 1)
        times = [moved / bandwidth] if bandwidth is not None else []
        for op in ("mac", "exp"):
            unit = fastest(machine, op)
            if unit is not None:
                times.append(pairs * problem.pair_operations[op] / unit[1])
        least += max(times)
    return least


def _checks(predicted: Sequence[_Predicted]) -> list[Check]:
    sure = [one for one in predicted if not one.doubt]
    forward = [one for one in sure if one.is_forward_goal]
    backward = [one for one in sure if one.is_backward_goal]
    others = [one for one in sure if not (one.is_forward_goal or one.is_backward_goal)]
    every = [one for one in predicted if not (one.is_forward_goal or one.is_backward_goal)]
    checks = [
        Check(
            f"MAPE over {len(forward)} forward rows of fused kernels on {', '.join(GOALS_ON)}", OVERALL, _mape(forward)
        ),
        Check(f"MAPE over {len(backward)} rows with a backward pass, flash-attn-2", BACKWARD, _mape(backward)),
        Check(f"MAPE over {len(others)} other rows", OTHERS, _mape(others)),
        Check("1 - rank correlation of the other rows", 1 - ORDER, 1 - _rank_correlation(others)),
        Check(f"MAPE over {len(every)} other rows, those listed apart among them", None, _mape(every)),
    ]
    for name, some in _by_kernel(sure).items():
        bar = EACH if some[0].is_forward_goal else None
        checks.append(Check(f"MAPE, {name}, {len(some)} rows", bar, _mape(some)))
    below = [one for one in sure if one.score.published < one.least_s]
    unexplained = [one for one in below if one.machine not in ABOVE]
    checks.append(Check("published times below the roofline, not explained", 0.0, float(len(unexplained)) / len(sure)))
    for machine, why in ABOVE.items():
        faster = [one for one in below if one.machine == machine]
        if faster:
            what = f"{len(faster)} published times on {machine} below the roofline, furthest: {why}"
            checks.append(Check(what, None, _furthest(faster)))
    return checks


def _rank_correlation(some: Sequence[_Predicted]) -> float:
    found = rank_correlation([one.score.published for one in some], [one.score.predicted for one in some])
    return 0.0 if found is None else found


def _furthest(some: Sequence[_Predicted]) -> float:
    return max(one.least_s / one.score.published - 1 for one in some)


def _by_kernel(some: Iterable[_Predicted]) -> dict[str, list[_Predicted]]:
    groups: dict[str, list[_Predicted]] = {}
    for one in some:
        passes = "" if one.passes == "fwd" else f", {one.passes}"
        groups.setdefault(f"{one.kernel} on {one.machine}{passes}", []).append(one)
    return dict(sorted(groups.items()))


def _mape(some: Sequence[_Predicted]) -> float:
    return fmean(abs(one.score.error) for one in some)


def _report(predicted: Sequence[_Predicted], left_out: Counter[str], checks: Iterable[Check]) -> SuiteReport:
    ordered = sorted(predicted, key=lambda one: (bool(one.doubt), one.score.group))
    listed = "; ".join(f"{count} {why}" for why, count in left_out.most_common())
    notes = (*_NOTES, *([f"Not predicted, {sum(left_out.values())} rows: {listed}."] if left_out else []))
    return SUITE.report(checks, [one.score for one in ordered], notes)


SUITE = Suite(
    name="attention_published",
    title="Attention on GPUs: published timings of fused and unfused kernels, forward and backward, and of decoding",
    source="Figures and threads of FlashAttention, SageAttention, Triton and PyTorch; each row names its own",
    run=run,
    score=score_file,
    columns=tuple(column.name for column in COLUMNS),
)
