"""What is compared on the host: a kernel at a shape, its inputs, and the mask where it has one.

Shapes are split by hash into calibration and held-out ones, as is done where something is fitted. Here nothing is: the
two should be predicted equally well. Of each kernel a third is held out, so that the split compares shapes, and not
kernels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from math import prod
from typing import Any

import numpy as np

from lightbound.base.errors import LightboundError, choose_from
from lightbound.kernels import host
from lightbound.kernels.host.catalogue import DECLARED, Declared
from lightbound.workloads.masks.causal import Causal
from lightbound.workloads.masks.gna import GNA
from lightbound.workloads.masks.mask import Mask
from lightbound.workloads.masks.sliding_window import SlidingWindow

from .shapes import SHAPES

Call = Callable[[list[float]], Any]
LINE = 64  # bytes of a cache line


@dataclass(frozen=True)
class HostCase:
    """A kernel of the catalogue at a shape. `sizes` are those of its ranks; `options` what else its call needs;
    `fresh`: the shape was drawn, and is none of those that are always compared (fresh.py).
    """

    kernel: str
    sizes: dict[str, int]
    options: dict[str, Any] = field(default_factory=dict)
    fresh: bool = False

    @property
    def declared(self) -> Declared:
        """The kernel as data."""
        runnable = KERNELS[self.kernel]
        return DECLARED[runnable.instead(self.sizes, self.options) or runnable.declared]

    @property
    def ranks(self) -> dict[str, int]:
        """Sizes of the ranks of its declaration."""
        return self.sizes | KERNELS[self.kernel].more(self.sizes, self.options)

    @property
    def name(self) -> str:
        """Sizes and options in a few words."""
        shown = [f"{rank}{size}" for rank, size in self.sizes.items()]
        return " ".join((*shown, *(f"{key} {_short(value)}" for key, value in self.options.items())))

    @property
    def held_out(self) -> bool:
        """Whether the shape falls into the third of its kernel's that is held out: that of the least hashes. All fresh
        ones are.
        """
        return self.fresh or self._hash < _least_kept(self.kernel)

    @property
    def _hash(self) -> bytes:
        return hashlib.sha256(f"{self.kernel} {self.name}".encode()).digest()

    @property
    def mask(self) -> Mask | None:
        """The mask of the kernel's queries and keys; None where all see all."""
        return KERNELS[self.kernel].mask(self.sizes, self.options)

    def call(self, threads: int) -> Call:
        """The kernel with inputs made for it, ready to run: it fills a list with the seconds of its threads."""
        return KERNELS[self.kernel].prepare(self.sizes, self.options, threads)


@dataclass(frozen=True)
class Runnable:
    """How a kernel is run, which declaration describes it, and its mask at some sizes and options; at some of them it
    does what another declaration says, `instead`. `more`: sizes of the declaration's ranks that follow from both.
    """

    declared: str
    prepare: Callable[[dict[str, int], dict[str, Any], int], Call]
    mask: Callable[[dict[str, int], dict[str, Any]], Mask | None] = lambda sizes, options: None
    instead: Callable[[dict[str, int], dict[str, Any]], str | None] = lambda sizes, options: None
    more: Callable[[dict[str, int], dict[str, Any]], dict[str, int]] = lambda sizes, options: {}


def _short(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _room(*shape: int) -> np.ndarray:
    """An array that begins at a cache line, as tensors of frameworks do: vectors of others lie across two lines."""
    memory = np.empty(prod(shape) + LINE // 4, np.float32)
    start = -memory.ctypes.data % LINE // 4
    return memory[start : start + prod(shape)].reshape(shape)


def _random(*shape: int) -> np.ndarray:
    made = _room(*shape)
    made[...] = np.random.default_rng(list(shape)).standard_normal(shape)
    return made


def _attention_inputs(sizes: dict[str, int]) -> list[np.ndarray]:
    batch, heads, e, f = sizes["B"], sizes["H"], sizes["E"], sizes["F"]
    return [
        _random(batch, heads, sizes["P"], e),
        _random(batch, heads, sizes["M"], e),
        _random(batch, heads, sizes["M"], f),
    ]


def _attention(function: Callable[..., Any], scores: bool = False, **fixed: Any) -> Callable[..., Call]:
    def prepare(sizes: dict[str, int], options: dict[str, Any], threads: int) -> Call:
        q, k, v = _attention_inputs(sizes)
        out = _room(*q.shape[:3], v.shape[3])
        room = {"scores": _room(*q.shape[:3], k.shape[2])} if scores else {}
        return lambda seconds: function(q, k, v, **fixed, **room, **options, threads=threads, seconds=seconds, out=out)

    return prepare


def _block_sparse(sizes: dict[str, int], options: dict[str, Any], threads: int) -> Call:
    q, k, v = _attention_inputs(sizes)
    table, out = _blocks(sizes, options), _room(*q.shape[:3], v.shape[3])
    return lambda seconds: host.block_sparse_attention(q, k, v, table, threads=threads, seconds=seconds, out=out)


def _blocks(sizes: dict[str, int], options: dict[str, Any]) -> np.ndarray:
    shape = (-(-sizes["P"] // 64), -(-sizes["M"] // 64))
    return np.random.default_rng(7).random(shape) < options["share"]


def _block_mask(sizes: dict[str, int], options: dict[str, Any]) -> Mask:
    from lightbound.workloads.masks.block_sparse import BlockSparse

    return BlockSparse((sizes["P"],), (64,), _blocks(sizes, options), (64,), (sizes["M"],))


def _gemm(sizes: dict[str, int], options: dict[str, Any], threads: int) -> Call:
    a, b = _random(sizes["B"], sizes["M"], sizes["K"]), _random(sizes["B"], sizes["K"], sizes["N"])
    out = _room(sizes["B"], sizes["M"], sizes["N"])
    return lambda seconds: host.gemm(a, b, threads=threads, seconds=seconds, out=out)


def _softmax(sizes: dict[str, int], options: dict[str, Any], threads: int) -> Call:
    x = _random(sizes["R"], sizes["N"])
    out = _room(*x.shape)
    return lambda seconds: host.softmax(x, threads=threads, seconds=seconds, out=out)


def _exp(sizes: dict[str, int], options: dict[str, Any], threads: int) -> Call:
    x = _random(sizes["N"])
    out = _room(*x.shape)
    return lambda seconds: host.exp(x, threads=threads, seconds=seconds, out=out)


def _linear(sizes: dict[str, int], options: dict[str, Any], threads: int) -> Call:
    heads, tokens = sizes["H"], sizes["T1"] * sizes["T0"]
    q, k, v = _random(heads, tokens, sizes["E"]), _random(heads, tokens, sizes["E"]), _random(heads, tokens, sizes["F"])
    chunk, out = sizes["T0"], _room(*v.shape)
    return lambda seconds: host.linear_attention(q, k, v, chunk=chunk, threads=threads, seconds=seconds, out=out)


def _prefix(sizes: dict[str, int], options: dict[str, Any], threads: int) -> Call:
    scores, v = _random(sizes["H"], sizes["T"]), _random(sizes["H"], sizes["T"], sizes["F"])
    out = _room(*v.shape)
    return lambda seconds: host.prefix_attention(scores, v, **options, threads=threads, seconds=seconds, out=out)


def _walked_twice(sizes: dict[str, int], options: dict[str, Any]) -> int:
    """Tokens of a head in chunks that others follow."""
    return (sizes["T"] - 1) // options["chunk"] * options["chunk"]


KERNELS: dict[str, Runnable] = {
    "attention": Runnable("attention", _attention(host.attention)),
    "attention_causal": Runnable(
        "attention",
        _attention(host.attention, causal=True),
        lambda sizes, options: Causal(sizes["P"], sizes["M"]),
    ),
    "attention_window": Runnable(
        "attention",
        _attention(host.sliding_window_attention),
        lambda sizes, options: SlidingWindow(sizes["P"], options["before"], 0),
    ),
    "attention_gna": Runnable(
        "attention",
        _attention(host.gna_attention),
        lambda sizes, options: GNA(options["grid"], options["window"], options["stride"]),
        lambda sizes, options: {2: "attention_planes", 3: "attention_volumes"}.get(len(options["grid"])),
    ),
    "attention_blocks": Runnable("attention", _block_sparse, _block_mask),
    "attention_three_pass": Runnable("attention_three_pass", _attention(host.three_pass_attention, scores=True)),
    "linear_attention": Runnable("linear_attention", _linear),
    "prefix_attention": Runnable("prefix_attention", _prefix),
    "prefix_attention_parallel": Runnable(
        "prefix_attention_parallel",
        _prefix,
        instead=lambda sizes, options: None if _walked_twice(sizes, options) else "prefix_attention",
        more=lambda sizes, options: {"S": count} if (count := _walked_twice(sizes, options)) else {},
    ),
    "gemm": Runnable("gemm", _gemm),
    "softmax": Runnable("softmax", _softmax),
    "exp": Runnable("exp", _exp),
}


@cache
def _least_kept(kernel: str) -> bytes:
    """The least hash of a kernel's shapes that are not held out."""
    hashes = sorted(case._hash for case in host_cases([kernel]))  # pyright: ignore[reportPrivateUsage]
    return hashes[round(len(hashes) / 3)]


def host_cases(kernels: Iterable[str] = ()) -> tuple[HostCase, ...]:
    """The cases of these kernels, of all by default. LightboundError lists the kernels there are."""
    chosen = list(kernels) or list(KERNELS)
    for kernel in chosen:
        if kernel not in KERNELS:
            raise LightboundError("kernel", kernel, "is not a kernel of the host", choose_from(KERNELS, kernel))
    return tuple(HostCase(kernel, sizes, options) for kernel in chosen for sizes, options in SHAPES[kernel])
