"""Code that runs once: what it costs to bring instructions that no loop repeats.

A block of four warps, one in each quarter of a multiprocessor, goes through `count` multiply-adds in eight independent
chains, without a loop. Work alone takes a cycle an instruction; what it takes longer is the wait for instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import figures_memory, memory
from .bench import Bench
from .figures import CYCLES, Figures, Task, figure
from .ptx import END, Program, head, record, registers, sink, unrolled

THREADS = 128
CHAINS = 8
COUNTS = (256, 512, 1024, 2048, 4096, 8192)
MANY = 24_576  # instructions of 16 bytes: more than a multiprocessor caches
REPEATS = 7


def straight(count: int) -> Program:
    """`count` multiply-adds one after the other, between noting the clock first and last of all."""
    names = [f"%x{chain}" for chain in range(CHAINS)]
    body = unrolled(count, lambda index: "fma.rn.f32 {0}, {0}, {0}, {0};".format(names[index % CHAINS]))
    starts = [f"add.u32 {one}, %thread, {chain};" for chain, one in enumerate(names)]
    name = f"straight_{count}"
    entry = "\n".join(
        (head(name, THREADS, registers(x=("b32", CHAINS))).replace(
            "ld.param.u64 %out", "mov.u64 %start, %clock64;\nmov.u64 %ns, %globaltimer;\nld.param.u64 %out", 1),
         *starts, body, END, sink(names), record(THREADS // 32), "ret;\n}")
    )  # fmt: skip
    return Program(name, entry, {}, count, THREADS)


def tasks() -> list[Task]:
    """Code of every length, run again at once, after other code, and after other code and data."""
    return [Task(f"straight.{count}", 0.3, _straight(count)) for count in COUNTS]


def programs() -> Sequence[Program]:
    """All of them."""
    return [straight(count) for count in (*COUNTS, MANY)]


def _straight(count: int) -> Callable[[Bench], Figures]:
    program = straight(count)

    def run(bench: Bench) -> Figures:
        blocks, warps = bench.driver.multiprocessors, THREADS // 32
        # more than L2
        data = bench.torch.zeros(32 * figures_memory.MIB, device="cuda", dtype=bench.torch.int64)
        other, empty = straight(MANY), memory.empty()
        address = bench.operands.data_ptr()

        def before(kind: str) -> None:
            if kind == "after_code":
                bench.driver.launch(other, blocks, bench.out.data_ptr(), address, (1,), bench.alone(other))
            elif kind == "after_data":
                bench.driver.launch(other, blocks, bench.out.data_ptr(), address, (1,), bench.alone(other))
                data.add_(1)
            elif kind == "after_empty":
                bench.driver.launch(empty, 1, bench.out.data_ptr(), address, (1,))

        found: Figures = {}
        for kind in ("again", "after_empty", "after_code", "after_data"):
            samples = []
            for repeat in range(REPEATS + 1):
                before(kind)
                bench.driver.launch(program, blocks, bench.out.data_ptr(), address, (1,), bench.alone(program))
                records = bench.records(blocks, warps)
                cycles = records[..., 1].max(1) - records[..., 0].min(1)
                if repeat:
                    samples.append(float(sorted(cycles)[len(cycles) // 2]))
            what = f"{count} multiply-adds without a loop by each of four warps, {kind.replace('_', ' ')}"
            found[f"straight.{count}.{kind}"] = figure(CYCLES, what, samples, program=program.name)
        return found

    return run
