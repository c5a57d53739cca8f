"""The commands answer: as tables that fit the width, as JSON, and as csv with a header."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lightbound as lb

if TYPE_CHECKING:
    from conftest import Run

BINDING = ("simulate", "fusemax", "--machine", "fusemax", "--mapping", "binding")
COMMANDS = [
    ("list",),
    ("list", "workloads"),
    ("list", "machines"),
    ("list", "mappings"),
    ("list", "suites"),
    ("show", "fusemax"),
    ("show", "attention", "--variant", "3-pass", "--set", "M=1K,P=1K"),
    ("show", "h200"),
    ("show", "fusemax:binding"),
    ("show", "fusemax:flat", "--machine", "flat"),
    BINDING,
    (*BINDING, "--no-explain"),
    ("simulate", "matmul", "--preset", "square_1k", "--machine", "h100_sxm"),
    ("size", "fusemax", "--machine", "fusemax", "--mapping", "binding"),
    ("validate", "fusemax"),
]


def _json(run: Run, *arguments: str) -> Any:
    ran = run(*arguments, "--format", "json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def _csv(run: Run, *arguments: str) -> list[dict[str, str]]:
    ran = run(*arguments, "--format", "csv")
    assert ran.code == 0, ran.err
    return list(csv.DictReader(io.StringIO(ran.out)))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_prints_tables_json_and_csv_with_nothing_beside_them(run: Run, command: tuple[str, ...]) -> None:
    ran = run(*command)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.strip()
    assert _json(run, *command)
    rows = _csv(run, *command)
    assert rows
    assert all(None not in row and None not in row.values() for row in rows)


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if ":" not in "".join(one) and one[1:2] != ("fusemax",)], ids=" ".join
)
def test_no_line_is_wider_than_the_terminal(run: Run, command: tuple[str, ...]) -> None:
    ran = run(*command)
    cascade = [line for line in ran.out.splitlines() if " = " in line]  # code is not wrapped
    assert all(len(line) <= 100 for line in ran.out.splitlines() if line not in cascade)


def test_alone_it_prints_help_with_an_example_a_line(run: Run) -> None:
    ran = run()
    assert ran.code == 0
    assert "Examples:" in ran.out
    examples = ran.out.partition("Examples:\n")[2].strip().splitlines()
    assert len(examples) >= 5
    assert all(line.strip().startswith("lightbound ") for line in examples)


def test_it_tells_its_version(run: Run) -> None:
    assert run("--version").out == f"lightbound {lb.__version__}\n"


def test_a_simulation_is_what_the_library_predicts(run: Run) -> None:
    arguments = ("--preset", "xlm", "--set", "M=16K,P=16K", "--set-machine", "pe_dim=128")
    told = _json(run, *BINDING, *arguments)
    machine = lb.machine("fusemax", pe_dim=128)
    workload = lb.workload("fusemax", preset="xlm", M=16384, P=16384)
    predicted = lb.simulate(workload, machine, mapping="binding")
    assert told["latency_s"] == predicted.latency_s
    assert told["traffic_bytes"] == predicted.traffic_bytes
    assert told["explanation"] == predicted.explain()
    row = _csv(run, *BINDING, *arguments)[0]
    assert float(row["latency_s"]) == predicted.latency_s
    assert float(row["utilization.2d"]) == predicted.utilization["2d"]


def test_the_variant_told_is_the_one_that_the_mapping_is_written_for(run: Run) -> None:
    told = _json(run, "simulate", "fusemax", "--machine", "fusemax", "--mapping", "unfused")
    assert told["variant"] == "3-pass"


def test_an_explanation_can_be_left_out(run: Run) -> None:
    assert "explanation" not in _json(run, *BINDING, "--no-explain")
    assert "Why" not in run(*BINDING, "--no-explain").out


def test_a_mapping_shown_is_a_file_that_simulate_takes_back(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    for name, machine in (
        ("binding", "fusemax"),
        ("cascade", "flat_serial_exp"),
        ("unfused", "flat"),
        ("flat", "flat"),
    ):
        path.write_text(run("show", f"fusemax:{name}", "--machine", machine).out, encoding="utf-8")
        ask = ("simulate", "fusemax", "--machine", machine, "--no-explain", "--mapping")
        assert _json(run, *ask, str(path)) == _json(run, *ask, name)


def test_a_workload_and_a_machine_of_one_name_are_both_shown(run: Run) -> None:
    assert set(_json(run, "show", "fusemax")) == {"workload", "machine"}
    assert set(_json(run, "show", "fusemax", "--kind", "machine")) == {"machine"}


def test_a_workload_shows_passes_operations_and_compulsory_traffic(run: Run) -> None:
    told = _json(run, "show", "fusemax", "--kind", "workload", "--variant", "3-pass", "--set", "B=1,H=1,M=8,P=4")
    workload = told["workload"]
    assert workload["passes"]["m"]["count"] == 3
    assert workload["total_operations"]["exp"] == 8 * 4
    assert workload["compulsory_traffic_bytes"] == {"Q": 512, "K": 1024, "V": 1024, "AV": 512}


def test_a_tile_that_is_left_to_the_mapping_is_assumed_for_counts_and_said_so(run: Run) -> None:
    told = _json(run, "show", "fusemax", "--kind", "workload")["workload"]
    assert told["sizes_assumed_for_counts"] == {"M0": 256}
    assert "with M0 = 256 (free: a mapping chooses it)" in run("show", "fusemax").out


def test_a_cascade_in_a_file_is_shown_with_sizes_and_without(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "product.txt"
    path.write_text("# My product\nZ[m,n] = sum(A[m,k] * B[k,n], k)\n")
    assert "Operations and traffic need sizes for" in run("show", str(path)).out
    told = _json(run, "show", str(path), "--set", "M=2,N=3,K=4")
    assert told["workload"]["total_operations"] == {"mac": 24}


def test_a_file_with_presets_is_simulated_by_its_preset(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "product.yaml"
    path.write_text(
        "name: product\ncascade: |\n  Z[m,n] = sum(A[m,k] * B[k,n], k)\npresets: {small: {M: 64, N: 64, K: 64}}\n"
    )
    told = _json(run, "simulate", str(path), "--preset", "small", "--machine", "fusemax")
    assert told["preset"] == "small"
    assert told["sizes"] == {"M": 64, "N": 64, "K": 64}
    assert _json(run, "show", str(path))["workload"]["name"] == "product"


def test_a_machine_in_a_file_is_shown_and_used(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "wider.yaml"
    path.write_text("name: wider\nextends: fusemax\nsource: a test\nchanges: {pe_dim: 512}\n")
    assert _json(run, "show", str(path))["machine"]["params"] == {"pe_dim": 512}
    told = _json(run, "simulate", "fusemax", "--machine", str(path), "--mapping", "binding")
    assert told["params"]["P0"] == 512


def test_json_has_neither_infinity_nor_nan() -> None:
    from lightbound.cli.output import _plain

    assert _plain({"a": float("inf"), "b": [float("nan"), 1.5], "c": (1,)}) == {"a": None, "b": [None, 1.5], "c": [1]}


def test_python_m_lightbound_is_the_same_command() -> None:
    ran = subprocess.run([sys.executable, "-m", "lightbound", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"lightbound {lb.__version__}\n"


def test_a_reader_that_stops_early_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        command = [sys.executable, "-m", "lightbound", "show", "h200"]
        ran = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert ran.returncode == 141
    assert ran.stderr == ""


def test_help_loads_neither_numpy_nor_pydantic_nor_pint() -> None:
    code = (
        "import sys; from lightbound.cli import main; main(['--help']); "
        "print(sorted({'numpy', 'pydantic', 'pint', 'networkx', 'torch', 'matplotlib'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
