"""A sign of life on standard error for work that takes long; silent where no one watches or the work is quick."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, Task
    from rich.text import Text

PATIENCE_S = 2.0

Step = Callable[[int], None]
Tell = Callable[[int, int], None]


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Step]:
    """Show a bar (a spinner without `total`) once the work inside has taken two seconds, on a terminal only.

    Yields a function that moves the bar on by so many steps.
    """
    if not sys.stderr.isatty():
        yield lambda steps: None
        return

    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    counted = (BarColumn(), TimeRemainingColumn()) if total is not None else ()
    bar = _bar(SpinnerColumn(), TextColumn("{task.description}"), *counted, TimeElapsedColumn())
    task = bar.add_task(what, total=total)
    with _after_a_while(bar):
        yield lambda steps: bar.advance(task, steps)


@contextmanager
def tally(what: str, unit: str) -> Iterator[Tell]:
    """As `progress`, for many small things: their number, how many a second, and the time left.

    Yields a function that is told how many are done and how many there are; those of its first call count for no rate.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return

    from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f} {unit}/s" if task.speed else "")

    count = TextColumn("{task.completed:,.0f} of {task.total:,.0f}")
    bar = _bar(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), count, Rate(), TimeRemainingColumn())
    task = bar.add_task(what, total=1)
    begun = False

    def tell(done: int, total: int) -> None:
        nonlocal begun
        if begun:
            bar.update(task, completed=done, total=total)
        else:
            bar.reset(task, completed=done, total=total)
        begun = True

    with _after_a_while(bar):
        yield tell


def _bar(*columns: Any) -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    return Progress(*columns, console=Console(file=sys.stderr), transient=True)


@contextmanager
def _after_a_while(bar: Progress) -> Iterator[None]:
    """Show a bar while the work inside goes on, if it goes on for longer than people wait."""
    lock, over = threading.Lock(), False

    def appear() -> None:
        with lock:
            if not over:
                bar.start()

    timer = threading.Timer(PATIENCE_S, appear)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with lock:
            over = True
        bar.stop()
