"""Measured operators: which workload, mapping and machine a row of a table of timings is, and what is predicted for it.

Two layouts of tables are known by their headers: operators with their dimensions in one cell (`dims`), and with one
column each (`H`). What is scored, and against which bars, is said by the suite.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightbound.archs.library import machine, machine_names
from lightbound.archs.machine import Machine
from lightbound.base.document import read_text
from lightbound.base.errors import LightboundError
from lightbound.sim.prediction import Prediction
from lightbound.sim.simulate import simulate
from lightbound.workloads.mappings.rows import COMPILED_KEPT
from lightbound.workloads.registry import Workload, workload

from .cases import LIMIT_BYTES, Case, Column, read_cases

DEVICES = {
    "a100": "a100",
    "nvidia a100-pcie-40gb": "a100_40",
    "tesla v100-pcie-32gb": "v100_pcie",
    "tesla t4": "t4",
}
WORD_BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}
WARP_SOFTMAX = 1024  # columns up to which PyTorch's softmax keeps a row in the registers of one warp

_COMMON = (
    Column("device", "text"),
    Column("op", "text"),
    Column("dtype", "text", tuple(WORD_BYTES), empty=True),
    Column("measured_latency_s", "number"),
    Column("overhead_s", "number", empty=True, optional=True),
    Column("source_file", "text", empty=True, optional=True),
)
IN_ONE_CELL = (
    *_COMMON,
    Column("dims", "text"),
    *(
        Column(f"llmcompass_{name}latency_s", "number", empty=True, optional=True)
        for name in ("predicted_", "rerun_", "roofline_")
    ),
)
IN_COLUMNS = (
    *_COMMON,
    *(Column(name, "whole", empty=True) for name in "BMNKH"),
    *(
        Column(name, "text", empty=True, optional=True)
        for name in (
            "kernel", "grid_x", "grid_y", "grid_z", "block_x", "block_y", "block_z", "warps_per_sm", "blocks_per_sm",
            "torch", "split",
        )
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Operator:
    """A measured operator: what it is called in reports, its workload and the mapping of the library that ran it, with
    another one where that has no room for what it holds.
    """

    name: str
    work: Workload
    mapping: str
    without_room: str | None = None


@dataclass(frozen=True)
class Row:
    """One row: its operator and machine, seconds measured, seconds predicted for the kernel alone (no launch), and the
    overhead that the table states for it, if it does.
    """

    device: str
    operator: str
    sizes: Mapping[str, int]
    measured_s: float
    kernel_s: float
    overhead_s: float | None


def read_operators(path: Path, compiled: Collection[str] = ()) -> tuple[list[Row], dict[str, int]]:
    """The rows of a table that can be predicted, and how many others there are by the reason why not. `compiled` are
    operators whose kernels a framework's compiler made, where these differ from those that it ships.
    """
    rows: list[Row] = []
    others: dict[str, int] = {}
    for case in read_cases(path, _columns(path)):
        try:
            rows.append(_row(case, compiled))
        except LightboundError as error:
            reason = f"{case.cells['op']}: {error.field} {error.problem}"
            others[reason] = others.get(reason, 0) + 1
    return rows, others


def _columns(path: Path) -> tuple[Column, ...]:
    lines = read_text(path, "cases", LIMIT_BYTES).splitlines()
    header = next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
    names = [name.strip() for name in next(csv.reader([header]), [])]
    return IN_ONE_CELL if "dims" in names else IN_COLUMNS


def _row(case: Case, compiled: Collection[str]) -> Row:
    cells = case.cells
    known = DEVICES.get(cells["device"].lower(), cells["device"])
    if known not in machine_names():
        raise LightboundError("device", cells["device"], f"{cells['device']} has no machine file", "Write one.")
    operator = _operator(cells, compiled)
    hardware = machine(known)
    prediction = _predicted(operator, hardware)
    kernel = float(prediction.latency_s) - float(hardware.launch_latency_s) * len(prediction.groups)
    sizes = {name: int(size) for name, size in operator.work.sizes.items()}
    return Row(cells["device"], operator.name, sizes, cells["measured_latency_s"], kernel, cells.get("overhead_s"))


def _predicted(operator: Operator, hardware: Machine) -> Prediction:
    try:
        return simulate(operator.work, hardware, operator.mapping)
    except LightboundError as error:
        if operator.without_room is None or not error.field.endswith("capacity"):
            raise
        return simulate(operator.work, hardware, operator.without_room)


def _operator(cells: Mapping[str, Any], compiled: Collection[str]) -> Operator:
    name = cells["op"].lower()
    made = _COMPILED[name] if name in compiled and name in _COMPILED else _MADE.get(name)
    if made is None:
        reason = _UNPREDICTED.get(name, "is no operator with a mapping here")
        raise LightboundError("op", cells["op"], reason, f"Known are {', '.join(_MADE)}.")
    return made(_sizes(cells), WORD_BYTES[cells.get("dtype", "fp16")])


def _sizes(cells: Mapping[str, Any]) -> dict[str, int]:
    """Dimensions by their letters, from one cell (``M=64 N=128``) or from columns."""
    if "dims" not in cells:
        return {name: cells[name] for name in "BMNKH" if name in cells}
    parts = [part.split("=") for part in cells["dims"].split()]
    if not all(len(part) == 2 and part[1].isdigit() for part in parts):
        raise LightboundError("dims", cells["dims"], "is no list of sizes", "Write them as M=64 N=128.")
    return {name: int(size) for name, size in parts}


def _need(sizes: Mapping[str, int], *names: str) -> list[int]:
    for name in names:
        if name not in sizes:
            raise LightboundError(name, None, "is missing", f"Give {', '.join(names)}.")
    return [sizes[name] for name in names]


def _product(sizes: Mapping[str, int], word_bytes: int) -> Operator:
    m, n, k = _need(sizes, "M", "N", "K")
    return Operator("matmul", workload("matmul", word_bytes=word_bytes, M=m, N=n, K=k), "gemm" + _fp32(word_bytes))


def _linear(sizes: Mapping[str, int], word_bytes: int) -> Operator:
    """[M, N] x [N, K]: these tables name the contracted dimension N."""
    m, n, k = _need(sizes, "M", "N", "K")
    made = _product({"M": m, "N": k, "K": n}, word_bytes)
    return Operator("linear", made.work, made.mapping)


def _batched(sizes: Mapping[str, int], word_bytes: int) -> Operator:
    b, m, n, k = _need(sizes, "B", "M", "N", "K")
    work = workload("batched_matmul", word_bytes=word_bytes, B=b, M=m, N=k, K=n)
    return Operator("bmm", work, "gemm" + _fp32(word_bytes))


def _fp32(word_bytes: int) -> str:
    return "_fp32" if word_bytes == 4 else ""


def _matrix(sizes: Mapping[str, int]) -> dict[str, Any]:
    """Rows and columns: M x N, B x H, or one row of N."""
    if "H" in sizes:
        rows, columns = _need(sizes, "B", "H")
    else:
        rows, columns = sizes.get("M", 1), _need(sizes, "N")[0]
    return {"R": rows, "N": columns}


def _softmax(sizes: Mapping[str, int], word_bytes: int) -> Operator:
    shape = _matrix(sizes)
    mapping = "on_chip" if shape["N"] <= WARP_SOFTMAX else "reread"
    return Operator("softmax", workload("softmax", word_bytes=word_bytes, **shape), mapping)


def _layernorm(sizes: Mapping[str, int], word_bytes: int) -> Operator:
    return Operator("layernorm", workload("layernorm", word_bytes=word_bytes, **_matrix(sizes)), "reread")


def _compiled_layernorm(sizes: Mapping[str, int], word_bytes: int) -> Operator:
    shape = _matrix(sizes)
    work = workload("layernorm", variant="recompute", word_bytes=word_bytes, **shape)
    if shape["N"] <= COMPILED_KEPT:
        return Operator("layernorm", work, "compiled_kept")
    return Operator("layernorm", work, "compiled_near", without_room="compiled")


def _elementwise(name: str) -> Callable[[Mapping[str, int], int], Operator]:
    def made(sizes: Mapping[str, int], word_bytes: int) -> Operator:
        return Operator(name, workload("elementwise", variant=name, word_bytes=word_bytes, **_matrix(sizes)), name)

    return made


_MADE: dict[str, Callable[[Mapping[str, int], int], Operator]] = {
    "matmul": _product,
    "linear": _linear,
    "bmm": _batched,
    "softmax": _softmax,
    "layernorm": _layernorm,
    "ln": _layernorm,
    "gelu": _elementwise("gelu"),
    "add": _elementwise("add"),
}
_COMPILED = {"layernorm": _compiled_layernorm}
_UNPREDICTED = {
    "allreduce": "runs over several machines, which mappings do not describe",
    "transformer_layer": "is a share of a layer on four machines, stated without its shape",
}
