"""Microbenchmarks of this computer: what its cores do a cycle, what its caches and memory deliver.

Every figure is made of many samples, spread over the time of the probe (sampling.py), in processor time of the thread
that did the work, so that other programs disturb it little. Cores and caches take turns for seconds, then memory does:
what a walk through memory leaves in a shared cache, lines to be written back above all, makes that one a fifth slower
for as long as it is there. What cannot be measured from inside is said in `notes`. The loops are C++
(csrc/host_loops.hpp).
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from lightbound._core import host
from lightbound.kernels.host import instruction_set, instruction_sets

from .front_end import issued_whole_per_s
from .sampling import SLICE_S, Figure, Loops, Sampler, alone, named

VISITS = 4  # to cores and caches, then to memory, over the time of the probe
NEAR_S, FAR_S = (2.0, 6.0), (4.0, 6.0)  # of a visit: at least, at most
STEPS = 2 + 2 * VISITS  # of the progress
PIECE = 16 << 20  # bytes of memory that a sample walks through
# Samples of a turn. A shared cache holds the lines of a walk only after a hundred rounds; memory first takes what the
# walk before it has left to be written.
OUTER: dict[str, int] = {"warm": 10, "turn": 12}
MEMORY: dict[str, Any] = {"warm": 4, "turn": 4, "core": False}
SYSFS = Path("/sys/devices/system/cpu")
CACHES = ("l1", "l2", "l3")
MOVED = ("load", "copy")
WORKS = (4, 8, 12, 24)  # multiply-adds beside a stream, for each vector (csrc/host_loops.hpp)

Step = Callable[[str], None]


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
    exp_whole_per_s: Figure  # of e^x over all of fp32, where `exp` is 2^x
    beside: dict[str, Figure]  # of a multiply-add's time, what an add or a max takes that stands beside it
    fma_latency_s: Figure
    max_latency_s: Figure
    recurrence_latency_s: Figure  # of a product and a sum
    sum_end_s: Figure  # what the end of a set of short sums takes, beyond their multiply-adds
    cache_bytes: dict[str, int]
    load: dict[str, Figure]  # bytes/s by level
    store: dict[str, Figure]
    copy: dict[str, Figure]  # bytes read and written
    latency_s: dict[str, Figure]
    awaited: dict[str, Figure]  # part of a stream's time that work beside it does not hide, by level
    copy_awaited: dict[str, Figure]  # the same of one that is written too
    rewrite_awaited: dict[str, Figure]  # of rows that are walked twice, the second time to be written elsewhere
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
    """Measure this computer; `step` is told what comes next, STEPS times. Takes half a minute to one."""
    on = instruction_set()
    isa = on["name"]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    caches, notes = _caches()
    step("front end")
    issue = _figure(issued_whole_per_s(), "instructions that need nothing but a slot, the quickest of many questions")
    close, away = Sampler(issue.value), Sampler(issue.value)
    big = _beyond_caches(caches)
    loops = Loops(caches.get("l2", caches["l1"]), _near_s(big))
    sizes = {level: caches[level] // 2 for level in CACHES if level in caches}
    if "l3" in sizes:  # not much of it: the rest may hold what strangers use
        sizes["l3"] = min(sizes["l3"] // 2, 4 * caches.get("l2", sizes["l3"]))
    names = [name for name in dict.fromkeys((isa, *instruction_sets())) if name != "scalar"] or ["scalar"]
    outer = "l3" if "l3" in sizes else "l2" if "l2" in sizes else "l1"
    counts = [threads for threads in sorted({1, 2, cores // 2, cores} - {0}) if threads <= cores]
    works = _works(loops, isa, sizes, big)
    _near(close, loops, isa, names, cores, sizes, outer, works)
    _far(away, loops, isa, big, counts, works)
    for visit in range(1, VISITS + 1):
        loops.move()
        step(f"cores and caches, {visit} of {VISITS}")
        close.visit(*NEAR_S)
        step(f"memory, {visit} of {VISITS}")
        away.visit(*FAR_S)
    near, far = close.figures(), away.figures()
    step("threads")
    starts = _figure([host.probe_thread_start() for _ in range(400)], "starting and joining a thread", 25)
    levels = list(sizes)
    load, store = named(near, "load", levels), named(near, "store", levels)
    copy = {level: _twice(figure) for level, figure in named(near, "copy", levels).items()}
    latency = named(near, "latency", levels) | {"dram": far["latency"]}
    dram_load = {threads: far[f"load {threads}"] for threads in counts}
    dram_copy = {threads: _twice(far[f"copy {threads}"]) for threads in counts}
    load["dram"], copy["dram"] = dram_load[1], dram_copy[1]
    chain = {name: _inverse(near[name]) for name in ("fma_chain", "max_chain", "recurrence")}
    streams = {level: away.figures() if level == "dram" else near for level in (*levels[1:], "dram")}
    awaited, copy_awaited = (
        {
            level: _awaited(there[f"{loop} beside {level}"], near[f"{works[loop, level]} at hand"], rates[level], moved)
            for level, there in streams.items()
        }
        for loop, rates, moved in (("load", load, 1), ("copy", copy, 2))
    )
    scaling = near["all cores"].value / near[f"{isa} fma32"].value
    undisturbed = sum(sampler.alone[0] for sampler in (close, away)) / sum(
        sampler.alone[1] for sampler in (close, away)
    )
    return Probe(
        cpu=_model(),
        day=date.today().isoformat(),
        cores=cores,
        isa=isa,
        lanes=on["lanes"],
        tile_rows=on["rows"],
        tile_vectors=on["vectors"],
        attend_rows=on["attend_rows"],
        attend_vectors=on["attend_vectors"],
        clock_hz=near["clock"],
        issue_per_s=issue,
        alone=undisturbed,
        fma_per_s={name: {"fp32": near[f"{name} fma32"], "fp64": near[f"{name} fma64"]} for name in names},
        rates_per_s={name: near[name] for name in ("add", "mul", "max", "exp")},
        exp_whole_per_s=near["exp_whole"],
        beside={name: _beside(near[f"{name}_beside"], near[f"{isa} fma32"]) for name in ("add", "max")},
        fma_latency_s=chain["fma_chain"],
        max_latency_s=chain["max_chain"],
        recurrence_latency_s=chain["recurrence"],
        sum_end_s=_ends(near["short_sums"], near["long_sums"], on["lanes"]),
        cache_bytes=caches,
        load=load,
        store=store,
        copy=copy,
        latency_s=latency,
        awaited=awaited,
        copy_awaited=copy_awaited,
        rewrite_awaited={
            level: _awaited(there[f"rewrite {level}"], near["rewrite l1"], copy[level], 2, 4.0)
            for level, there in streams.items()
        },
        rows_over_stream=_over(load[outer], near["rows"]),
        dram_load=dram_load,
        dram_copy=dram_copy,
        l3_copy=_twice(near["copy together"]),
        thread_start_s=starts,
        scaling=scaling,
        notes=(*notes, *_unmeasured(cores, scaling, undisturbed), *_apart(loops)),
    )


def _near_s(big: int) -> float:
    """Of a line from one core to another, at most, where both share a cache, as the system says they all do: less than
    half of what memory takes. Any time will do where it does not say so.
    """
    try:
        shared = [(cpu / "cache" / "index3" / "shared_cpu_map").read_text() for cpu in SYSFS.glob("cpu[0-9]*")]
    except OSError:
        return inf
    if len(set(shared)) != 1:
        return inf
    memory = host.Chain(big, True)
    return min(memory.seconds(4_000) for _ in range(4)) / 2


def _works(loops: Loops, isa: str, sizes: dict[str, int], big: int) -> dict[tuple[str, str], str]:
    """The loops whose streams from each level are hidden behind as many multiply-adds as take about as long: with less
    work than that, waiting for the stream is the work's fault.
    """
    quickest = {
        **{(loop, level): loops.rate(isa, loop, size) for loop in MOVED for level, size in sizes.items()},
        **{(loop, "dram"): loops.stream(isa, loop, big, min(PIECE, big // 4)) for loop in MOVED},
    }
    one = 1 / max(loops.rate(isa, "fma32")()[0] for _ in range(12))
    found = {}
    for (loop, level), sample in quickest.items():
        per_float = 4 / max(sample()[0] for _ in range(12))  # multiply-adds: so many for each float that is read
        count = next((count for count in WORKS if count * one >= per_float), WORKS[-1])
        found[loop, level] = f"{loop}_beside_{count}"
    return found


def _near(
    sampler: Sampler,
    loops: Loops,
    isa: str,
    names: list[str],
    cores: int,
    sizes: dict[str, int],
    outer: str,
    works: dict[tuple[str, str], str],
) -> None:
    """What cores and caches do, as figures to sample."""

    def add(name: str, loop: str, size: int = 0, on: str = isa, threads: int = 1) -> None:
        what, turn = _loop(loop, on, size, threads), OUTER if size == sizes[outer] else {}
        sampler.add(name, loops.rate(on, loop, size, threads), what, threads=threads, **turn)

    additions = int(SLICE_S * 3e9)
    sampler.add("clock", alone(lambda: additions / host.probe_additions(additions)), "a chain of additions")
    for name in names:
        for kind in ("fma32", "fma64"):
            add(f"{name} {kind}", kind, on=name)
    for loop in ("add", "mul", "max", "add_beside", "max_beside"):
        add(loop, loop)
    for loop in ("exp", "exp_whole"):
        add(loop, loop, sizes["l1"])
    for loop in ("fma_chain", "max_chain", "recurrence"):
        add(loop, loop)
    for loop in ("short_sums", "long_sums"):
        add(loop, loop, sizes["l1"])
    add("all cores", "fma32", threads=cores)
    for level, size in sizes.items():
        for loop in ("load", "store", "copy"):
            add(f"{loop} {level}", loop, size)
        what = f"a chain of loads, {size / 1024:,.0f} KiB"
        sampler.add(f"latency {level}", loops.latency(size, max(size // 64, 20_000)), what, fast=False, warm=3, turn=3)
    for level, size in sizes.items():
        add(f"rewrite {level}", "rewrite", size)
    for work in dict.fromkeys(works.values()):
        add(f"{work} at hand", work, sizes["l1"])
    for (loop, level), work in works.items():
        if level in CACHES[1:]:
            add(f"{loop} beside {level}", work, sizes[level])
    add("rows", "rows", sizes[outer])
    add("copy together", "copy", sizes[outer], threads=cores)


def _far(
    sampler: Sampler, loops: Loops, isa: str, big: int, counts: list[int], works: dict[tuple[str, str], str]
) -> None:
    """What memory does, as figures to sample."""
    piece = min(PIECE, big // 4)
    for threads in counts:
        size = max(big // min(threads, 4), piece)
        for loop in MOVED:
            what = _loop(loop, isa, size, threads)
            stream = loops.stream(isa, loop, size, piece, threads)
            sampler.add(f"{loop} {threads}", stream, what, threads=threads, **MEMORY)
    for loop in MOVED:
        work = works[loop, "dram"]
        sampler.add(f"{loop} beside dram", loops.stream(isa, work, big, piece), _loop(work, isa, big, 1), **MEMORY)
    sampler.add("rewrite dram", loops.stream(isa, "rewrite", big, piece), _loop("rewrite", isa, big, 1), **MEMORY)
    what = f"a chain of loads, {big / 1024:,.0f} KiB"
    sampler.add("latency", loops.latency(big, 4_000), what, fast=False)


def _loop(loop: str, isa: str, size: int, threads: int) -> str:
    where = f"{size / 1024:,.0f} KiB" if size else "registers"
    return f"{loop} of {isa}, {where}{f', {threads} threads' if threads > 1 else ''}"


def _figure(values: list[float], what: str, percentile: float = 50) -> Figure:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return Figure(float(np.percentile(values, percentile)), float((high - low) / 2 / middle), what, float(max(values)))


def _inverse(rate: Figure) -> Figure:
    """Seconds of a step of a chain."""
    return Figure(1 / rate.value, rate.spread, f"a chain: {rate.what}")


def _beside(mixed: Figure, alone: Figure) -> Figure:
    """Of a multiply-add's time, what an operation of another kind takes that stands beside it: none where each kind has
    units of its own, all where they share them. In `mixed` four of these stand beside ten multiply-adds.
    """
    part = (alone.value / mixed.value - 1) * 10 / 4
    return Figure(min(max(part, 1e-3), 1.0), mixed.spread + alone.spread, f"{mixed.what}, against {alone.what}")


def _ends(short: Figure, long: Figure, lanes: int) -> Figure:
    """Seconds that the end of a set of short sums takes: eight runs of eight steps, twelve side by side."""
    value = (1 / short.value - 1 / long.value) * 8 * 8 * 12 * lanes
    return Figure(max(value, 0.0), short.spread + long.spread, f"{short.what}, against {long.what}")


def _over(stream: Figure, rows: Figure) -> Figure:
    """How much longer lines of short rows take than those of a stream."""
    return Figure(stream.value / rows.value, rows.spread + stream.spread, f"{rows.what}, against a stream")


def _awaited(here: Figure, there: Figure, stream: Figure, moved: int, most: float = 1.0) -> Figure:
    """Of the time that a level takes for a stream that is loaded, or loaded and stored (then two bytes are moved where
    one is read), the part for which multiply-adds beside it, which take about as long, are held up: what they take
    longer than in the nearest cache, there. A thousandth where all of it is hidden.
    """
    part = (1 / here.value - 1 / there.value) * stream.value / moved
    return Figure(min(max(part, 1e-3), most), here.spread + there.spread, f"{here.what}, against {there.what}")


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
    times = [host.Chain(size, True).seconds(40_000) for size in sizes]
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


def _apart(loops: Loops) -> tuple[str, ...]:
    """What to say where cores that share a cache were behind different ones now and then."""
    if not loops.far:
        return ()
    part = f"{loops.far / loops.handed:.0%}"
    rest = "those count all the same." if loops.far == loops.handed else "those do not count, where there are others."
    return (
        f"In {part} of the samples of several cores a line took as long from one to another as memory does: they did not "
        f"share a cache then, though the system says that they do; {rest}",
    )


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
