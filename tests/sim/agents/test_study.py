"""Studies: what a setting means, how far it reaches, and advice that holds."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import lightbound as lb
from lightbound.base.errors import LightboundError
from lightbound.sim.agents.capacity import largest_whole, least, least_of
from lightbound.sim.agents.setting import Setting, message_bytes
from lightbound.sim.agents.timeline import timeline_events
from lightbound.workloads.architecture import Architecture, Part, Tensor
from lightbound.workloads.architecture import Stage as Step

TIMES = {"sender_s": 0.02, "fuser_s": 0.015, "fuser_each_s": 0.003}


def study(**more: Any) -> lb.Study:
    return lb.v2x("ptp", **{"agents": 3, "rate": "27Mbps", "compression": 256, "frames": 30, **TIMES, **more})


def test_messages_are_those_of_the_architectures() -> None:
    assert message_bytes(Setting("ptp")) == 8_388_608
    assert message_bytes(Setting("cos_coco")) == 9_568_256
    assert message_bytes(Setting("cos_coco", lidar=False)) == 1_179_648
    assert message_bytes(Setting("ptp", dtype="int8", compression=64)) == 32_768


def test_limits_are_reached_and_one_step_further_is_too_far() -> None:
    limits = study().limits
    assert limits.agents.value is not None and limits.compression.value is not None
    count = int(limits.agents.value)
    assert study(agents=count).outcomes.meets()
    assert not study(agents=count + 1).outcomes.meets()
    assert study(compression=limits.compression.value).outcomes.meets()
    assert not study(compression=limits.compression.value / 1.05).outcomes.meets()
    assert limits.rate_bps.value in (12e6, 18e6, 24e6, 27e6)


def test_the_first_advice_is_what_helps_most() -> None:
    done = study()
    base, best, *rest = done.improvements
    assert base.what == "as it is" and best.what == "messages are half as long"
    assert best.p95_s < base.p95_s and all(best.p95_s <= other.p95_s for other in rest)
    computing = study(sender_s=0.08, compression=4096)
    assert computing.improvements[1].what == "senders compute twice as fast"
    assert "Improve first: if senders compute twice as fast" in computing.explain()


def test_a_machine_gives_the_times_of_every_stage_and_given_times_replace_them() -> None:
    product = Part("matmul", {"M": 512, "N": 512, "K": 512})
    table = Architecture(
        name="small",
        title="",
        source="",
        preset="",
        sender=(Step("encode", (replace(product, each="lidar"),)),),
        send=(Step("pack", (product,), ("encode",)),),
        receive=(Step("unpack", (replace(product, each="message"),)),),
        ego=(Step("merge", (replace(product, each="lidar"),), ("unpack",)), Step("heads", (product,), ("merge",))),
        sends=(Tensor("map", (64, 8, 8), "lidar"),),
    )
    whole = {"link": "ideal", "machine": "h200", "frames": 3}
    done = lb.v2x(table, 3, **whole)
    one = done.scenario.agents[1].before[0].seconds
    ego, sender = done.scenario.agents[:2]
    assert [(stage.name, stage.seconds) for stage in sender.before] == [("encode", one), ("pack", one)]
    assert [stage.name for stage in ego.before] == ["encode"]  # it sends nothing
    each = [(stage.name, stage.seconds, stage.each_s) for stage in ego.after]
    assert each == [("unpack", 0.0, one), ("merge", one, one), ("heads", one, 0.0)]
    assert done.outcomes.runs[0].breakdown_s["fusion"] == pytest.approx(6 * one, rel=1e-3)
    given = lb.v2x(table, 3, **whole, sender_s=0.5)
    assert [stage.seconds for stage in given.scenario.agents[1].before] == [0.5]
    assert given.scenario.agents[0].after == ego.after
    coded = lb.v2x("ptp", 2, "ideal", machine="h200", sender_s=0.0, fuser_s=0.0, compression=100, frames=3)
    assert any("no coder of that ratio" in note for note in coded.scenario.notes)


def test_more_runs_narrow_the_interval_and_all_figures_are_plain(tmp_path: Path) -> None:
    done = study(replications=3, workers=1, record=True, loss=0.01)
    figures = done.to_dict()
    json.dumps(figures, allow_nan=True)
    assert figures["over_runs"]["latency_p95_s"]["half_width"] > 0
    done.write_timeline(tmp_path / "t.json")
    trace = json.loads((tmp_path / "t.json").read_text())
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert {event["cat"] for event in slices} == {"accelerator", "messages", "radio", "frames"}
    by_track: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for event in timeline_events(done.first.run):
        if event["ph"] == "X":
            by_track.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["dur"]))
    for spans in by_track.values():
        assert all(a + d <= b + 1e-3 for (a, d), (b, _) in pairwise(spans))
    with pytest.raises(LightboundError, match="nothing to show"):
        study().write_timeline(tmp_path / "u.json")


def test_searches_find_the_edge() -> None:
    assert largest_whole(lambda n: n <= 13, 2, 64).value == 13
    assert largest_whole(lambda n: True, 2, 64) == largest_whole(lambda n: n < 99, 2, 64)
    assert largest_whole(lambda n: False, 2, 64).value is None
    assert least_of(lambda v: v >= 6, [3.0, 6.0, 12.0]).value == 6.0
    found = least(lambda v: v >= 49.7, 1, 1000).value
    assert found is not None and 49.7 <= found < 49.7 * 1.011


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"agents": 0}, "agents = 0"),
        ({"compression": 0.5}, "compression = 0.5"),
        ({"dtype": "int3"}, "dtype = int3"),
        ({"phases": "odd"}, "phases = odd"),
        ({"link": "wifi"}, "link = wifi"),
        ({"sender_s": -1.0}, "sender_s"),
        ({"rate": "5Mbps"}, "none of its rates"),
        ({"architecture": "late"}, "architecture = late"),
        ({"speed": 3}, "setting = speed"),
        ({"link": "nr_v2x", "rate": None, "distance_m": 100.0}, "no error model"),
        ({"replications": 0}, "replications = 0"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(changes: dict[str, Any], told: str) -> None:
    settings = {
        "architecture": "ptp",
        "agents": 3,
        "link": "802.11p",
        "rate": "27Mbps",
        "compression": 256,
        "frames": 2,
    }
    with pytest.raises(LightboundError, match=told):
        lb.v2x(**{**settings, **changes})
