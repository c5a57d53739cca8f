"""Shapes for a blind test: new, within what the kernels take, the same for the same number, and held out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lightbound.base.errors import LightboundError
from lightbound.kernels.triton.campaign.face import campaign
from lightbound.kernels.triton.campaign.fresh import fresh_cases, seen_cases, shape_of, with_fresh_cases
from lightbound.kernels.triton.campaign.run import Asked
from lightbound.kernels.triton.catalogue import find_kernel, kernels
from lightbound.kernels.triton.kernel import Case

from .conftest import FalseCampaign, FalseClock, false_kernel

QUICK = sorted(set(kernels()) - {"block_sparse"})  # whose tables take seconds


@pytest.mark.parametrize("name", QUICK)
def test_new_shapes_are_new_and_within_what_is_measured(name: str) -> None:
    kernel, seen = find_kernel(name), seen_cases()
    made = fresh_cases(kernel, 7, seen)
    known = {shape_of(case) for case in [*kernel.cases, *seen]}
    assert len(made) > len(kernel.cases) / 2 and not known & {shape_of(case) for case in made}
    assert len({shape_of(case) for case in made}) == len(made)
    most = max(kernel.work(case).bytes for case in kernel.cases)
    for case in made:
        kernel.tile(case, 90)
        assert kernel.possible(case) and kernel.work(case).bytes <= most
        for rank, size in case.sizes.items():
            sizes = [one.sizes[rank] for one in kernel.cases]
            assert min(sizes) <= size <= max(sizes)


@pytest.mark.parametrize("name", ["matmul", "gna", "attention"])
def test_a_number_gives_the_same_shapes_and_another_one_others(name: str) -> None:
    kernel = find_kernel(name)
    assert fresh_cases(kernel, 7) == fresh_cases(kernel, 7)
    one, other = ({case.name for case in fresh_cases(kernel, seed)} for seed in (7, 8))
    assert len(one & other) < len(one) / 4


def test_some_shapes_are_ragged_and_most_are_round() -> None:
    sizes = [case.sizes["N"] for seed in range(9) for case in fresh_cases(find_kernel("softmax"), seed)]
    round_ones = sum(size % (1 << max(0, size.bit_length() - 4)) == 0 for size in sizes) / len(sizes)
    assert 0.5 < round_ones < 0.85


def test_what_was_equal_stays_equal() -> None:
    squares = [case for case in find_kernel("matmul").cases if len(set(case.sizes.values())) == 1]
    made = [case for case in fresh_cases(find_kernel("matmul"), 7) if len(set(case.sizes.values())) == 1]
    assert len(made) >= len(squares) - 1


def test_what_is_on_record_by_then_is_no_new_shape() -> None:
    kernel = find_kernel("matmul")
    made = fresh_cases(kernel, 7)
    assert fresh_cases(kernel, 7, made[:5]) == made[5:]
    other_type = Case(made[0].kernel, made[0].sizes, "fp32", made[0].options)
    assert fresh_cases(kernel, 7, [other_type]) == made[1:]
    with pytest.raises(LightboundError, match="another number"):
        with_fresh_cases([kernel], 7, made)


def test_new_shapes_are_recorded_as_held_out_and_a_run_goes_on(made: Callable[..., FalseCampaign]) -> None:
    clock = FalseClock()
    kernels = [false_kernel(name, clock, [3, 100, 11, 40], varied=("N",)) for name in ("one", "two")]
    new = with_fresh_cases(kernels, 5, [])
    assert [len(kernel.cases) for kernel in new] == [4, 4]
    run = made(*new, clock=clock)
    first = run.run(fresh=5, budget_s=sum(case.sizes["N"] for kernel in new for case in kernel.cases) * 2)
    assert 0 < first.timed < 8
    timed = {record["kernel"] for record in run.records if record["record"] == "timing"}
    assert timed == {"one", "two"}  # a short budget has some of each
    assert run.run(fresh=5).left == {}
    records = [record for record in run.records if record["record"] == "timing"]
    assert len(records) == 8 and all(record["held_out"] and record["fresh"] == 5 for record in records)


def test_trials_leave_half_of_the_budget_to_timing(made: Callable[..., FalseCampaign]) -> None:
    clock = FalseClock()
    run = made(false_kernel("slow", clock, list(range(10, 21))), clock=clock)
    outcome = run.run(budget_s=100.0)
    assert outcome.timed and outcome.left["slow"] == 11 - outcome.timed
    assert run.run().left == {}


def test_new_shapes_go_with_no_other_choice_of_cases(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    for asked in (Asked(fresh=1, tune=True), Asked(fresh=1, split="calibration")):
        with pytest.raises(LightboundError, match="held out"):
            campaign(tmp_path / "records.jsonl", ["softmax"], asked, "cpu")


def test_new_shapes_run_in_the_interpreter(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    path = tmp_path / "records.jsonl"
    command = [sys.executable, "-m", "lightbound.kernels.triton.campaign", "--device", "cpu", "--fresh", "3"]
    command += ["--kernels", "elementwise,matmul", "--out", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert path.read_text().count('"fresh": 3, "tile"') >= 10
