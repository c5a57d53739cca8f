"""A GPU's probe as a machine: which shipped one it extends, which numbers change, and what the command line says.

All figures here are made up.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import lightbound as lb
from lightbound.archs.cached import probed_file
from lightbound.base.errors import LightboundError
from lightbound.cli.entry import main
from lightbound.kernels.cuda.probe import FORMAT
from lightbound.validate.gpu.machine_file import shipped, write_machine
from lightbound.validate.gpu.probe import from_raw, read_probe

ATTRIBUTES = {
    "multiprocessors": 132, "clock_khz": 1_980_000, "l2_bytes": 50 << 20, "memory_clock_khz": 2_619_000,
    "memory_bus_bits": 6144, "shared_of_multiprocessor_bytes": 228 << 10, "registers_of_multiprocessor": 65536,
    "threads_of_multiprocessor": 2048, "blocks_of_multiprocessor": 32, "shared_reserved_of_block_bytes": 1024,
}  # fmt: skip


def figure(unit: str, *samples: float, **detail: Any) -> dict[str, Any]:
    return {"unit": unit, "what": "made up", "samples": list(samples), **detail}


def clock(mhz: float, share: float, start: float = 1900.0) -> dict[str, Any]:
    """A run of a second that falls from `start` to `mhz` after 20 ms, with `share` of 2000 macs a clock."""
    trace = [[t, start if t < 0.02 else mhz] for t in (0.001, 0.01, 0.02, 0.1, 0.5, 0.8, 1.0)]
    return figure("Hz", mhz * 1e6, per_clock=[2000 * share], trace=[trace])


def figures() -> dict[str, Any]:
    per = "per SM and clock"
    found = {
        "clock.fp32.10ms": figure("Hz", 1.9e9),
        "clock.tensor.1.random": clock(1500, 1.0),
        "clock.tensor.0.5.random": clock(1500 * 2**0.5, 0.5) | {"samples": [1.8e9]},
        "clock.tensor.0.85.random": clock(1500 / 0.85**0.5, 0.85),
        "launch.alone": figure("s", 3e-6, 3.2e-6, 3.4e-6),
        "launch.next": figure("s", 1.2e-6), "graph.node": figure("s", 4e-7),
        "rate.ffma": figure(per, 126.0, 127.0, 128.0), "rate.fmnmx": figure(per, 64.0), "rate.ex2": figure(per, 16.0),
        "rate.select": figure(per, 32.0), "rate.pack_fp16": figure(per, 64.0), "rate.shuffle": figure(per, 32.0),
        "wgmma.fp16.n256.ss.2": figure(per, 2000.0), "wgmma.fp16.n256.ss.2.zeros": figure(per, 2040.0),
        "mma_sync.fp16.8": figure(per, 1300.0),
        "copy.1024MiB": figure("B/s", 4.1e12), "read.1024MiB": figure("B/s", 4.2e12),
        "read.16MiB": figure("B/s", 9e12, 9.5e12, 1e13),
        "chase.512MiB": figure("cycles", 900.0, nanoseconds=[450.0]),
        "chase.8MiB": figure("cycles", 270.0, nanoseconds=[140.0]),
        "shared.load.16": figure(per, 127.0), "latency.ffma": figure("cycles", 4.1),
    }  # fmt: skip
    for key, value in (
        ("other_alone", 120.0),
        ("other_beside", 30.0),
        ("tensor_alone", 1300.0),
        ("tensor_beside", 1300.0),
    ):
        found[f"beside.sync.ffma_8.{key}"] = figure(per, value, covered=1.0)
    return found


def raw(name: str = "NVIDIA H200", memory: int = 141 * 10**9, capability: int = 90, **more: Any) -> dict[str, Any]:
    attributes = {**ATTRIBUTES, "multiprocessors": more.pop("multiprocessors", 132)}
    device = {"name": name, "memory_bytes": memory, "capability": capability, "attributes": attributes, "driver": "1.2"}
    return {
        "format": FORMAT,
        "day": "2026-11-27",
        "device": device,
        "figures": figures(),
        "failed": {},
        "skipped": [],
        **more,
    }


@pytest.mark.parametrize(
    "name, memory, capability, multiprocessors, expected",
    [
        ("NVIDIA H200", 141 * 10**9, 90, 132, "h200"),
        ("NVIDIA H100 80GB HBM3", 80 * 10**9, 90, 132, "h100_sxm"),
        ("NVIDIA H800", 80 * 10**9, 90, 132, "h800"),
        ("NVIDIA A100-SXM4-80GB", 80 * 10**9, 80, 108, "a100"),
        ("NVIDIA A100-SXM4-40GB", 40 * 10**9, 80, 108, "a100_40"),
        ("NVIDIA Something", 24 * 10**9, 80, 70, None),
    ],
)
def test_a_gpu_is_recognised_by_what_it_has(
    name: str, memory: int, capability: int, multiprocessors: int, expected: str | None
) -> None:
    assert shipped(from_raw(raw(name, memory, capability, multiprocessors=multiprocessors))) == expected


def test_measured_numbers_take_the_place_of_stated_ones_with_their_source(tmp_path: Path) -> None:
    path = write_machine(from_raw(raw()), tmp_path / "mine.yaml")
    mine, stated = lb.machine(path), lb.machine("h200")
    assert mine.clock_hz == 1.9e9 and mine.launch_latency_s == pytest.approx(1.2e-6)
    assert mine.graph_launch_latency_s == pytest.approx(4e-7)
    assert mine.level("dram").sustained_bandwidth_bytes_per_s == pytest.approx(4.2e12)
    assert mine.level("dram").bandwidth_bytes_per_s == stated.level("dram").bandwidth_bytes_per_s
    assert mine.level("l2").latency_s == pytest.approx(140e-9)
    cost = mine.units["alu"].cost
    assert cost["max"] == pytest.approx(2) and cost["mac"] == pytest.approx(128 / 127, rel=1e-3)
    assert cost["select"] == pytest.approx(2) and cost["cast"] == pytest.approx(1)
    assert mine.units["tensor"].cost["mac"] == pytest.approx(2048 / 2000)
    assert mine.units["tensor_sync"].cost["mac"] == pytest.approx(2048 / 1300, rel=1e-3)
    assert mine.units["tensor_sync"].blocks["alu"] == pytest.approx(0.75)
    assert mine.params["alu_latency"] == pytest.approx(4.1)
    assert "lightbound probe cuda, 2026-11-27, NVIDIA H200, driver 1.2" in path.read_text()
    work = lb.workload("attention", B=1, H=4, M=1024, P=1024, E=64, F=64)
    assert lb.simulate(work, mine).latency_s > 0


def test_the_clock_under_load_follows_from_runs_at_several_shares(tmp_path: Path) -> None:
    limited = from_raw(raw()).limited()
    assert limited is not None and limited.exponent is not None
    assert limited.clock_hz == pytest.approx(1.5e9) and limited.utilization == pytest.approx(1.0)
    assert limited.exponent == pytest.approx(2.0), "1500 MHz at all, 1500/sqrt(0.85) at 0.85; half is not limited"
    assert limited.after_s == pytest.approx(0.02)
    load = lb.machine(write_machine(from_raw(raw()), tmp_path / "mine.yaml")).sustained_load
    assert load is not None and load.exponent == pytest.approx(2.0) and load.after_s == pytest.approx(0.02)


def test_a_clock_that_never_falls_leaves_exponent_and_length_as_they_were(tmp_path: Path) -> None:
    results = raw()
    for share in ("1", "0.85", "0.5"):
        results["figures"][f"clock.tensor.{share}.random"] = clock(1900, float(share))
    load = lb.machine(write_machine(from_raw(results), tmp_path / "mine.yaml")).sustained_load
    stated = lb.machine("h200").sustained_load
    assert load is not None and stated is not None
    assert (load.exponent, load.after_s) == (stated.exponent, stated.after_s)


def test_an_overlap_that_did_not_last_says_nothing_about_ports() -> None:
    results = raw()
    results["figures"]["beside.sync.ffma_8.other_beside"]["covered"] = 0.4
    assert from_raw(results).blocked("sync") is None


def test_an_unknown_gpu_is_a_whole_machine_of_its_own(tmp_path: Path) -> None:
    path = write_machine(from_raw(raw("NVIDIA Something", 24 * 10**9, 80, multiprocessors=70)), tmp_path / "it.yaml")
    mine = lb.machine(path)
    assert mine.instances["sm"] == 70 and mine.units["alu"].lanes == 128 and mine.units["tensor"].lanes == 2048
    assert mine.sustained_load is not None and mine.sustained_load.unit == "tensor"
    work = lb.workload("attention", B=1, H=4, M=1024, P=1024, E=64, F=64)
    assert lb.simulate(work, mine).latency_s > 0


def test_a_probe_with_few_figures_still_makes_a_machine(tmp_path: Path) -> None:
    few = raw(figures={"rate.ex2": figure("results", 16.0)}, failed={"launch": "broke\ndown"}, skipped=["graph"])
    text = write_machine(from_raw(few), tmp_path / "mine.yaml").read_text()
    assert "# launch failed: broke down" in text and "# graph was not measured" in text
    assert lb.machine(tmp_path / "mine.yaml").clock_hz == lb.machine("h200").clock_hz


def test_the_command_makes_a_machine_of_results_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIGHTBOUND_CACHE", str(tmp_path))
    (tmp_path / "raw.json").write_text(json.dumps(raw()))
    assert main(["probe", "cuda", "--from", str(tmp_path / "raw.json"), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["figures"]["rate.ex2"]["value"] == 16 and told["machine"]["extends"] == "h200"
    assert probed_file("cuda").is_file() and lb.machine("cuda").clock_hz == 1.9e9


@pytest.mark.parametrize(
    "text, message",
    [("{", "is not JSON"), ("{}", "is not of the format"), (json.dumps(raw(figures={})), "measured nothing")],
)
def test_a_file_that_is_none_gets_one_clear_message(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "raw.json").write_text(text)
    with pytest.raises(LightboundError, match=message):
        read_probe(tmp_path / "raw.json")


def test_options_of_a_gpu_are_refused_for_the_host(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "host", "--budget", "10"]) == 2
    assert "is for GPUs only" in capsys.readouterr().err
