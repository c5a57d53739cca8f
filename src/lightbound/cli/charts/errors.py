"""Charts of errors: predicted against measured or published, with bands, for a comparison and for the suites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightbound.validate.host.compare import Comparison
from lightbound.validate.suite import SuiteReport

from .chart import Axis, Chart, Mark, Picture, Series

BANDS = (0.1, 0.25)
GROUPS = 10  # more series are not told apart: the rest goes by one name


def comparison_charts(found: Comparison) -> list[Picture]:
    """A scatter of predicted and measured times, and the roofline with both."""
    rows = [one.to_dict() for one in found.cases]
    for row in rows:
        row["range"] = row["measured_low_s"], row["measured_high_s"]
    scatter = _scatter("Predicted against measured", rows, "kernel", ("measured_s", "predicted_s"), "s", ("shape",))
    return [scatter, *_roofline(found)]


def _roofline(found: Comparison) -> list[Picture]:
    shown = [one for one in found.cases if one.predicted.operations]
    if not shown:
        return []
    series = []
    kernels = list(dict.fromkeys(one.case.kernel for one in shown))
    for number, kernel in enumerate(kernels):
        some = [one for one in shown if one.case.kernel == kernel]
        x = [one.predicted.operations / one.predicted.bytes for one in some]
        labels = [one.case.name for one in some]
        for hollow, name, times in (
            (False, "measured", [one.measured.median_s for one in some]),
            (True, "predicted", [one.predicted.latency_s for one in some]),
        ):
            y = [one.predicted.operations / time for one, time in zip(some, times, strict=True)]
            series.append(Series(f"{kernel}, {name}", x, y, "points", labels, hollow=hollow, like=number))
    at = [float(x) for one in series for x in one.x]
    ridge = found.peak_flops / found.bandwidth_bytes_per_s
    points = sorted({min(at) / 4, max(at) * 4, min(max(ridge, min(at) / 4), max(at) * 4)})
    roof = [min(found.peak_flops, found.bandwidth_bytes_per_s * x) for x in points]
    series.insert(0, Series("roof", points, roof, "line", like=4))
    says = f"{len(shown)} cases under a roof of {found.peak_flops:.3g} operations a second."
    x_axis = Axis("operations a byte of compulsory traffic", log=True)
    return [Chart("Roofline", says, x_axis, Axis("operations a second", log=True), series)]


def suite_charts(report: SuiteReport) -> list[Picture]:
    """For each metric of a suite, predicted against published; nothing for a suite without figures."""
    rows = [row for row in report.rows if {"published", "predicted", "metric"} <= set(row)]
    charts: list[Picture] = []
    for metric in dict.fromkeys(str(row["metric"]) for row in rows):
        some = [row for row in rows if row["metric"] == metric]
        positive = [row for row in some if row["published"] > 0 and row["predicted"] > 0]
        if len(positive) > 2:
            unit = "s" if metric in ("seconds", "latency_s", "kernel_s") else ""
            keys = tuple(name for name in some[0] if name not in _FIGURES)
            title = f"{report.name}: {metric}, predicted against published"
            charts.append(_scatter(title, positive, "group", ("published", "predicted"), unit, keys))
    if len(charts) > 4:  # one chart of all, by error, is easier to read than many small ones
        return [_errors(report, rows)]
    return charts


_FIGURES = ("group", "metric", "published", "predicted", "relative_error")


def _scatter(
    title: str, rows: Sequence[Mapping[str, Any]], group: str, names: tuple[str, str], unit: str, keys: tuple[str, ...]
) -> Chart:
    series = []
    for name, some in _grouped(rows, group).items():
        x, y = ([float(row[column]) for row in some] for column in names)
        labels = [" ".join(str(row[key]) for key in keys if key in row) for row in some]
        spread = [row["range"] for row in some if "range" in row]
        series.append(Series(name, x, y, "points", labels, spread if len(spread) == len(some) else ()))
    errors = [abs(float(row[names[1]]) / float(row[names[0]]) - 1) for row in rows]
    within = sum(error <= BANDS[0] for error in errors) / len(errors)
    says = (
        f"{len(rows)} points; {within:.0%} of the predictions are within {BANDS[0]:.0%} of their reference, the mean "
        f"error is {sum(errors) / len(errors):.1%} and the largest {max(errors):.1%}."
    )
    x_title, y_title = (name.removesuffix("_s") for name in names)
    return Chart(title, says, Axis(x_title, unit, True), Axis(y_title, unit, True), series, bands=BANDS)


def _grouped(rows: Sequence[Mapping[str, Any]], column: str) -> dict[str, list[Mapping[str, Any]]]:
    names = list(dict.fromkeys(str(row[column]) for row in rows))
    known = {name: name if len(names) <= GROUPS or place < GROUPS - 1 else "others" for place, name in enumerate(names)}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(known[str(row[column])], []).append(row)
    return found


def _errors(report: SuiteReport, rows: Sequence[Mapping[str, Any]]) -> Chart:
    series = []
    for name, some in _grouped(rows, "metric").items():
        x = [float(row["relative_error"]) for row in some]
        series.append(Series(name, x, [str(row["group"]) for row in some], "points"))
    largest = max(abs(float(row["relative_error"])) for row in rows)
    says = f"Relative errors of {len(rows)} figures by group; the largest is {largest:.1%}."
    marks = [Mark("x", 0.0, "exact")]
    return Chart(f"{report.name}: errors", says, Axis("relative error", "%"), Axis("group"), series, marks)
