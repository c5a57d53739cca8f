"""Published attention timings: the bars hold, what misses is said, and every row is either predicted or listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightbound.base.errors import LightboundError
from lightbound.validate.cases import read_cases
from lightbound.validate.kernels import find_kernel, kernel_table, machine_named
from lightbound.validate.suite import SuiteReport, run_suite
from lightbound.validate.suites.attention_published import COLUMNS, PUBLISHED
from lightbound.workloads.methods import load_method

HEADER = "gpu,kernel,dtype,pass,head_dim,causal,mask,batch,heads_q,heads_kv,seqlen_q,seqlen_k,tflops,ms\n"


@pytest.fixture(scope="module")
def report() -> SuiteReport:
    return run_suite("attention_published")


def test_every_bar_is_met(report: SuiteReport) -> None:
    assert [check.what for check in report.checks if not check.passed] == []


def test_every_row_is_predicted_or_listed_with_a_reason(report: SuiteReport) -> None:
    (listed,) = (note for note in report.notes if note.startswith("Not predicted"))
    left_out = int(listed.split()[2])
    assert len(report.rows) + left_out == len(read_cases(PUBLISHED, COLUMNS))
    assert sum(int(part.split()[0]) for part in listed.split(": ", 1)[1].split("; ")) == left_out


def test_doubtful_rows_stand_in_groups_of_their_own(report: SuiteReport) -> None:
    for row in report.rows:
        assert ("listed apart" in row["group"]) == bool(row.get("doubt"))


def test_longer_sequences_take_longer_as_published(report: SuiteReport) -> None:
    fused = [group for group in report.groups if not group.group.startswith("eager")]
    assert all(group.rank_correlation is None or group.rank_correlation > 0.94 for group in fused)


@pytest.mark.parametrize(
    ("gpu", "name"),
    [
        ("H100-80GB-SXM5", "h100_sxm"),
        ("H100 (variant not stated)", "h100_sxm"),
        ("H100-PCIe", "h100_pcie"),
        ("RTX-4090", "rtx4090"),
        ("RTX-A5000", "a5000"),
        ("A100 (variant not stated)", "a100"),
        ("B200 (750W)", "b200"),
    ],
)
def test_gpus_are_known_by_their_names_in_the_wild(gpu: str, name: str) -> None:
    found = machine_named(gpu)
    assert found is not None
    assert found.name == name


def test_the_kernel_table_names_mappings_that_there_are() -> None:
    for kernel in kernel_table().kernels.values():
        assert kernel.source
        assert all(case.mapping in load_method(case.workload).mappings for case in kernel.cases)


def test_a_kernel_has_the_tiles_of_its_gpu_and_mask() -> None:
    (wide,), (causal,) = (find_kernel("rtx4090", "flash-attn-2", 128, masked).added for masked in (False, True))
    assert (wide.set["M0"], causal.set["M0"]) == (32, 64)
    assert "head dimension of 256" in find_kernel("a100", "flash-attn-2", 256, False).why_not


def test_passes_are_one_kernel_two_or_what_one_takes_beside_another() -> None:
    both = find_kernel("a100", "flash-attn-2", 64, False, "fwd+bwd")
    assert [case.pass_ for case in both.added] == ["fwd", "bwd"] and not both.taken_off
    gradients = find_kernel("a100", "pytorch-eager", 64, False, "bwd")
    assert [case.pass_ for case in gradients.added] == ["fwd+bwd"]
    assert [case.pass_ for case in gradients.taken_off] == ["fwd"]
    assert "no backward pass of xformers" in find_kernel("a100", "xformers", 64, False, "bwd").why_not


def test_a_user_s_file_is_scored_by_time_or_by_rate_and_the_rest_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        HEADER
        + "H100-80GB-SXM5,flash-attn-3,fp16,fwd,128,1,causal,2,16,16,8192,8192,600,\n"
        + "H100-80GB-SXM5,flash-attn-3,fp16,fwd,128,1,causal,2,16,16,8192,8192,,0.916259\n"
        + "H100-80GB-SXM5,flash-attn-4,fp16,bwd,128,0,none,2,16,16,8192,8192,500,\n"
        + "H100-80GB-SXM5,flash-attn-2,fp16,fwd+bwd,128,0,none,2,16,16,8192,8192,500,\n"
        + "H100-80GB-SXM5,flash-attn-3,fp16,fwd,128,0,none,2,16,16,8192,8192,,\n"
        + "H100-80GB-SXM5,flash-attn-3,fp8,fwd,128,0,none,2,16,16,8192,8192,900,\n"
        + "H100-80GB-SXM5,flash-attn-3,fp16,fwd,128,0,none,2,32,8,8192,8192,600,\n"
        + "H100-80GB-SXM5,flash-attn-3,fp16,fwd,128,0,alibi,2,16,16,8192,8192,600,\n"
        + "H100-80GB-SXM5,flash-attn-3,fp16,fwd,128,0,none,,16,16,ragged,ragged,600,\n"
        + "TPU v5,flash-attn-3,fp16,fwd,128,0,none,2,16,16,8192,8192,600,\n"
        + "H100,sageattn,fp16,fwd,128,0,none,2,16,16,8192,8192,600,\n"
    )
    report = run_suite("attention_published", path)
    assert len(report.rows) == 3
    both, first, second = report.rows
    assert both["published"] == pytest.approx(3.5 * 4 * 2 * 16 * 8192**2 * 128 / 500e12)
    assert first["published"] == pytest.approx(second["published"], rel=1e-5)
    assert first["predicted"] == second["predicted"]
    (listed,) = (note for note in report.notes if note.startswith("Not predicted, 8 rows"))
    for reason in ("backward", "no time", "fp8", "grouped", "alibi", "not stated", "TPU v5", "sageattn"):
        assert reason in listed


def test_a_file_without_kernels_is_refused_by_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("gpu,dtype\nH100,fp16\n")
    with pytest.raises(LightboundError, match="kernel"):
        run_suite("attention_published", path)
