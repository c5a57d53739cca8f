"""Peak memory: by hand at small sizes, beside what torch keeps, and what no option may break."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import lightbound as lb
from lightbound.workloads.memory.liveness import live
from lightbound.workloads.memory.ordering import best_order
from lightbound.workloads.memory.schedule import forward

CHAIN = lb.Cascade.parse("""
A[m] = X[m] * 2
B[m] = exp(A[m])
C[m] = B[m] + A[m]
Y    = sum(C[m], m)
""").with_sizes(M=100)


def test_the_peak_of_a_chain_by_hand() -> None:
    found = lb.peak_memory(CHAIN, word_bytes=1, in_place=False)
    assert dict(found.timeline) == {"A": 200, "B": 300, "C": 400, "Y": 201}
    assert (found.activation_bytes, found.at) == (400, "C")
    assert found.live == {"X": 100, "A": 100, "B": 100, "C": 100}
    assert "at C" in found.explain()


def test_in_place_einsums_write_over_what_nobody_reads_again() -> None:
    found = lb.peak_memory(CHAIN, word_bytes=1)
    assert dict(found.timeline) == {"A": 200, "B": 300, "C": 300, "Y": 201}


def test_training_keeps_what_differentiation_reads_and_no_more() -> None:
    found = lb.peak_memory(CHAIN, training=True, word_bytes=1)
    assert found.kept_bytes == 100, "the exponential by its result; sums and products by a constant need nothing"
    assert found.activation_bytes > lb.peak_memory(CHAIN, word_bytes=1).activation_bytes


def test_parameters_gradients_and_the_optimizer_are_stated_apart() -> None:
    linear = lb.Cascade.parse("Y[n,o] = sum(X[n,i] * W[o,i], i)").with_sizes(N=2, O=3, I=5)
    found = lb.peak_memory(linear, training=True, parameters=["W"], optimizer="adam", word_bytes=4)
    assert (found.parameter_bytes, found.gradient_bytes, found.optimizer_bytes) == (60, 60, 120)
    assert found.total_bytes == found.activation_bytes + 240
    with pytest.raises(lb.LightboundError, match="is not an input"):
        lb.peak_memory(linear, parameters=["V"])


def test_checkpoints_trade_memory_for_operations() -> None:
    lines = ["H0[m] = X[m] * W0[m]"] + [f"H{n}[m] = exp(H{n - 1}[m]) * W{n}[m]" for n in range(1, 16)]
    deep = lb.Cascade.parse("\n".join([*lines, "Y = sum(H15[m], m)"])).with_sizes(M=1000)
    weights = [f"W{n}" for n in range(16)]
    whole = lb.peak_memory(deep, training=True, parameters=weights)
    less = lb.peak_memory(deep, training=True, parameters=weights, checkpoint=4)
    assert less.activation_bytes < whole.activation_bytes
    assert less.recomputed > whole.recomputed == 0
    with pytest.raises(lb.LightboundError, match="is for training"):
        lb.peak_memory(deep, checkpoint=4)


def test_fusing_over_queries_takes_the_scores_out_of_memory_and_over_keys_it_cannot() -> None:
    work = lb.workload("attention", B=1, H=1, M=512, P=512, E=8, F=8)
    whole = lb.peak_memory(work).activation_bytes
    assert lb.peak_memory(work, fused=["p"]).activation_bytes < whole / 10
    assert lb.peak_memory(work, fused=["m"]).activation_bytes > 0.9 * whole, "S and N cross passes over m"
    streamed = work.with_variant("1-pass").with_sizes(M0=64)
    assert lb.peak_memory(streamed, fused=["m1"]).activation_bytes < lb.peak_memory(streamed).activation_bytes


def test_a_recurrence_holds_one_step_in_inference_and_all_in_training() -> None:
    text = "H[0,d] = 0\nG[t,d] = tanh(X[t,d] + H[t,d])\nH[t+1,d] = G[t,d]\nY[d] = H[T,d]"
    short, long = (lb.Cascade.parse(text).with_sizes(T=length, D=4) for length in (8, 64))

    def beside_the_input(cascade: lb.Cascade, training: bool) -> int:
        return lb.peak_memory(cascade, training).activation_bytes - 2 * 4 * int(cascade.size("t"))

    assert beside_the_input(short, False) == beside_the_input(long, False)
    assert beside_the_input(long, True) > 7 * beside_the_input(short, True)


@st.composite
def graphs(draw: st.DrawFn) -> lb.Cascade:
    """Small cascades whose Einsums read any earlier tensors of two sizes."""
    count = draw(st.integers(2, 6))
    lines: list[str] = []
    known = ["X[m]"]
    for number in range(count):
        operands = draw(st.lists(st.sampled_from(known), min_size=1, max_size=2, unique=True))
        ranks = draw(st.sampled_from(["m", "m,n"]))
        wide = any(",n" in one for one in operands)
        body = " * ".join(operands)
        if wide and ranks == "m":
            lines.append(f"T{number}[m] = sum({body}, n)")
        else:
            lines.append(f"T{number}[{ranks if wide else 'm'}] = {body} * 2" if wide or ranks == "m" else
                         f"T{number}[m,n] = {body} * Z[n]")  # fmt: skip
        known.append(lines[-1].partition(" = ")[0])
    cascade = lb.Cascade.parse("\n".join(lines))
    return cascade.with_sizes(**{symbol: {"M": 4, "N": 3}[symbol] for symbol in cascade.missing_sizes})


@settings(deadline=None, max_examples=40)
@given(graphs(), st.booleans())
def test_the_exact_order_is_the_best_of_all_orders(cascade: lb.Cascade, in_place: bool) -> None:
    sizes = {name: int(torch.tensor(cascade.shape(name)).prod()) for name in cascade.tensors}
    always, ends = set(cascade.inputs), set(cascade.outputs)
    tasks, how = best_order(cascade, sizes, always, ends, in_place)
    assert how == "exact"
    every = forward(cascade)
    legal = (
        [every[number] for number in order]
        for order in permutations(range(len(every)))
        if all(
            order.index(one) < order.index(other)
            for one, task in enumerate(every)
            for other, reader in enumerate(every)
            if set(task.writes) & set(reader.reads)
        )
    )
    best = min(max(live(one, sizes, always, ends, in_place).bytes_at) for one in legal)
    assert max(live(tasks, sizes, always, ends, in_place).bytes_at) == best
    found = lb.peak_memory(cascade, order="best", in_place=in_place).activation_bytes
    assert found <= lb.peak_memory(cascade, in_place=in_place).activation_bytes


# ---- beside torch


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 32), nn.Linear(32, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(nn.functional.gelu(self.up(self.norm(x))))


class Attended(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return (self.q(x) @ self.k(x).mT).softmax(-1) @ self.v(x)


class Convolved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(4, 8, 3, padding=1), nn.Conv1d(8, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x)))


MODULES: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "mlp": lambda: (Mlp(), torch.randn(3, 5, 8)),
    "attention": lambda: (Attended(), torch.randn(3, 16, 8)),
    "convolution": lambda: (Convolved(), torch.randn(2, 4, 9)),
}


def kept_by_torch(module: nn.Module, x: Tensor) -> int:
    """Bytes that autograd saves for the backward pass, storages once, without parameters and the input."""
    known = {one.untyped_storage().data_ptr() for one in (*module.parameters(), x)}
    kept: dict[int, int] = {}

    def save(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        out = module(x)
        total = sum(kept.values())
    del out
    return total


@pytest.mark.parametrize("name", MODULES)
def test_a_traced_training_step_keeps_what_torch_saves_for_the_backward_pass(name: str) -> None:
    module, x = MODULES[name]()
    found = lb.peak_memory(lb.trace(module, x, train=True), word_bytes=4)
    assert found.kept_bytes == kept_by_torch(module, x)
    assert found.gradient_bytes == found.parameter_bytes == 4 * sum(one.numel() for one in module.parameters())


class Watched(TorchDispatchMode):
    """The most bytes of storages that are alive at once, seen after each operator; those of parameters left out."""

    def __init__(self, module: nn.Module, *tensors: Tensor) -> None:
        super().__init__()
        self.parameters = {one.untyped_storage().data_ptr() for one in module.parameters()}
        self.alive: dict[int, int] = {}
        self.peak = 0
        for tensor in tensors:
            self.see(tensor)

    def see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self.alive and storage.data_ptr() not in self.parameters:
            self.alive[storage._cdata] = storage.nbytes()
            weakref.finalize(storage, self.alive.pop, storage._cdata, None)
        self.peak = max(self.peak, sum(self.alive.values()))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self.see(tensor)
        return made


def test_the_peak_of_inference_is_what_torch_has_alive() -> None:
    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Linear(8, 64), nn.Linear(64, 8)

        def forward(self, x: Tensor) -> Tensor:
            return self.down(torch.tanh(self.up(x)))

    module, x = Chain(), torch.randn(16, 8)
    with torch.no_grad(), Watched(module, x) as watched:
        module(x)
    found = lb.peak_memory(lb.trace(module, x), word_bytes=4, in_place=False)
    assert found.activation_bytes == watched.peak


@pytest.mark.parametrize("word_bytes", [0, -2, 2.5, True])
def test_a_word_of_no_whole_number_of_bytes_is_refused(word_bytes: Any) -> None:
    with pytest.raises(lb.LightboundError, match="is no number of bytes"):
        lb.peak_memory(CHAIN, word_bytes=word_bytes)


def test_the_state_of_an_optimizer_is_asked_for_in_training_alone() -> None:
    with pytest.raises(lb.LightboundError, match="optimizer = adam: is for training"):
        lb.peak_memory(CHAIN, optimizer="adam")


def test_a_tile_that_a_mapping_would_choose_is_asked_for_with_a_value_that_divides() -> None:
    work = lb.workload("attention", "llama2_7b", "1-pass")
    with pytest.raises(lb.LightboundError, match="M0=128, say; it is the tile of M") as refused:
        lb.peak_memory(work)
    assert refused.value.field == "sizes.M0"
    with pytest.raises(lb.LightboundError, match="M0=125, say"):
        lb.peak_memory(work.with_sizes(M=1000))
    with pytest.raises(lb.LightboundError, match="are a sweep"):
        lb.peak_memory(work.with_sizes(M=np.array([1024.0, 2048.0])))
    assert lb.peak_memory(work.with_sizes(M0=128)).total_bytes > 0
