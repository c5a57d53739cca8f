"""A sign of life on standard error for work that takes long; silent where no one watches or the work is quick."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE_S = 2.0

Step = Callable[[int], None]


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Step]:
    """Show a bar (a spinner without `total`) once the work inside has taken two seconds, on a terminal only.

    Yields a function that moves the bar on by so many steps.
    """
    if not sys.stderr.isatty():
        yield lambda steps: None
        return

    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    counted = (BarColumn(), TimeRemainingColumn()) if total is not None else ()
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), *counted, TimeElapsedColumn(),
        console=Console(file=sys.stderr), transient=True,
    )  # fmt: skip
    task = bar.add_task(what, total=total)
    lock, over = threading.Lock(), False

    def appear() -> None:
        with lock:
            if not over:
                bar.start()

    timer = threading.Timer(PATIENCE_S, appear)
    timer.daemon = True
    timer.start()
    try:
        yield lambda steps: bar.advance(task, steps)
    finally:
        timer.cancel()
        with lock:
            over = True
        bar.stop()
