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

from .derived import awaited, beside, ends, figure, held, inverse, over, twice
from .front_end import issued_whole_per_s
from .sampling import PIECE, SLICE_S, Figure, Loops, Sampler, alone, named
from .system import CACHES, apart, beyond_caches, cache_sizes, near_s, processor, unmeasured

AROUND = 1.25  # times the room of a cache, of a walk that tells how much of it is left to one
VISITS = 4  # to cores and caches, then to memory, over the time of the probe
NEAR_S, FAR_S = (2.0, 6.0), (4.0, 6.0)  # of a visit: at least, at most
STEPS = 2 + 2 * VISITS  # of the progress
# Samples of a turn. A shared cache holds the lines of a walk only after a hundred rounds; memory first takes what the
# walk before it has left to be written.
OUTER: dict[str, int] = {"warm": 10, "turn": 12}
MEMORY: dict[str, Any] = {"warm": 4, "turn": 4, "core": False}
MOVED = ("load", "copy")
FROM_MEMORY = (*MOVED, "copy_past")
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
    held: dict[str, Figure]  # of the room of a cache, what is left to a walk, by level
    rows_over_stream: Figure  # how much longer the last cache takes for lines of short rows than for those of a stream
    dram_load: dict[int, Figure]  # of all threads together
    dram_copy: dict[int, Figure]
    dram_past: dict[int, Figure]  # the same of a copy that writes past all caches, as whole lines
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


@dataclass(frozen=True)
class _Plan:
    """What is to be measured: instruction sets by `names`, the one in use first; buffers of `sizes` bytes in each of
    `caches` and of `big` bytes in none; memory by each of `counts` threads.
    """

    isa: str
    cores: int
    names: list[str]
    caches: dict[str, int]
    sizes: dict[str, int]
    big: int
    counts: list[int]

    @property
    def outer(self) -> str:
        """The last cache."""
        return list(self.sizes)[-1]

    def around(self, level: str) -> int:
        """Bytes of a walk that a cache holds in part."""
        return int(AROUND * self.caches[level])

    @property
    def piece(self) -> int:
        """Bytes of memory that a sample walks through."""
        return min(PIECE, self.big // 4)


Works = dict[tuple[str, str], str]


def probe_host(step: Step = lambda what: None) -> Probe:
    """Measure this computer; `step` is told what comes next, STEPS times. Takes half a minute to one."""
    on = instruction_set()
    caches, notes = cache_sizes()
    step("front end")
    issue = figure(issued_whole_per_s(), "instructions that need nothing but a slot, the quickest of many questions")
    close, away = Sampler(issue.value), Sampler(issue.value)
    plan = _plan(on["name"], caches)
    loops = Loops(caches.get("l2", caches["l1"]), near_s(plan.big))
    works = _works(loops, plan)
    _near(close, loops, plan, works)
    _far(away, loops, plan, works)
    for visit in range(1, VISITS + 1):
        loops.move()
        step(f"cores and caches, {visit} of {VISITS}")
        close.visit(*NEAR_S)
        step(f"memory, {visit} of {VISITS}")
        away.visit(*FAR_S)
    near, far = close.figures(), away.figures()
    step("threads")
    starts = figure([host.probe_thread_start() for _ in range(400)], "starting and joining a thread", 25)
    scaling = near["all cores"].value / near[f"{plan.isa} fma32"].value
    counted = [sampler.alone for sampler in (close, away)]
    undisturbed = sum(ours for ours, _ in counted) / sum(every for _, every in counted)
    return Probe(
        cpu=processor(),
        day=date.today().isoformat(),
        cores=plan.cores,
        isa=plan.isa,
        lanes=on["lanes"],
        tile_rows=on["rows"],
        tile_vectors=on["vectors"],
        attend_rows=on["attend_rows"],
        attend_vectors=on["attend_vectors"],
        issue_per_s=issue,
        alone=undisturbed,
        cache_bytes=caches,
        **_arithmetic(near, plan, on["lanes"]),
        **_moves(near, far, plan, works),
        thread_start_s=starts,
        scaling=scaling,
        notes=(*notes, *unmeasured(plan.cores, scaling, undisturbed), *apart(loops)),
    )


def _plan(isa: str, caches: dict[str, int]) -> _Plan:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    sizes = {level: caches[level] // 2 for level in CACHES if level in caches}
    if "l3" in sizes:  # not much of it: the rest may hold what strangers use
        sizes["l3"] = min(sizes["l3"] // 2, 4 * caches.get("l2", sizes["l3"]))
    names = [name for name in dict.fromkeys((isa, *instruction_sets())) if name != "scalar"] or ["scalar"]
    counts = [threads for threads in sorted({1, 2, cores // 2, cores} - {0}) if threads <= cores]
    return _Plan(isa, cores, names, caches, sizes, beyond_caches(caches), counts)


def _arithmetic(near: dict[str, Figure], plan: _Plan, lanes: int) -> dict[str, Any]:
    """Fields of the probe: what a core does on registers."""
    chain = {name: inverse(near[name]) for name in ("fma_chain", "max_chain", "recurrence")}
    return {
        "clock_hz": near["clock"],
        "fma_per_s": {name: {"fp32": near[f"{name} fma32"], "fp64": near[f"{name} fma64"]} for name in plan.names},
        "rates_per_s": {name: near[name] for name in ("add", "mul", "max", "exp")},
        "exp_whole_per_s": near["exp_whole"],
        "beside": {name: beside(near[f"{name}_beside"], near[f"{plan.isa} fma32"]) for name in ("add", "max")},
        "fma_latency_s": chain["fma_chain"],
        "max_latency_s": chain["max_chain"],
        "recurrence_latency_s": chain["recurrence"],
        "sum_end_s": ends(near["short_sums"], near["long_sums"], lanes),
    }


def _moves(near: dict[str, Figure], far: dict[str, Figure], plan: _Plan, works: Works) -> dict[str, Any]:
    """Fields of the probe: what caches and memory deliver."""
    levels = list(plan.sizes)
    load = named(near, "load", levels)
    copy = {level: twice(one) for level, one in named(near, "copy", levels).items()}
    dram_load = {threads: far[f"load {threads}"] for threads in plan.counts}
    dram_copy = {threads: twice(far[f"copy {threads}"]) for threads in plan.counts}
    load["dram"], copy["dram"] = dram_load[1], dram_copy[1]
    there = {level: far if level == "dram" else near for level in (*levels[1:], "dram")}
    load_awaited, copy_awaited = (
        {
            level: awaited(found[f"{loop} beside {level}"], near[f"{works[loop, level]} at hand"], rates[level], moved)
            for level, found in there.items()
        }
        for loop, rates, moved in (("load", load, 1), ("copy", copy, 2))
    )
    return {
        "load": load,
        "store": named(near, "store", levels),
        "copy": copy,
        "latency_s": named(near, "latency", levels) | {"dram": far["latency"]},
        "awaited": load_awaited,
        "copy_awaited": copy_awaited,
        "held": {
            level: held(
                twice((far if outside == "dram" else near)[f"around {level}"]), copy[level], copy[outside], AROUND
            )
            for level, outside in zip(levels[1:], (*levels[2:], "dram"), strict=True)
        },
        "rows_over_stream": over(load[plan.outer], near["rows"]),
        "dram_load": dram_load,
        "dram_copy": dram_copy,
        "dram_past": {threads: twice(far[f"copy_past {threads}"]) for threads in plan.counts},
        "l3_copy": twice(near["copy together"]),
    }


def _works(loops: Loops, plan: _Plan) -> Works:
    """The loops whose streams from each level are hidden behind as many multiply-adds as take about as long: with less
    work than that, waiting for the stream is the work's fault.
    """
    outside = {level: size for level, size in plan.sizes.items() if level != "l1"}
    quickest = {
        **{(loop, level): loops.rate(plan.isa, loop, size) for loop in MOVED for level, size in outside.items()},
        **{(loop, "dram"): loops.stream(plan.isa, loop, plan.big, plan.piece) for loop in MOVED},
    }
    one = 1 / max(loops.rate(plan.isa, "fma32")()[0] for _ in range(12))
    found = {}
    for (loop, level), sample in quickest.items():
        per_float = 4 / max(sample()[0] for _ in range(12))  # multiply-adds: so many for each float that is read
        count = next((count for count in WORKS if count * one >= per_float), WORKS[-1])
        found[loop, level] = f"{loop}_beside_{count}"
    return found


def _near(sampler: Sampler, loops: Loops, plan: _Plan, works: Works) -> None:
    """What cores and caches do, as figures to sample."""
    sizes = plan.sizes

    def add(name: str, loop: str, size: int = 0, on: str = plan.isa, threads: int = 1) -> None:
        what, turn = _loop(loop, on, size, threads), OUTER if size == sizes[plan.outer] else {}
        sampler.add(name, loops.rate(on, loop, size, threads), what, threads=threads, **turn)

    additions = int(SLICE_S * 3e9)
    sampler.add("clock", alone(lambda: additions / host.probe_additions(additions)), "a chain of additions")
    for name in plan.names:
        for kind in ("fma32", "fma64"):
            add(f"{name} {kind}", kind, on=name)
    for loop in ("add", "mul", "max", "add_beside", "max_beside", "fma_chain", "max_chain", "recurrence"):
        add(loop, loop)
    for loop in ("exp", "exp_whole", "short_sums", "long_sums"):
        add(loop, loop, sizes["l1"])
    add("all cores", "fma32", threads=plan.cores)
    for level, size in sizes.items():
        for loop in ("load", "store", "copy"):
            add(f"{loop} {level}", loop, size)
        what = f"a chain of loads, {size / 1024:,.0f} KiB"
        sampler.add(f"latency {level}", loops.latency(size, max(size // 64, 20_000)), what, fast=False, warm=3, turn=3)
    for work in dict.fromkeys(works.values()):
        add(f"{work} at hand", work, sizes["l1"])
    for (loop, level), work in works.items():
        if level != "dram":
            add(f"{loop} beside {level}", work, sizes[level])
    for level in list(sizes)[1:-1]:
        add(f"around {level}", "copy", plan.around(level))
    add("rows", "rows", sizes[plan.outer])
    add("copy together", "copy", sizes[plan.outer], threads=plan.cores)


def _far(sampler: Sampler, loops: Loops, plan: _Plan, works: Works) -> None:
    """What memory does, as figures to sample."""

    def add(name: str, loop: str, size: int, threads: int = 1) -> None:
        stream = loops.stream(plan.isa, loop, size, plan.piece, threads)
        sampler.add(name, stream, _loop(loop, plan.isa, size, threads), threads=threads, **MEMORY)

    for threads in plan.counts:
        for loop in FROM_MEMORY:
            add(f"{loop} {threads}", loop, max(plan.big // min(threads, 4), plan.piece), threads)
    for loop in MOVED:
        add(f"{loop} beside dram", works[loop, "dram"], plan.big)
    if len(plan.sizes) > 1:
        loop, size = "copy", plan.around(plan.outer)
        sampler.add(f"around {plan.outer}", loops.rate(plan.isa, loop, size), _loop(loop, plan.isa, size, 1), **MEMORY)
    what = f"a chain of loads, {plan.big / 1024:,.0f} KiB"
    sampler.add("latency", loops.latency(plan.big, 4_000), what, fast=False)


def _loop(loop: str, isa: str, size: int, threads: int) -> str:
    where = f"{size / 1024:,.0f} KiB" if size else "registers"
    return f"{loop} of {isa}, {where}{f', {threads} threads' if threads > 1 else ''}"
