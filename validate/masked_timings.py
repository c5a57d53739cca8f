"""Timings of masked attention kernels, read from tables, and what lightbound bounds and predicts for each.

Two tables are known: the one that ships (`published/gna_timings.csv`) and those of users, in the columns in which
NATTEN's profiler logs were collected. Bars and checks are for the suite that scores them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from lightbound.archs.library import machine as find_machine
from lightbound.archs.library import machine_names
from lightbound.base.errors import LightboundError, choose_from
from lightbound.sim.bound import bound
from lightbound.sim.ladder import Ladder
from lightbound.sim.mapping import Mapping
from lightbound.sim.overrides import with_values
from lightbound.sim.simulate import resolve_mapping
from lightbound.workloads.masks.backends import backend as find_backend
from lightbound.workloads.masks.backends import backend_names
from lightbound.workloads.masks.dense import Dense
from lightbound.workloads.registry import Workload, workload

from .cases import Case, Column, read_cases

DENSE, FORWARD, BACKWARD = "dense", "forward", "backward"
KERNELS = (DENSE, FORWARD, BACKWARD, "copies")
PUBLISHED = (
    *(Column(name, "text") for name in ("machine", "backend", "grid")),
    Column("heads", "whole"),
    *(Column(name, "text") for name in ("window", "stride")),
    *(Column(name, "text", empty=True) for name in ("q_tile", "kv_tile")),
    Column("kernel", "text", KERNELS),
    Column("measured_s", "number"),
    Column("source", "text"),
)
COLUMNS = (
    *(Column(name, "text") for name in ("gpu", "backend", "problem_shape")),
    *(Column(name, "whole", optional=name == "batch") for name in ("batch", "heads", "head_dim")),
    Column("dtype", "text", ("fp16", "bf16"), optional=True),
    *(Column(name, "text") for name in ("window", "stride")),
    *(Column(name, "text", optional=True) for name in ("dilation", "causal", "q_tile", "kv_tile")),
    *(Column(name, "text", optional=True) for name in ("kernel", "kernel_category", "arch")),
    Column("calls", "whole", optional=True),
    Column("runtime_us", "number"),
    *(Column(name, "text", optional=True) for name in ("source_file", "note")),
)
GATHERING = "cutlass-fna"
# Instructions for the place of a vector of a tile: two divisions with remainders (44), and on three axes a comparison
# with both ends and a stride. Counted in NATTEN's source, csrc/include/natten/cuda/fna/na_utils.cuh, not in machine
# code.
PLACE = 55
GPUS = {"a100": "a100", "h100": "h100_sxm", "h200": "h200", "b200": "b200", "gb200": "gb200"}


@dataclass(frozen=True)
class Timing:
    """One kernel, measured. A dense one has no window; where tiles are not given they are the backend's default."""

    where: str
    machine: str
    backend: str
    grid: tuple[int, ...]
    heads: int
    window: tuple[int, ...]
    stride: tuple[int, ...]
    kernel: str
    measured_s: float
    source: str
    q_tile: tuple[int, ...] | None = None
    kv_tile: tuple[int, ...] | None = None
    dilation: tuple[int, ...] | int = 1
    causal: tuple[bool, ...] | bool = False
    batch: int = 1
    head_dim: int = 128

    @property
    def case(self) -> tuple[Any, ...]:
        """What a masked kernel shares with the dense one that it is compared with."""
        return self.machine, self.grid, self.heads, self.batch, self.head_dim

    @property
    def name(self) -> str:
        """Machine, grid and stride in a few words."""
        stride = "" if self.kernel == DENSE else f", stride {'x'.join(map(str, self.stride))}"
        return f"{self.machine}, {'x'.join(map(str, self.grid))}{stride}"

    @cached_property
    def ladder(self) -> Ladder:
        """Bounds and estimate of this kernel on its machine."""
        try:
            return self._dense_ladder() if self.kernel == DENSE else self._masked_ladder()
        except LightboundError as error:
            raise LightboundError(f"{self.where}: {error.field}", error.value, error.problem, error.remedy) from error

    @property
    def predicted_s(self) -> float | None:
        """The estimate of its time, where there is one."""
        return self.ladder.estimate.kernel_s if self.ladder.estimate else None

    def _masked_ladder(self) -> Ladder:
        work = workload(
            "gna",
            B=self.batch,
            H=self.heads,
            E=self.head_dim,
            F=self.head_dim,
            grid=self.grid,
            window=self.window,
            stride=self.stride,
            dilation=self.dilation,
            causal=self.causal,
        )
        tiling = find_backend(self.backend).kv_tiling if self.backend in backend_names() else "static"
        mapping = self._mapping(work)
        return bound(work, self.machine, self.q_tile, self.kv_tile, tiling, backend=self._own_backend, mapping=mapping)

    def _mapping(self, work: Workload) -> Mapping | None:
        """Of a backend that gathers tiles token by token, the mapping that says so; of others the first that fits."""
        if self.backend != GATHERING:
            return None
        keys = prod(self.kv_tile) if self.kv_tile is not None else 64
        name = "flash_templates" if keys >= self.head_dim else "flash_templates_wide"
        mapping = resolve_mapping(work, find_machine(self.machine), name)[1]
        return with_values(mapping, {"GATHER": PLACE})

    @property
    def _own_backend(self) -> str | None:
        return self.backend if self.q_tile is None and self.backend in backend_names() else None

    def _dense_ladder(self) -> Ladder:
        """Dense attention in the tiles of the fused kernel: two matrix instructions of queries, 128 keys."""
        tokens = 1
        for extent in self.grid:
            tokens *= extent
        rows = 2 * find_machine(self.machine).params.get("mma_rows", 64)
        alone = Dense((tokens,))
        return bound(alone, self.machine, rows, 128, heads=self.heads, head_dim=self.head_dim, batch=self.batch)


def published_timings() -> tuple[Timing, ...]:
    """The timings that ship with lightbound."""
    path = Path(__file__).with_name("published") / "gna_timings.csv"
    return tuple(_published(case) for case in read_cases(path, PUBLISHED) if case.cells["kernel"] != "copies")


def user_timings(path: Path) -> tuple[Timing, ...]:
    """The attention kernels of a user's file; rows of other kernels and totals are passed over."""
    cases = [
        case for case in read_cases(path, COLUMNS) if case.cells.get("kernel_category", "attention") == "attention"
    ]
    if not cases:
        remedy = "Set kernel_category to attention in the rows of attention kernels, or leave it out."
        raise LightboundError("cases", str(path), "has no row of an attention kernel", remedy)
    return tuple(_given(case) for case in cases)


def _published(case: Case) -> Timing:
    cells = case.cells
    return Timing(
        where=case.where,
        grid=_shape(case, "grid"),
        window=_shape(case, "window"),
        stride=_shape(case, "stride"),
        q_tile=_shape(case, "q_tile") if "q_tile" in cells else None,
        kv_tile=_shape(case, "kv_tile") if "kv_tile" in cells else None,
        **{name: cells[name] for name in ("machine", "backend", "heads", "kernel", "measured_s", "source")},
    )


def _given(case: Case) -> Timing:
    cells = case.cells
    grid, window = _shape(case, "problem_shape"), _shape(case, "window")
    masked = "q_tile" in cells or grid != window
    causal = tuple(bool(flag) for flag in _shape(case, "causal")) if "causal" in cells else False
    name = str(cells.get("kernel", ""))
    backward = "backward" in name.lower() or "bprop" in name.lower()
    return Timing(
        where=case.where,
        machine=_machine(case),
        backend=cells["backend"],
        grid=grid,
        heads=cells["heads"],
        window=window,
        stride=_shape(case, "stride"),
        kernel=BACKWARD if backward else FORWARD if masked else DENSE,
        measured_s=cells["runtime_us"] * 1e-6,
        source=cells.get("source_file", str(case.where)),
        q_tile=_shape(case, "q_tile") if "q_tile" in cells else None,
        kv_tile=_shape(case, "kv_tile") if "kv_tile" in cells else None,
        dilation=_shape(case, "dilation") if "dilation" in cells else 1,
        causal=causal,
        batch=cells.get("batch", 1),
        head_dim=cells["head_dim"],
    )


def _machine(case: Case) -> str:
    given = str(case.cells["gpu"])
    name = GPUS.get(given.lower(), given.lower())
    if name not in machine_names():
        raise LightboundError(
            f"{case.where}: gpu", given, "is not a machine that is known", choose_from((*GPUS, *machine_names()), name)
        )
    return name


def _shape(case: Case, column: str) -> tuple[int, ...]:
    parts = str(case.cells[column]).split("x")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise LightboundError(
            f"{case.where}: {column}", case.cells[column], "is not a shape", "Write numbers and x: 30x48x80."
        )
    return tuple(int(part) for part in parts)


@dataclass(frozen=True)
class Measured:
    """A masked kernel beside the dense one of the same case: the speedup that was measured, and its bounds.

    baseline: how much slower a tile of the dense kernel is than one of a perfectly block-sparse kernel, on this machine
    (1 where it is faster): a dense kernel of the masked kernel's quality is faster by that, and so is the bound.
    """

    timing: Timing
    dense: Timing
    baseline: float

    @property
    def speedup(self) -> float:
        """Measured: dense over masked."""
        return self.dense.measured_s / self.timing.measured_s

    @property
    def normalised_bound(self) -> float:
        """The tightest bound of the ladder, over a dense kernel that is slower by `baseline`."""
        return self.timing.ladder.speedup * self.baseline


def measured_speedups(timings: Sequence[Timing]) -> tuple[Measured, ...]:
    """Every masked forward kernel of which the dense one was measured too."""
    dense = {timing.case: timing for timing in timings if timing.kernel == DENSE}
    pairs = [
        Measured(timing, dense[timing.case], 1.0)
        for timing in timings
        if timing.kernel == FORWARD and timing.case in dense
    ]
    baselines = _baselines(pairs)
    return tuple(replace(pair, baseline=baselines[pair.timing.machine]) for pair in pairs)


def _baselines(pairs: Iterable[Measured]) -> dict[str, float]:
    """By machine, the largest ratio of dense to block-sparse time of a tile; at least 1."""
    found: dict[str, float] = {}
    for pair in pairs:
        count = pair.timing.ladder.count
        known = found.setdefault(pair.timing.machine, 1.0)
        if not pair.timing.ladder.tested_visits:
            found[pair.timing.machine] = max(known, pair.speedup * count.visits_total / count.dense_visits)
    return found
