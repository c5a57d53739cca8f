"""Wherever points are computed, and whoever dies meanwhile: the same file, nothing lost and nothing twice.

The cluster is a real one: a Dask scheduler and two worker processes that talk over TCP.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import lightbound as lb
from lightbound.base.errors import LightboundError
from lightbound.sim.sweep import places, plan
from lightbound.sim.sweep import run as module

SPEC: dict[str, Any] = {
    "fixed": {"workload": "attention", "machine": "h200", "mapping": "flash"},
    "grid": {"mapping.BR": [64, 128], "sizes.M": {"from": 1024, "to": 6144, "step": 128}},
    "follow": {"sizes.P": "M"},
    "keep": ["latency_s", "bottleneck"],
}
POINTS = 2 * 41


@pytest.fixture
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks of few points, so that a small sweep has many of them and none is computed in this process alone."""
    for name, seconds in (("TASK_S", 0.02), ("ALONE_S", 0.0), ("PROBE_S", 0.0)):
        monkeypatch.setattr(module, name, seconds)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of the sweep, computed in this process."""
    return lb.sweep(SPEC, tmp_path_factory.mktemp("local") / "local.sqlite", workers=1).file.read_bytes()


@pytest.mark.usefixtures("small_tasks")
def test_processes_that_die_are_replaced_and_nothing_is_lost(
    tmp_path: Path, local: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools: list[places.Processes] = []
    begin = places.Processes.__init__

    def watched(self: places.Processes, workers: int) -> None:
        begin(self, workers)
        pools.append(self)

    monkeypatch.setattr(places.Processes, "__init__", watched)
    ended: list[int] = []

    def tell(done: int, total: int) -> None:
        pool: ProcessPoolExecutor | None = pools[0]._pool if pools else None
        if pool is not None and not ended and done > POINTS // 3:
            ended.append(next(iter(pool._processes)))
            os.kill(ended[0], signal.SIGKILL)

    found = lb.sweep(SPEC, tmp_path / "found.sqlite", workers=2, progress=tell)
    assert ended and found.failed == 0
    assert found.file.read_bytes() == local


def deadly(text: str, positions: Any, version: str) -> Any:
    """As `compute`, but for a process that does not survive one of the points."""
    if 57 in positions.tolist():
        os._exit(9)
    return module_compute(text, positions, version)


module_compute = module.compute


@pytest.mark.usefixtures("small_tasks")
def test_a_point_that_kills_its_process_is_kept_as_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "compute", deadly)
    found = lb.sweep(SPEC, tmp_path / "found.sqlite", workers=2)
    assert found.points == POINTS and found.failed == 1
    assert found.errors() == [{"error": "the process that computed it died", "points": 1}]


@contextmanager
def started(command: list[str], sign: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process, once it has said what `sign` finds, and that."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert process.stderr is not None
        said = next(match[1] for line in process.stderr if (match := re.search(sign, line)))
        os.set_blocking(process.stderr.fileno(), False)
        yield process, said
    finally:
        process.kill()
        process.wait()


@contextmanager
def dask_cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """The address of a scheduler, its two workers and itself."""
    pytest.importorskip("distributed", reason="a cluster needs dask[distributed]")
    quiet = ["--host", "127.0.0.1", "--no-dashboard"]
    worker = ["--nthreads", "1", "--no-nanny", "--local-directory", str(folder), "--death-timeout", "60"]
    scheduler = ["distributed.cli.dask_scheduler", "--port", "0", *quiet]
    with started(scheduler, r"Scheduler at:\s+(tcp://\S+)") as (itself, address):
        command, sign = ["distributed.cli.dask_worker", address, *quiet, *worker], r"Start worker at:\s+(\S+)"
        with started(command, sign) as (one, _), started(command, sign) as (two, _):
            yield address, [one, two, itself]


@pytest.mark.usefixtures("small_tasks")
def test_a_cluster_that_loses_a_worker_finds_what_one_process_finds(tmp_path: Path, local: bytes) -> None:
    with dask_cluster(tmp_path) as (address, workers):
        told: list[int] = []

        def tell(done: int, total: int) -> None:
            told.append(done)
            if done > POINTS // 3 and workers[0].poll() is None:
                workers[0].kill()

        found = lb.sweep(SPEC, tmp_path / "found.sqlite", scheduler=address, progress=tell)
        assert workers[0].wait() == -signal.SIGKILL and workers[1].poll() is None
    assert told[-1] == found.points == POINTS
    assert all(later > earlier for earlier, later in pairwise(told)), "no point is counted twice"
    assert found.file.read_bytes() == local


@pytest.mark.usefixtures("small_tasks")
def test_a_scheduler_that_is_lost_midway_costs_no_finished_point(tmp_path: Path, local: bytes) -> None:
    file = tmp_path / "found.sqlite"
    with dask_cluster(tmp_path) as (address, running):

        def tell(done: int, total: int) -> None:
            if done > POINTS // 3:
                running[-1].kill()

        with pytest.raises(LightboundError, match="does not answer any more"):
            lb.sweep(SPEC, file, scheduler=address, progress=tell)
    assert POINTS // 3 < lb.SweepResults(file).points < POINTS
    assert lb.sweep(SPEC, file, workers=1).file.read_bytes() == local


def test_a_scheduler_that_does_not_answer_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="a cluster needs dask[distributed]")
    monkeypatch.setattr(places, "CONNECT_S", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense://", "not an address"):
        with pytest.raises(LightboundError, match="cannot be reached"):
            lb.sweep(SPEC, tmp_path / "found.sqlite", scheduler=address)


def test_without_dask_a_scheduler_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(LightboundError, match=r"pip install 'lightbound\[sweep\]'"):
        lb.sweep(SPEC, tmp_path / "found.sqlite", scheduler="tcp://127.0.0.1:8786")


def test_a_worker_with_another_lightbound_is_refused() -> None:
    from lightbound.sim.sweep.point import compute

    with pytest.raises(LightboundError, match="runs another lightbound than 99"):
        compute(module.read(SPEC), next(plan.plan_of(module.read(SPEC)).chunks())[:1], "99")
