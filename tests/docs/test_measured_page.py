"""The page of measurements: what it says of records, and that it says nothing without them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from lightbound.validate.gpu.kernel_times import KernelTime
from lightbound.validate.gpu.predict import GpuPrediction
from lightbound.validate.gpu.records import Measured, Scored

ROOT = Path(__file__).parents[2]
CLOCK_HZ = 1.6e9


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_measured", ROOT / "docs" / "build_measured.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scored(kernel: str, name: str, measured_s: float, predicted_s: float, held_out: bool) -> Scored:
    record = {"kernel": kernel, "name": name, "median_s": measured_s, "held_out": held_out, "clock_hz": CLOCK_HZ}
    record["samples_s"] = [measured_s] * 3
    record["tile"] = {"constants": {"BR": 128}, "warps": 8, "stages": 2}
    shares = {"tensor": 0.7, "dram": 0.28, "launch": 0.02}
    kernels = (KernelTime("flash", predicted_s, "schedule", 1.1 * CLOCK_HZ, 1e3, 10, 1e6, 1e6),)
    found = GpuPrediction(predicted_s, 0.0, 1, predicted_s / 2, {"mac": predicted_s / 2}, shares, shares, kernels)
    return Scored(record, "h200", found, {"rival": 2 * measured_s})


def test_without_records_nothing_is_written(builder: ModuleType, tmp_path: Path) -> None:
    assert not builder.build(Measured((), {}, (), (), ()), (), tmp_path / "measured.md")
    assert not list(tmp_path.iterdir())


def test_the_page_tells_errors_the_worst_case_peers_and_changes(builder: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run = {"fingerprint": {"device": "NVIDIA H200", "date": "2026-11-27T10:00:00", "commit": "0123456789abc"}}
    cases = (scored("one", "N1", 1e-3, 1.1e-3, True), scored("one", "N2", 1e-3, 0.8e-3, False))
    changes = [
        {
            "change": name,
            "why": "They wait",
            "seen": name == "Loads",
            "moved": [{"cases": "one", "before": 0.2, "after": 0.1}],
        }
        for name in ("Stores", "Loads")
    ]
    assert builder.build(Measured(cases, {"two: no mapping": 3}, (run,), (), ()), changes, tmp_path / "measured.md")
    text = (tmp_path / "measured.md").read_text()
    assert "NVIDIA H200, 2026-11-27, commit 0123456789" in text
    assert "| one | held out | 1 | 10.0% | +10.0% | +10.0% |" in text
    worst = text[text.index("furthest off") :]
    assert "N2" in worst and "N1" not in worst and "tensor 70%, dram 28%" in worst  # held-out cases are not looked at
    assert "| one | rival | 2 | 0.50 |" in text and "| Stores | They wait |  | one | 20.0% | 10.0% |" in text
    assert "| Loads | They wait | later | one | 20.0% | 10.0% |" in text
    assert "3 cases: two: no mapping" in text
    assert "| mac | 2 | 1.60 to 1.60 GHz | +10.0% | 15.0% | 16.5% |" in text  # +21 % and -12 % at the true clock
    drawings = sorted((tmp_path / "measured").iterdir())
    assert [drawing.name for drawing in drawings] == ["errors.svg", "times.svg"]
    first = [drawing.read_bytes() for drawing in drawings]
    builder.draw_errors(cases, drawings[0])
    builder.draw_times(cases, drawings[1])
    assert [drawing.read_bytes() for drawing in drawings] == first
