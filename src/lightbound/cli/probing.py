"""``lightbound probe``: what was measured of this machine, and the file that it was written to."""

from __future__ import annotations

from pathlib import Path

from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.place import check_place
from lightbound.validate.host.machine_file import write_machine
from lightbound.validate.host.probe import STEPS, Probe, probe_host
from lightbound.validate.host.sampling import Figure

from .answer import Answer, Block, Table, Text
from .probing_cuda import answer_cuda
from .progress import progress


def answer(
    device: str, output: Path | None, given: Path | None = None, budget_s: float | None = None
) -> tuple[Answer, Path]:
    """The figures of a probe, and where the machine was written. Raw results and a budget are for a GPU."""
    if device == "cuda":
        return answer_cuda(output, given, budget_s)
    if device != "host":
        raise LightboundError("device", device, "cannot be probed", choose_from(("host", "cuda"), device))
    for name, value in (("--from", given), ("--budget", budget_s)):
        if value is not None:
            raise LightboundError(name, str(value), "is for GPUs only", "Leave it out, or probe cuda.")
    if output is not None:
        check_place("--output", output)
    with progress("Probing", total=STEPS) as advance:
        found = probe_host(lambda what: advance(1))
    path = write_machine(found, output)
    return Answer(_blocks(found), {"file": str(path), **found.to_dict()}), path


def _blocks(probe: Probe) -> list[Block]:
    title = f"{probe.cpu}: {probe.cores} cores, {probe.isa} with {probe.lanes} lanes"
    rows: list[tuple[str, str, str]] = []

    def add(name: str, figure: Figure, value: str) -> None:
        rows.append((name, value, f"{figure.spread:.1%}"))

    add("clock", probe.clock_hz, f"{probe.clock_hz.value / 1e9:.2f} GHz")
    add("instructions issued a second", probe.issue_per_s, f"{probe.issue_per_s.value / 1e9:.1f} G/s")
    for isa, types in probe.fma_per_s.items():
        for dtype, figure in types.items():
            add(f"peak of a core, {isa}, {dtype}", figure, f"{2 * figure.value / 1e9:.1f} GFLOP/s")
    for op, figure in probe.rates_per_s.items():
        add(f"{op} of a core", figure, f"{figure.value / 1e9:.1f} G/s")
    for what, one in (
        ("latency of a multiply-add", probe.fma_latency_s),
        ("latency of a maximum", probe.max_latency_s),
        ("latency of a product and a sum", probe.recurrence_latency_s),
    ):
        add(what, one, f"{one.value * 1e9:.2f} ns")
    for op, figure in probe.beside.items():
        add(f"{op}, of a multiply-add beside it", figure, f"{figure.value:.0%}")
    add("exp over all of fp32", probe.exp_whole_per_s, f"{probe.exp_whole_per_s.value / 1e9:.1f} G/s")
    add("end of a set of short sums", probe.sum_end_s, f"{probe.sum_end_s.value * 1e9:.2f} ns")
    for level, figure in probe.load.items():
        add(f"{level}, load", figure, f"{figure.value / 1e9:.1f} GB/s")
        if level in probe.store:
            add(f"{level}, store", probe.store[level], f"{probe.store[level].value / 1e9:.1f} GB/s")
        add(f"{level}, copy (read and written)", probe.copy[level], f"{probe.copy[level].value / 1e9:.1f} GB/s")
        add(f"{level}, latency", probe.latency_s[level], f"{probe.latency_s[level].value * 1e9:.1f} ns")
    for level, figure in probe.held.items():
        add(f"{level}, of its room left to a walk", figure, f"{figure.value:.0%}")
    for level, figure in probe.awaited.items():
        add(f"{level}, awaited of a stream beside work", figure, f"{figure.value:.0%}")
    for threads, figure in probe.dram_load.items():
        add(f"dram, load, {threads} threads", figure, f"{figure.value / 1e9:.1f} GB/s")
        add(
            f"dram, copy, {threads} threads",
            probe.dram_copy[threads],
            f"{probe.dram_copy[threads].value / 1e9:.1f} GB/s",
        )
        past = probe.dram_past[threads]
        add(f"dram, copy past caches, {threads} threads", past, f"{past.value / 1e9:.1f} GB/s")
    add("start of a thread", probe.thread_start_s, f"{probe.thread_start_s.value * 1e6:.1f} us")
    caches = ", ".join(f"{level} {size // 1024:,} KiB" for level, size in probe.cache_bytes.items())
    return [
        Table(("figure", "value", "spread"), rows, title=title, right=frozenset({"value", "spread"})),
        Text(f"Caches: {caches}\n" + "\n".join(probe.notes), title="Notes"),
    ]
