"""A memory trained at test time, and its combinations with attention, sequence by sequence and token by token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Memory:
    """The network and its momentum, updated token by token with gradients taken at the start of each chunk."""

    def __init__(self, w1: torch.Tensor, w2: torch.Tensor) -> None:
        self.weights = [w1.clone(), w2.clone()]
        self.momentum = [w1 * 0, w2 * 0]

    @staticmethod
    def recall(weights: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        from torch.nn.functional import gelu

        return x + gelu(x @ weights[1]) @ weights[0].T

    def write(self, k: torch.Tensor, v: torch.Tensor, gates: torch.Tensor) -> list[list[torch.Tensor]]:
        """Learn a chunk; the weights after every token. `gates` holds decay, momentum and rate, token by token."""
        import torch

        start, after = [one.detach().requires_grad_() for one in self.weights], []
        for key, value, (decay, momentum, rate) in zip(k, v, gates, strict=True):
            with torch.enable_grad():
                loss = (self.recall(start, key) - value).square().sum()
            gradients = torch.autograd.grad(loss, start)
            self.momentum = [momentum * s - rate * g for s, g in zip(self.momentum, gradients, strict=True)]
            self.weights = [(1 - decay) * w + s for w, s in zip(self.weights, self.momentum, strict=True)]
            after.append(self.weights)
        return after


def _attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """One sequence: rows, heads and head dimension; which keys each row may see."""
    from torch.nn.functional import scaled_dot_product_attention

    mixed = scaled_dot_product_attention(*(one.transpose(0, 1) for one in (q, k, v)), attn_mask=allowed)
    return mixed.transpose(0, 1)


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """Sequence by sequence, token by token, with gradients of the memory's loss from autograd."""
    import torch
    from torch.nn.functional import conv1d, pad, rms_norm, silu

    g = given
    tokens = torch.arange(sizes["P"] if variant == "attention" else sizes["N"])
    causal = tokens[:, None] >= tokens

    def heads(x: torch.Tensor, name: str) -> torch.Tensor:
        return torch.einsum("nc,che->nhe", x, g[name])

    def merged(o: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nhe,hec->nc", o, g["HO"])

    def gates(x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(torch.stack([x @ g[name] for name in ("WA", "WE", "WT")], -1))

    def memorized(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rates: torch.Tensor, first: Memory
    ) -> torch.Tensor:
        memory, rows = first, []
        for part in torch.arange(len(q)).split(sizes["N0"]):
            start = memory.weights
            after = memory.write(k[part], v[part], rates[part])
            for t, row in enumerate(part):
                rows.append(memory.recall(start if variant == "chunk_start" else after[t], q[row]))
        return torch.stack(rows)

    def layer_memory(x: torch.Tensor, first: Memory) -> torch.Tensor:
        def convolved(which: str) -> torch.Tensor:
            taps = g["C" + which].flip(0).T[:, None]
            columns = pad((x @ g["W" + which]).T[None], (len(g["C" + which]) - 1, 0))
            return silu(conv1d(columns, taps, groups=taps.shape[0]))[0].T

        q, k, v = (convolved(which) for which in "QKV")
        q, k = (one / (one.square().sum(-1, keepdim=True) + 1e-6).sqrt() for one in (q, k))
        return memorized(q, k, v, gates(x), first) @ g["WO"]

    def windowed(x: torch.Tensor) -> torch.Tensor:
        """Keys and values of the persistent tokens stand before the sequence's own."""
        every = torch.cat([g["PT"], x])
        near = causal & (tokens[:, None] - tokens < sizes["W"])
        allowed = torch.cat([torch.ones(len(x), sizes["S"], dtype=torch.bool), near], 1)
        return merged(_attend(heads(x, "HQ"), heads(every, "HK"), heads(every, "HV"), allowed))

    def segments(x: torch.Tensor, memory: Memory) -> torch.Tensor:
        rows = []
        for part in x.split(sizes["N0"]):
            context = torch.cat([g["PT"], memory.recall(memory.weights, part @ g["WQ"])])
            every, size = torch.cat([context, part]), len(part)
            allowed = torch.cat([torch.ones(size, len(context)), torch.ones(size, size).tril()], 1).bool()
            y = merged(_attend(heads(part, "HQ"), heads(every, "HK"), heads(every, "HV"), allowed))
            memory.write(y @ g["WK"], y @ g["WV"], gates(part))
            rows.append(part + y * torch.sigmoid(memory.recall(memory.weights, y)))
        return torch.cat(rows)

    def layer(x: torch.Tensor, first: Memory | None) -> torch.Tensor:
        if first is None:
            return x + merged(_attend(heads(x, "HQ"), heads(x, "HK"), heads(x, "HV"), causal))
        if variant == "mac":
            return segments(x, first)
        xn = rms_norm(x, x.shape[-1:], g["GX"], 1e-6)
        if variant == "mag":
            return x + windowed(xn) * torch.sigmoid(layer_memory(xn, first))
        y = x + layer_memory(xn, first)
        return y + windowed(y) if variant == "mal" else y

    if variant == "attention":
        return {"O": torch.stack([layer(x, None) for x in g["X"]])}
    firsts = [Memory(*one) for one in zip(g["W1"], g["W2"], strict=True)]

    def state() -> dict[str, torch.Tensor]:
        weights = {f"M{i + 1}N": torch.stack([memory.weights[i] for memory in firsts]) for i in range(2)}
        return weights | {f"S{i + 1}N": torch.stack([memory.momentum[i] for memory in firsts]) for i in range(2)}

    if variant in ("lmm", "chunk_start"):
        rates = torch.stack([g["AL"], g["ET"], g["TH"]], -1)
        found = [memorized(*one) for one in zip(g["Q"], g["K"], g["V"], rates, firsts, strict=True)]
        return {"Y": torch.stack(found), **state()}
    o = torch.stack([layer(*one) for one in zip(g["X"], firsts, strict=True)])
    return {"O": o, **(state() if variant == "mac" else {})}
