"""What is measured of memory and of starting kernels: streams by size, chains of loads, launches, waves of blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import memory
from .bench import Bench
from .figures import CYCLES, Figures, Task, figure

MIB = 1 << 20
STEP_BYTES = 16 * memory.STREAM_THREADS
READ_MIB = (2, 4, 8, 16, 24, 32, 40, 48, 56, 64, 96, 128, 256, 1024)
ALL_MIB = (8, 16, 32)
CHASE_MIB = (0.25, 1, 4, 8, 16, 24, 32, 48, 64, 128, 512)
CHASE_LOADS = 8192
SECONDS = "s"
RATE = "B/s"
NODES = 200
WAVES = range(1, 9)


def tasks() -> list[Task]:
    """All of them, what a machine needs first."""
    return [
        Task("launch", 0.5, _launch),
        Task("graph", 0.5, _graph),
        Task("blocks", 0.5, _blocks),
        Task("dram.copy", 1.0, _stream("copy", 1024)),
        Task("dram.write", 1.0, _stream("write", 1024)),
        *(Task(f"read.{size}MiB", 0.3, _stream("read", size)) for size in READ_MIB),
        Task("l2.copy", 0.3, _stream("copy", 8)),
        Task("l2.write", 0.3, _stream("write", 16)),
        *(Task(f"read_all.{size}MiB", 0.3, _stream("read", size, shared=True)) for size in ALL_MIB),
        *(Task(f"chase.{size:g}MiB", 0.5, _chase(size)) for size in CHASE_MIB),
        Task("chase.l1", 0.2, _first_cache),
        Task("l2.halves", 0.5, _each),
    ]


def _buffer(bench: Bench, size: int) -> Any:
    return bench.torch.zeros(size // 8, device="cuda", dtype=bench.torch.int64)


def _stream(kind: str, mib: float, shared: bool = False) -> Callable[[Bench], Figures]:
    """Each block its own part, or (`shared`) every block all of it, from a place of its own on."""

    def run(bench: Bench) -> Figures:
        program = memory.stream(kind)
        size = int(mib * MIB)
        data, other = _buffer(bench, size), _buffer(bench, size if kind != "read" else 8)
        blocks = 2 * bench.driver.multiprocessors
        own = (STEP_BYTES, blocks * STEP_BYTES % size, size)
        spread = -(-size // blocks // STEP_BYTES) * STEP_BYTES
        numbers = (spread, STEP_BYTES, size) if shared else own
        per_round = blocks * program.work * memory.STREAM_THREADS // 32
        total = max(2 * size, 3 << 30)
        rounds = max(1, round(total / per_round))

        def work() -> None:
            bench.driver.launch(program, blocks, other.data_ptr(), data.data_ptr(), (rounds, *numbers))

        work()
        seconds = bench.elapsed(work, 7)
        name = f"{'read_all' if shared else kind}.{mib:g}MiB"
        how = "every block reads all" if shared else "each block its own part"
        what = f"{kind} of {mib:g} MiB again and again, {how}; bytes read and written"
        samples = [rounds * per_round / one for one in seconds]
        return {name: figure(RATE, what, samples, program=program.name, bytes=size, moved_bytes=rounds * per_round)}

    return run


def _cycle(bench: Bench, size: int) -> tuple[Any, Any]:
    """A buffer whose lines hold the address of the next in one random cycle, and the lines in its order."""
    torch = bench.torch
    count = size // memory.LINE_BYTES
    data = _buffer(bench, size)
    order = torch.randperm(count, device="cuda")
    words = memory.LINE_BYTES // 8
    data[order * words] = data.data_ptr() + order.roll(-1) * memory.LINE_BYTES
    return data, order


def _chase(mib: float) -> Callable[[Bench], Figures]:
    def run(bench: Bench) -> Figures:
        size = int(mib * MIB)
        data, order = _cycle(bench, size)
        program = memory.chase(cached=False)
        count = len(order)
        samples, nanoseconds = [], []
        rounds = CHASE_LOADS // 16
        if mib <= 48:  # all of it once, so that what a cache can hold is there
            bench.driver.launch(program, 1, bench.out.data_ptr(), data.data_ptr(), (count // 16,))
        for repeat in range(6):
            line = int(order[(repeat * CHASE_LOADS * 2) % count])
            start = data.data_ptr() + line * memory.LINE_BYTES
            bench.driver.launch(program, 1, bench.out.data_ptr(), start, (rounds,))
            record = bench.records(1, 1)[0, 0]
            if repeat:
                samples.append((record[1] - record[0]) / (16 * rounds))
                nanoseconds.append((record[3] - record[2]) / (16 * rounds))
        what = f"a chain of loads at random over {mib:g} MiB, past the first cache"
        return {
            f"chase.{mib:g}MiB": figure(
                CYCLES, what, samples, nanoseconds=nanoseconds, program=program.name, bytes=size
            )
        }

    return run


def _first_cache(bench: Bench) -> Figures:
    data, order = _cycle(bench, 16 * 1024)
    program = memory.chase(cached=True)
    runs = bench.run(program, data=data, blocks=1, alone=False, target=200_000)
    return {"chase.l1": figure(CYCLES, f"a chain of loads over {len(order)} lines of the first cache",
                               runs.cycles_of(16), program=program.name)}  # fmt: skip


def _each(bench: Bench) -> Figures:
    """Cycles of single loads that hit L2, at random over 8 MiB: two humps where a half of the cache is further away."""
    data, _ = _cycle(bench, 8 * MIB)
    program, loads = memory.each(), 16384
    for _ in range(2):
        bench.driver.launch(program, 1, bench.out.data_ptr(), data.data_ptr(), (loads,))
        bench.wait()
    cycles = bench.out.view(bench.torch.int32)[:loads].cpu().numpy()
    values, counts = np.unique(cycles // 4 * 4, return_counts=True)
    histogram = [[int(v), int(n)] for v, n in zip(values, counts, strict=True) if n >= 4]
    low, middle, high = np.percentile(cycles, [10, 50, 90])
    return {"l2.halves": figure(CYCLES, "single loads that hit L2: tenth percentile, median, ninetieth",
                                [low, middle, high], histogram=histogram, program=program.name)}  # fmt: skip


def _launch(bench: Bench) -> Figures:
    """An empty kernel between events on an idle stream; and many behind a kernel that holds the stream up."""
    driver, out = bench.driver, bench.out.data_ptr()
    empty, block = memory.empty(), memory.block()

    def start() -> None:
        driver.launch(empty, 1, out, out, (1,))

    def hold() -> None:
        driver.launch(block, 1, out, out, (40_000,))  # some 5 ms, by one block

    start()
    alone = bench.elapsed(start, 100)
    nothing = bench.elapsed(lambda: None, 30)

    def behind(count: int) -> float:
        first, last = (bench.torch.cuda.Event(enable_timing=True) for _ in range(2))
        bench.wait()
        hold()
        first.record()
        for _ in range(count):
            start()
        last.record()
        last.synchronize()
        return float(first.elapsed_time(last)) / 1e3

    queued = [behind(1) for _ in range(10)]
    many = [(behind(100) - behind(10)) / 90 for _ in range(5)]
    return {
        "launch.alone": figure(SECONDS, "an empty kernel between events, nothing else queued", alone, program="empty"),
        "launch.events": figure(SECONDS, "events with nothing between them", nothing),
        "launch.queued": figure(
            SECONDS, "an empty kernel between events, queued behind another", queued, program="empty"
        ),
        "launch.next": figure(SECONDS, "each further empty kernel that is queued in one stream", many, program="empty"),
    }


def _graph(bench: Bench) -> Figures:
    torch, driver, out = bench.torch, bench.driver, bench.out.data_ptr()
    empty = memory.empty()
    driver.launch(empty, 1, out, out, (1,))
    found: dict[int, list[float]] = {}
    for nodes in (1, NODES):
        graph = torch.cuda.CUDAGraph()
        bench.wait()
        with torch.cuda.graph(graph):
            for _ in range(nodes):
                driver.launch(empty, 1, out, out, (1,))
        graph.replay()
        found[nodes] = bench.elapsed(graph.replay, 15)
    each = [(many - one) / (NODES - 1) for one, many in zip(found[1], found[NODES], strict=True)]
    return {
        "graph.one": figure(SECONDS, "a CUDA graph of one empty kernel between events", found[1], program="empty"),
        "graph.node": figure(
            SECONDS, f"each further node of a CUDA graph of {NODES} empty kernels", each, program="empty"
        ),
    }


def _blocks(bench: Bench) -> Figures:
    """Waves of short blocks, one on a multiprocessor at a time: from the end of one to the start of the next."""
    driver, program = bench.driver, memory.block()
    shared, warps, rounds = bench.alone(program), program.threads // 32, 16
    gaps, times, kernel, inside = [], {}, {}, 0.0
    for waves in WAVES:
        blocks = waves * driver.multiprocessors

        def work(blocks: int = blocks) -> None:
            driver.launch(program, blocks, bench.out.data_ptr(), bench.operands.data_ptr(), (rounds,), shared)

        work()
        times[waves] = bench.elapsed(work, 7)
        records = bench.records(blocks, warps)
        kernel[waves] = float(records[..., 3].max() - records[..., 2].min()) / 1e9
        begin, end, where = records[..., 0].min(1), records[..., 1].max(1), records[:, 0, 4]
        for sm in np.unique(where):
            mine = np.flatnonzero(where == sm)
            mine = mine[np.argsort(begin[mine])]
            gaps += [float(one) for one in begin[mine][1:] - end[mine][:-1]]
        inside = float(np.median(end - begin))
    what = "from the last clock of a block to the first of the next on its multiprocessor"
    low, middle, high = np.percentile(gaps, [25, 50, 75])
    found: Figures = {
        "blocks.gap": figure(CYCLES, what, [low, middle, high], program=program.name, count=len(gaps)),
        "blocks.inside": figure(
            CYCLES, "such a block from its first clock to its last", [inside], program=program.name
        ),
    }
    for waves, samples in times.items():
        what = f"a kernel of {waves} waves of such blocks between events"
        found[f"blocks.{waves}_waves"] = figure(SECONDS, what, samples, inside_s=kernel[waves], program=program.name)
    return found
