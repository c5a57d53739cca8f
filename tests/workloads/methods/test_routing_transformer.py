"""Routing Transformer: the operations that its paper counts, and what a token in no or several clusters gets."""

from __future__ import annotations

import numpy as np

from lightbound.workloads.counts import operations, total_operations
from lightbound.workloads.registry import workload


def test_a_head_costs_what_the_paper_counts() -> None:
    work = workload("routing_transformer", "pg19_8k", "routing")
    n, c, w, e = (work.sizes[symbol] for symbol in "NCIE")
    done = operations(work.cascade)
    h = work.sizes["H"]
    assert done["DS"]["mac"] == h * n * c * e
    assert done["S"]["mac"] == done["OG"]["mac"] == h * c * w * w * e
    assert done["SN"]["exp"] == h * c * w * w
    assert done["NUM"]["add"] == h * c * w * e  # a scatter touches what it writes, not every token


def test_blocks_are_cheaper_than_dense_attention_by_the_ratio_of_their_areas() -> None:
    work = workload("routing_transformer", "pg19_8k", "routing")
    n, c, w = (work.sizes[symbol] for symbol in "NCI")
    done = operations(work.cascade)
    routed = sum(done[name]["mac"] for name in ("DS", "S", "OG"))
    dense = total_operations(work.with_variant("dense").cascade)["mac"]
    assert dense / routed == 2 * n * n / (n * c + 2 * c * w * w)


def test_a_token_in_one_cluster_is_scaled_and_one_in_none_is_zero() -> None:
    work = workload("routing_transformer", "tiny", "routing", C=1, I=1, J=1, T=1, B=1, H=1)
    generator = np.random.default_rng(0)
    given = {name: generator.standard_normal(work.cascade.shape(name)) for name in work.cascade.inputs}
    found = work.cascade.evaluate(given, keep="all")
    chosen = int(found["IX"][0, 0, 0, 0])
    assert np.allclose(found["O"][0, 0, chosen], given["V"][0, 0, chosen] / 1.01)
    assert not np.delete(found["O"][0, 0], chosen, axis=0).any()
