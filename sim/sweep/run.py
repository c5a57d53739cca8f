"""A sweep from its description to its file: what is missing is computed, somewhere, and kept as it comes.

The first points are computed here, which tells how long one takes. A short sweep ends there; a long one is cut into
tasks of about half a second for processes or a cluster.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lightbound.base.document import read_yaml
from lightbound.base.errors import LightboundError
from lightbound.base.version import VERSION

from .checks import check
from .fields import FILES
from .files import Files, take
from .places import Place, cluster, prepare, processes
from .plan import Plan, Positions, carried, plan_of
from .point import Rows, answers, compute, in_one_call, nothing
from .results import SweepResults
from .store import Store, missing

TASK_S = 0.5  # how long a task should take: long against the milliseconds of sending it
ALONE_S = 2.0  # a sweep that takes no longer is not worth other processes
PROBE_S = 0.2  # how long to look before asking for them
TOGETHER_S, SINGLE_S = 5e-6, 5e-3  # of a point on a fast machine, in one call with others and by itself
Tell = Callable[[int, int], None]  # points done, of how many


def sweep(
    spec: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: Tell | None = None,
) -> SweepResults:
    """Simulate every point of a sweep and keep the answers in one file (docs/sweeps.md).

    spec: a YAML file, or its content as a dictionary. out: the file of results; points that it holds are not computed
    again, and what is computed is added as it comes, so that a sweep that was interrupted goes on where it stopped.
    Without one the results live as long as the object.
    scheduler: the address of a Dask scheduler (``tcp://host:8786``); processes of this machine without.
    workers: how many processes; as many as cores by default, and 1 for the caller's own alone.
    progress: called with the number of points done and of all points, as they are.
    A point that fails is kept with its error. Raises LightboundError for a description that cannot be used.
    """
    if workers is not None and workers < 1:
        raise LightboundError("workers", workers, "is no number of processes", "Write at least 1.")
    text = read(spec)
    plan = plan_of(text)
    check(plan)
    held = None if out is not None else TemporaryDirectory(prefix="lightbound-sweep-")
    path = Path(held.name, "sweep.sqlite") if held is not None else Path(str(out))
    tell = progress or (lambda done, total: None)
    with Store(path, plan, text) as store:
        done = store.done()
        run = _Run(plan, text, store, missing(plan, done), len(done), plan.count(), tell)
        if scheduler is not None:
            with cluster(scheduler) as place:
                if not run.alone(scheduler, workers):
                    run.spread(place)
        elif not run.alone(None, workers):
            with processes(workers or os.cpu_count() or 1) as place:
                run.spread(place)
        store.finish()
    return SweepResults(path, held)


def read(spec: str | Path | Mapping[str, Any]) -> str:
    """A sweep with the files it names, as the one text that `plan_of` reads."""
    if isinstance(spec, Mapping):
        data, where, root = _plain(spec), "sweep", Path()
    else:
        data, where, root = _plain(read_yaml(spec, "sweep file")), f"sweep file {Path(spec).name}", Path(spec).parent
    return carried(data, where, take(root, _named(data)) if isinstance(data, dict) else Files())


class _Run:
    """The points of one run: those that are missing, in pieces of as much work as is wanted."""

    def __init__(
        self, plan: Plan, text: str, store: Store, left: Iterator[Positions], done: int, total: int, tell: Tell
    ) -> None:
        self.plan, self.text, self.store, self.tell = plan, text, store, tell
        self.done, self.total = done, total
        self._left = left
        self._here: Positions = np.empty(0, dtype=np.int64)
        self.point_s = 0.0  # of one point, by the latest pieces
        tell(done, total)

    def alone(self, scheduler: str | None, workers: int | None) -> bool:
        """Compute here until the pace is known; whether nothing is left, as the rest was not worth other processes."""
        spent = 0.0
        for number in count():
            piece = self._piece(self._points(TASK_S) if number else 1)
            if not piece.size:
                break
            if not number and scheduler is None and workers != 1:
                least = TOGETHER_S if len(piece) > 1 else SINGLE_S
                if (self.total - self.done) * least > ALONE_S:  # they will be wanted
                    prepare()
            rows = answers(self.plan, piece)
            self.keep([rows])
            if number < 2:  # the first one also loads what all need
                self.point_s = rows.seconds / len(piece)
            spent += rows.seconds * bool(number)
            short = scheduler is None and (workers == 1 or (self.total - self.done) * self.point_s < ALONE_S)
            if spent > PROBE_S and not short:
                return False
        return True

    def spread(self, place: Place) -> None:
        """Compute the rest there."""
        running: dict[Future[Rows], Positions] = {}
        again: list[Positions] = []  # pieces whose process died
        while True:
            limit = 2 * place.workers if not again else 1  # a piece that kills processes must be found among others
            while len(running) < limit:
                piece = again.pop() if again else self._piece(self._points(TASK_S, place.workers))
                if not piece.size:
                    break
                running[place.submit(compute, self.text, piece, VERSION)] = piece
                limit = 1 if again else limit
            if not running:
                return
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            pieces = [(one, running.pop(one)) for one in finished]
            self.keep([one.result() for one, _ in pieces if _error(one) is None])
            alone = len(pieces) == 1 and not running
            for one, piece in pieces:
                error = _error(one)
                if error is None:
                    continue
                if not place.died(error):
                    raise error
                again += self._suspect(piece) if alone else [piece]

    def _suspect(self, piece: Positions) -> list[Positions]:
        """What to do with a piece that alone killed its process: look at halves of it, or give the one point up."""
        if len(piece) > 1:
            half = len(piece) // 2
            return [piece[half:], piece[:half]]
        self.keep([Rows(piece, self.plan.keys(piece), *nothing(self.plan, ["the process that computed it died"]), 0.0)])
        return []

    def keep(self, parts: list[Rows]) -> None:
        """Put finished points into the file, and learn from them how long one takes."""
        if not parts:
            return
        self.store.add(parts)
        points = sum(len(rows.keys) for rows in parts)
        pace = sum(rows.seconds for rows in parts) / points
        self.point_s = pace if not self.point_s else (self.point_s + pace) / 2
        self.done += points
        self.tell(self.done, self.total)

    def _points(self, seconds: float, workers: int = 1) -> int:
        """How many points take so long; fewer towards the end, so that all workers finish together."""
        share = (self.total - self.done) // (2 * workers) if workers > 1 else self.total
        least = min(TASK_S / 5, seconds) / max(self.point_s, 1e-9)
        return int(max(1, min(seconds / max(self.point_s, 1e-9), max(share, least))))

    def _piece(self, points: int) -> Positions:
        """The next points that are missing, about so many; groups that one call computes stay whole."""
        if not self._here.size:
            self._here = next(self._left, self._here)
        piece, groups = self._here[:points], self.plan.groups(self._here)
        if piece.size and piece.size < self._here.size:
            last = int(piece[-1])
            if in_one_call(self.plan, self.plan.setting(last)):
                piece = self._here[: np.searchsorted(groups, groups[piece.size - 1], side="right")]
        self._here = self._here[piece.size :]
        return piece


def _error(future: Future[Any]) -> BaseException | None:
    """What a task that is over ended with, if not with an answer."""
    return CancelledError() if future.cancelled() else future.exception()


def _named(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every text that a description gives to a field which may name a file."""
    parts = [data.get("fixed"), data.get("grid"), *(data["zip"] if isinstance(data.get("zip"), list) else [])]
    for part in parts:
        for field in FILES:
            given = part.get(field) if isinstance(part, Mapping) else None
            yield from ((field, one) for one in (given if isinstance(given, list) else [given]) if isinstance(one, str))


def _plain(value: Any) -> Any:
    """Data that JSON can carry, from YAML or from Python's own and numpy's types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, str | int | float | bool | None):
        return value
    return str(value)
