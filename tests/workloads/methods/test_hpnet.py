"""HPNet: parameters of its attentions, as its code has them, and what hoisting their projections saves."""

from __future__ import annotations

import pytest

from lightbound.workloads.counts import footprint, total_operations
from lightbound.workloads.registry import workload


@pytest.mark.parametrize(
    ("variant", "parameters"), [("attention", 215_040), ("without_edges", 181_760), ("cross_attention", 215_296)]
)
def test_attentions_have_the_parameters_of_the_code(variant: str, parameters: int) -> None:
    work = workload("hpnet", "argoverse_n16_agent", variant)
    weights = [tensor for tensor in work.cascade.inputs if tensor in work.method.weights]
    assert sum(footprint(work.cascade, tensor) for tensor in weights) == parameters


def test_hoisting_moves_three_projections_from_edges_to_nodes() -> None:
    work = workload("hpnet", "argoverse_n16_agent", "attention")
    hoisted, released = (total_operations(one.cascade)["mac"] for one in (work, work.with_variant("released")))
    nodes, edges, wide = (work.sizes[symbol] for symbol in "ITD")
    assert (nodes, edges) == (1920, 28800)
    assert released - hoisted == 3 * (edges - nodes) * wide * wide
