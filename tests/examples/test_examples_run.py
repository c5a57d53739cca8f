"""The examples that a reader changes run as they stand, anywhere, and print what they promise."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def printed_by(script: Path, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_your_own_attention_computes_attention_and_is_predicted_on_four_machines(tmp_path: Path) -> None:
    printed = printed_by(EXAMPLES / "own_attention.py", tmp_path)
    difference = float(printed.splitlines()[0].rpartition(" ")[2])
    assert difference < 1e-12
    assert "2 passes over m" in printed
    assert [line.split()[0] for line in printed.splitlines() if "of it waits for" in line] == [
        "flat",
        "fusemax",
        "tpu_v4i",
        "h100_sxm",
    ]


def test_the_buffer_of_your_own_attention_grows_with_its_tokens(tmp_path: Path) -> None:
    lines = [line for line in printed_by(EXAMPLES / "own_attention.py", tmp_path).splitlines() if " tokens: " in line]
    short, long = (float(line.split(": ")[1].removesuffix(" MiB")) for line in lines)
    assert 3.9 < long / short < 4.1, "four times the tokens, four times the buffer: the cascade has two passes"


def test_your_own_machine_gains_only_from_what_relieves_the_unit_that_binds(tmp_path: Path) -> None:
    printed = printed_by(EXAMPLES / "own_machine.py", tmp_path)
    rows = printed.partition("what if")[2].splitlines()[1:]
    speedups = {line[:30].strip(): float(line[30:].split()[2].removesuffix("x")) for line in rows}
    assert speedups["twice the memory bandwidth"] == 1.0
    assert speedups["an exponential in one cycle"] > 1.5
    assert speedups["twice the lanes of everything"] > 1.8


def test_an_example_can_be_copied_away_and_changed(tmp_path: Path) -> None:
    for file in EXAMPLES.glob("own_*"):
        shutil.copy(file, tmp_path)
    lines = tmp_path / "own_attention.einsum"
    lines.write_text(lines.read_text(encoding="utf-8").replace("/ sqrt(E)", "/ sqrt(E) * 1"), encoding="utf-8")
    machine = tmp_path / "own_machine.yaml"
    machine.write_text(machine.read_text(encoding="utf-8").replace("clock: 1 GHz", "clock: 2 GHz"), encoding="utf-8")
    printed_by(tmp_path / "own_attention.py", tmp_path)
    slow, fast = (printed_by(folder / "own_machine.py", tmp_path).split(": ")[1] for folder in (EXAMPLES, tmp_path))
    assert slow != fast


def test_more_vehicles_keep_less_of_the_deadline_until_fusion_has_no_messages(tmp_path: Path) -> None:
    printed = printed_by(EXAMPLES / "v2x_agents.py", tmp_path)
    rows = [line for line in printed.splitlines() if "messages fused" in line]
    fused = [float(row.split("ms,")[1].split("%")[0]) for row in rows]
    assert fused == sorted(fused, reverse=True) and fused[0] == 100
    assert "does not keep up" in rows[-1] and "does not" not in rows[0]
    ratios = [
        float(line.split(": ")[1].split()[0]) for line in printed.splitlines() if " at " in line and " times" in line
    ]
    assert len(ratios) == 3 and ratios == sorted(ratios, reverse=True)


def test_a_traced_model_computes_what_torch_computes_and_is_predicted(tmp_path: Path) -> None:
    printed = printed_by(EXAMPLES / "trace_a_model.py", tmp_path)
    assert float(printed.splitlines()[0].rpartition(" ")[2]) < 1e-12
    assert "passes over the tokens: 1" in printed and "opaque: nothing" in printed
    assert "A training step of a multilayer perceptron keeps 128 MiB" in printed
