"""Files of reference figures that cannot be used: one error that names line, column, value and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightbound.base.errors import LightboundError
from lightbound.validate.suite import run_suite

HEADER = "config,model,seq_len,traffic_bytes,latency_s,energy_pj,util_2d,util_1d"
ROW = "binding,BERT,1024,402653184,0.0020131404255319147,,0.8896103896103895,1.0"


def write(folder: Path, *lines: str) -> Path:
    path = folder / "cases.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def refusal(path: Path) -> LightboundError:
    with pytest.raises(LightboundError) as caught:
        run_suite("fusemax", path)
    return caught.value


def test_a_published_row_with_blank_energy_scores_exactly(tmp_path: Path) -> None:
    report = run_suite("fusemax", write(tmp_path, "# my own figures", "", HEADER, ROW))
    assert report.passed
    assert {group.metric for group in report.groups} == {"traffic_bytes", "latency_s", "util_2d", "util_1d"}
    assert all(group.n == 1 and group.max < 1e-12 for group in report.groups)


def test_a_wrong_figure_fails_its_check_alone(tmp_path: Path) -> None:
    report = run_suite("fusemax", write(tmp_path, HEADER, ROW.replace("402653184", "402653999")))
    assert not report.passed
    assert [check.what.partition(",")[0] for check in report.checks if not check.passed] == ["traffic_bytes"]


def test_columns_may_come_in_any_order_and_names_in_any_case(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "latency_s,traffic_bytes,seq_len,model,config",
        "0.0020131404255319147,402653184,1024,bert,Binding",
    )
    assert run_suite("fusemax", path).passed


def test_size_columns_replace_those_of_the_model(tmp_path: Path) -> None:
    """Half the heads and half the batch is a quarter of everything but utilization; a blank cell keeps the model's."""
    path = write(
        tmp_path, f"{HEADER},B,H,M", "binding,BERT,1024,100663296,0.0005032851063829787,,0.8896103896103895,,32,6,"
    )
    report = run_suite("fusemax", path)
    assert report.passed
    assert report.rows[0]["B"] == 32 and report.rows[0]["H"] == 6 and "M" not in report.rows[0]


def test_linear_rows_take_batch_queries_and_heads(tmp_path: Path) -> None:
    published = "linear_flat,BERT,1024,1826095104,0.0075296680851063835,8405303925584.939,,,"
    doubled = "linear_flat,BERT,512,1826095104,0.0075296680851063835,8405303925584.939,,,128"
    assert run_suite("fusemax", write(tmp_path, f"{HEADER},B", published, doubled)).passed


def test_energies_of_long_sequences_are_held_to_the_looser_bar(tmp_path: Path) -> None:
    report = run_suite("fusemax", write(tmp_path, HEADER, "binding,BERT,65536,26440000000,7.4,1e16,,"))
    bars = {check.what.partition(",")[0]: check.bar for check in report.checks}
    assert bars["energy from 64K tokens on"] == 0.075
    assert "energy below 64K tokens" not in bars


@pytest.mark.parametrize(
    ("lines", "field", "value", "words"),
    [
        ((), "cases", None, "is empty"),
        (("# only a comment", "  "), "cases", None, "is empty"),
        ((HEADER,), "cases", None, "no row"),
        ((HEADER.replace("latency_s", "latency"), ROW), "line 1: column", "latency", "Did you mean 'latency_s'"),
        ((HEADER.replace(",latency_s", ""), ROW), "line 1: column", "latency_s", "is missing"),
        ((f"{HEADER},model", f"{ROW},T5"), "line 1: column", "model", "twice"),
        ((HEADER, ROW, f"{ROW},1"), "line 3", "9 cells", "8 columns"),
        ((HEADER, ROW.replace("binding", "bindings")), "line 2: config", "bindings", "Did you mean 'binding'"),
        ((HEADER, ROW.replace("BERT", "GPT")), "line 2: model", "GPT", "BERT, T5, TrXL, XLM"),
        ((HEADER, ROW.replace("1024", "1e3")), "line 2: seq_len", "1e3", "whole number"),
        ((HEADER, ROW.replace("1024", "0")), "line 2: seq_len", "0", "whole number"),
        ((HEADER, ROW.replace("1024", "-4")), "line 2: seq_len", "-4", "whole number"),
        ((HEADER, ROW.replace("1024", "9" * 300)), "line 2: seq_len", "9" * 300, "whole number"),
        ((HEADER, ROW.replace("1024", "")), "line 2: seq_len", None, "is empty"),
        ((HEADER, ROW.replace("402653184", "")), "line 2: traffic_bytes", None, "is empty"),
        ((HEADER, ROW.replace("402653184", "4 GB")), "line 2: traffic_bytes", "4 GB", "finite number above 0"),
        ((HEADER, ROW.replace("402653184", "nan")), "line 2: traffic_bytes", "nan", "finite number above 0"),
        ((HEADER, ROW.replace("1.0", "inf")), "line 2: util_1d", "inf", "leave the cell blank"),
        ((HEADER, ROW.replace("1.0", "0")), "line 2: util_1d", "0", "leave the cell blank"),
        ((HEADER, ROW.replace("1.0", '"1.0')), "line 2", None, "Correct its quotes"),
        ((f"{HEADER},E", f"{ROW},6.4"), "line 2: E", "6.4", "whole number"),
        ((f"{HEADER},M", f"linear_flat,BERT,1024,1,1,,,,{1024}"), "line 2: M", 1024, "not a size of linear_flat"),
        ((f"{HEADER},E", f"{ROW},999999"), "line 2: machine.levels.global_buffer", None, "too small"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_line_and_column(
    tmp_path: Path, lines: tuple[str, ...], field: str, value: object, words: str
) -> None:
    error = refusal(write(tmp_path, *lines))
    assert field in error.field
    if value is not None:
        assert error.value == value
    assert words in str(error)
    assert error.remedy.endswith(".")


def test_missing_files_folders_and_other_encodings_are_refused(tmp_path: Path) -> None:
    assert "does not exist" in str(refusal(tmp_path / "none.csv"))
    assert "is a folder" in str(refusal(tmp_path))
    path = tmp_path / "latin.csv"
    path.write_bytes(f"{HEADER}\n{ROW}\n# caf\xe9\n".encode("latin-1"))
    error = refusal(path)
    assert "not UTF-8" in str(error) and "line 3" in str(error)
    path.write_bytes(b"\x00\xff\xfe")
    assert "not UTF-8" in str(refusal(path))


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "excel.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\n{ROW}\r\n".encode())
    assert run_suite("fusemax", path).passed


def test_an_unknown_suite_names_those_there_are() -> None:
    with pytest.raises(LightboundError, match=r"suite = fusemaxx: does not exist.*fusemax"):
        run_suite("fusemaxx")
