"""Recorded kernels on GPUs: what a file of records is scored as, and what is said where there is none."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import lightbound as lb
from lightbound.base.errors import LightboundError
from lightbound.kernels.triton.catalogue import find_kernel
from lightbound.kernels.triton.copy_mapping import copied
from lightbound.kernels.triton.kernel import Case, Launch, Tile, TritonKernel, Work
from lightbound.validate.gpu import records
from lightbound.validate.gpu.masks import mask_of
from lightbound.validate.gpu.predict import known_code, predict_case
from lightbound.validate.gpu.records import machine_of, read_measured
from lightbound.validate.suites import gpu

TILE = Tile({"BR": 128}, 8, 2)
LENGTHS = range(512, 8192, 512)


def launch(length: int, **changed: Any) -> Launch:
    """A launch of attention of this length."""
    made = Launch(
        "attention",
        {"B": 2, "H": 16, "E": 128, "F": 128, "M": length, "P": length},
        "flash",
        {"BR": 128, "M0": 128},
    )
    return replace(made, **changed)


def work(length: int) -> Work:
    """The least work of the same."""
    return Work(2 * 32 * length**2 * 128, 32 * length**2, 4 * 32 * length * 128 * 2)


KERNEL = TritonKernel(
    name="told",
    title="told",
    cases=[Case("told", {"N": length}) for length in LENGTHS],
    tile=lambda case, capability: TILE,
    prepare=lambda *given: (_ for _ in ()).throw(NotImplementedError),
    work=lambda case: work(case.sizes["N"]),
    compiled=lambda case, tile: (),
    launches=lambda case, tile, capability: (launch(case.sizes["N"]),),
)


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A file of records in which every case takes `factor` times what is predicted for an H200."""
    monkeypatch.setattr(records, "find_kernel", lambda name: KERNEL)
    machine = lb.machine("h200")

    def write(factor: float = 1.0) -> Path:
        lines: list[dict[str, Any]] = [
            {
                "record": "run",
                "run": "r",
                "fingerprint": {"device": "NVIDIA H200", "date": "2026-11-27", "commit": "c"},
            },
            {"record": "launch", "run": "r", "median_s": 1.5e-6},
        ]
        for case in KERNEL.cases:
            found = predict_case((launch(case.sizes["N"]),), machine, work(case.sizes["N"]), 0.05, 1.5e-6)
            seconds = found.latency_s * factor
            shared = {"record": "timing", "kernel": "told", "case": asdict(case), "name": case.name}
            shared |= {
                "held_out": case.held_out,
                "run_s": 0.05,
                "work": asdict(work(case.sizes["N"])),
                "samples_s": [seconds] * 3,
            }
            for name, takes, tile in (("lightbound", seconds, asdict(TILE)), ("rival", 2 * seconds, None)):
                key = f"timing | told | {case.name} | {name}"
                lines.append({**shared, "key": key, "implementation": name, "median_s": takes, "tile": tile})
        path = tmp_path / "h200.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return write


def values(path: Path) -> dict[str, float]:
    return {check.what: check.value for check in gpu.score_file(path).checks}


def test_without_records_the_suite_says_so_and_passes() -> None:
    report = gpu.report(read_measured([]))
    assert report.passed and "Nothing is recorded" in report.notes[0]


def test_what_takes_as_long_as_predicted_has_no_error(recorded: Any) -> None:
    report = gpu.score_file(recorded())
    held = sum(case.held_out for case in KERNEL.cases)
    assert report.passed and held
    checks = {check.what: check for check in report.checks}
    assert checks[f"MAPE of {held} held-out cases"].value == pytest.approx(0, abs=1e-9)
    assert checks["cases faster than their bound"].value == 0
    assert checks["time of told over that of rival, median of 15 cases"].value == pytest.approx(0.5)


def test_slower_kernels_fail_the_bars_and_show_the_bias(recorded: Any) -> None:
    report = gpu.score_file(recorded(1.25))
    assert not report.passed
    bias = next(check.value for check in report.checks if check.what.startswith("bias"))
    assert bias == pytest.approx(1 / 1.25 - 1)


def test_a_time_below_the_bound_fails(recorded: Any) -> None:
    report = gpu.score_file(recorded(0.5))
    (check,) = [check for check in report.checks if check.what == "cases faster than their bound"]
    assert check.value and not check.passed


def test_groups_are_of_each_kernel_and_split_and_of_each_regime(recorded: Any) -> None:
    groups = [group.group for group in gpu.score_file(recorded()).groups]
    assert {"told, calibration", "told, held out"} <= set(groups)
    assert any("bound by mac" in group for group in groups)


def test_fresh_shapes_are_held_out_and_told_apart(recorded: Any) -> None:
    path = recorded(1.25)
    path.write_text(path.read_text().replace('"held_out": false', '"held_out": true, "fresh": 7'))
    report = gpu.score_file(path)
    fresh = sum(not case.held_out for case in KERNEL.cases)
    checks = {check.what: check for check in report.checks}
    assert checks[f"MAPE of {fresh} fresh cases, drawn for a blind test"].value == pytest.approx(0.2)
    assert "told, fresh" in {group.group for group in report.groups} and "MAPE of 15 held-out cases" in checks


def test_a_case_whose_inputs_all_lie_in_the_cache_waits_for_no_memory(recorded: Any) -> None:
    path = recorded()
    near = path.read_text().replace('"run_s"', '"sets": 512, "bytes": 24576, "run_s"')
    far = path.read_text().replace('"run_s"', '"sets": 512, "bytes": 2457600, "run_s"')
    taken = {}
    for name, text in (("near", near), ("far", far)):
        path.write_text(text)
        taken[name] = [row["predicted_s"] for row in gpu.score_file(path).rows]
    assert all(one <= other for one, other in zip(taken["near"], taken["far"], strict=True))
    assert sum(taken["near"]) < sum(taken["far"])


def test_rows_say_what_models_are_mended_by(recorded: Any) -> None:
    path = recorded()
    text = path.read_text().replace('"run_s"', '"clock_hz": 1.5e9, "run_s"')
    path.write_text(text)
    rows = gpu.score_file(path).rows
    for row in rows:
        assert row["predicted_s"] == pytest.approx(row["measured_s"]) and row["tile"] == TILE.name
        cycles = (row["predicted_s"] - row["launch_s"]) * row["predicted_clock_hz"]
        assert row["limit"] == "schedule" and row["busiest_cycles"] == pytest.approx(cycles)
        assert 0 < row["visit_cycles"] < row["mean_cycles"] <= row["busiest_cycles"]
        at_clock = cycles / 1.5e9 + row["launch_s"]
        assert row["relative_error_at_clock"] == pytest.approx(at_clock / row["measured_s"] - 1)
        assert row["relative_clock_error"] == pytest.approx(row["predicted_clock_hz"] / 1.5e9 - 1)


def test_rows_say_at_which_clock_the_device_came_to_a_case(recorded: Any) -> None:
    path = recorded()
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for number, record in enumerate(records):
        if record["record"] == "timing":
            record["clock_hz"] = 1.5e9 + number
    records[-1]["rested_clock_hz"] = 1.98e9
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    before: dict[str, float] = {}
    timings = [record for record in records if record["record"] == "timing"]
    for last, record in pairwise(timings):
        before[record["key"]] = record.get("rested_clock_hz", last["clock_hz"])
    ours = [record["key"] for record in timings if record["implementation"] == "lightbound"]
    found = [row["start_clock_hz"] for row in gpu.score_file(path).rows]
    assert found == [before.get(key) for key in ours] and found[0] is None


def test_a_kernel_that_skips_tiles_says_what_a_visit_takes() -> None:
    found = predict_case((launch(4096, mask={"kind": "causal"}),), lb.machine("h200"), run_s=0.1)
    (kernel,) = found.kernels
    assert kernel.tested_visit_cycles is not None and kernel.tested_visit_cycles > kernel.visit_cycles > 0
    assert 0 < kernel.tested < 1 and kernel.limit == "schedule"
    assert found.latency_at(found.clock_hz) == pytest.approx(found.latency_s)


def test_records_can_be_predicted_on_a_machine_of_the_users_choice(recorded: Any) -> None:
    slow = lb.machine("h200", sm=66)
    errors = [one.error for one in read_measured([recorded()], slow).scored]
    assert all(error > 0.3 for error in errors)


@pytest.mark.parametrize(
    ("device", "machine"),
    [
        ("NVIDIA H200", "h200"),
        ("NVIDIA H100 80GB HBM3", "h100_sxm"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
    ],
)
def test_devices_have_machines(device: str, machine: str) -> None:
    assert machine_of(device).name == machine


def test_a_device_without_a_machine_is_told() -> None:
    with pytest.raises(LightboundError, match="no machine stands for"):
        machine_of("NVIDIA Riva 128")


def test_a_file_that_is_no_record_is_told(tmp_path: Path) -> None:
    path = tmp_path / "no.jsonl"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(LightboundError, match=r"no\.jsonl:1"):
        gpu.score_file(path)


def test_a_long_run_is_never_faster_than_a_short_one() -> None:
    machine = lb.machine("h200")
    for length in (1024, 4096):
        short, long = (predict_case((launch(length),), machine, run_s=run_s).kernel_s for run_s in (1e-5, 0.1))
        assert long >= short
    assert long > short


def test_launches_add_up_and_shares_are_of_the_whole() -> None:
    machine = lb.machine("h200")
    one = predict_case((launch(1024),), machine, run_s=0.1, launch_s=1e-6)
    two = predict_case((launch(1024), launch(1024)), machine, run_s=0.1, launch_s=1e-6)
    assert two.latency_s == pytest.approx(2 * one.latency_s) and two.launches == 2
    assert sum(two.shares.values()) == pytest.approx(1) and sum(two.waits.values()) == pytest.approx(1)
    # what was timed with kernels that do nothing holds the start of a block, which the mapping of a kernel counts too
    assert one.launch_s == pytest.approx(1e-6 - float(machine.params["block_gap"]) / float(machine.clock_hz))


def test_code_on_record_says_how_many_blocks_share_a_processor_and_how_long_a_turn_takes() -> None:
    machine, case = lb.machine("h200"), find_kernel("aaren_scan").cases[2]
    kernel = find_kernel("aaren_scan")
    tile = kernel.tile(case, 90)
    launches = kernel.launches(case, tile, 90)
    known = known_code(kernel, case, tile, 90, len(launches))
    assert len(known) == len(launches) and known[-1]["REGISTERS"] > 200 and known[-1]["TURN"] > 3000

    def time(**walk: int) -> float:
        return predict_case(launches, machine, run_s=0.1, code=(known[0], {**known[-1], **walk})).kernel_s

    assert time() > time(REGISTERS=64) == pytest.approx(time(REGISTERS=64, UNKNOWN=1))
    assert time(TURN=2 * known[-1]["TURN"]) > 1.2 * time()
    assert known_code(kernel, case, tile, 75, len(launches)) == ()


def test_a_kernel_without_launches_is_told() -> None:
    with pytest.raises(LightboundError, match="no mapping"):
        predict_case((), lb.machine("h200"))


@pytest.mark.parametrize(
    ("mask", "pairs"),
    [
        (None, 64),
        ({"kind": "causal"}, 36),
        ({"kind": "window", "before": 1, "after": 0}, 15),
        ({"kind": "gna", "grid": [8], "window": [2], "stride": [2]}, 16),
        ({"kind": "blocks", "q_block": 4, "kv_block": 2, "table": [[0, 0], [1, 3]]}, 16),
        ({"kind": "blocks", "q_block": 4, "kv_block": 2, "table": [[1, 0, 0, 0], [0, 0, 1, 1]]}, 24),
        ({"kind": "blocks", "q_block": 4, "kv_block": 2, "table": [[0], [1, 2, 3]]}, 32),
    ],
)
def test_masks_of_launches_are_what_they_say(mask: dict[str, Any] | None, pairs: int) -> None:
    assert mask_of(mask, 8, 8).attended_pairs == pairs


def test_a_field_that_a_mask_has_not_is_told() -> None:
    with pytest.raises(LightboundError, match=r"mask\.before"):
        mask_of({"kind": "window", "after": 0}, 8, 8)
    with pytest.raises(LightboundError, match="is not a kind"):
        mask_of({"kind": "spiral"}, 8, 8)


def test_a_kernel_that_tests_less_is_predicted_faster() -> None:
    machine = lb.machine("h200")
    gna = {"kind": "gna", "grid": [64, 64], "window": [16, 16], "q_tile": [8, 16], "kv_tile": [8, 16]}
    every, cheap, few = (
        predict_case((launch(4096, mask={**gna, **own}),), machine).kernel_s
        for own in ({}, {"test": {"select": 1}}, {"tested": [1] * 32})
    )
    assert cheap < every and few < every
    with pytest.raises(LightboundError, match="32 tiles"):
        predict_case((launch(4096, mask={**gna, "tested": [1]}),), machine)


def test_copies_of_parts_that_lie_apart_are_as_slow_as_measured() -> None:
    machine = lb.machine("h200")
    dram = machine.levels[0]
    near, far = (
        predict_case((copied(1 << 20, 128, 128, 4, 2, 1.0, 64, apart=apart),), machine, run_s=0.1).kernel_s
        for apart in (False, True)
    )
    assert 0.85 < dram.apart < 0.9
    assert near < far and far == pytest.approx((2 << 28) / 3.77e12, rel=0.05)
