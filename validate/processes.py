"""Independent jobs on all cores, answers in the order of the jobs."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeVar

Answer = TypeVar("Answer")


def spread(
    work: Callable[..., Answer],
    jobs: Sequence[tuple[object, ...]],
    processes: int | None = None,
    advance: Callable[[int], None] = lambda steps: None,
) -> list[Answer]:
    """``[work(*job) for job in jobs]`` over so many processes: all cores by default, the caller's own for 1.

    `work` is a function of a module, and what it takes and answers can be pickled. `advance` is told of each job
    that is done. An exception of a job ends the call once it is met; the caller's own interruption ends the jobs too.
    """
    if processes == 1 or len(jobs) <= 1:
        answers = []
        for job in jobs:
            answers.append(work(*job))
            advance(1)
        return answers
    found: dict[int, Answer] = {}
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_collect_rarely)
    try:
        running = {pool.submit(work, *job): number for number, job in enumerate(jobs)}
        for done in as_completed(running):
            found[running[done]] = done.result()
            advance(1)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return [found[number] for number in range(len(jobs))]


def _collect_rarely() -> None:
    """Looking for rings of references takes a sixth of the time of a search, which makes much and leaves few."""
    gc.set_threshold(100_000, 20, 50)
