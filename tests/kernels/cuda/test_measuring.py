"""What the probe does around its programs: every task on a device that is none, and children that fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from lightbound.base.errors import LightboundError
from lightbound.kernels.cuda import figures, figures_clock, figures_memory, probe, straight
from lightbound.kernels.cuda.bench import Bench

from .fake import PACE, FakeDriver


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small memory and no rests."""
    monkeypatch.setattr(figures_memory, "MIB", 1 << 12)
    monkeypatch.setattr(figures_clock, "REST_S", 0.0)


def measured(capability: int) -> dict[str, object]:
    bench = Bench(FakeDriver(capability))  # type: ignore[arg-type]
    tasks = [*figures.tasks(capability), *figures_memory.tasks(), *straight.tasks(), *figures_clock.tasks(capability)]
    found: dict[str, object] = {}
    for task in tasks:
        found |= task.run(bench)
    return found


@pytest.mark.parametrize("capability", [80, 90, 100])
def test_every_task_gives_figures_that_json_can_hold(capability: int) -> None:
    found = measured(capability)
    assert json.loads(json.dumps(found)).keys() == found.keys()
    assert all(one["unit"] and one["what"] and one["samples"] for one in found.values())  # type: ignore[index]
    assert any(name.startswith("wgmma") for name in found) == (capability == 90)


def test_rates_and_latencies_follow_from_rounds_warps_and_cycles() -> None:
    bench = Bench(FakeDriver())  # type: ignore[arg-type]
    task = {one.name: one for one in figures.tasks(90)}
    rate = task["rate.ffma"].run(bench)["rate.ffma"]["samples"]
    assert rate == pytest.approx([128 * 16 * 32 / PACE] * len(rate))  # results of a round, warps, lanes
    chain = task["latency.ffma"].run(bench)["latency.ffma"]["samples"]
    assert chain == pytest.approx([PACE / 64] * len(chain))


def test_without_a_gpu_the_probe_says_so_and_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert probe.main(["--out", str(tmp_path / "raw.json")]) == 2
    assert "finds no NVIDIA GPU" in capsys.readouterr().err


LINES = {
    "device": {"device": {"name": "made up"}},
    "tasks": {"tasks": ["one", "two", "three"]},
    "one": {"done": "one", "figures": {"one": {"unit": "s", "what": "", "samples": [1.0]}}},
    "three": {"done": "three", "figures": {"three": {"unit": "s", "what": "", "samples": [3.0]}}},
}


def test_a_task_whose_process_dies_is_recorded_and_the_next_child_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    skips: list[list[str]] = []

    def child(output: Path, skip: Path, left: float, only: object, step: object) -> tuple[int, str]:
        skips.append(json.loads(skip.read_text()))
        first = [LINES["device"], LINES["tasks"], {"begin": "one"}, LINES["one"], {"begin": "two"}]
        second = [{"begin": "three"}, LINES["three"]]
        output.write_text("".join(json.dumps(line) + "\n" for line in (first, second)[len(skips) - 1]))
        return (-9, "a fault") if len(skips) == 1 else (0, "")

    monkeypatch.setattr(probe, "_watch", child)
    raw = probe.measure(60)
    assert set(raw["figures"]) == {"one", "three"} and skips == [[], ["one", "two"]]
    assert "a fault" in raw["failed"]["two"] and raw["skipped"] == []


def test_a_child_that_never_starts_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_watch", lambda *given: (1, "no module"))
    raw = probe.measure(60)
    assert raw["failed"] == {"start": "no module"} and raw["figures"] == {}


def test_what_a_child_refuses_is_the_message_of_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    def child(output: Path, *given: object) -> tuple[int, str]:
        output.write_text(json.dumps({"refused": ["probe", "cuda", "finds nothing", "Look."]}) + "\n")
        return 2, ""

    monkeypatch.setattr(probe, "_watch", child)
    with pytest.raises(LightboundError, match="finds nothing"):
        probe.measure(60)
