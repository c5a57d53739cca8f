"""Tables at any width of the terminal: all of every number is there."""

from __future__ import annotations

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from lightbound.cli.answer import Answer, Table
from lightbound.cli.output import publish
from lightbound.cli.widths import GUTTER, broken, narrowed

SWEPT = Table(
    ("M", "pe_dim", "global_buffer", "latency_s", "bottleneck", "traffic_bytes_dram", "utilization_2d", "pair_s"),
    [
        ("102400", "1600", "26214400", "0.465166", "1d", "1.81194e+11", "0.985612", "4.43617e-11"),
        ("92160", "160", "5242880", "46.2154", "dram", "6.0398e+10", "0.992035", "4.40745e-09"),
    ],
    right=frozenset({"M", "pe_dim", "global_buffer", "latency_s", "traffic_bytes_dram", "utilization_2d", "pair_s"}),
)
NUMBERS = st.from_regex(r"[0-9]{1,9}(\.[0-9]{1,5}e[+-][0-9]{2})?", fullmatch=True)


def _printed(table: Table, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    capsys.readouterr()
    publish(Answer([table], {}), "table")
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [40, 60, 80, 90, 100, 110, 140, 200])
def test_all_of_every_cell_is_printed_at_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = _printed(SWEPT, width, monkeypatch, capsys)
    assert max(map(len, out.splitlines())) <= width
    for cell in (cell for row in SWEPT.rows for cell in row):
        assert cell in out.split()


def test_headings_of_numbers_break_where_whole_ones_do_not_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _printed(SWEPT, 140, monkeypatch, capsys).split()[5] == "traffic_bytes_dram"
    out = _printed(SWEPT, 96, monkeypatch, capsys)
    assert "bytes_dram" in out.split() and "traffic_bytes_dram" not in out
    assert "102400   1600   26214400   0.465166" in out


def test_a_table_that_no_narrowing_fits_is_told_record_by_record(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = _printed(SWEPT, 60, monkeypatch, capsys)
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["M", "102400"] and lines[8] == [] and lines[9] == ["M", "92160"]
    assert [line[0] for line in lines[:8]] == list(SWEPT.columns)


@forall(st.lists(NUMBERS, min_size=1, max_size=12), st.integers(min_value=1, max_value=200))
@settings(deadline=None)
def test_a_narrowed_table_fits_and_leaves_its_numbers_room(cells: list[str], width: int) -> None:
    columns = tuple(f"number_{place}_of_all" for place in range(len(cells)))
    widths = narrowed(Table(columns, [tuple(cells)], right=frozenset(columns)), width)
    if widths is not None:
        assert sum(widths) + GUTTER * (len(cells) - 1) <= width
        for heading, cell, room in zip(columns, cells, widths, strict=True):
            assert len(cell) <= room
            assert all(len(line) <= room for line in broken(heading, room).split("\n"))
            assert broken(heading, room).replace("\n", "") == heading
