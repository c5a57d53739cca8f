"""The suite of links and cooperating agents: that it scores what a file holds, and says what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

import lightbound as lb
from lightbound.base.errors import LightboundError
from lightbound.validate.cases import read_cases
from lightbound.validate.suites.v2x import COLUMNS, PUBLISHED

HEADER = "id,kind,tech,description,params,quantity,unit,value,tol_pct,source\n"


def test_closed_forms_and_published_figures_are_met_to_their_tolerance(tmp_path: Path) -> None:
    table = PUBLISHED / "v2x_cases.csv"
    quick = [line for line in table.read_text(encoding="utf-8").splitlines() if "measured_ns3" not in line]
    kept = [line for line in quick if "monte_carlo" not in line and not line.startswith(("#", "id,", "M-oc-delay"))]
    report = lb.run_suite("v2x", _written(tmp_path, kept))
    assert report.passed and len(report.rows) == len(kept) > 70


def test_a_packet_simulator_is_met_in_a_crowd_and_alone(tmp_path: Path) -> None:
    table = (PUBLISHED / "v2x_cases.csv").read_text(encoding="utf-8").splitlines()
    kept = [line for line in table if line.startswith(("E-ns3-uc-6-10,", "E-ns3-frame-2-10000-6-"))]
    report = lb.run_suite("v2x", _written(tmp_path, kept))
    assert report.passed and {row["by"] for row in report.rows} == {"events"}


def _written(tmp_path: Path, lines: list[str]) -> Path:
    path = tmp_path / "kept.csv"
    path.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_figure_beyond_its_tolerance_fails_and_is_named(tmp_path: Path) -> None:
    row = 'mine,closed_form,802.11p,x,"{""mpdu_B"": 14, ""rate_mbps"": 6}",ppdu_duration,us,{},0.5,me'
    report = lb.run_suite("v2x", _written(tmp_path, [row.replace("{}", "64.4")]))
    assert not report.passed and "mine" in report.checks[0].what
    assert lb.run_suite("v2x", _written(tmp_path, [row.replace("{}", "64.3")])).passed


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('a,x,y,z,"{""N"": 2}",speed,1,3,1,me', "is not one that is answered"),
        ("a,x,y,z,{N: 2},tau,1,3,1,me", "is not JSON"),
        ('a,x,y,z,"{""N"": 2}",tau,1,3,1,me', "has no 'W'"),
        ('a,x,y,z,"{""N"": 2, ""W"": 16}",tau,1,zero,1,me', "is not a finite number"),
        ('a,x,y,z,"{""N"": 2, ""W"": 16}",tau,1,0,1,me', "is a reference of zero"),
    ],
)
def test_a_case_that_cannot_be_answered_is_refused(tmp_path: Path, row: str, told: str) -> None:
    with pytest.raises(LightboundError, match=told):
        lb.run_suite("v2x", _written(tmp_path, [row]))


def test_every_case_says_where_it_is_from() -> None:
    cases = read_cases(PUBLISHED / "v2x_cases.csv", COLUMNS)
    assert all(case.cells["source"] for case in cases)
    assert len({case.cells["id"] for case in cases}) == len(cases) > 100
