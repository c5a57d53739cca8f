"""Names, ranks, counts, opaque operators and errors of a trace; loops over time; and that torch stays unloaded."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

import lightbound as lb
from lightbound.workloads.counts import total_operations
from lightbound.workloads.trace import compare_counts, replay, scan, trace, weightless  # type: ignore[attr-defined]

from .replays import close


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(torch.relu(self.up(x)))


def attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return nnf.scaled_dot_product_attention(q, k, v)


def test_lines_are_named_after_modules_and_only_what_an_operator_pairs_is_one_rank() -> None:
    traced = trace(Block(), torch.empty(2, 4, 8))
    assert [einsum.name for einsum in traced.einsums] == ["Up", "Relu", "Down", "Sum"]
    assert traced.einsum("Sum").output.ranks == ("b", "s", "d"), "the residual ties the output's width to the input's"
    assert traced.einsum("Up").output.ranks == ("b", "s", "up"), "8 is also the inner width, which nothing ties to it"
    assert traced.with_sizes(S=1024).shape("Sum") == (2, 1024, 8)


def test_ranks_of_inputs_can_be_named() -> None:
    traced = trace(Block(), torch.empty(2, 4, 8), ranks={"x": "n t w"})
    assert traced.einsum("Sum").output.ranks == ("n", "t", "w")
    with pytest.raises(lb.LightboundError, match="names 2 ranks of a tensor with 3 dimensions"):
        trace(Block(), torch.empty(2, 4, 8), ranks={"x": "n t"})


def test_layers_that_repeat_share_their_ranks() -> None:
    layers = nn.Sequential(*(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True) for _ in range(6)))
    short = trace(nn.Sequential(*list(layers)[:2]), torch.empty(2, 4, 16))
    assert len(trace(layers, torch.empty(2, 4, 16)).ranks) == len(short.ranks)


def test_a_trace_counts_what_the_hand_written_cascade_counts() -> None:
    shape = (2, 3, 5, 4)
    traced = trace(attended, *(torch.empty(shape) for _ in range(3)))
    written = lb.workload("attention", B=2, H=3, M=5, P=5, E=4, F=4).cascade
    assert compare_counts(traced, written) == {}
    other = lb.workload("attention", variant="deferred-division", B=2, H=3, M=5, P=5, E=4, F=4).cascade
    assert compare_counts(traced, other) == {"div": (2 * 3 * 5 * 5, 2 * 3 * 5 * 4)}


def test_views_cost_nothing_and_copies_cost_no_operation() -> None:
    def views(x: Tensor) -> Tensor:
        return x.transpose(0, 1).reshape(4, 3, 2).contiguous() + 1

    traced = trace(views, torch.empty(3, 8))
    assert set(total_operations(traced)) == {"add"}
    assert [origin.moves for origin in traced.origins.values()].count(False) == 1


def test_an_operator_nobody_knows_is_reported_and_counted_and_refuses_to_be_evaluated() -> None:
    def spectrum(x: Tensor) -> Tensor:
        return torch.linalg.cholesky(x @ x.mT) * 2

    x = torch.empty(4, 8, dtype=torch.float64)
    traced = trace(spectrum, x)
    (name,) = traced.opaque
    assert "cholesky" in traced.origins[name].operator and "opaque(" in traced.text
    assert 0 < traced.opaque_share < 1 and 0 < traced.opaque_bytes_share < 1
    assert lb.Cascade.parse(traced.sized_text) == traced
    assert lb.simulate(traced, "h200").latency_s > 0
    with pytest.raises(lb.LightboundError, match="is opaque"):
        replay(traced, spectrum, x)


def test_what_depends_on_values_is_one_clear_error() -> None:
    with pytest.raises(lb.LightboundError, match="depends on the values of tensors"):
        trace(lambda x: x[x > 0].sum(), torch.randn(3, 4))
    with pytest.raises(lb.LightboundError, match="depends on the values of tensors"):
        trace(lambda x: x + 1 if x.sum() > 0 else x, torch.randn(3, 4))
    with pytest.raises(lb.LightboundError, match="can be differentiated"):
        trace(lambda x: x * 2, torch.randn(3, 4), train=True)


def test_size_does_not_matter() -> None:
    with weightless():
        block = nn.TransformerEncoderLayer(8192, 64, 28672, batch_first=True)
    traced = trace(block, torch.empty(1, 131072, 8192, device="meta"))
    assert traced.value("S") == 131072
    assert traced.product_flops > 4 * 131072**2 * 8192


def test_a_training_step_has_gradients_as_einsums() -> None:
    traced = trace(Block(), torch.empty(2, 4, 8), train=True)
    forward = trace(Block(), torch.empty(2, 4, 8)).product_flops
    assert {"grad.up.weight", "grad.down.bias"} <= set(traced.results)
    assert traced.product_flops == 3 * forward - forward // 2, "the input itself wants no gradient"
    assert any(origin.backward for origin in traced.origins.values())


def linear_recurrence(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    def step(state: Tensor, now: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        query, key, value = now
        state = 0.9 * state + key.unsqueeze(-1) * value.unsqueeze(-2)
        return state, (query.unsqueeze(-1) * state).sum(-2)

    first = torch.zeros(q.shape[0], q.shape[-1], v.shape[-1], dtype=q.dtype)
    return scan(step, first, (q, k, v), dim=1)[1]


def test_a_scan_is_one_step_however_long_and_computes_the_same() -> None:
    inputs = [torch.randn(2, 6, 4, dtype=torch.float64) for _ in range(3)]
    traced = trace(linear_recurrence, *inputs)
    (found,) = replay(traced, linear_recurrence, *inputs).values()
    close(found, linear_recurrence(*inputs))
    assert list(traced.iterative.values()) == [frozenset({"s"})]
    assert lb.passes(traced, "s").count == 1
    long = trace(linear_recurrence, *(torch.empty(2, 131072, 64, device="meta") for _ in range(3)))
    assert len(long.einsums) == len(traced.einsums) < 10


def test_what_a_scan_cannot_scan_is_said() -> None:
    def step(carry: Tensor, now: Any) -> tuple[Tensor, None]:
        return carry, None

    with pytest.raises(lb.LightboundError, match="different lengths"):
        scan(step, torch.zeros(2), (torch.zeros(3, 2), torch.zeros(4, 2)))


def test_importing_lightbound_and_its_tracer_loads_no_torch() -> None:
    program = (
        "import sys, lightbound as lb; lb.trace; import lightbound.workloads.trace.record;"
        "import lightbound.workloads.trace.session, lightbound.workloads.trace.scanning;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
