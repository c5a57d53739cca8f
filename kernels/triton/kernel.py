"""What a kernel for GPUs is to everything around it: shapes, tiles, how it is called, compiled, checked and predicted.

The campaign, the compiler's tables, the tests and the predictions all go through `TritonKernel`; none of them knows a
kernel by name. Nothing here needs torch or triton.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from lightbound.base.errors import LightboundError, choose_from

from .block import Block
from .shapes import WORD_BYTES

_BYTES = {"8": 1, "16": 2, "32": 4, "64": 8}


class MissingPackage(LightboundError):  # noqa: N818 (LightboundError is one)
    """torch or triton is not installed, or there is no GPU: the message says what to do."""


def require(*packages: str) -> None:
    """Raise MissingPackage for the first of `packages` that is not installed."""
    for name in packages:
        if find_spec(name) is None:
            extra = f"Install it: pip install 'lightbound[{name}]'."
            raise MissingPackage("package", name, "is not installed, and kernels for GPUs need it", extra)


def device_code(name: str) -> Any:
    """The module of device/ of that name, which loads triton. What it holds is typed by Triton's compiler alone."""
    return import_module(f"{__name__.rpartition('.')[0]}.device.{name}")


@dataclass(frozen=True)
class Tile:
    """How a kernel is compiled: constants of its source (tile sizes above all), warps of a block, stages in flight."""

    constants: Mapping[str, int]
    warps: int
    stages: int

    @property
    def name(self) -> str:
        """All of it in a few words."""
        shown = (f"{name}{value}" for name, value in self.constants.items())
        return " ".join((*shown, f"w{self.warps}", f"s{self.stages}"))


@dataclass(frozen=True)
class Case:
    """A kernel at a shape: sizes of ranks by name, dtype (fp16, bf16, fp32), and options such as a mask's numbers.

    Sizes, dtype and options are what JSON can hold, so that a case can be recorded and run again.
    """

    kernel: str
    sizes: Mapping[str, int]
    dtype: str = "bf16"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The case in a few words; it stays the same, since splits and records hang on it."""
        sizes = (f"{rank}{size}" for rank, size in self.sizes.items())
        options = (f"{key}={_short(value)}" for key, value in self.options.items())
        return " ".join((*sizes, self.dtype, *options))

    @property
    def held_out(self) -> bool:
        """Whether the case falls into the third that models are never compared with while they are made."""
        return hashlib.sha256(f"{self.kernel} {self.name}".encode()).digest()[0] % 3 == 0


@dataclass(frozen=True)
class Work:
    """The least that a case takes: multiply-accumulates of products, exponentials, bytes read and written once."""

    macs: float
    exps: float
    bytes: float


@dataclass(frozen=True)
class Call:
    """A kernel with its inputs, ready to run.

    run: launches it once on the current stream and writes into its outputs. outputs: the tensors it writes. reference:
    the same tensors, computed independently in float64 from the same inputs. poison: fills the outputs with NaN.
    """

    run: Callable[[], None]
    outputs: Callable[[], Sequence[Any]]
    reference: Callable[[], Sequence[Any]]

    def poison(self) -> None:
        """Fill what the kernel must write with NaN."""
        for tensor in self.outputs():
            tensor.fill_(float("nan"))


@dataclass(frozen=True)
class Compiled:
    """One launch of a case for a compiler: function `function` of device/`module`.py, types of its arguments by name
    (``*fp16``, ``i32``, ``fp32``), constants, and the arguments that are divisible by 16.
    """

    module: str
    function: str
    signature: Mapping[str, str]
    constants: Mapping[str, Any]
    divisible: Sequence[str]
    warps: int
    stages: int
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def word_bytes(self) -> int:
        """Bytes of a word of its first tensor."""
        types = (kind.lstrip("*").removeprefix("tensordesc<") for kind in self.signature.values())
        return next(_BYTES[bits[1]] for kind in types if (bits := re.match(r"(?:bf|fp|f|i)(8|16|32|64)", kind)))

    @property
    def descriptors(self) -> bool:
        """Whether it reads tiles through tensor descriptors."""
        return any(kind.startswith("tensordesc") for kind in self.signature.values())


@dataclass(frozen=True)
class Launch:
    """One launch of a case as the simulator is told of it: a mapping of a cascade, in plain data.

    workload: the name of a workload that ships with lightbound, or lines of a cascade. sizes: of its ranks. mapping:
    the name of one of the workload's mappings, or a mapping as data. set: params and tile sizes that differ from it.
    mask: `kind` and its fields, None where everything sees everything. order: in which blocks start where they differ,
    and of how many copies of the mask at a time (`section`; 0: all).
    """

    workload: str
    sizes: Mapping[str, int]
    mapping: str | Mapping[str, Any]
    set: Mapping[str, int | str] = field(default_factory=dict)
    mask: Mapping[str, Any] | None = None
    order: str = "launch"
    word_bytes: int = 2
    section: int = 0


@dataclass(frozen=True)
class TritonKernel:
    """A kernel: its campaign's cases, and for each case tile, call, work, compiler inputs and mapping.

    tile: the default tile for a case on a compute capability (90 for sm_90; 942 for gfx942), a fixed rule. tiles:
    others worth trying. prepare: makes random inputs of a case on a device ("cuda", "cpu" under the interpreter) from a
    seed.
    peers: other implementations of the same case, by name, each a function like `prepare` that returns what to run.
    tolerance: the largest error against float64, relative to the largest value, by dtype. blocks: what a block of
    threads does, by function of the device code, from a launch: to estimate what it takes before it is compiled.
    varied: the sizes, or options that are a list of sizes, in which new shapes may differ from `cases`, where the new
    case is `possible`. more: cases whose code is kept on record though the campaign leaves them out. rules: what a case
    has to be (rules.py); whatever the kernel does with a case begins with `check_case`.
    """

    name: str
    title: str
    cases: Sequence[Case]
    tile: Callable[[Case, int], Tile]
    prepare: Callable[[Case, Tile, str, int], Call]
    work: Callable[[Case], Work]
    compiled: Callable[[Case, Tile], Sequence[Compiled]]
    launches: Callable[[Case, Tile, int], Sequence[Launch]]
    tiles: Callable[[Case, int], Sequence[Tile]] = lambda case, capability: ()
    peers: Mapping[str, Callable[[Case, str, int], Callable[[], Any]]] = field(default_factory=dict)
    tolerance: Mapping[str, float] = field(default_factory=lambda: {"fp32": 1e-5, "fp16": 2e-3, "bf16": 1.6e-2})
    tiny: Sequence[Case] = ()
    more: Sequence[Case] = ()
    varied: Sequence[str] = ()
    possible: Callable[[Case], bool] = lambda case: True
    blocks: Mapping[str, Callable[[Compiled], Block]] = field(default_factory=dict)
    rules: Sequence[Callable[[Case], None]] = ()

    def __post_init__(self) -> None:
        for name in ("tile", "tiles", "prepare", "work", "compiled", "launches"):
            object.__setattr__(self, name, self._checked(getattr(self, name)))

    def check_case(self, case: Case) -> None:
        """Raise LightboundError, which names the field, its value and a remedy, where the kernel takes no such case."""
        if case.dtype not in WORD_BYTES:
            raise LightboundError("dtype", case.dtype, "is no type of kernels", choose_from(WORD_BYTES, case.dtype))
        for rule in self.rules:
            rule(case)

    def takes(self, case: Case) -> bool:
        """Whether `check_case` passes."""
        try:
            self.check_case(case)
        except LightboundError:
            return False
        return True

    def _checked(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def checked(case: Case, *others: Any) -> Any:
            self.check_case(case)
            return function(case, *others)

        return checked

    @property
    def on_record(self) -> Sequence[Case]:
        """The cases whose code is on record."""
        return (*self.cases, *self.more)


def _short(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
