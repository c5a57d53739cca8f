"""Processes that try kernels: a task that fails, dies or hangs is told, and the others go on."""

from __future__ import annotations

import os
import time

import pytest

from lightbound.kernels.triton.campaign.pool import in_processes


def work(task: int) -> int:
    """Works in a process of the pool."""
    if task == 1:
        raise ValueError("one is too few")
    if task == 2:
        os._exit(1)
    if task == 3:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    if task == 4:
        time.sleep(60)
    return 10 * task


def test_what_fails_dies_or_hangs_takes_no_other_task_with_it() -> None:
    pytest.importorskip("torch")
    found = {number: (result, error) for number, result, error in in_processes(work, range(8), 2, deadline_s=4.0)}
    assert {number: result for number, (result, error) in found.items() if not error} == {0: 0, 5: 50, 6: 60, 7: 70}
    assert found[1][1] == "ValueError: one is too few" and found[2][1] == "the process died"
    assert "illegal memory access" in found[3][1] and "longer than 4 s" in found[4][1]
