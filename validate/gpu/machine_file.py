"""A GPU's probe as a machine file: the shipped machine that it is, with every number that was measured in its place.

A GPU that lightbound ships is recognised by compute capability, multiprocessors and memory, and by the words of its
name where that leaves several; the file extends it. Of any other one the whole machine is written, from the driver's
attributes and the measured rates.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lightbound.archs.cached import probed_file
from lightbound.archs.library import machine, machine_names

from .probe import Figure, GpuProbe
from .whole_machine import whole_machine

ALU = {
    "mac": "ffma", "mul+add": "ffma", "mul+sub": "ffma", "sub+mul": "ffma", "add": "fadd", "sub": "fadd", "mul": "fmul",
    "max": "fmnmx", "min": "fmnmx", "iadd": "iadd", "imad": "imad",
}  # fmt: skip
SFU = {"exp": "ex2", "log": "lg2", "rsqrt": "rsqrt", "tanh": "tanh"}
NOTHING = 1e-6  # of a unit's time: files hold no zeros
L2_MIB = ("16", "24", "8", "32")  # sizes that lie in the L2 cache of a large GPU and in no first cache, the best first
LATENCIES = {
    "alu_latency": "latency.ffma",
    "sfu_latency": "latency.ex2",
    "shuffle_latency": "latency.shuffle",
    "shared_latency": "latency.shared",
    "ldmatrix_latency": "latency.ldmatrix",
    "mma_sync_latency": "latency.mma_sync",
    "block_gap": "blocks.gap",
}
"""Params in cycles, for mappings to use, and the figure of each."""


def shipped(probe: GpuProbe) -> str | None:
    """The name of the shipped machine that a GPU is: same capability and multiprocessors, memory within a tenth."""
    words = set(re.findall(r"[a-z0-9]+", probe.name.lower()))
    found: list[tuple[int, str]] = []
    for name in machine_names():
        one = machine(name)
        memory = one.level("dram").capacity_bytes if "dram" in {level.name for level in one.levels} else None
        if one.params.get("compute_capability") != probe.device["capability"] or memory is None:
            continue
        if one.instances.get("sm") != probe.device["attributes"]["multiprocessors"]:
            continue
        if abs(float(memory) / probe.device["memory_bytes"] - 1) > 0.1:
            continue
        title = set(re.findall(r"[a-z0-9]+", one.title.lower())) | {name}
        found.append((len(words & title), name))
    return max(found, key=lambda pair: (pair[0], -len(pair[1])), default=(0, None))[1]


def machine_document(probe: GpuProbe, name: str = "cuda") -> dict[str, Any]:
    """The document of the machine that was probed."""
    base = shipped(probe)
    lanes = _lanes(base, probe)
    changes = _changes(probe, lanes, base is not None and machine(base).sustained_load is not None)
    params = {
        key: _number(probe, float(f"{figure.value:.4g}"), figure)
        for key, source in LATENCIES.items()
        if (figure := probe.get(source)) is not None
    }
    params |= _waits(probe)
    head: dict[str, Any] = {"name": name, "title": f"{probe.name}, as probed on {probe.day}"}
    if base is None:
        return whole_machine(probe, head, changes, params, lanes)
    return {**head, "extends": base, "source": f"{probe.stated}.", "params": params, "changes": changes}


def _waits(probe: GpuProbe) -> dict[str, Any]:
    """Params that are differences of figures: what a product takes beyond its work, and a barrier by its threads."""
    made: dict[str, Any] = {}
    product, peak = probe.get("latency.wgmma.n128.1"), probe.tensor_peak()
    if product is not None and peak is not None and product.value > 64 * 128 * 16 / peak.value:
        made["mma_latency"] = _number(probe, float(f"{product.value - 64 * 128 * 16 / peak.value:.3g}"), product)
    few, many = probe.get("latency.barrier.128"), probe.get("latency.barrier.256")
    if few is not None and many is not None and 0 < many.value - few.value < few.value:
        made["barrier_threads"] = _number(probe, float(f"{128 / (many.value - few.value):.3g}"), many)
        made["barrier_latency"] = _number(probe, float(f"{2 * few.value - many.value:.3g}"), few)
    return made


def write_machine(probe: GpuProbe, path: Path | None = None) -> Path:
    """Write the machine's file, to the user's cache by default, and say where."""
    path = path or probed_file("cuda")
    path.parent.mkdir(parents=True, exist_ok=True)
    notes = [f"{name} failed: {' '.join(error.split())[:150]}" for name, error in probe.failed.items()]
    notes += [f"{name} was not measured: no time was left." for name in probe.skipped]
    body = yaml.safe_dump(machine_document(probe), sort_keys=False, allow_unicode=True, width=160)
    comment = "".join(f"# {note}\n" for note in notes)
    path.write_text(f"# Written by lightbound probe cuda.\n{comment}{body}", "utf-8")
    return path


def _lanes(base: str | None, probe: GpuProbe) -> dict[str, float]:
    """Lanes of the units that costs refer to: those of the shipped machine, or what was measured, in powers of two."""
    if base is not None:
        units = machine(base).units
        return {name: float(units[name].lanes) for name in ("tensor", "tensor_sync", "alu", "sfu", "shuffle")}
    measured = {"tensor": probe.tensor_peak(), "alu": probe.get("rate.ffma"), "sfu": probe.get("rate.ex2"),
                "shuffle": probe.get("rate.shuffle")}  # fmt: skip
    lanes = {
        name: float(2 ** round(math.log2(max(one.value, 1.0)))) for name, one in measured.items() if one is not None
    }
    lanes["tensor_sync"] = lanes.get("tensor", 1.0)
    return lanes


def _number(probe: GpuProbe, value: Any, figure: Figure) -> dict[str, Any]:
    source = f"{probe.stated}: {figure.what}; spread {figure.spread:.1%}"
    return {"value": value, "source": source, "kind": "microbenchmark"}


def _changes(probe: GpuProbe, lanes: Mapping[str, float], states_load: bool) -> dict[str, Any]:
    """Every number of the machine that follows from a figure, by its path in the file."""
    changes: dict[str, Any] = {}

    def put(path: str, value: Any, figure: Figure | None, scale: str = "") -> None:
        if figure is not None and value is not None:
            shown = float(f"{value:.4g}") if isinstance(value, float) else value
            changes[path] = _number(probe, f"{shown:g}{scale}" if scale else shown, figure)

    clock = probe.clock_hz
    if clock is not None:
        put("clock", f"{clock.value / 1e6:.4g} MHz", clock)
    changes |= _power(probe, put, states_load)
    for path, name in (("launch_latency", "launch.next"), ("graph_launch_latency", "graph.node")):
        launch = probe.get(name)
        put(path, None if launch is None else f"{launch.value * 1e6:.3g} us", launch)
    _put_levels(probe, put)
    for unit, costs in (("alu", ALU), ("sfu", SFU)):
        for op, name in costs.items():
            rate = probe.get(f"rate.{name}")
            if rate is not None and unit in lanes:
                put(f"units.{unit}.cost.{op}", lanes[unit] / rate.value, rate)
    pair, pack = probe.get("rate.select"), probe.get("rate.pack_fp16")
    if pair is not None and "alu" in lanes:
        for op in ("compare", "select"):
            put(f"units.alu.cost.{op}", lanes["alu"] / pair.value / 2, pair)
    if pack is not None and "alu" in lanes:
        put("units.alu.cost.cast", lanes["alu"] / pack.value / 2, pack)
    shuffle = probe.get("rate.shuffle")
    if shuffle is not None and "shuffle" in lanes:
        put("units.shuffle.cost.shuffle", lanes["shuffle"] / shuffle.value, shuffle)
    for unit, peak in (("tensor", probe.tensor_peak()), ("tensor_sync", probe.sync_peak())):
        if peak is not None and unit in lanes:
            put(f"units.{unit}.cost.mac", lanes[unit] / peak.value, peak)
    grouped = probe.get("beside.group2.ffma_3.other_beside")
    for unit, kind, field in (
        ("tensor_sync", "sync", "blocks.alu"),
        ("tensor", "group2" if grouped else "sync", "holds.issue" if grouped else "blocks.alu"),
    ):
        # asynchronous instructions go first, so that moderate work beside them sees what they leave
        chains = 3 if field == "holds.issue" else 8
        part = probe.blocked(kind, chains=chains)
        if field == "holds.issue" and grouped is not None:
            part = max(0.0, 1 - grouped.value / lanes["alu"])
        part = None if part is None else max(part, NOTHING)
        put(f"units.{unit}.{field}", part, probe.get(f"beside.{kind}.ffma_{chains}.other_beside"))
    return changes


def _power(probe: GpuProbe, put: Any, states_load: bool) -> dict[str, Any]:
    """The sustained clock and its load, where all of it was measured or the extended machine states the rest."""
    limited, full = probe.limited(), probe.get("clock.tensor.1.random")
    if limited is None or full is None:
        return {}
    complete = limited.exponent is not None and limited.after_s is not None
    put("sustained_clock", f"{limited.clock_hz / 1e6:.4g} MHz", full)
    if not states_load and not complete:
        return {}
    put("sustained_load.utilization", limited.utilization, full)
    put("sustained_load.exponent", limited.exponent, full)
    put("sustained_load.after", None if limited.after_s is None else f"{limited.after_s * 1e3:.3g} ms", full)
    return {} if states_load else {"sustained_load.unit": "tensor"}


def _put_levels(probe: GpuProbe, put: Any) -> None:
    clock = probe.clock_hz
    last = probe.get("chase.512MiB")
    for path, name in (("sustained_bandwidth", "read.1024MiB"), ("sustained_write_bandwidth", "write.1024MiB")):
        stream = probe.get(name)
        put(f"levels.dram.{path}", None if stream is None else f"{stream.value / 1e9:.4g} GB/s", stream)
    near = probe.get(*(f"chase.{size}MiB" for size in ("8", "4", "16")))
    for level, chain in (("dram", last), ("l2", near)):
        if chain is not None:
            put(f"levels.{level}.latency", f"{_median(chain.detail['nanoseconds']):.4g} ns", chain)
    read = probe.get(*(f"read.{size}MiB" for size in L2_MIB))
    if read is not None and clock is not None:
        most = max(probe.figures[f"read.{size}MiB"].most for size in L2_MIB if f"read.{size}MiB" in probe.figures)
        put("levels.l2.bandwidth", most / clock.value, read, "*clock")
        put("levels.l2.sustained_bandwidth", read.value / clock.value, read, "*clock")
    shared = probe.get("shared.load.16", "shared.ldmatrix")
    put("levels.shared.sustained_bandwidth", None if shared is None else shared.value, shared, "*clock")


def _median(values: Any) -> float:
    ordered = sorted(map(float, values))
    return ordered[len(ordered) // 2]
