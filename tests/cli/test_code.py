"""``lightbound resources --code``: the loops of compiled code."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Run

LISTING = """
\t\tFunction : sums
\t.headerflags\t@"EF_CUDA_SM90"
        /*0000*/                   FADD R0, R0, R1 ;    /* 0x0000000100007221 */
                                                        /* 0x000fc80000000000 */
        /*0010*/              @P0  BRA 0x0 ;            /* 0x0000000000007947 */
                                                        /* 0x000fc80000000000 */
        /*0020*/                   EXIT ;               /* 0x000000000000794d */
                                                        /* 0x000fc80000000000 */
"""


def test_loops_of_compiled_code_are_told_with_their_cycles(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "sums.sass"
    path.write_text(LISTING, encoding="utf-8")
    ran = run("resources", "--code", str(path), "--warps", "2")
    assert ran.code == 0 and "sums for sm_90, blocks of 64 threads" in ran.out and "serialized" not in ran.out
    (found,) = json.loads(run("resources", "--code", str(path), "--format", "json").out)
    assert found["function"] == "sums" and found["loops"][0]["turn_cycles"] == 8
    rows = run("resources", "--code", str(path), "--format", "csv").out.splitlines()
    assert len(rows) == 2 and rows[0].startswith("function,place,depth") and rows[1].endswith(",128,assumed")


def test_warps_that_nobody_states_are_said_to_be_assumed(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "sums.sass"
    path.write_text(LISTING, encoding="utf-8")
    silent, given = run("resources", "--code", str(path)), run("resources", "--code", str(path), "--warps", "4")
    assert "blocks of an assumed 128 threads" in silent.out and "4 are assumed (--warps)" in silent.out
    assert "blocks of 128 threads" in given.out and "assumed" not in given.out


def test_code_that_cannot_be_read_is_told_in_a_line(run: Run) -> None:
    ran = run("resources", "--code", "nowhere.cubin")
    assert ran.code == 2 and "nowhere.cubin: cannot be read" in ran.err and len(ran.err.splitlines()) == 1
