"""How fast sweeps are, and whether they survive: a million closed forms, five kills, and a thousand runs of events.

Figures of one machine at one moment: no test reads them. Run it with `python benchmarks/sweep.py`, which takes minutes.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

import lightbound as lb

MILLION = Path(__file__).parents[1] / "examples" / "sweep.yaml"
WINDOWS = [list(window) for window in product((4, 8), (4, 8, 12), (4, 8))][:10]
STRIDES = [[1, 1, 1], [2, 1, 1], [1, 2, 1], [1, 1, 2], [2, 2, 1], [2, 2, 2], [4, 1, 1], [1, 4, 4], [2, 4, 4], [4, 4, 4]]
EVENTS: dict[str, Any] = {
    "fixed": {
        "workload": "gna", "machine": "b200", "mapping": "flash_async", "engine": "event",
        "options.grid": [16, 16, 16], "sizes.E": 128, "sizes.F": 128,
    },
    "grid": {"options.window": WINDOWS, "options.stride": STRIDES, "sizes.H": list(range(1, 11))},
    "keep": ["latency_s", "bottleneck"],
}  # fmt: skip


def command(out: Path, processes: int = 2) -> list[str]:
    """The million points from a shell."""
    options = ["--out", str(out), "--processes", str(processes), "--format", "json"]
    return [sys.executable, "-m", "lightbound", "sweep", str(MILLION), *options]


def whole(out: Path) -> tuple[float, float]:
    """Seconds of an uninterrupted run, and the gigabytes that its processes could have held together."""
    begin = time.perf_counter()
    process = subprocess.Popen(command(out), stdout=subprocess.DEVNULL)
    most = 0.0
    while process.poll() is None:
        most = max(most, _held(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise RuntimeError(f"the sweep ended with {process.returncode}")
    return time.perf_counter() - begin, most / 1e9


def _family(pid: int) -> list[int]:
    """A process and all that descend from it (on Linux)."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in _family(int(child)))]


def _held(pid: int) -> float:
    """Bytes in memory of a process and its children."""
    pages = 0
    for one in _family(pid):
        with suppress(OSError):
            pages += int(Path(f"/proc/{one}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


class Spent:
    """Seconds of processor time that this process and its children take while the context lasts."""

    def __enter__(self) -> Spent:
        self._of: dict[int, tuple[float, float]] = {}  # by process: at first and at last
        self._look(fresh=False)
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._keep_looking, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()
        self._look()

    @property
    def seconds(self) -> float:
        """What was taken."""
        return sum(last - first for first, last in self._of.values())

    def _keep_looking(self) -> None:
        while not self._over.wait(0.1):
            self._look()

    def _look(self, fresh: bool = True) -> None:
        for pid in _family(os.getpid()):
            with suppress(OSError):
                told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                now = (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
                self._of[pid] = (self._of.get(pid, (0.0 if fresh else now, 0.0))[0], now)


def interrupted(out: Path, seconds: float, kills: int = 5) -> list[int]:
    """Kill a run at random moments, then let one end; the points that were there after each kill."""
    there = []
    moments = random.Random(0)
    for _ in range(kills):
        process = subprocess.Popen(command(out), stdout=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.1, 0.6) * seconds)
        process.kill()
        process.wait()
        there.append(lb.SweepResults(out).points if out.exists() else 0)
    subprocess.run(command(out), stdout=subprocess.DEVNULL, check=True)
    return there


def events(folder: Path, workers: int) -> tuple[float, float, lb.SweepResults]:
    """Seconds, and seconds of processors, of a thousand points of the event engine on so many processes."""
    begin = time.perf_counter()
    with Spent() as spent:
        found = lb.sweep(EVENTS, folder / f"events{workers}.sqlite", workers=workers)
    return time.perf_counter() - begin, spent.seconds, found


def main() -> None:
    rows: list[tuple[str, str, str]] = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        seconds, held = whole(folder / "whole.sqlite")
        found = lb.SweepResults(folder / "whole.sqlite")
        rows.append((f"{found.points:,} closed forms, 2 processes", "60 s", f"{seconds:.1f} s"))
        rows.append(("memory of all its processes", "2 GB", f"{held:.2f} GB"))
        rows.append(("its file", "", f"{found.file.stat().st_size / 1e6:.0f} MB, {found.failed:,} failures"))
        begin = time.perf_counter()
        front = found.pareto()
        rows.append((f"its front of {len(front)} points on 3 axes", "", f"{time.perf_counter() - begin:.1f} s"))
        there = interrupted(folder / "killed.sqlite", seconds)
        equal = (folder / "killed.sqlite").read_bytes() == found.file.read_bytes()
        rows.append(("killed five times", "", f"at {', '.join(f'{points:,}' for points in there)} points"))
        rows.append(("and then its file", "equal", "equal, byte for byte" if equal else "another one"))
        (alone, alone_cpu, one), (spread, spread_cpu, two) = events(folder, 1), events(folder, 2)
        same = one.file.read_bytes() == two.file.read_bytes()
        told = f"{alone:.1f} s, of a processor {alone_cpu:.1f} s"
        rows.append((f"{one.points:,} points of the event engine, 1 process", "", told))
        told = f"{spread:.1f} s, of processors {spread_cpu:.1f} s, {'the same file' if same else 'ANOTHER file'}"
        rows.append(("the same on 2 processes", "", f"{told}, {two.failed} failures"))
        rows.append(("speedup", "1.8x", f"{alone / spread:.2f}x"))
        rows.append(("speedup where nothing else runs", "1.8x", f"{2 * alone_cpu / spread_cpu:.2f}x at most"))
    table = Table(title=f"lightbound {lb.__version__}")
    for title in ("what", "bar", "measured"):
        table.add_column(title)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
