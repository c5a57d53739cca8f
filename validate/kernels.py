"""Published attention kernels as mappings: from the names in a table (GPU, kernel) to what lightbound simulates.

The table is attention_kernels.yaml. Where it has nothing for a row, `why_not` is the reason in words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from lightbound.archs.library import machine as find_machine
from lightbound.archs.library import machine_names
from lightbound.archs.machine import Machine
from lightbound.base.document import read_yaml
from lightbound.base.schema import check
from lightbound.sim.mapping import Mapping
from lightbound.sim.overrides import in_order, with_values
from lightbound.sim.simulate import resolve_mapping
from lightbound.workloads.registry import Workload

TABLE = Path(__file__).parent / "attention_kernels.yaml"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KernelCase(_Document):
    """A kernel's mapping on some GPUs, at some head dimensions."""

    capability: tuple[int, int]
    head_dim: int
    mapping: str
    set: dict[str, int | str] = {}
    causal: bool | None = None
    order: Literal["launch", "longest"] = "launch"

    def fits(self, capability: int, head_dim: int, causal: bool) -> bool:
        """Whether this is the case of a row."""
        low, high = self.capability
        return low <= capability <= high and head_dim <= self.head_dim and self.causal in (None, causal)

    def made(self, work: Workload, machine: Machine) -> tuple[Workload, Mapping]:
        """The mapping with its values, and the workload in the variant that it is written for."""
        work, mapping = resolve_mapping(work, machine, self.mapping)
        return work, in_order(with_values(mapping, self.set), self.order)


class Kernel(_Document):
    """A published kernel: its names in tables, what it is known from, and its cases, the first that fits counts."""

    names: tuple[str, ...]
    source: str
    cases: tuple[KernelCase, ...]


class KernelTable(_Document):
    """The kernels, and names of GPUs that are not simply those of machines."""

    gpus: dict[str, tuple[str, ...]]
    kernels: dict[str, Kernel]


@dataclass(frozen=True)
class Found:
    """What a row is simulated with, or `why_not`."""

    machine: Machine | None = None
    kernel: str = ""
    case: KernelCase | None = None
    why_not: str = ""


@cache
def kernel_table() -> KernelTable:
    """The table that ships with lightbound."""
    return check(KernelTable, read_yaml(TABLE, "kernel table"), "kernel table")


@cache
def _machine(name: str) -> Machine:
    return find_machine(name)


def find_kernel(gpu: str, kernel: str, head_dim: int, causal: bool) -> Found:
    """The machine and the case for names as they stand in a published table."""
    table = kernel_table()
    named = machine_named(gpu)
    if named is None:
        return Found(why_not=f"no machine for {gpu}")
    name = next((name for name, one in table.kernels.items() if kernel.lower() in (name, *one.names)), None)
    if name is None:
        return Found(named, why_not=f"no mapping for {kernel}")
    capability = int(named.params.get("compute_capability", 0))
    for case in table.kernels[name].cases:
        if case.fits(capability, head_dim, causal):
            return Found(named, name, case)
    return Found(named, name, why_not=f"no tiles of {name} for {named.name} and a head dimension of {head_dim}")


def machine_named(gpu: str) -> Machine | None:
    """The machine meant by the name of a GPU: ``RTX-4090``, ``H100 (variant not stated)``, ``h100_pcie``."""
    plain = _plain(gpu)
    for name in machine_names():
        if plain in (_plain(name), *(_plain(other) for other in kernel_table().gpus.get(name, ()))):
            return _machine(name)
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", re.sub(r"\(.*?\)", "", name)).lower()
