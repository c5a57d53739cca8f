"""The pipeline by events: nothing is lost or doubled unaccounted, time never runs back, policies do what they say."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lightbound as lb
from lightbound.base.errors import LightboundError
from lightbound.sim.agents.age import age, periodic_age
from lightbound.sim.agents.load import loads
from lightbound.sim.agents.outcome import Outcome
from lightbound.sim.agents.pipeline import Run, run
from lightbound.sim.agents.queues import asynchronous_delay, tandem_latency_s
from lightbound.sim.agents.replicate import estimate, replicate
from lightbound.sim.agents.scenario import Agent, Scenario, Stage, phased
from lightbound.sim.radio.resource_choice import memoryless_collision, sensing_collision

FAST = lb.link("802.11p", rate="27Mbps")
IDEAL = lb.link("ideal", rate="27Mbps")


def setting(senders: int, payload: int, link: Any = FAST, **more: Any) -> Scenario:
    """Agents that send so many bytes each to the first, and compute nothing."""
    agents = (Agent("ego"), *(Agent(f"agent {n}", payload_bytes=payload) for n in range(1, senders + 1)))
    return Scenario(agents, link, **{"frames": 20, **more})


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    names = ("802.11p", "ethernet", "ideal", "nr_v2x")
    everyone = draw(st.booleans())
    link = lb.link(draw(st.sampled_from(names)))
    if everyone and not hasattr(link, "symbols"):
        link = replace(link, broadcast=True) if hasattr(link, "broadcast") else link
    stage = st.builds(
        Stage,
        name=st.just("work"),
        seconds=st.floats(0, 0.06),
        unit=st.sampled_from(("a", "b")),
        jitter_s=st.sampled_from((0.0, 0.02)),
        each_s=st.sampled_from((0.0, 0.01)),
    )
    agents = tuple(
        Agent(
            f"agent {number}",
            before=(draw(stage),),
            after=(draw(stage),),
            payload_bytes=draw(st.integers(1, 40_000)),
            phase_s=draw(st.sampled_from((0.0, 0.03))),
            skew=draw(st.sampled_from((0.0, 1e-3))),
            join_s=draw(st.sampled_from((0.0, 0.25))),
            leave_s=draw(st.sampled_from((0.6, 99.0))),
        )
        for number in range(draw(st.integers(1, 4)))
    )
    return Scenario(
        agents,
        link,
        frames=draw(st.integers(1, 8)),
        everyone=everyone,
        fusion=draw(st.sampled_from(("wait_all", "window", "newest", "drop_old"))),
        window_s=draw(st.sampled_from((0.0, 0.05, 0.15))),
        queueing=draw(st.sampled_from(("fifo", "replace"))),
        loss=draw(st.sampled_from((0.0, 0.3))),
    )


@settings(max_examples=40, deadline=None)
@given(scenario=scenarios(), seed=st.integers(0, 9))
def test_every_message_and_frame_is_accounted_for_and_time_never_runs_back(scenario: Scenario, seed: int) -> None:
    done = run(scenario, seed, record=True)
    outcome = Outcome(done)
    accounts = outcome.accounts
    assert len({(one.sender, one.frame) for one in done.messages}) == len(done.messages) == accounts.captured
    parts = (accounts.delivered, accounts.partly_delivered, accounts.lost, accounts.replaced, accounts.unfinished)
    assert sum(parts) == accounts.captured and min(parts) >= 0
    for one in done.messages:
        times = [one.captured_s, one.ready_s, one.started_s, *one.arrived.values()]
        known = [time for time in times[:3] if time == time] + sorted(one.arrived.values())
        assert known == sorted(known)
        assert set(one.arrived) <= set(scenario.fusers) - {one.sender}
        assert not set(one.arrived) & set(one.lost)
    for fuser in scenario.fusers:
        made = [one for one in done.outputs if one.fuser == fuser]
        assert len(made) + done.unfinished[fuser] == done.captured[fuser]
        assert len({one.frame for one in made}) == len(made)
        for one in made:
            assert one.captured_s <= one.encoded_s <= one.fusing_s <= one.output_s
    tally = done.tally
    assert 0 <= tally.delivered <= tally.sent and 0 <= tally.collided <= tally.attempts
    assert all(count >= 0 for _, count in done.backlog)
    for unit in {(work.agent, work.unit) for work in done.work}:
        own = sorted((w.start_s, w.end_s) for w in done.work if (w.agent, w.unit) == unit)
        assert all(end <= start + 1e-12 for (_, end), (start, _) in pairwise(own))
    json_safe = outcome.to_dict()
    assert json_safe["accounts"]["captured"] == accounts.captured


@settings(max_examples=15, deadline=None)
@given(
    stages=st.lists(st.floats(0.001, 0.2), min_size=1, max_size=5),
    period=st.floats(0.02, 0.3),
    frame=st.integers(0, 12),
)
def test_stages_in_a_row_are_a_tandem_queue(stages: list[float], period: float, frame: int) -> None:
    before = tuple(Stage(f"s{n}", seconds, f"u{n}") for n, seconds in enumerate(stages))
    done = run(Scenario((Agent("one", before),), IDEAL, period, frame + 1, fusion="newest"), drain_s=60)
    output = next(one for one in done.outputs if one.frame == frame)
    assert output.output_s - output.captured_s == pytest.approx(tandem_latency_s(stages, period, frame), abs=1e-6)


def test_stages_that_do_not_wait_for_each_other_overlap_on_two_units_and_queue_on_one() -> None:
    def took(units: tuple[str, str]) -> float:
        a, b = (Stage(name, 0.02, unit, after=()) for name, unit in zip("ab", units, strict=True))
        joined = Stage("c", 0.01, after=("a", "b"))
        done = run(Scenario((Agent("one", (a, b, joined)),), IDEAL, frames=1, fusion="newest"))
        return done.outputs[0].encoded_s

    assert took(("x", "y")) == pytest.approx(0.03)
    assert took(("x", "x")) == pytest.approx(0.05)


@settings(max_examples=12, deadline=None)
@given(senders=st.integers(1, 5), factor=st.sampled_from((0.3, 0.6, 1.3, 2.0)), seed=st.integers(0, 5))
def test_load_over_capacity_is_reported_as_unstable_and_load_below_is_not(
    senders: int, factor: float, seed: int
) -> None:
    payload = round(factor * FAST.capacity_bytes_per_s(senders) * 0.1 / senders)
    outcome = Outcome(run(setting(senders, payload, frames=40), seed))
    assert outcome.loads["link"] == pytest.approx(factor, rel=0.1)
    assert outcome.stable == (factor < 1)


def test_what_falls_behind_is_seen_in_the_run_too() -> None:
    outcome = Outcome(run(setting(5, 60_000, frames=60)))
    assert any("grow" in reason for reason in outcome.overloads)
    slow = Agent("slow", before=(Stage("work", 0.13),))
    assert Outcome(run(Scenario((slow,), IDEAL, frames=40))).overloads == (
        "accelerator of slow is asked for 130% of what it can do",
    )


def test_replacing_keeps_messages_young_where_a_queue_grows_for_ever() -> None:
    ages = {}
    for queueing in ("fifo", "replace"):
        outcome = Outcome(run(setting(3, 80_000, frames=60, queueing=queueing)))
        ages[queueing] = max(one.mean_s for one in outcome.ages.values())
        assert not outcome.stable
    assert ages["replace"] < 0.4 * ages["fifo"]


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.4])
def test_age_under_independent_loss_is_the_closed_form(loss: float) -> None:
    payload = round(0.03 * IDEAL.rate_bps / 8)
    outcome = Outcome(run(setting(1, payload, IDEAL, frames=4000, loss=loss, fusion="newest"), seed=2))
    [found] = outcome.ages.values()
    mean, peak = periodic_age(0.1, 0.03, loss)
    assert (found.mean_s, found.peak_s) == (pytest.approx(mean, rel=0.03), pytest.approx(peak, rel=0.03))
    assert found.p50_s <= found.p95_s <= found.p99_s


@given(arrivals=st.lists(st.tuples(st.floats(0, 10), st.floats(0, 5)), max_size=30))
def test_age_lies_between_its_extremes(arrivals: list[tuple[float, float]]) -> None:
    found = age((capture + delay, capture) for capture, delay in arrivals)
    if found is not None:
        assert 0 <= found.p50_s <= found.p95_s <= found.p99_s + 1e-9
        assert found.mean_s > 0 and found.peak_s > 0


def test_contention_off_gives_the_delay_that_papers_assume() -> None:
    exact = asynchronous_delay(1.06e6, 27e6, 0.1, 0.01)
    assert (round(1e3 * exact.sending_s, 2), round(1e3 * exact.mean_s, 2), round(exact.stale, 4)) == (
        39.26,
        99.26,
        0.4926,
    )
    assert asynchronous_delay(1e6, 1e6, 0.1, 0.01).stale == 1.0
    assert asynchronous_delay(1e3, 1e9, 0.0, 0.01).stale == 0.0


def test_planned_captures_send_as_if_each_were_alone() -> None:
    together = setting(4, 20_000, frames=20)
    planned = phased(together, "planned")
    alone = FAST.transfer_s(20_000)
    assert Outcome(run(planned)).message.mean_s == pytest.approx(alone, rel=0.02)
    assert Outcome(run(planned)).collision_ratio == 0
    assert Outcome(run(together)).message.mean_s > 3 * alone


def test_waiting_for_all_ends_with_the_last_message_or_with_the_window() -> None:
    done = run(setting(3, 10_000))
    for one in done.outputs:
        last = max(m.arrived[0] for m in done.messages if m.frame == one.frame)
        assert one.fusing_s == pytest.approx(last)
        assert set(one.used.values()) == {one.frame}
    short = run(setting(3, 30_000, window_s=0.02))
    assert all(one.fusing_s - one.captured_s == pytest.approx(0.02) for one in short.outputs)
    assert Outcome(short).fused_share < 0.1


def test_a_window_always_waits_and_newest_never_does() -> None:
    assert all(
        one.fusing_s - one.captured_s == pytest.approx(0.07)
        for one in run(setting(1, 100, fusion="window", window_s=0.07)).outputs
    )
    newest = run(setting(1, 100, fusion="newest"))
    assert all(one.fusing_s == one.encoded_s for one in newest.outputs)
    assert [one.used[1] for one in newest.outputs] == [None, *range(19)]
    assert Outcome(newest).staleness_frames == {-1: 0.05, 1: 0.95}


def test_messages_older_than_asked_are_left_out() -> None:
    late = Agent("late", before=(Stage("think", 0.25, "u"),), payload_bytes=100)
    many = tuple(replace(late, before=(Stage("think", 0.25, f"u{n}"),)) for n in range(1))
    base = Scenario((Agent("ego"), *many), IDEAL, frames=10, fusion="drop_old", oldest_frames=2)
    assert all(frame is None for one in run(base).outputs for frame in one.used.values())
    assert any(frame is not None for one in run(base.with_(oldest_frames=9)).outputs for frame in one.used.values())


def test_nobody_waits_for_an_agent_that_left_or_has_not_come() -> None:
    base = setting(2, 1000, frames=10)
    guest = replace(base.agents[2], join_s=0.3, leave_s=0.6)
    done = run(base.with_(agents=(*base.agents[:2], guest)))
    there = {one.frame for one in done.outputs if 2 in one.used}
    assert there == {3, 4, 5} and done.captured == (10, 10, 3)
    assert all(one.fusing_s - one.captured_s < 0.01 for one in done.outputs)


def test_clocks_that_differ_drift_apart() -> None:
    base = setting(1, 1000, frames=50)
    fast = replace(base.agents[1], skew=1e-3)
    done = run(base.with_(agents=(base.agents[0], fast)))
    last = next(one for one in done.messages if one.frame == 49)
    assert last.captured_s == pytest.approx(4.9 / 1.001, abs=1e-6)


def test_one_seed_gives_one_answer_however_many_processes_there_are() -> None:
    scenario = setting(3, 20_000, frames=10, loss=0.1)
    serial, parallel = (replicate(scenario, 3, 7, workers) for workers in (1, 2))
    assert [one.to_dict() for one in serial] == [one.to_dict() for one in parallel]
    assert serial[0].to_dict() != serial[1].to_dict()
    assert run_facts(run(scenario, 5)) == run_facts(run(scenario, 5))


def run_facts(done: Run) -> list[Any]:
    return [(one.sender, one.frame, one.ended_s, dict(one.arrived)) for one in done.messages]


def test_a_confidence_interval_covers_the_mean_of_what_was_drawn() -> None:
    found = estimate([1.0, 2.0, 3.0, float("nan")])
    assert (found.mean, round(found.half_width, 3)) == (2.0, 2.484)


def test_all_agents_fuse_over_broadcast_and_unicast_is_refused_for_that() -> None:
    agents = tuple(Agent(f"a{n}", payload_bytes=1000) for n in range(3))
    shared = Scenario(agents, lb.link("802.11p", broadcast=True), frames=20, everyone=True)
    outcome = Outcome(run(phased(shared, "planned")))
    assert outcome.accounts.delivered == outcome.accounts.captured == 60 and len(outcome.ages) == 6
    with pytest.raises(LightboundError, match="Choose broadcast"):
        replace(shared, link=FAST)


def test_loads_add_up_what_each_unit_is_asked_for() -> None:
    stages = (Stage("fuse", 0.02, each_s=0.005),)
    base = setting(3, 1000).with_(agents=(Agent("ego", (Stage("encode", 0.03),), stages), *setting(3, 1000).agents[1:]))
    assert loads(base)["accelerator of ego"] == pytest.approx(0.65)


def test_sensing_avoids_most_collisions_of_blind_choice_and_no_more_than_perfect_sensing() -> None:
    link = lb.link("nr_v2x", keep_probability=0.0)
    agents = (Agent("ego"), *(Agent(f"a{n}", payload_bytes=500, phase_s=0.0045 * n) for n in range(20)))
    outcome = Outcome(run(Scenario(agents, link, frames=500, fusion="newest"), seed=1))
    blind, perfect = memoryless_collision(20, 200), sensing_collision(20, 200, 0.1)
    assert perfect / 2 < outcome.collision_ratio < blind / 4
    assert outcome.packet_delivery == pytest.approx(1 - outcome.collision_ratio)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fusion": "all"}, "fusion = all"),
        ({"queueing": "lifo"}, "queueing = lifo"),
        ({"period_s": 0.0}, "not a positive time"),
        ({"frames": 0}, "not a positive number"),
        ({"loss": 1.5}, "not a probability"),
        ({"agents": ()}, "are none"),
        ({"agents": (Agent("a", leave_s=0.0),)}, "not after it joins"),
        ({"agents": (Agent("a", before=(Stage("s", -1.0),)),)}, "not a time of at least 0"),
        ({"agents": (Agent("a", before=(Stage("s", 1.0, after=("t",)),)),)}, "does not come before"),
        ({"link": lb.link("nr_v2x"), "period_s": 0.05}, "is not the period"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(LightboundError, match=told):
        setting(1, 100).with_(**changes)
