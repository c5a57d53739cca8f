"""What if: changes of a machine beside the base, and the split of the latency that they are judged by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lightbound as lb
from lightbound.base.errors import LightboundError
from lightbound.sim.simulate import simulate
from lightbound.workloads.masks.causal import Causal

WORK = lb.workload("attention", B=1, H=16, M=2048, P=2048, E=128, F=128)
CASES: list[tuple[lb.Workload, str, str | None]] = [
    (WORK, "h100_sxm", "flash"),
    (WORK, "a100", "flash_sync"),
    (WORK.with_mask(Causal(2048)), "h100_sxm", "flash"),
    (lb.workload("fusemax", B=1, H=2, M=1024, P=2048), "fusemax", "binding"),
    (lb.workload("fusemax", B=1, H=2, M=1024, P=2048), "fusemax", "architecture"),
    (lb.workload("matmul", M=1024, N=1024, K=512), "a100", "gemm"),
    (lb.workload("softmax"), "a100", "on_chip"),
]


@pytest.mark.parametrize("engine", ["analytical", "event"])
@pytest.mark.parametrize(("work", "machine", "mapping"), CASES)
def test_what_the_time_is_spent_on_adds_up_to_it(
    work: lb.Workload, machine: str, mapping: str | None, engine: str
) -> None:
    found = simulate(work, machine, mapping, engine)
    assert sum(found.account_s.values()) == pytest.approx(found.latency_s, rel=1e-9)
    assert min(found.account_s.values()) > 0
    assert found.to_dict()["account_s"] == dict(found.account_s)
    assert "Spent at: " in found.explain()


def test_a_sweep_is_accounted_for_point_by_point() -> None:
    lengths = np.array([1024.0, 4096.0])
    work = lb.workload("fusemax", B=1, H=2, M=lengths, P=lengths)
    swept = simulate(work, "fusemax", "architecture")
    for point, length in enumerate((1024, 4096)):
        alone = simulate(lb.workload("fusemax", B=1, H=2, M=length, P=length), "fusemax", "architecture").account_s
        assert {name: np.broadcast_to(part, 2)[point] for name, part in swept.account_s.items()} == pytest.approx(alone)


@pytest.mark.parametrize(("work", "machine", "mapping"), CASES)
def test_twice_of_anything_is_never_slower_and_changes_are_ranked(
    work: lb.Workload, machine: str, mapping: str | None
) -> None:
    found = lb.what_if(work, machine, mapping)
    speedups = [one.speedup for one in found.changes]
    assert speedups == sorted(speedups, reverse=True)
    assert speedups[-1] >= 1 - 1e-9
    assert found.to_dict()["base_latency_s"] == found.base.latency_s


def test_a_change_names_an_operation_a_unit_a_level_or_a_field() -> None:
    changes = ("exp=2x", "sfu=2x", "dram=inf", "clock=2 GHz", "l2.capacity=100 MiB", "sm=2x", "exp=2x,tensor=2x")
    found = {one.name: one for one in lb.what_if(WORK, "h100_sxm", "flash", changes).changes}
    assert set(found) == set(changes)
    costs = [ops for ops in lb.machine("h100_sxm").unit("sfu").cost if "exp" in ops.split("+")]
    machine = lb.machine("h100_sxm", **{f"units.sfu.cost.{ops}": 0.5 for ops in costs})
    assert found["exp=2x"].latency_s == simulate(WORK, machine, "flash").latency_s
    assert 1 < found["exp=2x"].speedup <= found["sfu=2x"].speedup < found["exp=2x,tensor=2x"].speedup
    assert found["dram=inf"].speedup == pytest.approx(1, rel=1e-6)


def test_a_change_of_what_no_engine_reads_says_so() -> None:
    (one,) = lb.what_if(WORK, "h100_sxm", "flash", ["nvlink.bandwidth=2x"]).changes
    assert one.speedup == 1 and one.unread


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("expp=2x", "what if"), ("exp", "what if"), ("exp=0x", "what if exp"), ("dram=4 TB/s", "what if dram"),
        ("imbalance=2x", "what if imbalance"), ("l2.capacity=3 GHz", "capacity"), ("clock=-1 GHz", "clock"),
    ],
)  # fmt: skip
def test_a_change_that_cannot_be_made_is_refused(change: str, field: str) -> None:
    with pytest.raises(LightboundError, match=field):
        lb.what_if(WORK, "h100_sxm", "flash", [change])


GPUS = st.sampled_from(["a100", "h100_sxm", "h200", "b200", "rtx4090"])


@given(
    GPUS,
    st.sampled_from(["exp", "mac", "tensor", "alu", "sfu", "dram", "l2", "shared", "clock"]),
    st.integers(1, 48),
    st.sampled_from([64, 128]),
    st.booleans(),
)
@settings(deadline=None, max_examples=25)
def test_more_of_a_gpu_is_never_slower_under_default_mappings(
    gpu: str, what: str, tiles: int, head: int, causal: bool
) -> None:
    length = 128 * tiles
    work = lb.workload("attention", B=1, H=8, M=length, P=length, E=head, F=head)
    work = work.with_mask(Causal(length)) if causal else work
    options: dict[str, Any] = {"mapping": None}
    try:
        (one,) = lb.what_if(work, gpu, options["mapping"], [f"{what}=2x"]).changes
    except LightboundError as error:  # a GPU may lack the unit
        assert "is nothing of" in str(error)
        return
    # blocks of unequal length that become shorter may be dealt worse (Graham, 1969): a matter of the last few
    assert one.speedup >= (0.98 if causal else 1 - 1e-9)
