"""Published attention kernels as mappings: from the names in a table (GPU, kernel) to what lightbound simulates.

The table is attention_kernels.yaml. Where it has nothing for a row, `why_not` is the reason in words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from lightbound.archs.library import machine as find_machine
from lightbound.archs.library import machine_names
from lightbound.archs.machine import Machine
from lightbound.base.document import read_yaml
from lightbound.base.schema import check
from lightbound.sim.estimate import estimate
from lightbound.sim.masked import as_problem
from lightbound.sim.overrides import in_order, with_values
from lightbound.sim.simulate import predict, resolve_mapping
from lightbound.workloads.masks.mask import Mask
from lightbound.workloads.registry import workload

TABLE = Path(__file__).parent / "attention_kernels.yaml"
DECODE = "attention_decode"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, eq=False)
class Shape:
    """What a row runs: its mask, the batch, heads of queries and of keys, and the head dimension."""

    mask: Mask
    batch: int
    heads: int
    heads_kv: int
    dim: int

    def sizes(self, name: str) -> dict[str, int]:
        """The sizes of a workload; one without groups of queries has a head of keys for each of theirs."""
        common = {"B": self.batch, "E": self.dim, "F": self.dim, "M": self.mask.keys}
        if name == DECODE:
            return {**common, "H": self.heads_kv, "G": self.heads // self.heads_kv}
        return {**common, "H": self.heads, "P": self.mask.queries}


class KernelCase(_Document):
    """A kernel's mapping for one pass on some GPUs, at some head dimensions. With `kernel_time`, published times are
    those of kernels alone, without their launches.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    pass_: Literal["fwd", "bwd", "fwd+bwd"] = Field("fwd", alias="pass")
    capability: tuple[int, int]
    head_dim: int
    workload: str = "attention"
    mapping: str
    set: dict[str, int | str] = {}
    causal: bool | None = None
    order: Literal["launch", "longest"] = "launch"
    kernel_time: bool = False

    def fits(self, capability: int, head_dim: int, causal: bool) -> bool:
        """Whether this is the case of a row."""
        low, high = self.capability
        return low <= capability <= high and head_dim <= self.head_dim and self.causal in (None, causal)

    def seconds(self, machine: Machine, row: Shape) -> float:
        """The time predicted for attention of this shape, launches included.

        A mapping that does not skip tiles runs all of them, whatever the mask.
        """
        work = workload(self.workload, **row.sizes(self.workload))
        work, mapping = resolve_mapping(work, machine, self.mapping)
        mapping = in_order(with_values(mapping, self.set), self.order)
        if mapping.masked is None:
            prediction = predict(work, machine, mapping)
            launches = 0 if self.kernel_time else len(prediction.groups)
            return float(prediction.latency_s) - (len(prediction.groups) - launches) * float(machine.launch_latency_s)
        problem = as_problem(work.with_mask(row.mask), None, None, None)
        count = row.mask.count(*(int(self.set[name]) for name in (mapping.masked.q_tile, mapping.masked.kv_tile)))
        found = estimate(problem, machine, count, mapping)
        return found.kernel_s + found.beside_s if self.kernel_time else found.latency_s(machine)


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
    """What a row is simulated with, cases whose times add (or, where it is said so, are taken off), or `why_not`."""

    machine: Machine | None = None
    kernel: str = ""
    added: tuple[KernelCase, ...] = ()
    taken_off: tuple[KernelCase, ...] = ()
    why_not: str = ""

    def seconds(self, row: Shape) -> float:
        """The predicted time of a row."""
        machine = self.machine
        assert machine is not None
        added = sum(case.seconds(machine, row) for case in self.added)
        return added - sum(case.seconds(machine, row) for case in self.taken_off)


@cache
def kernel_table() -> KernelTable:
    """The table that ships with lightbound."""
    return check(KernelTable, read_yaml(TABLE, "kernel table"), "kernel table")


@cache
def _machine(name: str) -> Machine:
    return find_machine(name)


def find_kernel(gpu: str, kernel: str, head_dim: int, causal: bool, passes: str = "fwd") -> Found:
    """The machine and the cases for names as they stand in a published table; `passes` is fwd, bwd or fwd+bwd.

    Forward and backward together are two kernels where no case says that they are one; and where one does, a backward
    pass alone is what they take beside the forward one.
    """
    table = kernel_table()
    named = machine_named(gpu)
    if named is None:
        return Found(why_not=f"no machine for {gpu}")
    name = next((name for name, one in table.kernels.items() if kernel.lower() in (name, *one.names)), None)
    if name is None:
        return Found(named, why_not=f"no mapping for {kernel}")
    capability = int(named.params.get("compute_capability", 0))

    def case(wanted: str) -> KernelCase | None:
        cases = (one for one in table.kernels[name].cases if one.pass_ == wanted)
        return next((one for one in cases if one.fits(capability, head_dim, causal)), None)

    forward, backward, both = (case(wanted) for wanted in ("fwd", "bwd", "fwd+bwd"))
    exact = {"fwd": forward, "bwd": backward, "fwd+bwd": both}.get(passes)
    if exact is not None:
        return Found(named, name, (exact,))
    if passes == "fwd+bwd" and forward is not None and backward is not None:
        return Found(named, name, (forward, backward))
    if passes == "bwd" and forward is not None and both is not None:
        return Found(named, name, (both,), (forward,))
    what = "tiles" if passes == "fwd" else "backward pass"
    return Found(named, name, why_not=f"no {what} of {name} for {named.name} and a head dimension of {head_dim}")


def machine_named(gpu: str) -> Machine | None:
    """The machine meant by the name of a GPU: ``RTX-4090``, ``H100 (variant not stated)``, ``h100_pcie``."""
    plain = _plain(gpu)
    for name in machine_names():
        if plain in (_plain(name), *(_plain(other) for other in kernel_table().gpus.get(name, ()))):
            return _machine(name)
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", re.sub(r"\(.*?\)", "", name)).lower()
