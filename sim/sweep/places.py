"""Where the points of a sweep are computed: processes of this machine, or a Dask cluster, through the same interface.

Both are executors of `concurrent.futures`. What they differ in is how many tasks they take at once, how they say that
the process of a task has died, and how they are ended.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, connection, get_all_start_methods, get_context, parent_process
from multiprocessing.context import BaseContext
from typing import Any, Protocol

from lightbound.base.errors import LightboundError

CONNECT_S = 30
LOADED = ["lightbound.sim.sweep.loaded"]  # what every process needs, loaded once for all of them


class Place(Protocol):
    """Somewhere to compute. `workers`: tasks that run at once."""

    @property
    def workers(self) -> int:
        """Tasks that run at once."""
        ...

    def submit(self, work: Callable[..., Any], *given: Any) -> Future[Any]:
        """Start a task."""
        ...

    def died(self, error: BaseException) -> bool:
        """Whether a task ended because its process did, rather than with an error of its own."""
        ...


class Processes:
    """A pool of processes of this machine. It is made anew where one of them dies."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, work: Callable[..., Any], *given: Any) -> Future[Any]:
        """Start a task in some process."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, _context(), _begin, (dict(os.environ),))
        try:
            with _uninterrupted():  # a process may begin, and would say that nobody tells it what to do
                return self._pool.submit(work, *given)
        except BrokenExecutor:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
            return self.submit(work, *given)

    def died(self, error: BaseException) -> bool:
        """Whether the pool lost a process, and with it all of its tasks."""
        return isinstance(error, BrokenExecutor | CancelledError)

    def stop(self, now: bool) -> None:
        """End the processes; what still runs is given up if `now`."""
        if self._pool is None:
            return
        own = set(getattr(self._pool, "_processes", None) or {})
        self._pool.shutdown(wait=not now, cancel_futures=True)
        if now:
            for child in active_children():
                if child.pid in own:
                    child.terminate()


class Cluster:
    """The workers behind a Dask scheduler."""

    def __init__(self, client: Any, address: str) -> None:
        self._client = client
        self._address = address
        self._executor: Executor = client.get_executor(pure=False)

    @property
    def workers(self) -> int:
        """Threads of all workers that are there now: they may come and go."""
        try:
            return max(1, sum(self._client.nthreads().values()))
        except Exception as error:
            raise self._lost() from error

    def submit(self, work: Callable[..., Any], *given: Any) -> Future[Any]:
        """Start a task on some worker."""
        try:
            return self._executor.submit(work, *given)
        except Exception as error:
            raise self._lost() from error

    def died(self, error: BaseException) -> bool:
        """Whether several workers died of a task (Dask itself repeats one whose worker was lost)."""
        if isinstance(error, CancelledError) or type(error).__name__ in ("CommClosedError", "FutureCancelledError"):
            raise self._lost() from error
        return type(error).__name__ == "KilledWorker"

    def _lost(self) -> LightboundError:
        remedy = "Everything finished is kept: start it again with a scheduler that lives."
        return LightboundError("--scheduler", self._address, "does not answer any more", remedy)


@contextmanager
def processes(workers: int) -> Iterator[Place]:
    """So many processes of this machine, for as long as they are needed."""
    pool = Processes(workers)
    try:
        yield pool
    except BaseException:
        pool.stop(now=True)
        raise
    pool.stop(now=False)


@contextmanager
def cluster(address: str) -> Iterator[Place]:
    """The Dask cluster whose scheduler listens at an address. Raises LightboundError where there is none."""
    try:
        from distributed import Client
    except ImportError as error:
        remedy = "Install it: pip install 'lightbound[sweep]'."
        raise LightboundError("--scheduler", address, "needs Dask, which is not installed", remedy) from error
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError, TypeError) as error:
        told = f"cannot be reached ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        remedy = "Start one with `dask scheduler`, and give its address: tcp://host:8786."
        raise LightboundError("--scheduler", address, told, remedy) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError as error:
            remedy = f"Start some: dask worker {address}."
            raise LightboundError("--scheduler", address, "has no workers", remedy) from error
        yield Cluster(client, address)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C is heard when this is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
        if heard:
            signal.raise_signal(signal.SIGINT)


def prepare() -> None:
    """Begin to load, beside the caller, what processes will need; at once, and for nothing where they have to do that
    each for itself."""
    context = _context()
    if context.get_start_method() == "forkserver":
        from multiprocessing import forkserver  # which not every system has

        forkserver.ensure_running()


def _context() -> BaseContext:
    """How processes are begun: as copies of one that has loaded what they need and does nothing else, where the system
    can do that. Copies of this one would inherit whatever its threads held."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    return context


def _begin(environment: Mapping[str, str]) -> None:
    """In a new process: Ctrl-C is for the one that started it, and without that one it ends."""
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return

    def follow() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
