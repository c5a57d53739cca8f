"""FuseMax: the article's attention points, encoder layers and array sizes, through the general engine.

Latency, traffic and utilization are the engine's own; energy is the engine's counts under the artifact's accounting.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from lightbound.base.errors import LightboundError

from ..cases import Case, Column, read_cases
from ..configurations import ATTENTION, CONFIGURATIONS, MODELS, artifact_energy_pj, predict_point
from ..suite import Check, Score, Suite, SuiteReport, largest_error

PUBLISHED = Path(__file__).parents[1] / "published"
EXACT = 1e-6  # closed forms on both sides: nothing but rounding may differ
ENERGY = 0.001
ENERGY_LONG = 0.075  # what a wrapped counter moves where it wraps elsewhere than in the shipped points
LONG = 65536  # tokens from which the artifact's 64-bit counter wraps
HEADLINE = 0.005

_POINT = (
    Column("config", "text", tuple(CONFIGURATIONS)),
    Column("model", "text", MODELS),
    Column("seq_len", "whole"),
)
_SIZES = tuple(Column(symbol, "whole", optional=True) for symbol in "BHEFMP")
COLUMNS = (
    *_POINT,
    Column("traffic_bytes", "number"),
    Column("latency_s", "number"),
    Column("energy_pj", "number", empty=True, optional=True),
    Column("util_2d", "number", empty=True, optional=True),
    Column("util_1d", "number", empty=True, optional=True),
    *_SIZES,
    Column("source", "text", optional=True),
)
_PARETO = (
    *_POINT[1:],
    Column("pe_dim", "whole"),
    Column("global_buffer_bytes", "whole"),
    *(Column(name, "number") for name in ("traffic_bytes", "memory_s", "busy_2d_s", "busy_1d_s", "latency_s")),
    Column("source", "text"),
)
_HEADLINES = (
    Column("scope", "text", ("attention", "encoder_layer")),
    Column("quantity", "text", ("speedup", "energy")),
    Column("baseline", "text", ATTENTION),
    Column("seq_len", "text"),
    Column("mean", "number"),
    Column("printed", "number"),
    Column("source", "text"),
)
_METRICS = ("traffic_bytes", "latency_s", "util_2d", "util_1d", "energy_pj")
_NOTES = (
    "Inputs, not predictions: FLAT's table of held tensors and tiles, how often the unfused baseline fetches K and V, "
    "the row tile of the linear layers, and the buffers of the array sweep. They came out of searches of their own.",
    "Fitted to published energies by whoever described the artifact: the energy of a buffer access at 16 and 32 MiB.",
    "Energy is the engine's counts under the artifact's accounting: register files of one lane, no exponentials in "
    "+Cascade, no spills in FLAT's buffer, and from 64K tokens on reads that a wrapped 64-bit counter adds. "
    "lightbound's own energies count every register file and are 30 to 50 % higher.",
    "Not scored: area, which nothing here models.",
)
Point = tuple[str, str, int]  # configuration, model, length
Figures = dict[Point, dict[str, float]]


def run() -> SuiteReport:
    """All 192 published points and the headline means over them."""
    scores: list[Score] = []
    figures: Figures = {}
    for table in ("fusemax_attention", "fusemax_linear"):
        for case in read_cases(PUBLISHED / f"{table}.csv", COLUMNS):
            cells = case.cells
            point = (cells["config"], cells["model"], cells["seq_len"])
            figures[point] = _figures(case)
            scores.extend(_scores(cells, figures[point]))
    pareto = _pareto_scores()
    headlines = _headline_scores(figures)
    checks = (
        *_checks("120 attention and 48 linear points", scores, ENERGY),
        *_exact("24 array sizes", pareto, {score.metric for score in pareto}),
        *(Check(_headline(score), HEADLINE, abs(score.error)) for score in headlines),
    )
    return SUITE.report(checks, [*scores, *pareto, *headlines], _NOTES)


def score_file(path: Path) -> SuiteReport:
    """The points of a user's file, held to the same bars."""
    scores: list[Score] = []
    for case in read_cases(path, COLUMNS):
        scores.extend(_scores(case.cells, _figures(case)))
    return SUITE.report(_checks(f"points of {path.name}", scores, ENERGY_LONG), scores, (_NOTES[0], _NOTES[2]))


def _figures(case: Case) -> dict[str, float]:
    """What is predicted for one row, by the column that it answers."""
    cells = case.cells
    sizes = {column.name: cells[column.name] for column in _SIZES if column.name in cells}
    try:
        prediction = predict_point(cells["config"], cells["model"], cells["seq_len"], sizes)
        figures = {
            "traffic_bytes": float(prediction.traffic_bytes["dram"]),
            "latency_s": float(prediction.latency_s),
            "energy_pj": float(artifact_energy_pj(cells["config"], prediction)),
        }
    except LightboundError as error:
        raise LightboundError(f"{case.where}: {error.field}", error.value, error.problem, error.remedy) from error
    return figures | {f"util_{unit}": float(share) for unit, share in prediction.utilization.items()}


def _scores(cells: Any, figures: dict[str, float]) -> list[Score]:
    """A score for each figure that the row states; energies of long sequences form a metric of their own."""
    keys = {"model": cells["model"], "seq_len": cells["seq_len"]}
    keys |= {column.name: cells[column.name] for column in _SIZES if column.name in cells}
    length = max(cells.get("M", cells["seq_len"]), cells.get("P", cells["seq_len"]))
    return [
        Score(
            cells["config"],
            f"{metric} from {LONG // 1024}K" if metric == "energy_pj" and length >= LONG else metric,
            keys,
            cells[metric],
            figures[metric],
        )
        for metric in _METRICS
        if metric in cells
    ]


def _checks(what: str, scores: Sequence[Score], long_bar: float) -> list[Check]:
    short = [score for score in scores if score.metric == "energy_pj"]
    long = [score for score in scores if score.metric.startswith("energy_pj ")]
    exact = {score.metric for score in scores if not score.metric.startswith("energy_pj")}
    checks = _exact(what, scores, exact)
    if short:
        checks.append(Check(f"energy below 64K tokens, largest error of {what}", ENERGY, largest_error(short)))
    if long:
        checks.append(Check(f"energy from 64K tokens on, largest error of {what}", long_bar, largest_error(long)))
    return checks


def _exact(what: str, scores: Sequence[Score], metrics: set[str]) -> list[Check]:
    order = dict.fromkeys(score.metric for score in scores if score.metric in metrics)
    return [
        Check(
            f"{metric}, largest error of {what}",
            EXACT,
            largest_error([score for score in scores if score.metric == metric]),
        )
        for metric in order
    ]


def _pareto_scores() -> list[Score]:
    scores = []
    for case in read_cases(PUBLISHED / "fusemax_pareto.csv", _PARETO):
        cells = case.cells
        keys = {name: cells[name] for name in ("model", "seq_len", "pe_dim", "global_buffer_bytes")}
        prediction = predict_point(
            "binding",
            cells["model"],
            cells["seq_len"],
            pe_dim=cells["pe_dim"],
            global_buffer=cells["global_buffer_bytes"],
        )
        figures = {
            "traffic_bytes": prediction.traffic_bytes["dram"],
            "memory_s": prediction.busy_s["dram"],
            "busy_2d_s": prediction.busy_s["2d"],
            "busy_1d_s": prediction.busy_s["1d"],
            "latency_s": prediction.latency_s,
        }
        scores.extend(Score("pareto", name, keys, cells[name], float(value)) for name, value in figures.items())
        # The table states busy times; a full array's utilization is its busy time over the latency.
        for unit in ("2d", "1d"):
            stated = cells[f"busy_{unit}_s"] / cells["latency_s"]
            scores.append(Score("pareto", f"util_{unit}", keys, stated, float(prediction.utilization[unit])))
    return scores


def _headline_scores(figures: Figures) -> list[Score]:
    scores = []
    for case in read_cases(PUBLISHED / "fusemax_headlines.csv", _HEADLINES):
        cells = case.cells
        lengths = {length for _, _, length in figures if cells["seq_len"] in ("all", str(length))}
        ratios = [
            _ratio(figures, cells["scope"], cells["quantity"], cells["baseline"], model, length)
            for model in MODELS
            for length in sorted(lengths)
        ]
        keys = {name: cells[name] for name in ("scope", "baseline", "seq_len", "printed")}
        scores.append(Score("headline", cells["quantity"], keys, cells["mean"], fmean(ratios)))
    return scores


def _ratio(figures: Figures, scope: str, quantity: str, baseline: str, model: str, length: int) -> float:
    """How much faster FuseMax is than the baseline, or its energy as a fraction of the baseline's."""
    metric = "latency_s" if quantity == "speedup" else "energy_pj"

    def total(name: str) -> float:
        linear = CONFIGURATIONS[name].linear
        attention = figures[name, model, length][metric]
        return attention + (figures[linear, model, length][metric] if linear and scope == "encoder_layer" else 0)

    ratio = total(baseline) / total("binding")
    return ratio if quantity == "speedup" else 1 / ratio


def _headline(score: Score) -> str:
    scope = "encoder layer" if score.keys["scope"] == "encoder_layer" else "attention"
    where = "" if score.keys["seq_len"] == "all" else f" at {int(score.keys['seq_len']):,} tokens"
    baseline = CONFIGURATIONS[score.keys["baseline"]].title
    what = f"speedup over {baseline}" if score.metric == "speedup" else f"energy over that of {baseline}"
    numbers = f"{score.predicted:.4g}, published {score.published:.4g} (printed {score.keys['printed']:g})"
    return f"mean {scope} {what}{where}: {numbers}"


SUITE = Suite(
    name="fusemax",
    title="FuseMax and its four baselines: attention, encoder layers, array sizes",
    source="Nayak et al., FuseMax, MICRO 2024, arXiv 2406.10491, and its artifact at f543beb",
    run=run,
    score=score_file,
    columns=tuple(column.name for column in COLUMNS),
)
