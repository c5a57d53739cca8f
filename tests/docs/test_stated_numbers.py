"""Numbers that stand in the prose of the documentation, where no command block prints them."""

from __future__ import annotations

import re
from pathlib import Path

import lightbound as lb

ROOT = Path(__file__).resolve().parents[2]


def stated(page: str, pattern: str) -> float:
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    found = re.search(pattern, text)
    assert found is not None, f"{page} does not say {pattern!r}"
    return float(found[1])


def test_the_readme_states_the_rate_that_is_predicted_for_a_gpu() -> None:
    work = lb.workload("attention", variant="1-pass", B=1, H=16, M=16384, P=16384, E=128, F=128)
    rate = 4 * 16 * 16384**2 * 128 / lb.simulate(work, "h100_sxm").latency_s
    assert stated("README.md", r"comes to (\d+) TFLOP/s") == round(rate / 1e12)


def test_the_readme_states_how_often_keys_are_fetched() -> None:
    lines = re.search(r"```text mine.einsum\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert lines is not None
    sizes = {"H": 32, "P": 16384, "M": 16384, "E": 128, "F": 128}
    prediction = lb.simulate(lb.Cascade.parse(lines[1], sizes), "fusemax")
    whole = 2 * sizes["H"] * sizes["M"] * sizes["E"]
    fetched = prediction.traffic_by_tensor["dram"]["K"] / whole
    assert stated("README.md", r"fetched (\d+) times over") == round(fetched)
