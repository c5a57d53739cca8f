"""``lightbound measure`` where there is no GPU: what it says, and the campaign tried in the interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lightbound.cli import main


def _has_gpu() -> bool:
    torch = pytest.importorskip("torch")
    return bool(torch.cuda.is_available())


@pytest.mark.parametrize("arguments", [["measure"], ["compare", "--device", "cuda"]])
def test_without_a_gpu_one_message_says_so(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("triton")
    if _has_gpu():
        pytest.skip("there is a GPU")
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert "no GPU" in told and "Traceback" not in told


def test_a_budget_that_is_no_time_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", "--budget", "soon"]) == 2
    assert "480s" in capsys.readouterr().err


def test_a_campaign_in_the_interpreter_ends_and_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    path = tmp_path / "records.jsonl"
    command = [sys.executable, "-m", "lightbound.kernels.triton.campaign", "--device", "cpu", "--kernels", "softmax"]
    first = subprocess.run([*command, "--out", str(path)], capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stdout + first.stderr
    lines = path.read_text().count('"record": "timing"')
    again = subprocess.run([*command, "--out", str(path)], capture_output=True, text=True, check=True)
    assert lines and "0 timed" in again.stdout and path.read_text().count('"record": "timing"') == lines
