"""Microbenchmarks of this computer: what its cores do a cycle, what its caches and memory deliver.

Every figure is a median over repeats with its spread, in processor time of the thread that did the work, so that other
programs disturb it little. Repeats during which another thread of the core took slots of its front end are put aside,
as long as enough are left (front_end.py). What cannot be measured from inside is said in `notes`. The loops are C++
(csrc/host_loops.hpp).
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from lightbound._core import host
from lightbound.kernels.host import instruction_set, instruction_sets

from .front_end import NEARLY, WHOLE, issued_per_s, issued_whole_per_s

REPEATS = 9  # that nobody disturbed
LEAST = 3  # of these, where the time is up
VISITS = 6  # to caches and memory, which strangers use now more, now less
LONGEST_S = 0.35  # of all repeats of a figure, if there are REPEATS of them
SLICE_S = 0.0005  # of one repeat: a core that is shared is ours for about as long at a time
SYSFS = Path("/sys/devices/system/cpu")
CACHES = ("l1", "l2", "l3")

Step = Callable[[str], None]


@dataclass(frozen=True)
class Figure:
    """One measured figure in SI units: the median, half the range of the middle half over it, and the most."""

    value: float
    spread: float
    what: str
    most: float = 0.0


@dataclass(frozen=True)
class Probe:
    """All that was measured. Rates are of one core unless their name says otherwise; `dram` is by number of threads."""

    cpu: str
    day: str
    cores: int
    isa: str
    lanes: int
    tile_rows: int
    tile_vectors: int
    attend_rows: int
    attend_vectors: int
    clock_hz: Figure
    issue_per_s: Figure  # instructions that need nothing but to be issued
    alone: float  # part of the repeats during which the whole front end was ours
    fma_per_s: dict[str, dict[str, Figure]]  # by instruction set and type
    rates_per_s: dict[str, Figure]  # elements of add, mul, max, exp
    fma_latency_s: Figure
    max_latency_s: Figure
    recurrence_latency_s: Figure  # of a product and a sum
    misprediction_s: Figure
    cache_bytes: dict[str, int]
    load: dict[str, Figure]  # bytes/s by level
    store: dict[str, Figure]
    copy: dict[str, Figure]  # bytes read and written
    latency_s: dict[str, Figure]
    awaited: dict[str, Figure]  # part of a stream's time that work beside it does not hide, by level
    copy_awaited: dict[str, Figure]  # the same of one that is written too
    rows_over_stream: Figure  # how much longer the last cache takes for lines of short rows than for those of a stream
    dram_load: dict[int, Figure]  # of all threads together
    dram_copy: dict[int, Figure]
    l3_copy: Figure  # of all cores together
    thread_start_s: Figure
    scaling: float  # rate of multiply-adds of all cores over that of one
    notes: tuple[str, ...] = field(default=())

    @property
    def peak_flops(self) -> float:
        """fp32 operations a second of one core under the instruction set in use."""
        return 2 * self.fma_per_s[self.isa]["fp32"].value

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        return asdict(self)


def probe_host(step: Step = lambda what: None) -> Probe:
    """Measure this computer; `step` is told what comes next. Takes half a minute to a minute."""
    on = instruction_set()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    caches, notes = _caches()
    step("front end")
    issue = _figure(issued_whole_per_s(), "instructions that need nothing but a slot, the quickest of many questions")
    repeats = _Repeats(issue.value)
    step("clock")
    additions = 400_000
    clock = repeats.figure(lambda: additions / host.probe_additions(additions), "a chain of additions")
    step("multiply-adds")
    widths = [name for name in instruction_sets() if name != "scalar"] or ["scalar"]
    fma = {
        name: {"fp32": repeats.rate(name, "fma32"), "fp64": repeats.rate(name, "fma64")}
        for name in dict.fromkeys((on["name"], *widths))
    }
    step("arithmetic")
    rates = {name: repeats.rate(on["name"], name) for name in ("add", "mul", "max", "exp")}
    chains = {name: repeats.rate(on["name"], name) for name in ("fma_chain", "max_chain", "recurrence")}
    chain = {name: Figure(1 / one.value, one.spread, f"a chain: {one.what}") for name, one in chains.items()}
    wrong = repeats.figure(lambda: host.probe_misprediction(100_000), "random branches against regular ones")
    load, store, copy, latency = {}, {}, {}, {}
    sizes = {level: caches[level] // 2 for level in CACHES if level in caches}
    if "l3" in sizes:  # not much of it: the rest may hold what strangers use
        sizes["l3"] = min(sizes["l3"] // 2, 4 * caches.get("l2", sizes["l3"]))
    big = _beyond_caches(caches)
    dram_load, dram_copy = {}, {}
    for visit in range(1, VISITS + 1):
        for level, size in sizes.items():
            step(f"{level} cache, {visit} of {VISITS}")
            load[level], store[level], copied = (
                repeats.rate(on["name"], loop, size) for loop in ("load", "store", "copy")
            )
            copy[level] = _twice(copied)
            latency[level] = repeats.latency(size)
        for threads in sorted({1, 2, cores // 2, cores} - {0}):
            if threads <= cores:
                step(f"memory, {threads} thread{'s' if threads > 1 else ''}, {visit} of {VISITS}")
                dram_load[threads] = repeats.rate(on["name"], "load", big // min(threads, 4), threads)
                dram_copy[threads] = _twice(repeats.rate(on["name"], "copy", big // min(threads, 4), threads))
    load["dram"], copy["dram"] = dram_load[1], dram_copy[1]
    step("latency of memory")
    latency["dram"] = repeats.latency(big)
    step("streams beside work")
    near = caches["l1"] // 2
    awaited, copy_awaited = (
        {
            level: repeats.awaited(on["name"], loop, size, near, copy[level].value, 12 if level == "dram" else 4)
            for level, size in (("l3", sizes.get("l3", 0)), ("dram", big))
            if level in copy
        }
        for loop in ("load", "copy")
    )
    outer = "l3" if "l3" in caches else "l2"
    together = _twice(repeats.rate(on["name"], "copy", sizes.get(outer, 1 << 18), cores))
    rows = repeats.rate(on["name"], "rows", sizes.get(outer, 1 << 18))
    apart = Figure(load[outer].value / rows.value, rows.spread + load[outer].spread, f"{rows.what}, against a stream")
    step("threads")
    starts = _figure([host.probe_thread_start() for _ in range(200)], "starting and joining a thread")
    scaling = repeats.rate(on["name"], "fma32", threads=cores).value / fma[on["name"]]["fp32"].value
    alone = repeats.alone / repeats.taken
    return Probe(
        cpu=_model(),
        day=date.today().isoformat(),
        cores=cores,
        isa=on["name"],
        lanes=on["lanes"],
        tile_rows=on["rows"],
        tile_vectors=on["vectors"],
        attend_rows=on["attend_rows"],
        attend_vectors=on["attend_vectors"],
        clock_hz=clock,
        issue_per_s=issue,
        alone=alone,
        fma_per_s=fma,
        rates_per_s=rates,
        fma_latency_s=chain["fma_chain"],
        max_latency_s=chain["max_chain"],
        recurrence_latency_s=chain["recurrence"],
        misprediction_s=wrong,
        cache_bytes=caches,
        load=load,
        store=store,
        copy=copy,
        latency_s=latency,
        awaited=awaited,
        copy_awaited=copy_awaited,
        rows_over_stream=apart,
        dram_load=dram_load,
        dram_copy=dram_copy,
        l3_copy=together,
        thread_start_s=starts,
        scaling=scaling,
        notes=(*notes, *_unmeasured(cores, scaling, alone)),
    )


def _figure(values: list[float], what: str) -> Figure:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return Figure(float(middle), float((high - low) / 2 / middle), what, float(max(values)))


@dataclass
class _Repeats:
    """Takes samples until enough are undisturbed, or the time is up: then the median of all has to do."""

    whole_per_s: float
    taken: int = 0
    alone: int = 0
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # value, and the front end around it

    def figure(self, sample: Callable[[], float], what: str) -> Figure:
        """The median of samples during which the front end was ours, of earlier ones of the same name too."""
        found: list[tuple[float, float]] = []
        end = time.perf_counter() + LONGEST_S
        before = issued_per_s()
        while sum(share >= WHOLE for _, share in found) < REPEATS and (
            len(found) < REPEATS or time.perf_counter() < end
        ):
            value = sample()
            after = issued_per_s()
            found.append((value, min(before, after) / self.whole_per_s))
            before = after
        self.taken += len(found)
        self.alone += sum(share >= WHOLE for _, share in found)
        every = self.samples.setdefault(what, [])
        every.extend(found)
        chosen = [value for value, _ in every]
        for least in (WHOLE, NEARLY):
            alone = [value for value, share in every if share >= least]
            if len(alone) >= LEAST:
                chosen = alone
                break
        return _figure(chosen, what)

    def rate(self, isa: str, loop: str, size: int = 0, threads: int = 1) -> Figure:
        """Operations (or bytes) a second of a loop, over all threads."""
        rounds = 1
        while True:
            _, seconds, _ = host.probe_loop(isa, loop, size, rounds, threads)
            if max(seconds) > SLICE_S / 4 or rounds > 1 << 40:
                break
            rounds *= 4
        rounds = max(1, int(rounds * SLICE_S / max(max(seconds), 1e-9)))

        def sample() -> float:
            done, seconds, _ = host.probe_loop(isa, loop, size, rounds, threads)
            return sum(done * rounds / one for one in seconds)

        where = f"{size / 1024:,.0f} KiB" if size else "registers"
        return self.figure(sample, f"{loop} of {isa}, {where}{f', {threads} threads' if threads > 1 else ''}")

    def awaited(self, isa: str, loop: str, size: int, near: int, bytes_per_s: float, work: int) -> Figure:
        """Of the time that a level takes for a stream that is loaded, or loaded and stored (`loop`), the part for which
        so many multiply-adds a vector, which take about as long, are held up: a thousandth where all of it is hidden.
        """
        here, there = (self.rate(isa, f"{loop}_beside_{work}", one) for one in (size, near))
        moved = 2 if loop == "copy" else 1
        part = (1 / here.value - 1 / there.value) * bytes_per_s / moved
        what = f"{here.what}, against {near / 1024:,.0f} KiB"
        return Figure(min(max(part, 1e-3), 1.0), here.spread + there.spread, what)

    def latency(self, size: int) -> Figure:
        """Seconds of a load out of a buffer of this size."""
        return self.figure(lambda: host.probe_latency(size, 20_000), f"a chain of loads, {size / 1024:,.0f} KiB")


def _twice(figure: Figure) -> Figure:
    """A copy reads and writes: bytes of both."""
    return Figure(2 * figure.value, figure.spread, figure.what, 2 * figure.most)


def _caches() -> tuple[dict[str, int], tuple[str, ...]]:
    """Capacities as the system states them, of what one core can use; else from where bandwidth falls."""
    found: dict[str, int] = {}
    for index in sorted((SYSFS / "cpu0" / "cache").glob("index*")) if SYSFS.is_dir() else []:
        try:
            kind, level, size = ((index / name).read_text().strip() for name in ("type", "level", "size"))
        except OSError:
            continue
        match = re.fullmatch(r"(\d+)([KM])", size)
        if kind != "Instruction" and match and f"l{level}" in CACHES:
            found[f"l{level}"] = int(match[1]) * (1024 if match[2] == "K" else 1024**2)
    if "l1" in found:
        return found, ()
    return _measured_caches(), ("The system states no cache sizes: they are where the latency of loads jumps.",)


def _measured_caches() -> dict[str, int]:
    sizes = [2**power * 1024 for power in range(3, 16)]
    times = [host.probe_latency(size, 40_000) for size in sizes]
    jumps = [before for before, now, next_ in zip(sizes, times, times[1:], strict=False) if next_ > 1.6 * now]
    return dict(zip(CACHES, jumps, strict=False)) or {"l1": 32 * 1024}


def _beyond_caches(caches: dict[str, int]) -> int:
    """A buffer that no cache holds, and that memory does."""
    wanted = max(128 * 1024**2, 6 * max(caches.values()))
    try:
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") // 4
    except (ValueError, OSError, AttributeError):
        return wanted
    return max(min(wanted, free), 32 * 1024**2)


def _model() -> str:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        match = None
    return match[1] if match else platform.processor() or platform.machine()


def _unmeasured(cores: int, scaling: float, alone: float) -> tuple[str, ...]:
    notes = ["The clock is that of a chain of additions, one a cycle; it may differ under load of other kinds."]
    try:
        virtual = " hypervisor " in Path("/proc/cpuinfo").read_text().replace("\n", " ")
    except OSError:
        virtual = False
    if virtual:
        notes.append(
            "This is a virtual machine: cycle counters are not used, caches and memory may be shared with others, and "
            "whether two cores are two threads of one is only seen by how rates scale."
        )
    notes.append(
        f"In {alone:.0%} of all repeats the front end was ours alone: figures are of these, if there are enough."
    )
    if cores > 1:
        notes.append(f"All {cores} cores together do {scaling:.2f} times the multiply-adds of one.")
    siblings = SYSFS / "cpu0" / "topology" / "thread_siblings_list"
    if siblings.is_file() and re.search(r"[,-]", siblings.read_text()):
        notes.append("Cores have several threads (SMT): figures of one core are with its other threads idle.")
    return tuple(notes)
