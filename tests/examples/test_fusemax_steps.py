from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "fusemax_steps.py"


def test_the_steps_to_fusemax_are_shown_explained_and_drawn(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, EXAMPLE], cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"}
    )
    assert shown.returncode == 0, shown.stderr
    words = " ".join(shown.stdout.split())
    assert "6.72 times as fast as FLAT on attention and 5.30 times on whole encoder layers" in words
    assert "It waits for the drain of unit 2d" in words and "walked in 3 passes" in words
    assert "Four panels." in words
    assert all(len(line) <= 80 for line in shown.stdout.partition("Why:")[0].splitlines())
    assert (tmp_path / "out" / "fusemax_steps.png").read_bytes().startswith(b"\x89PNG")
