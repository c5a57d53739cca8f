"""The machine file of a GPU that lightbound does not ship: the driver's attributes, and rates as they were measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightbound.archs.library import DATA
from lightbound.base.document import read_yaml

from .probe import GpuProbe

LIKE_FFMA = ("mul+add", "mul+sub", "sub+mul", "add", "sub", "mul", "cast")
HALF = ("max", "min", "compare", "select", "iadd", "imad")
PARTS = DATA / "parts" / "nvidia.yaml"  # what multiprocessors have alike


def whole_machine(
    probe: GpuProbe,
    head: Mapping[str, Any],
    changes: Mapping[str, Any],
    params: Mapping[str, Any],
    lanes: Mapping[str, float],
) -> dict[str, Any]:
    """The document: what `changes` say, put in place, beside what the driver states.

    Memory and L2 bandwidth are bounds of what was seen where the driver states none. Tensor, FP32 and special function
    units have as many lanes as were measured, to the next power of two, and costs that say the rest.
    """
    stated = probe.device["attributes"]
    attribute = {"source": f"{probe.stated}: attribute of the driver", "kind": "datasheet"}

    def number(value: Any) -> dict[str, Any]:
        return {"value": value, **attribute}

    parts = read_yaml(PARTS)
    document: dict[str, Any] = {
        **head,
        "launch_latency": parts["launch_latency"],
        "source": f"{probe.stated}.",
        "kind": "microbenchmark",
        "clock": number(f"{stated['clock_khz'] / 1e3:.4g} MHz"),
        "params": {**params, "compute_capability": number(probe.device["capability"])},
        "instances": {"sm": number(stated["multiprocessors"])},
        "levels": {
            "dram": {
                "title": "Memory",
                "capacity": number(f"{probe.device['memory_bytes'] // 2**20} MiB"),
                "bandwidth": _dram(probe, number),
                "row": number("32 B"),
            },
            "l2": {"title": "L2 cache", "capacity": number(f"{stated['l2_bytes'] // 1024} KiB"), "row": number("32 B")},
            "shared": {
                "title": "Shared memory of a multiprocessor",
                "scope": "sm",
                "capacity": number(f"{stated['shared_of_multiprocessor_bytes'] // 1024} KiB"),
                "bandwidth": number("128*clock"),
            },
            "registers": {
                "title": "Register file of a multiprocessor",
                "scope": "sm",
                "capacity": number(f"{4 * stated['registers_of_multiprocessor'] // 1024} KiB"),
            },
        },
        "units": parts["units"] | _units(lanes, f"{probe.stated}: the measured rate, to the nearest power of two"),
        "occupancy": {
            "scope": "sm",
            **attribute,
            "ctas": stated["blocks_of_multiprocessor"],
            "warps": stated["threads_of_multiprocessor"] // 32,
            "warp_lanes": 32,
            "registers": "registers_bytes/4",
            "registers_per_thread": 255,
            "shared": "shared_bytes",
            "shared_reserved": f"{stated['shared_reserved_of_block_bytes']} B",
            "shared_per_cta": "shared - shared_reserved",
        },
    }
    for path, value in changes.items():
        *places, last = path.split(".")
        block = document
        for place in places:
            block = block.setdefault(place, {})
        block[last] = value
    return document


def _dram(probe: GpuProbe, number: Any) -> dict[str, Any]:
    """Two transfers a clock over the whole bus, as the driver states them, else the most that was seen to move."""
    stated = probe.device["attributes"]
    if stated["memory_clock_khz"] and stated["memory_bus_bits"]:
        return number(f"{2 * stated['memory_clock_khz'] * 1e3 * stated['memory_bus_bits'] / 8 / 1e9:.4g} GB/s")
    seen = [probe.figures[name].most for name in ("copy.1024MiB", "read.1024MiB") if name in probe.figures]
    return {
        "value": f"{max(seen, default=1e11) / 1e9:.4g} GB/s",
        "source": f"{probe.stated}: the most in any repeat, reading or copying 1 GiB",
        "kind": "microbenchmark",
    }


def _units(lanes: Mapping[str, float], source: str) -> dict[str, Any]:
    """Units with the lanes that were measured; costs that follow from others where no figure says more."""
    units: dict[str, Any] = {}
    for name, title in (("tensor", "Tensor cores of a multiprocessor"), ("alu", "FP32 lanes of a multiprocessor")):
        shape = {"lanes": {"value": int(lanes.get(name, 64)), "source": source, "kind": "microbenchmark"}}
        units[name] = {"title": title, "scope": "sm", "shape": shape, "cost": {"mac": {"value": 1, "source": source}}}
    cost = units["alu"]["cost"]
    unmeasured = "As a multiply-add: this GPU's own rate was not measured"
    cost |= {op: {"value": 1, "source": unmeasured, "kind": "assumed"} for op in LIKE_FFMA}
    unmeasured = "Half the rate of multiply-adds, as on most GPUs: this one's own rate was not measured"
    cost |= {op: {"value": 2, "source": unmeasured, "kind": "assumed"} for op in HALF}
    derived = {"relu": (2, "A maximum with zero"), "abs": (1, "An add with an operand modifier")}
    cost |= {op: {"value": value, "source": text, "kind": "derived"} for op, (value, text) in derived.items()}
    return units
