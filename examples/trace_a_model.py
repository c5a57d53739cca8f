"""Your own torch module: from its forward function to operations, latency and memory, before a kernel is written.

Change Model, SHAPE or MACHINES, and run it again. The module is traced at a small size first and computed next to
torch, so that what is predicted below is what it computes; then at the size that you mean, which takes no memory.

How to read what it prints: linear attention walks the tokens once, so its time and its memory grow as they do. The
training step keeps for its backward pass what autograd would save.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import lightbound as lb
from lightbound.sim.explain import seconds, size
from lightbound.workloads.trace import replay, scan, weightless

SHAPE = {"batch": 2, "tokens": 65536, "width": 1024}
MACHINES = ("h100_sxm", "tpu_v4i")


class Model(nn.Module):
    """Linear attention with decay, as a loop over time."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, 64) for _ in range(3))
        self.o_proj = nn.Linear(64, width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)

        def step(state: Tensor, now: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            q, k, v = now
            state = 0.98 * state + k.unsqueeze(-1) * v.unsqueeze(-2)
            return state, (q.unsqueeze(-1) * state).sum(-2)

        first = torch.zeros(x.shape[0], 64, 64, dtype=x.dtype)
        return x + self.o_proj(scan(step, first, (self.q_proj(y), self.k_proj(y), self.v_proj(y)), dim=1)[1])


def largest_difference() -> float:
    """Between the cascade and torch, on random inputs at a small size."""
    module, x = Model(16).double(), torch.randn(2, 6, 16, dtype=torch.float64)
    found = replay(lb.trace(module, x), module, x)["output"]
    return float(abs(found - module(x).detach().numpy()).max())


def main() -> None:
    print(f"The cascade computes the module: largest difference from torch {largest_difference():.0e}\n")
    with weightless():
        module = Model(SHAPE["width"])
    x = torch.empty(SHAPE["batch"], SHAPE["tokens"], SHAPE["width"], device="meta")
    traced = lb.trace(module, x)
    print(traced.text)
    print(f"{traced.product_flops:.3g} operations in products, opaque: {', '.join(traced.opaque) or 'nothing'}")
    print(f"passes over the tokens: {lb.passes(traced, 's').count}\n")
    for name in MACHINES:
        prediction = lb.simulate(traced, name)
        print(f"{name:<10} {seconds(prediction.latency_s):>10}, bound by {prediction.bottleneck}")
    print()
    print(lb.peak_memory(traced, fused=["s"]).explain())
    with weightless():
        mlp = nn.Sequential(nn.Linear(1024, 4096), nn.GELU(), nn.Linear(4096, 1024))
    step = lb.peak_memory(lb.trace(mlp, torch.empty(8192, 1024, device="meta"), train=True), optimizer="adam")
    print(f"\nA training step of a multilayer perceptron keeps {size(step.kept_bytes)} for its backward pass")
    print(f"and needs {size(step.total_bytes)} in all, {size(step.optimizer_bytes)} of it for the optimizer.")


if __name__ == "__main__":
    main()
