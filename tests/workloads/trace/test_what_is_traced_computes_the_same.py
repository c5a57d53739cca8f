"""Small modules, forward and backward: the cascade evaluates to what torch computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from .replays import agrees


@pytest.fixture(autouse=True)
def in_float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(before)


class Mlp(nn.Module):
    def __init__(self, activation: Callable[[Tensor], Tensor] = nnf.gelu) -> None:
        super().__init__()
        self.up, self.down, self.activation = nn.Linear(8, 16), nn.Linear(16, 8), activation

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.activation(self.up(x)))


class Attention(nn.Module):
    """Four heads of 4, fused or written out, with keys and values of fewer heads where `shared`."""

    def __init__(self, causal: bool = False, shared: int = 4, fused: bool = True) -> None:
        super().__init__()
        self.causal, self.shared, self.fused = causal, shared, fused
        self.q_proj, self.o_proj = nn.Linear(16, 16), nn.Linear(16, 16, bias=False)
        self.k_proj, self.v_proj = nn.Linear(16, 4 * shared), nn.Linear(16, 4 * shared)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        b, n, _ = x.shape
        q = self.q_proj(x).view(b, n, 4, 4).transpose(1, 2)
        k, v = (p(x).view(b, n, self.shared, 4).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        k, v = (one.repeat_interleave(4 // self.shared, 1) for one in (k, v))
        if self.fused:
            out = nnf.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        else:
            scores = q @ k.transpose(-1, -2) / 2
            if self.causal:
                scores = scores.masked_fill(~torch.ones(n, n, dtype=torch.bool).tril(), float("-inf"))
            out = scores.softmax(-1) @ v
        return self.o_proj(out.transpose(1, 2).reshape(b, n, 16))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(11, 8), nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embed(tokens)).log_softmax(-1)


class Routed(nn.Module):
    """The two best experts of four for each token."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(8, 4), nn.Parameter(torch.randn(4, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        weight, chosen = self.gate(x).softmax(-1).topk(2, -1)
        return torch.einsum("tkij,ti,tk->tj", self.experts[chosen], x, weight / weight.sum(-1, keepdim=True))


class SquareRecurrence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.state = nn.Linear(3, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.shape[0], 4)
        for now in x.unbind(1):
            h = torch.tanh(self.inner(now) + self.state(h))
        return h


class Norms(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.group, self.batch = nn.LayerNorm(8), nn.GroupNorm(2, 4), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.batch(self.group(self.layer(x)))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 7, stride=2, padding=3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2), nn.Conv2d(8, 8, 3, padding=2, dilation=2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip


def x(*shape: int) -> Tensor:
    return torch.randn(*shape)


MODULES: dict[str, Callable[[], tuple[Any, ...]]] = {
    "mlp with gelu": lambda: (Mlp(), x(2, 5, 8)),
    "mlp with silu": lambda: (Mlp(nnf.silu), x(2, 5, 8)),
    "attention": lambda: (Attention(), x(2, 5, 16)),
    "causal attention": lambda: (Attention(causal=True), x(2, 5, 16)),
    "attention with a bias": lambda: (Attention(), x(2, 5, 16), x(5, 5)),
    "attention with a mask": lambda: (Attention(), x(2, 5, 16), x(5, 5) > -1),
    "grouped queries": lambda: (Attention(shared=2), x(2, 5, 16)),
    "attention written out": lambda: (Attention(causal=True, fused=False), x(2, 5, 16)),
    "a batch of one": lambda: (Attention(), x(1, 5, 16)),
    "tied embedding": lambda: (Tied(), torch.randint(0, 11, (2, 3))),
    "routing to experts": lambda: (Routed(), x(5, 8)),
    "an unrolled recurrence": lambda: (SquareRecurrence(), x(2, 3, 3)),
    "norms": lambda: (Norms(), x(2, 4, 8)),
    "cnn": lambda: (cnn(), x(2, 3, 16, 16)),
    "transposed convolution": lambda: (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1), x(2, 4, 5, 4)),
    "lstm": lambda: (nn.LSTM(4, 3, batch_first=True), x(2, 3, 4)),
    "torch's attention": lambda: (nn.MultiheadAttention(8, 2), x(5, 2, 8), x(5, 2, 8), x(5, 2, 8)),
    "torch's encoder layer": lambda: (nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), x(2, 5, 8)),
}


@pytest.mark.parametrize("train", [False, True], ids=["forward", "training"])
@pytest.mark.parametrize("name", MODULES)
def test_a_module_and_its_trace_compute_the_same(name: str, train: bool) -> None:
    module, *inputs = MODULES[name]()
    traced = agrees(module, *inputs, train=train)
    assert traced.opaque == ()


def linear_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    state = torch.cumsum(k.unsqueeze(-1) * v.unsqueeze(-2), 1)
    return torch.einsum("bte,btef->btf", q, state) / (q * torch.cumsum(k, 1)).sum(-1, keepdim=True)


def in_place(a: Tensor) -> tuple[Tensor, ...]:
    y = torch.zeros(3, 6, 4)
    y[:, :5] = a
    y[:, 1] += 1
    y.mul_(2)
    z = a.clone()
    z.transpose(1, 2)[:, 1:3].fill_(0.5)
    return y, z


def moved(a: Tensor) -> tuple[Tensor, ...]:
    return (
        torch.roll(a, 2, 1), nnf.pad(a, (1, 2, 0, 1), value=3.0), torch.cat([a, a * 2], 1), torch.stack([a, a * 2], 1),
        a.flip(1), a[:, ::2], a.repeat(1, 2, 1), a.view(3, 20).view(3, 2, 5, 2).transpose(1, 2).reshape(3, 20),
        a.unfold(1, 3, 2), a.expand(2, 3, 5, 4), torch.arange(4) * 2 + a, a[:, [0, 2]], torch.tril(a @ a.mT, 1),
    )  # fmt: skip


def windows(a: Tensor) -> tuple[Tensor, ...]:
    return (
        nnf.max_pool2d(a, 3, 2, 1), nnf.avg_pool2d(a, 2), nnf.adaptive_avg_pool2d(a, 2), nnf.unfold(a, 3),
        nnf.interpolate(a, scale_factor=2), nnf.pixel_shuffle(a, 2), a.sort(1)[0], a.cummax(2)[0], a.argmax(1),
        a.std(1), a.var(), a.prod(1), a.logsumexp(1), nnf.normalize(a, dim=1), nnf.softplus(a), nnf.mish(a),
        nnf.hardswish(a), nnf.elu(a), a.clamp(-1, 1), a.amax((2, 3)),
    )  # fmt: skip


def scattered(a: Tensor, i: Tensor) -> tuple[Tensor, ...]:
    chosen = a.clone()
    chosen[a > 0] = 7
    return (
        torch.zeros(4, 6).scatter_(1, i, a), torch.zeros(4, 6).scatter_add(1, i, a),
        torch.ones(6, 3).index_add(0, i[:, 0], a), chosen, torch.gather(a, 1, i % 3), nnf.one_hot(i, 6),
        torch.zeros(6, 3).index_put((i[:, 1], i[:, 0] % 3), a[:, 0], accumulate=True), a.index_select(1, i[0] % 3),
    )  # fmt: skip


def positions() -> Tensor:
    return torch.stack([torch.randperm(6)[:3] for _ in range(4)])


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (linear_attention, lambda: tuple(torch.rand(2, 5, 3) for _ in range(3))),
        (in_place, lambda: (x(3, 5, 4),)),
        (moved, lambda: (x(3, 5, 4),)),
        (windows, lambda: (x(2, 4, 8, 8),)),
        (scattered, lambda: (x(4, 3), positions())),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_function_and_its_trace_compute_the_same(function: Any, inputs: Any) -> None:
    assert agrees(function, *inputs()).opaque == ()
