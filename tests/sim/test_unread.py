"""A prediction says which numbers of its machine it does not read: changing those moves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from lightbound.archs.library import machine, machine_names
from lightbound.archs.machine import Machine
from lightbound.sim.simulate import simulate
from lightbound.workloads.cascade import Cascade

CASCADE = Cascade.parse(
    """
    S[p,m] = sum(Q[p,e] * K[m,e], e) / sqrt(E)
    G[p]   = max(S[p,m], m)
    N[p,m] = exp(S[p,m] - G[p])
    """,
    {"P": 2000, "M": 3000, "E": 64},
)


def told(hardware: Machine) -> dict[str, Any]:
    """All numbers of a prediction."""
    data = simulate(CASCADE, hardware).to_dict()
    return {key: value for key, value in data.items() if key not in ("machine", "assumptions", "unread")}


@pytest.mark.parametrize("name", machine_names())
def test_what_a_prediction_calls_unread_moves_nothing(name: str) -> None:
    hardware = machine(name)
    unread = simulate(CASCADE, hardware).unread
    fields = {path: value for path, value in hardware.fields().items() if path.startswith(unread)} if unread else {}
    assert bool(fields) == bool(unread)
    assert told(machine(name, **{path: 2 * value for path, value in fields.items()})) == told(hardware)


@pytest.mark.parametrize(
    "path", ["clock", "dram.bandwidth", "global_buffer.read_energy", "2d.cost.mac", "2d.energy.mac"]
)
def test_what_it_reads_moves_something(path: str) -> None:
    hardware = machine("fusemax")
    assert path not in simulate(CASCADE, hardware).unread
    stated = {key.split(".", 1)[-1] if "." in key else key: value for key, value in hardware.fields().items()}
    assert told(machine("fusemax", **{path: stated[path] / 2})) != told(hardware)


def test_the_latency_of_a_level_is_named_as_unread() -> None:
    """Nobody has to wonder why changing it does nothing."""
    found = simulate(CASCADE, "tpu_v4i")
    assert "levels.dram.latency" in found.unread
    assert "levels.dram.latency" in found.explain()
