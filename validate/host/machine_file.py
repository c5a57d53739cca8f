"""A probe as a machine file: the same schema as any machine, every number with the loop that measured it.

A core is an instance. Vector arithmetic is one unit, loads and stores are one each: lanes are elements a cycle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lightbound.archs.cached import probed_file

from .derived import written_past
from .probe import Probe
from .sampling import Figure

FUSED = ("mac", "mul+add", "mul+sub", "sub+mul")
LIKE_ADD = ("add", "sub", "compare", "iadd", "abs")  # one instruction of the adders, each
LIKE_MAX = ("max", "min", "select", "shuffle")
EXP_INSTRUCTIONS = 12  # of exp2 in csrc/host_vector.hpp: eleven, and a copy of what the first product overwrites
EXP_ADDED = 5  # of these, additions, a maximum and a shift


def machine_document(probe: Probe, name: str = "host") -> dict[str, Any]:
    """The document of the machine that was probed."""
    clock = probe.clock_hz.value
    stated = f"lightbound probe host, {probe.day}"

    def number(value: float | str, figure: Figure) -> dict[str, Any]:
        return {"value": value, "source": f"{figure.what}; spread {figure.spread:.1%}", "kind": "microbenchmark"}

    peak = probe.fma_per_s[probe.isa]["fp32"]
    lanes = _lanes(peak.value / clock, probe.lanes)
    cost = _costs(probe, lanes, number)
    document: dict[str, Any] = {
        "name": name,
        "title": f"{probe.cpu}, {probe.cores} cores, {probe.isa}",
        "source": stated,
        "kind": "microbenchmark",
        "clock": number(f"{clock / 1e9:.4g} GHz", probe.clock_hz),
        "params": _params(probe, number),
        "instances": {
            "core": {"value": probe.cores, "source": "The system: cores of this process", "kind": "datasheet"}
        },
        "levels": _levels(probe, number),
        "units": {
            "vector": {
                "title": f"Vector arithmetic of a core, {probe.isa}, fp32",
                "scope": "core",
                "shape": {"lanes": number(lanes, peak)},
                "composes": True,
                "cost": cost,
                "needs": {
                    **_needs({**dict.fromkeys(cost, 1), "exp": EXP_INSTRUCTIONS, "wait": 0}),
                    "adders": _adders(probe, lanes, cost),
                },
            },
            "scalar": {
                "title": "Addresses, counts and branches of a core: as many as it issues",
                "scope": "core",
                "source": "A slot each",
                "kind": "derived",
                "shape": {"lanes": 1},
                "cost": {"iadd": "1 / issue_width"},
                "needs": {"issue": {"iadd": "1 / issue_width"}},
            },
            "load": _port("Loads of a core, elements", "load", probe.load["l1"], clock, probe.lanes, number),
            "store": _port("Stores of a core, elements", "store", probe.store["l1"], clock, probe.lanes, number),
        },
        "launch_latency": number(f"{probe.thread_start_s.value * 1e6:.4g} us", probe.thread_start_s),
    }
    return document


def _costs(probe: Probe, lanes: int, number: Any) -> dict[str, Any]:
    """Cycles a lane of vector arithmetic, measured or as of a like operation: of additions and the like, what they take
    of multiply-adds beside them.
    """
    peak = probe.fma_per_s[probe.isa]["fp32"]
    one = _cycles(probe, lanes, peak)
    rates = probe.rates_per_s
    cost = {op: number(one, peak) for op in FUSED}
    cost |= {op: number(_cycles(probe, lanes, rates[op]), rates[op]) for op in ("mul", "exp")}
    for kind, like in (("add", LIKE_ADD), ("max", LIKE_MAX)):
        cost |= {op: number(_rounded(one * probe.beside[kind].value), probe.beside[kind]) for op in like}
    derived = {
        "div": (_cycles(probe, lanes, rates["mul"]), "A multiplication by a reciprocal that is made once"),
        "wait": (1, "A cycle in which the unit stands still"),
    }
    for op, (value, source) in derived.items():
        cost[op] = {"value": value, "source": source, "kind": "derived"}
    return cost


def _adders(probe: Probe, lanes: int, cost: dict[str, Any]) -> dict[str, Any]:
    """Cycles a lane of what adds, compares and shifts; multiply-adds need none of it, or they share it."""
    one = {kind: _cycles(probe, lanes, probe.rates_per_s[kind]) for kind in ("add", "max")}
    table: dict[str, Any] = dict.fromkeys(cost, 0)
    table |= dict.fromkeys(LIKE_ADD, one["add"]) | dict.fromkeys(LIKE_MAX, one["max"])
    table |= {"exp": _rounded(EXP_ADDED * one["add"]), "wait": 1}
    source = "; ".join(f"{probe.rates_per_s[kind].what}" for kind in one)
    return {"source": f"{source}; instructions of csrc/host_vector.hpp", "kind": "microbenchmark", **table}


def _range(probe: Probe) -> float:
    """Cycles a lane that e^x over all of fp32 takes beyond 2^x."""
    clock, peak = probe.clock_hz.value, probe.fma_per_s[probe.isa]["fp32"].value
    more = 1 / probe.exp_whole_per_s.value - 1 / probe.rates_per_s["exp"].value
    return _rounded(max(_lanes(peak / clock, probe.lanes) * clock * more, 1e-3))


def _cycles(probe: Probe, lanes: int, rate: Figure) -> float:
    return _rounded(lanes * probe.clock_hz.value / rate.value)


def _params(probe: Probe, number: Any) -> dict[str, Any]:
    """What the mappings of the kernels ask for: their tiles, latencies, and what is awaited of each level."""
    clock = probe.clock_hz.value
    past = written_past(probe.dram_past[1], probe.dram_copy[1])
    return {
        "source": "csrc/host_tiles.hpp, as compiled for this instruction set",
        "kind": "derived",
        "simd": probe.lanes,
        "tile_rows": probe.tile_rows,
        "tile_vectors": probe.tile_vectors,
        "attend_rows": probe.attend_rows,
        "attend_vectors": probe.attend_vectors,
        "fma_latency": number(_rounded(probe.fma_latency_s.value * clock), probe.fma_latency_s),
        "max_latency": number(_rounded(probe.max_latency_s.value * clock), probe.max_latency_s),
        "recurrence_latency": number(_rounded(probe.recurrence_latency_s.value * clock), probe.recurrence_latency_s),
        "load_latency": number(_rounded(probe.latency_s["l1"].value * clock), probe.latency_s["l1"]),
        "issue_width": number(_rounded(probe.issue_per_s.value / clock), probe.issue_per_s),
        **{f"{level}_awaited": number(_rounded(part.value), part) for level, part in probe.awaited.items()},
        **{f"{level}_copy_awaited": number(_rounded(one.value), one) for level, one in probe.copy_awaited.items()},
        **{f"{level}_held": number(_rounded(part.value), part) for level, part in probe.held.items()},
        "dram_past": number(_rounded(past.value), past),
        "last_cache": {
            "value": max(probe.cache_bytes.values()),
            "source": "The system's own statement",
            "kind": "datasheet",
        },
        "l3_rows": number(_rounded(max(probe.rows_over_stream.value, 1.0)), probe.rows_over_stream),
        "l2_copy": number(_rounded(2 * 4 * probe.lanes * clock / _second(probe).value), _second(probe)),
        "exp_range": number(_range(probe), probe.exp_whole_per_s),
        "sum_end": number(_rounded(probe.sum_end_s.value * clock), probe.sum_end_s),
    }


def write_machine(probe: Probe, path: Path | None = None) -> Path:
    """Write the machine's file, to the user's cache by default, and say where."""
    path = path or probed_file("host")
    path.parent.mkdir(parents=True, exist_ok=True)
    notes = "".join(f"# {note}\n" for note in probe.notes)
    body = yaml.safe_dump(machine_document(probe), sort_keys=False, allow_unicode=True, width=160)
    path.write_text(
        f"# Written by lightbound probe host. Not measured, or to be read with care:\n{notes}{body}", "utf-8"
    )
    return path


def _levels(probe: Probe, number: Any) -> dict[str, Any]:
    cores = max(probe.dram_load)
    levels: dict[str, Any] = {
        "dram": {
            "title": "Memory",
            "bandwidth": _most(probe.dram_load, probe.dram_copy, probe.dram_past),
            "sustained_bandwidth": number(_shared(probe.dram_copy[1], probe.dram_copy[cores]), probe.dram_copy[cores]),
            "latency": number(_time(probe.latency_s["dram"]), probe.latency_s["dram"]),
        }
    }
    for name in ("l3", "l2", "l1"):
        if name not in probe.cache_bytes:
            continue
        level: dict[str, Any] = {"title": f"{name.upper()} cache"}
        if name != "l3":
            level["scope"] = "core"
        level["capacity"] = {
            "value": f"{probe.cache_bytes[name] // 1024} KiB",
            "source": "The system's own statement",
            "kind": "datasheet",
        }
        load, copy = probe.load[name], probe.copy[name]
        if name == "l3":
            together = probe.l3_copy.value / copy.value
            level["bandwidth"] = _most({1: load, cores: _times(load, together)}, {1: copy, cores: probe.l3_copy})
            level["sustained_bandwidth"] = number(_shared(copy, probe.l3_copy), copy)
        else:
            level["bandwidth"] = _most({1: load}, {1: copy})
            level["sustained_bandwidth"] = number(f"{copy.value / 1e9:.4g} GB/s", copy)
        level["latency"] = number(_time(probe.latency_s[name]), probe.latency_s[name])
        levels[name] = level
    registers = 32 if probe.isa in ("avx512", "neon") else 16
    levels["registers"] = {
        "title": "Vector registers of a core",
        "scope": "core",
        "capacity": {
            "value": f"{registers * probe.lanes * 4} B",
            "source": "The instruction set: registers times their width",
            "kind": "datasheet",
        },
    }
    return levels


def _second(probe: Probe) -> Figure:
    """Bytes a second that are copied within the second cache, or the only one."""
    return probe.copy["l2" if "l2" in probe.copy else "l1"]


def _port(title: str, op: str, figure: Figure, clock: float, vector: int, number: Any) -> dict[str, Any]:
    per_cycle = figure.value / 4 / clock
    lanes = _lanes(per_cycle, vector)
    cost = number(_rounded(lanes / per_cycle), figure)
    shape = {"lanes": number(lanes, figure)}
    return {"title": title, "scope": "core", "shape": shape, "cost": {op: cost}, "needs": _needs({op: 1})}


def _needs(instructions: dict[str, int]) -> dict[str, Any]:
    """What operations need of the slots in which a core issues: one for each instruction of a vector; in a cycle of
    waiting all pass unused.
    """
    table = {op: f"{count} * lanes / simd / issue_width" if count else 1 for op, count in instructions.items()}
    return {"issue": {"source": "Instructions of csrc/host_vector.hpp, a slot each", "kind": "derived", **table}}


def _lanes(per_cycle: float, vector: int) -> int:
    """Elements a cycle of a port: whole vectors, where it takes one or more."""
    return max(1, round(per_cycle / vector)) * vector


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _most(load: dict[int, Figure], *copies: dict[int, Figure]) -> dict[str, Any]:
    """The most that was seen to move in any repeat, by reading or copying: what bounds are made of."""
    most = {
        threads: max(one.most or one.value, *(copy[threads].most for copy in copies)) for threads, one in load.items()
    }
    cores = max(most)
    value = f"min(core * {most[1]:.4g}, {most[cores]:.4g})" if cores > 1 else f"{most[1] / 1e9:.4g} GB/s"
    return {"value": value, "source": f"The most in any repeat, {load[cores].what} or copy", "kind": "microbenchmark"}


def _times(figure: Figure, factor: float) -> Figure:
    return Figure(figure.value * factor, figure.spread, figure.what, figure.most * factor)


def _shared(one: Figure, together: Figure) -> str:
    """Bandwidth of what cores share, as a formula of how many there are: as much as they draw, or as it gives.

    Strangers share it too: it is what half of the samples reach, as calls are timed by their median.
    """
    return f"min(core * {one.shared:.4g}, {max(one.shared, together.shared):.4g})"


def _time(figure: Figure) -> str:
    return f"{figure.value * 1e9:.4g} ns"
