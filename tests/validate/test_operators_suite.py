"""The suite of measured operators: tables of both layouts, overheads, and rows that cannot be predicted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightbound.base.errors import LightboundError
from lightbound.validate.operators import Row, read_operators
from lightbound.validate.overheads import best_of, mean_errors, within_bar
from lightbound.validate.suite import run_suite

IN_ONE_CELL = """device,op,dims,dtype,measured_latency_s
A100,matmul,M=512 N=512 K=512,fp16,3.0e-5
A100,softmax,M=4096 N=512,fp16,2.0e-5
A100,softmax,M=4096 N=8192,fp16,1.5e-4
A100,gelu,N=1048576,fp16,4.8e-5
A100,allreduce,bytes=8,fp16,1.2e-5
mi300,matmul,M=512 N=512 K=512,fp16,3.0e-5
"""
IN_COLUMNS = """device,op,B,M,N,K,H,dtype,measured_latency_s,kernel,overhead_s
Tesla T4,bmm,16,256,64,256,,fp32,1e-3,volta_sgemm,1e-5
Tesla T4,linear,1,256,1024,512,,fp32,1e-3,volta_sgemm,1e-5
Tesla T4,ln,1024,,,,1024,fp32,1e-4,,1e-5
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "cases.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_the_suite_says_what_it_needs_and_scores_nothing() -> None:
    report = run_suite("operators")
    assert report.passed and not report.rows
    assert "--cases" in report.notes[0] and "measured_latency_s" in report.notes[1]


def test_rows_are_scored_by_operator_and_gpu_and_others_are_named_with_the_reason(tmp_path: Path) -> None:
    report = run_suite("operators", written(tmp_path, IN_ONE_CELL))
    own = [group for group in report.groups if group.metric == "latency_s"]
    assert {(group.group, group.n) for group in own} == {
        ("matmul on A100", 1), ("softmax on A100", 2), ("gelu on A100", 1),
    }  # fmt: skip
    left_out = [note for note in report.notes if note.startswith("Not scored")]
    assert len(left_out) == 2 and "several machines" in left_out[0] and "mi300" in left_out[1]


def test_the_overhead_of_an_operator_is_that_of_its_quickest_call(tmp_path: Path) -> None:
    report = run_suite("operators", written(tmp_path, IN_ONE_CELL))
    quickest = next(row for row in report.rows if row["operator"] == "softmax" and row["N"] == 512)
    assert quickest["predicted"] == pytest.approx(quickest["published"])


def test_an_overhead_that_the_table_states_is_used(tmp_path: Path) -> None:
    report = run_suite("operators", written(tmp_path, IN_COLUMNS))
    assert {row["overhead_s"] for row in report.rows} == {1e-5}
    linear = next(row for row in report.rows if row["operator"] == "linear")
    assert (linear["M"], linear["N"], linear["K"]) == (256, 512, 1024)


def test_overheads_stated_by_who_measured_are_used_for_their_table_and_its_bars(tmp_path: Path) -> None:
    lines = [line.split(",") for line in IN_ONE_CELL.splitlines()[:5]]
    table = [[*lines[0], "llmcompass_predicted_latency_s"], *([*line, "1e-5"] for line in lines[1:])]
    report = run_suite("operators", written(tmp_path, "\n".join(",".join(line) for line in table)))
    assert {row["overhead_s"] for row in report.rows if row["metric"] == "latency_s"} == {2.1e-5, 1.2e-5, 4.5e-5}
    assert [check.bar for check in report.checks if check.bar is not None] == [0.05, 0.09, 0.055]


def test_limits_of_one_overhead_stand_beside_the_scores_of_a_table_with_bars(tmp_path: Path) -> None:
    lines = [line.split(",") for line in IN_ONE_CELL.splitlines()[:5]]
    table = [[*lines[0], "llmcompass_predicted_latency_s"], *([*line, "1e-5"] for line in lines[1:])]
    report = run_suite("operators", written(tmp_path, "\n".join(",".join(line) for line in table)))
    best = [note for note in report.notes if note.startswith("Best one overhead")]
    assert [note.split(" path")[0].rsplit(" ", 1)[1] for note in best] == ["eager", "compiled", "any"]
    assert "gelu 0." in best[1] and "; within the bars" in best[1]  # one row of one operator is met by its own overhead
    assert sum("keeps to its bar" in note for note in report.notes) == 3
    plain = run_suite("operators", written(tmp_path, IN_ONE_CELL))
    assert not any("overhead for calls" in note for note in plain.notes)


@given(
    st.lists(st.tuples(st.floats(1e-6, 1e-3), st.floats(1e-6, 1e-3)), min_size=1, max_size=6),
    st.floats(0.01, 0.5),
)
def test_no_overhead_is_nearer_to_its_bars_than_the_best_one(times: list[tuple[float, float]], bar: float) -> None:
    rows = [Row("g", f"o{i % 2}", {}, kernel + extra / 10, kernel, None) for i, (kernel, extra) in enumerate(times)]
    errors, operators = mean_errors(rows), sorted({row.operator for row in rows})
    bars = dict.fromkeys(operators, bar)
    best = best_of(errors, bars, operators)
    worst = np.max([errors[operator] for operator in operators], axis=0)
    assert max(best.errors.values()) == pytest.approx(worst.min())
    if best.within(bars):
        ranges = [within_bar(errors[operator], bar) for operator in operators]
        assert all(good is not None and good[0] <= best.overhead_s <= good[1] for good in ranges)


def test_rows_of_compiled_loops_come_from_memory_again_where_no_cache_keeps_them(tmp_path: Path) -> None:
    lines = ["device,op,dims,dtype,measured_latency_s"]
    lines += [f"A100,layernorm,M=4096 N={columns},fp16,1e-3" for columns in (512, 8192, 32768)]
    table = written(tmp_path, "\n".join(lines))
    (kept, near, far), _ = read_operators(table, {"layernorm"})
    eager = read_operators(table)[0]
    assert near.kernel_s < 1.25 * eager[1].kernel_s  # from L1
    assert far.kernel_s / near.kernel_s > 1.7 * 4  # four times as long, read three times and written once
    assert kept.kernel_s < near.kernel_s / 8


def test_a_table_with_an_unknown_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LightboundError, match="speed"):
        run_suite("operators", written(tmp_path, IN_ONE_CELL.replace("dtype", "speed")))
