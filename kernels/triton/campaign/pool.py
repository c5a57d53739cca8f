"""Before anything is timed: every kernel is compiled and run once, in several processes at once.

Compiling takes about a second a kernel and a tile; the results lie in Triton's cache on disk for the process that
times. A kernel that crashes takes only its own process with it, and its reason becomes a record.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from ..kernel import MissingPackage

DEADLINE_S = 90.0  # of one task: a kernel that hangs is given up


@dataclass
class _Worker:
    """A process: `task` is what it works on since `since`; it takes none before it says that it is `ready`."""

    process: Any
    pipe: Connection
    ready: bool = False
    task: int | None = None
    since: float = 0.0


def in_processes(
    work: Callable[[Any], Any], tasks: Sequence[Any], processes: int, deadline_s: float = DEADLINE_S
) -> Iterator[tuple[int, Any, str]]:
    """Number of a task, its result and the error that it raised ("" for none), as they end.

    `work` is a function of a module; it runs in processes that have loaded torch and nothing of CUDA beforehand. One
    that dies, or works longer than the deadline, is replaced.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "triton", __name__])
    waiting = list(range(len(tasks)))[::-1]
    workers = [_start(context, work) for _ in range(min(processes, len(tasks)))]
    try:
        while waiting or any(one.task is not None for one in workers):
            for one in workers:
                if one.ready and one.task is None and waiting:
                    one.task, one.since = waiting.pop(), time.monotonic()
                    one.pipe.send((one.task, tasks[one.task]))
            wait([one.pipe for one in workers if one.task is not None or not one.ready], timeout=1.0)
            for place, one in enumerate(workers):
                ended = _ended(one, deadline_s)
                if ended is None:
                    continue
                if ended.lost:
                    _stop(one)
                    workers[place] = _start(context, work)
                if one.task is not None:
                    number, one.task = one.task, None
                    yield number, ended.result, ended.error
    finally:
        for one in workers:
            _stop(one)


@dataclass(frozen=True)
class _Ended:
    """What a process sent; `lost` where it is of no further use."""

    result: Any = None
    error: str = ""
    lost: bool = False


def _ended(worker: _Worker, deadline_s: float) -> _Ended | None:
    """What a worker says that was not heard before; None while there is nothing."""
    try:
        if worker.pipe.poll():
            said: _Ended = worker.pipe.recv()
            if worker.ready:
                return said
            worker.ready = True
    except (EOFError, OSError):
        if not worker.ready:
            raise MissingPackage("processes", None, "that compile do not start", "Try --processes 0.") from None
        return _Ended(error="the process died", lost=True)
    if worker.task is not None and time.monotonic() - worker.since > deadline_s:
        return _Ended(error=f"took longer than {deadline_s:.0f} s", lost=True)
    return None


def _start(context: Any, work: Callable[[Any], Any]) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _stop(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.kill()
    worker.process.join()


def _serve(pipe: Connection, work: Callable[[Any], Any]) -> None:
    pipe.send(_Ended())
    while True:
        try:
            _, task = pipe.recv()
        except EOFError:
            return
        try:
            ended = _Ended(work(task))
        except Exception as error:  # whatever a kernel or its compiler raises becomes its record
            text = f"{type(error).__name__}: {error}".strip().splitlines()[0][:300]
            ended = _Ended(error=text, lost="CUDA error" in str(error))
        pipe.send(ended)
