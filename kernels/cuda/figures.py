"""What is measured inside a multiprocessor, task by task: rates, mixtures, latencies, tensor cores, who slows whom.

A task yields figures as plain data: unit, what was done, and every sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import arithmetic, beside, shared, tensor
from .bench import Bench
from .ptx import HOPPER, Program

Figures = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """One thing to measure: `seconds` is what it may take, `run` gives its figures by name."""

    name: str
    seconds: float
    run: Callable[[Bench], Figures]


def figure(unit: str, what: str, samples: Sequence[float], **detail: Any) -> dict[str, Any]:
    """A figure as it is written: `samples` in `unit`."""
    return {"unit": unit, "what": what, "samples": [float(one) for one in samples], **detail}


PER_CLOCK = "per SM and clock"
CYCLES = "cycles"


def tasks(capability: int) -> list[Task]:
    """What can be measured inside a multiprocessor of this compute capability."""
    found = [Task(f"rate.{op}", 0.1, _rate(op)) for op in arithmetic.OPERATIONS]
    found += [Task(f"latency.{op}", 0.1, _latency(op)) for op in arithmetic.CHAINED]
    found += _tensor(capability)
    found += [Task(f"mix.{name}", 0.1, _mix(name)) for name in arithmetic.MIXES]
    found += _shared()
    found += [Task(f"beside.{_pair_name(pair)}", 0.3, _beside(pair)) for pair in beside.pairs(capability)]
    return [task for task in found if task is not None]


def _rate(op: str) -> Callable[[Bench], Figures]:
    def run(bench: Bench) -> Figures:
        program = arithmetic.rate(op)
        runs = bench.run(program)
        lanes = [32 * one for one in runs.per_cycle(program.work)]
        return {
            f"rate.{op}": figure(f"results {PER_CLOCK}", arithmetic.OPERATIONS[op].what, lanes, **_program(program))
        }

    return run


def _mix(name: str) -> Callable[[Bench], Figures]:
    def run(bench: Bench) -> Figures:
        program = arithmetic.mix(name)
        runs = bench.run(program)
        quarter = [4 / one for one in runs.per_cycle(program.work)]
        what = "cycles of a quarter of an SM for one turn of " + ", ".join(
            f"{count} {op}" for op, count in arithmetic.MIXES[name].items()
        )
        return {f"mix.{name}": figure(CYCLES, what, quarter, **_program(program))}

    return run


def _latency(op: str) -> Callable[[Bench], Figures]:
    return _cycles(f"latency.{op}", arithmetic.latency(op), f"a chain of one warp: {arithmetic.OPERATIONS[op].what}")


def _cycles(name: str, program: Program, what: str) -> Callable[[Bench], Figures]:
    def run(bench: Bench) -> Figures:
        return {name: figure(CYCLES, what, bench.run(program).cycles_of(program.work), **_program(program))}

    return run


def _macs(name: str, program: Program, what: str) -> list[Task]:
    """On random operands and on zeros, one block of a multiprocessor; and two blocks together."""

    def run(bench: Bench) -> Figures:
        random = bench.run(program).per_cycle(program.work)
        zeros = bench.run(program, data=bench.zeros).per_cycle(program.work)
        unit = f"multiply-accumulates {PER_CLOCK}"
        return {
            name: figure(unit, what, random, **_program(program)),
            f"{name}.zeros": figure(unit, f"{what}, operands zero", zeros, **_program(program)),
        }

    return [Task(name, 0.2, run)]


def _tensor(capability: int) -> list[Task]:
    found: list[Task] = []
    if capability == HOPPER:
        for n in tensor.SIZES:
            for groups in (1, 2):
                for registers in (False, True):
                    where = "A from registers" if registers else "both operands from shared memory"
                    name = f"wgmma.fp16.n{n}.{'rs' if registers else 'ss'}.{groups}"
                    what = f"wgmma m64n{n}k16, {groups} warp group{'s' * (groups > 1)}, {where}"
                    found += _macs(name, tensor.group("fp16", n, groups, registers), what)
        for kind in tensor.GROUPS:
            if kind != "fp16":
                found += _macs(
                    f"wgmma.{kind}.n256.ss.2", tensor.group(kind, 256, 2), f"wgmma m64n256, {kind}, 2 groups"
                )
        for n in tensor.SIZES:
            for count in (1, 4):
                what = f"{count} wgmma m64n{n}k16 of one warp group, issued and waited for"
                name, program = f"latency.wgmma.n{n}.{count}", tensor.group_latency("fp16", n, count)
                found.append(Task(name, 0.1, _round(name, program, what)))
        found.append(Task("wgmma.two_blocks", 0.2, _two_blocks))
    for kind in tensor.SYNC:
        found += _macs(f"mma_sync.{kind}.8", tensor.sync(kind, 8), f"mma.sync, {kind}, 8 warps of 8 accumulators")
    for warps in (4, 16):
        found += _macs(f"mma_sync.fp16.{warps}", tensor.sync("fp16", warps), f"mma.sync m16n8k16, {warps} warps")
    program = tensor.sync_latency("fp16")
    found.append(Task("latency.mma_sync", 0.1, _cycles("latency.mma_sync", program, "a chain of mma.sync m16n8k16")))
    return found


def _round(name: str, program: Program, what: str) -> Callable[[Bench], Figures]:
    def run(bench: Bench) -> Figures:
        return {name: figure(CYCLES, what, bench.run(program).cycles_of(1), **_program(program))}

    return run


def _two_blocks(bench: Bench) -> Figures:
    """Two blocks of one warp group on each multiprocessor: from the first start to the last end of both."""
    program = tensor.group("fp16", 128, 1)
    runs = bench.run(program, blocks=2 * bench.driver.multiprocessors, alone=False)
    rates = []
    for records in runs.records:
        where = records[:, 0, 4]
        for sm in np.unique(where):
            mine = records[where == sm]
            if len(mine) == 2:
                span = mine[..., 1].max() - mine[..., 0].min()
                rates.append(2 * 4 * program.work * runs.rounds / span)
    unit = f"multiply-accumulates {PER_CLOCK}"
    return {
        "wgmma.two_blocks": figure(unit, "wgmma m64n128k16, two blocks of one group each", rates, **_program(program))
    }


def _shared() -> list[Task]:
    def bandwidth(name: str, program: Program, what: str) -> Task:
        def run(bench: Bench) -> Figures:
            rates = bench.run(program).per_cycle(program.work)
            return {name: figure(f"bytes {PER_CLOCK}", what, rates, **_program(program))}

        return Task(name, 0.1, run)

    found = [
        bandwidth(f"shared.load.{4 * width}", shared.load(width), f"ld.shared of {4 * width} bytes a lane")
        for width in (1, 2, 4)
    ]
    found += [
        bandwidth(f"shared.store.{4 * width}", shared.store(width), f"st.shared of {4 * width} bytes a lane")
        for width in (1, 4)
    ]
    found.append(bandwidth("shared.ldmatrix", shared.matrices(shared.WARPS, 4), "ldmatrix.x4 by 16 warps"))
    alone = shared.matrices(1, 1)
    found.append(Task("latency.ldmatrix", 0.1, _cycles("latency.ldmatrix", alone, "a chain of ldmatrix.x4")))
    found.append(Task("latency.shared", 0.1, _cycles("latency.shared", shared.chase(), "a chain of ld.shared")))
    for threads in shared.BARRIERS:
        name = f"latency.barrier.{threads}"
        found.append(Task(name, 0.1, _cycles(name, shared.barrier(threads), f"bar.sync of {threads} threads")))
    return found


def _pair_name(pair: beside.Pair) -> str:
    return pair.program.name.removeprefix("beside_").replace("_", ".", 1)


LONGER = 4  # how much longer the warps run that the others are measured beside
SPAN_CYCLES = 40_000


def _beside(pair: beside.Pair) -> Callable[[Bench], Figures]:
    def run(bench: Bench) -> Figures:
        warps = pair.program.threads // 32

        def measure(rounds: int, others: int) -> np.ndarray:
            driver, operands = bench.driver, bench.operands.data_ptr()
            driver.launch(
                pair.program, driver.multiprocessors, bench.out.data_ptr(), operands, (rounds, others),
                bench.alone(pair.program),
            )  # fmt: skip
            return bench.records(driver.multiprocessors, warps)

        tensors, rest = slice(0, pair.tensor_warps), slice(pair.tensor_warps, warps)
        measure(4, 4)
        at = float(np.median(_span(measure(32, 1), tensors))) / 32
        bt = float(np.median(_span(measure(1, 32), rest))) / 32
        a, b = (max(2, int(SPAN_CYCLES / max(1.0, one))) for one in (at, bt))

        def rates(part: slice, rounds: int, others: int, inside: slice | None) -> tuple[list[float], float]:
            """Rates of one kind of warps, and the least part of their time that the other kind was running."""
            work, count = (pair.tensor_work, rounds) if part is tensors else (pair.other_work, others)
            found, covered = [], 1.0
            for _ in range(5):
                records = measure(rounds, others)
                span = _span(records, part)
                found.append(float(np.median(work * count * (part.stop - part.start) / span)))
                if inside is not None:
                    late = np.minimum(records[:, part, 1].max(1), records[:, inside, 1].min(1))
                    early = np.maximum(records[:, part, 0].min(1), records[:, inside, 0].max(1))
                    covered = min(covered, float(np.median((late - early) / span)))
            return found, covered

        name = f"beside.{_pair_name(pair)}"
        macs, results = f"multiply-accumulates {PER_CLOCK}", f"results {PER_CLOCK}"
        other = f"{pair.op} in {pair.chains} chains of each of {beside.OTHERS} warps"
        found: Figures = {}
        for key, unit, what, part, rounds, others, inside in (
            ("tensor_alone", macs, "tensor instructions alone", tensors, a, 1, None),
            ("other_alone", results, f"{other}, alone", rest, 1, b, None),
            ("tensor_beside", macs, f"tensor instructions beside {other}", tensors, a, LONGER * b, rest),
            ("other_beside", results, f"{other}, beside tensor instructions", rest, LONGER * a, b, tensors),
        ):
            samples, covered = rates(part, rounds, others, inside)
            scaled = [32 * one for one in samples] if part is rest else samples
            found[f"{name}.{key}"] = figure(unit, what, scaled, covered=round(covered, 3), **_program(pair.program))
        return found

    return run


def _span(records: np.ndarray, part: slice) -> np.ndarray:
    return records[:, part, 1].max(axis=1) - records[:, part, 0].min(axis=1)


def _program(program: Program) -> Mapping[str, Any]:
    return {"program": program.name}
