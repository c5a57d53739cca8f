"""Microbenchmarks of this computer: what its cores do a cycle, what its caches and memory deliver.

Every figure is made of many samples, spread over the time of the probe (sampling.py), in processor time of the thread
that did the work, so that other programs disturb it little. Cores and caches take turns for seconds, then memory does:
what a walk through memory leaves in a shared cache, lines to be written back above all, makes that one a fifth slower
for as long as it is there. What cannot be measured from inside is said in `notes`. The loops are C++
(csrc/host_loops.hpp).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from lightbound._core import host
from lightbound.kernels.host import instruction_set, instruction_sets

from .derived import awaited, beside, ends, figure, inverse, over, twice
from .front_end import issued_whole_per_s
from .sampling import SLICE_S, Figure, Loops, Sampler, alone, named
from .system import CACHES, apart, beyond_caches, cache_sizes, near_s, processor, unmeasured

VISITS = 4  # to cores and caches, then to memory, over the time of the probe
NEAR_S, FAR_S = (2.0, 6.0), (4.0, 6.0)  # of a visit: at least, at most
STEPS = 2 + 2 * VISITS  # of the progress
PIECE = 16 << 20  # bytes of memory that a sample walks through
# Samples of a turn. A shared cache holds the lines of a walk only after a hundred rounds; memory first takes what the
# walk before it has left to be written.
OUTER: dict[str, int] = {"warm": 10, "turn": 12}
MEMORY: dict[str, Any] = {"warm": 4, "turn": 4, "core": False}
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
    caches, notes = cache_sizes()
    step("front end")
    issue = figure(issued_whole_per_s(), "instructions that need nothing but a slot, the quickest of many questions")
    close, away = Sampler(issue.value), Sampler(issue.value)
    big = beyond_caches(caches)
    loops = Loops(caches.get("l2", caches["l1"]), near_s(big))
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
    starts = figure([host.probe_thread_start() for _ in range(400)], "starting and joining a thread", 25)
    levels = list(sizes)
    load, store = named(near, "load", levels), named(near, "store", levels)
    copy = {level: twice(figure) for level, figure in named(near, "copy", levels).items()}
    latency = named(near, "latency", levels) | {"dram": far["latency"]}
    dram_load = {threads: far[f"load {threads}"] for threads in counts}
    dram_copy = {threads: twice(far[f"copy {threads}"]) for threads in counts}
    load["dram"], copy["dram"] = dram_load[1], dram_copy[1]
    chain = {name: inverse(near[name]) for name in ("fma_chain", "max_chain", "recurrence")}
    streams = {level: far if level == "dram" else near for level in (*levels[1:], "dram")}
    load_awaited, copy_awaited = (
        {
            level: awaited(there[f"{loop} beside {level}"], near[f"{works[loop, level]} at hand"], rates[level], moved)
            for level, there in streams.items()
        }
        for loop, rates, moved in (("load", load, 1), ("copy", copy, 2))
    )
    scaling = near["all cores"].value / near[f"{isa} fma32"].value
    undisturbed = sum(sampler.alone[0] for sampler in (close, away)) / sum(
        sampler.alone[1] for sampler in (close, away)
    )
    return Probe(
        cpu=processor(),
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
        beside={name: beside(near[f"{name}_beside"], near[f"{isa} fma32"]) for name in ("add", "max")},
        fma_latency_s=chain["fma_chain"],
        max_latency_s=chain["max_chain"],
        recurrence_latency_s=chain["recurrence"],
        sum_end_s=ends(near["short_sums"], near["long_sums"], on["lanes"]),
        cache_bytes=caches,
        load=load,
        store=store,
        copy=copy,
        latency_s=latency,
        awaited=load_awaited,
        copy_awaited=copy_awaited,
        rewrite_awaited={
            level: awaited(there[f"rewrite {level}"], near["rewrite l1"], copy[level], 2, 4.0)
            for level, there in streams.items()
        },
        rows_over_stream=over(load[outer], near["rows"]),
        dram_load=dram_load,
        dram_copy=dram_copy,
        l3_copy=twice(near["copy together"]),
        thread_start_s=starts,
        scaling=scaling,
        notes=(*notes, *unmeasured(cores, scaling, undisturbed), *apart(loops)),
    )


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
