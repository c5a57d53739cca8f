"""The campaign's own logic, by a false clock: what is timed, in which order, once each, and what a kill leaves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightbound.base.errors import LightboundError
from lightbound.kernels.triton.campaign.plan import plan
from lightbound.kernels.triton.campaign.statistics import interval, median
from lightbound.kernels.triton.campaign.tuned import fastest_tiles, tuning_text
from lightbound.kernels.triton.kernel import Call, Case, Tile

from .conftest import DEFAULT, FalseCampaign, FalseClock, Killed, false_kernel

Made = Callable[..., FalseCampaign]


def test_every_case_and_every_peer_that_is_there_is_timed_once(made: Made) -> None:
    campaign = made()
    outcome = campaign.run(peers=True)
    assert outcome.left == {} and outcome.failed == 0
    keys = campaign.keys("timing")
    assert len(keys) == len(set(keys)) == outcome.timed == 10 + 10 + 4


def test_a_peer_stands_right_behind_its_kernel(made: Made) -> None:
    campaign = made()
    campaign.run(peers=True)
    timed = [record for record in campaign.records if record["record"] == "timing"]
    peers = [number for number, record in enumerate(timed) if record["implementation"] == "tick"]
    assert peers and all(timed[number]["case"] == timed[number - 1]["case"] for number in peers)


def test_the_two_splits_share_no_case_and_are_all_together(made: Made) -> None:
    kernels = made().kernels
    split = {name: {task.key for task in plan(kernels, 90, name)} for name in ("calibration", "held_out", "all")}
    assert not split["calibration"] & split["held_out"]
    assert split["calibration"] | split["held_out"] == split["all"]
    assert split["held_out"]


def test_the_first_cases_of_a_run_are_of_all_kernels(made: Made) -> None:
    first = plan(made().kernels, 90)[:2]
    assert {task.case.kernel for task in first} == {"even", "odd"}


def test_an_unknown_split_is_told(made: Made) -> None:
    with pytest.raises(LightboundError, match="calibration"):
        plan(made().kernels, 90, "half")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=st.lists(st.integers(0, 6), max_size=6), torn=st.integers(0, 200))
def test_a_killed_run_goes_on_without_loss_and_times_nothing_twice(made: Made, lives: list[int], torn: int) -> None:
    campaign = made()
    campaign.path.unlink(missing_ok=True)
    for left in lives:
        before = campaign.records if campaign.path.exists() else []
        with suppress(Killed):
            campaign.run(lives=left, peers=True)
        assert campaign.records[: len(before)] == before
        whole = campaign.path.read_bytes()
        campaign.path.write_bytes(whole + b'{"record": "timing", "key": "torn'[: torn % 34])
        assert campaign.path.read_bytes().startswith(whole)
    assert campaign.run(peers=True).left == {}
    keys = campaign.keys("timing", "failure")
    assert len(keys) == len(set(keys)) == 24


def test_a_run_stops_at_its_budget_and_says_what_is_left(made: Made) -> None:
    campaign = made()
    outcome = campaign.run(budget_s=200.0)
    assert outcome.timed and sum(outcome.left.values()) == 14 - outcome.timed
    assert set(campaign.keys("timing")) == {task.key for task in plan(campaign.kernels, 90)[: outcome.timed]}
    assert campaign.run().left == {}


def test_a_kernel_whose_outputs_are_wrong_is_recorded_and_not_timed(made: Made) -> None:
    torch = pytest.importorskip("torch")

    def wrong(case: Case, tile: Tile, device: str, seed: int) -> Call:
        out = torch.zeros(2)
        return Call(lambda: None, lambda: (out,), lambda: (torch.ones(2, dtype=torch.float64),))

    clock = FalseClock()
    tiny = (Case("wrong", {"N": 1}, "fp16"),)
    campaign = made(
        false_kernel("wrong", clock, [2, 3], prepare=wrong, tiny=tiny),
        false_kernel("right", clock, [2, 3]),
        clock=clock,
    )
    outcome = campaign.run()
    assert outcome.timed == 2 and outcome.failed == 2
    (check,) = [record for record in campaign.records if record["record"] == "check"]
    assert not check["passed"] and check["largest_error"] is None  # what was not written is NaN
    assert campaign.run().timed == 0


def test_a_case_that_fails_is_recorded_with_its_reason_and_the_run_goes_on(made: Made) -> None:
    clock = FalseClock()
    working = false_kernel("working", clock, [2, 3])

    def prepare(case: Case, tile: Tile, device: str, seed: int) -> Call:
        if case.sizes["N"] == 2:
            raise RuntimeError("CUDA out of memory.\nTried to allocate 3 TiB")
        return working.prepare(case, tile, device, seed)

    campaign = made(replace(working, prepare=prepare), clock=clock)
    assert campaign.run().timed == 1
    (failure,) = [record for record in campaign.records if record["record"] == "failure"]
    assert failure["reason"] == "RuntimeError: CUDA out of memory." and failure["case"]["sizes"] == {"N": 2}


def test_a_record_says_everything_that_a_score_needs(made: Made) -> None:
    campaign = made()
    campaign.run()
    run, *_ = campaign.records
    assert run["fingerprint"]["device"] == "a clock" and run["asked"]["split"] == "all"
    timing = next(record for record in campaign.records if record["record"] == "timing")
    case = Case(**timing["case"])
    assert timing["run"] == run["run"] and timing["name"] == case.name and timing["held_out"] == case.held_out
    assert timing["median_s"] == pytest.approx(case.sizes["N"]) and Tile(**timing["tile"]) == DEFAULT
    assert timing["interval_s"][0] <= timing["median_s"] <= timing["interval_s"][1]
    assert len(timing["samples_s"]) >= 3 and timing["run_s"] > 0 and timing["work"]["bytes"] == 4 * case.sizes["N"]


def test_a_file_of_another_device_is_refused(made: Made) -> None:
    campaign = made()
    campaign.run(budget_s=100.0)
    text = campaign.path.read_text().replace("a clock", "a sundial")
    campaign.path.write_text(text)
    with pytest.raises(LightboundError, match="sundial"):
        campaign.run()


def test_tuning_times_every_tile_of_some_calibration_cases_and_names_the_fastest(made: Made) -> None:
    campaign = made()
    campaign.run(tune=True)
    found = fastest_tiles(campaign.records)
    held_out = {case.name for kernel in campaign.kernels for case in kernel.cases if case.held_out}
    assert found and not held_out & {case for _, case, *_ in found}
    first = {(kernel, case): (tile, gain) for kernel, case, tile, _, gain in reversed(found)}
    assert {(tile, round(gain, 6)) for tile, gain in first.values()} == {("ROWS64 w8 s2", 2.0)}
    assert "2.00x the default  ROWS64" in tuning_text(campaign.records)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=60))
def test_the_interval_holds_the_median(samples: list[float]) -> None:
    low, high = interval(samples)
    assert min(samples) <= low <= median(samples) <= high <= max(samples)
