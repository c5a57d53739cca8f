"""Claims of papers: counts come out to the last digit; a verdict follows from what was derived, not from the claim."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lightbound.validate.claims import agrees, derive, judge
from lightbound.validate.suites.claims import checks
from lightbound.workloads.claim import Claim, Run
from lightbound.workloads.registry import method, workload_names

COUNTED = ("flops", "macs", "parameters", "state_bytes", "passes", "growth")
CLAIMS = [
    (name, claim)
    for name in workload_names()
    for claim in method(name).claims
    if claim.quantity in COUNTED and claim.evidence != "recalled"
]
SPEEDUP = Claim(
    name="speedup",
    statement="Twice as many keys take longer",
    value=2.0,
    unit="x",
    source="made up",
    evidence="derived",
    quantity="latency_s",
    runs=(Run("3-pass", "tiny"),),
    baseline=(Run("3-pass", "llama2_7b"),),
    machine="h200",
)


@pytest.mark.parametrize(("name", "claim"), CLAIMS, ids=[f"{name}: {claim.name}" for name, claim in CLAIMS])
def test_what_papers_count_is_reproduced(name: str, claim: Claim) -> None:
    judged = judge(method(name), claim)
    assert judged.verdict == "reproduced", (judged.derived, claim.value, claim.note)


def test_a_whole_number_is_met_as_it_is_and_a_rounded_one_to_its_digits() -> None:
    assert agrees(592_002, 592_002) and not agrees(592_003, 592_002)
    assert agrees(24_373_212, 24.37e6) and not agrees(24_376_000, 24.37e6)
    assert agrees(0.0304, 0.03) and not agrees(0.036, 0.03)


def test_a_measured_speedup_is_bounded_by_a_larger_one_and_contradicted_by_a_smaller() -> None:
    attention = method("attention")
    derived = derive(attention, SPEEDUP)
    assert judge(attention, replace(SPEEDUP, value=derived)).verdict == "reproduced"
    assert judge(attention, replace(SPEEDUP, value=derived / 2)).verdict == "bounded"
    assert judge(attention, replace(SPEEDUP, value=derived * 2)).verdict == "contradicted"
    share = replace(SPEEDUP, inverted=True)
    assert derive(attention, share) == pytest.approx(1 / derived)
    assert judge(attention, replace(share, value=2 / derived)).verdict == "bounded"


def test_what_is_recalled_or_not_derivable_is_shown_and_not_counted() -> None:
    attention = method("attention")
    wrong = judge(attention, replace(SPEEDUP, value=1e9))
    recalled = judge(attention, replace(SPEEDUP, value=1e9, evidence="recalled"))
    unknown = judge(attention, Claim("quality", "It is good", 1, "x", "made up", "abstract", not_derivable="accuracy"))
    assert [check.passed for check in checks([wrong])] == [True, False]
    assert all(check.passed for check in checks([recalled, unknown]))
    assert unknown.derived is None and unknown.why == "accuracy"
