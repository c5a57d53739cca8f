"""The suite of masks and bounds: every bar, every row, and files of users."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lightbound.base.errors import LightboundError
from lightbound.validate.masked_timings import BACKWARD, COLUMNS, measured_speedups, published_timings
from lightbound.validate.suite import SuiteReport, run_suite

HEADER = "gpu,backend,problem_shape,heads,head_dim,window,stride,q_tile,kv_tile,kernel,kernel_category,runtime_us"
SPARSE = "B200,blackwell-fna,256x256,24,128,80x80,16x16,16x16,16x8,FnaForward,attention,4114"
DENSE = "B200,cudnn,256x256,24,128,256x256,1x1,,,sm100_flash_fprop,attention,43313"


@pytest.fixture(scope="module")
def report() -> SuiteReport:
    return run_suite("gna")


def test_the_suite_passes_and_says_what_it_holds_to(report: SuiteReport) -> None:
    assert report.passed
    bars = {check.what: check.bar for check in report.checks}
    assert [bar for bar in bars.values() if bar is not None] == [
        *(0, 0, 0.005, 0.016, 0, 0, 0, 0, 0),
        *(0.12, 0.15, 0.25, 0.05),
    ]


def test_every_published_figure_is_scored(report: SuiteReport) -> None:
    counts = {(group.group, group.metric): group.n for group in report.groups}
    assert counts["charts", "bound"] == 6
    assert counts["end to end", "simulated"] + counts["end to end", "simulated_mixed"] == 44
    assert counts["several heads", "kernel_s"] == 12
    assert counts["one head", "kernel_s"] == 8


def test_measured_kernels_stay_below_their_bounds_and_raw_excess_is_reported(report: SuiteReport) -> None:
    pairs = measured_speedups(published_timings())
    raw = [pair for pair in pairs if pair.speedup > pair.timing.ladder.rung("worst tile").speedup]
    assert len(pairs) == 14 and len(raw) == 3
    assert all(not pair.timing.ladder.tested_visits for pair in raw)
    reported = next(check for check in report.checks if check.bar is None)
    assert reported.value == 3 and "h100_sxm, 30x48x80" in reported.what


def test_no_kernel_of_the_table_beats_its_least_time() -> None:
    for timing in published_timings():
        least = timing.ladder.time_s
        assert least is not None and timing.measured_s > least, timing.where


def test_kernels_that_gather_token_by_token_are_predicted_too(report: SuiteReport) -> None:
    (gathering,) = (group for group in report.groups if group.group == "cutlass-fna")
    assert gathering.n == 2 and gathering.mape < 0.12
    assert sum(timing.kernel == BACKWARD for timing in published_timings()) == 2


def test_the_report_is_plain_json(report: SuiteReport) -> None:
    assert json.loads(json.dumps(report.to_dict()))["name"] == "gna"


def test_a_user_s_timings_are_scored_by_the_same_bars(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("\n".join((HEADER, SPARSE, DENSE, SPARSE.replace("attention", "total"))), encoding="utf-8")
    report = run_suite("gna", path)
    assert report.passed
    assert len(report.rows) == 2
    slow = tmp_path / "slow.csv"
    slow.write_text("\n".join((HEADER, SPARSE.replace("4114", "9000"), DENSE)), encoding="utf-8")
    assert not run_suite("gna", slow).passed


def test_a_kernel_faster_than_its_least_time_fails(tmp_path: Path) -> None:
    path = tmp_path / "fast.csv"
    path.write_text("\n".join((HEADER, SPARSE.replace("4114", "100"))), encoding="utf-8")
    report = run_suite("gna", path)
    assert [check.value for check in report.checks if "least time" in check.what] == [1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("B200", "B900"), "line 2: gpu = B900: is not a machine that is known"),
        (("256x256,24", "256by256,24"), "line 2: problem_shape = 256by256: is not a shape"),
        (("80x80", "300x80"), "line 2: window"),
        (("4114", "-3"), "is not a finite number above 0"),
    ],
)
def test_what_a_user_s_file_has_wrong_is_told_by_line(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text("\n".join((HEADER, SPARSE.replace(*change))), encoding="utf-8")
    with pytest.raises(LightboundError, match=message):
        run_suite("gna", path)


def test_a_file_without_attention_kernels_is_told(tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    path.write_text("\n".join((HEADER, SPARSE.replace("attention", "elementwise"))), encoding="utf-8")
    with pytest.raises(LightboundError, match="has no row of an attention kernel"):
        run_suite("gna", path)


def test_the_columns_of_the_collected_logs_are_all_known() -> None:
    collected = (
        "gpu,backend,problem_shape,batch,heads,head_dim,dtype,window,stride,dilation,causal,q_tile,kv_tile,kernel,"
        "kernel_category,arch,calls,runtime_us,source_file,note"
    )
    assert set(collected.split(",")) == {column.name for column in COLUMNS}
