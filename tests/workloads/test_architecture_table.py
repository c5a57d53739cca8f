"""PTP and CoS-CoCo as tables: work and bytes of the reference, and what holds for any number of agents and cameras."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.base.errors import LightboundError
from lightbound.workloads.architecture import Agent, Architecture, Part, StageRuns, architecture, architecture_names
from lightbound.workloads.counts import total_operations
from lightbound.workloads.registry import workload

BOTH = Agent(lidar=True, cameras=1)
PAIR = (BOTH, BOTH)
sensors = st.builds(Agent, st.booleans(), st.integers(1, 4)) | st.just(Agent(True, 0))


def macs(stages: tuple[StageRuns, ...]) -> dict[str, int]:
    return {stage.name: stage.macs for stage in stages}


def test_the_stages_of_an_agent_do_the_work_of_the_reference() -> None:
    found = macs(architecture("ptp").sender_stages(BOTH))
    pillars, backbone = 2048 * 10 * 10_000, 3 * 2 * 9 * 64**2 * 128 * 256 + 64**2 * 128 * 256
    assert found["encode_lidar"] == pillars + backbone
    assert found["encode_camera"] == pytest.approx((20.542 + 0.0047) * 1e9, rel=1e-4)
    assert found["upsample"] == 4 * 8 * 144 * 256
    assert found["paint"] == 1_346_371_584 + 4 * 256 * 128 * 64
    assert sum(found.values()) == pytest.approx(29.49e9, rel=1e-4)


def test_the_totals_of_two_agents_are_those_of_the_reference() -> None:
    ptp, cos_coco = architecture("ptp"), architecture("cos_coco")
    assert sum(macs(ptp.ego_stages(PAIR)).values()) == pytest.approx(74.10e9, rel=1e-4)
    assert sum(macs(cos_coco.ego_stages(PAIR)).values()) == pytest.approx(101.85e9, rel=1e-4)
    assert macs(cos_coco.ego_stages(PAIR))["colour"] == 2 * (13_841_203_200 + 4 * 256 * 128 * 256)
    assert ptp.macs(PAIR) == pytest.approx(133.1e9, rel=5e-4)
    assert cos_coco.macs(PAIR) == pytest.approx(158.1e9, rel=5e-4)


def test_messages_have_the_bytes_of_the_reference() -> None:
    ptp, cos_coco = architecture("ptp"), architecture("cos_coco")
    late = architecture("cos_coco", upsample="ego")
    assert ptp.message(BOTH).bytes() == 8_388_608 and ptp.message(BOTH).volume() == 23
    assert [ptp.message(BOTH).bytes(word) for word in (2, 1)] == [4_194_304, 2_097_152]
    assert cos_coco.message(BOTH).bytes() == 9_568_256
    assert cos_coco.message(BOTH).volume() == pytest.approx(23.189825, abs=5e-7)
    assert cos_coco.message(Agent(False, 1)).bytes() == 1_179_648
    assert late.message(Agent(False, 1)).bytes() == 18_432
    assert architecture("ptp", "opv2v").message(BOTH).bytes() == 16_777_216
    assert ptp.message(BOTH).bytes(compression=64, metadata_bytes=200) == 131_072 + 200
    assert architecture("ptp", channel_ratio=4).message(BOTH).bytes() == 8_388_608 // 4


@pytest.mark.parametrize("name", architecture_names())
@given(agents=st.lists(sensors, min_size=1, max_size=6))
@settings(max_examples=20, deadline=None)
def test_work_on_the_ego_grows_by_a_map_for_each_lidar_and_by_a_block_for_each_camera(
    name: str, agents: list[Agent]
) -> None:
    table = architecture(name, "tiny")
    if table.needs_lidar:
        agents = [replace(agent, lidar=True) for agent in agents]
    agents[0] = replace(agents[0], lidar=True)
    maps, cameras = sum(agent.lidar for agent in agents), sum(agent.cameras for agent in agents)
    one, lidar, camera = (
        sum(stage.macs for stage in table.ego_stages(group))
        for group in ((Agent(True, 0),), (Agent(True, 0), Agent(True, 0)), (Agent(True, 1),))
    )
    found = sum(stage.macs for stage in table.ego_stages(agents))
    assert found == one + (maps - 1) * (lidar - one) + cameras * (camera - one)
    for agent in agents:
        sent = table.message(agent)
        expected = sum(
            tensor.values * (agent.lidar if tensor.each == "lidar" else agent.cameras) for tensor in table.sends
        )
        assert sent.values == expected > 0


@pytest.mark.parametrize("name", architecture_names())
@pytest.mark.parametrize("agent", [Agent(True, 0), Agent(True, 2), Agent(False, 1)])
def test_every_stage_waits_only_for_stages_that_come_before_it(name: str, agent: Agent) -> None:
    for options in ({}, {"channel_ratio": 4}, {"variant": "merged"}):
        table = architecture(name, "tiny", **options)
        if table.needs_lidar and not agent.lidar:
            with pytest.raises(LightboundError, match="cannot take part"):
                table.sender_stages(agent)
            continue
        for stages in (table.sender_stages(agent), table.ego_stages((BOTH, agent))):
            for place, stage in enumerate(stages):
                assert set(stage.after) <= {earlier.name for earlier in stages[:place]}
                assert all(not run.workload.cascade.missing_sizes for run in stage.runs)
                assert stage.macs > 0


def parts_of(table: Architecture) -> list[tuple[str, Part]]:
    every = (*table.sender, *table.send, *table.receive, *table.ego)
    return [(stage.name, part) for stage in every for part in stage.parts]


@pytest.mark.parametrize("preset", ["dair_v2x", "opv2v"])
@pytest.mark.parametrize("name", architecture_names())
def test_presets_of_the_workloads_are_the_sizes_that_the_tables_use(name: str, preset: str) -> None:
    used = {
        (part.method, frozenset({**part.sizes, "N": 2}.items())) for _, part in parts_of(architecture(name, preset))
    }
    for method in ("pillar_encoder", "image_stem", "bilinear_upsample", "pyramid_merge", "anchor_heads"):
        sizes = workload(method, preset).sizes
        derived = (
            {key: value for key, value in sizes.items() if key not in ("R", "T")}
            if method == "pyramid_merge"
            else sizes
        )
        assert any(kind == method and derived.items() >= dict(given).items() - {("N", 2)} for kind, given in used), (
            method
        )
    suffix = "ptp" if name == "ptp" else "cos_coco"
    (part,) = [part for _, part in parts_of(architecture(name, preset)) if part.method == "rg_attn"]
    assert workload("rg_attn", f"{preset}_{suffix}").sizes == dict(part.sizes)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Agent(False, 0), "has no sensor"),
        (lambda: Agent(True, -1), "is no number of cameras"),
        (lambda: architecture("ptq"), "Did you mean 'ptp'"),
        (lambda: architecture("ptp", "kitti"), "Choose from: dair_v2x, opv2v, tiny"),
        (lambda: architecture("ptp", channel_ratio=5), "does not divide the channels"),
        (lambda: architecture("ptp", pillars=0), "are no pillars"),
        (lambda: architecture("cos_coco", upsample="cloud"), "is no side of a link"),
        (lambda: architecture("cos_coco").ego_stages((Agent(False, 1),)), "have no LiDAR among them"),
        (lambda: architecture("ptp").message(Agent(False, 1)), "cannot take part in ptp"),
        (lambda: architecture("ptp").message(BOTH).bytes(compression=0.5), "is no compression"),
    ],
)
def test_what_cannot_be_is_refused(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(LightboundError) as caught:
        call()
    assert says in str(caught.value)


def test_merging_the_projections_takes_from_a_block_what_the_reference_says() -> None:
    for name, stage, saved in (("ptp", "paint", 0.436e9), ("cos_coco", "colour", 6.98e9)):
        two = architecture(name).macs((BOTH,)), architecture(name, variant="merged").macs((BOTH,))
        assert two[0] - two[1] == pytest.approx(saved, rel=1e-3), stage
    block = workload("rg_attn", "dair_v2x_ptp").cascade
    assert total_operations(block)["exp"] == 256 * 8 * 128 * 144
