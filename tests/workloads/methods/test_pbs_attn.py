"""PBS-Attn: with every block chosen nothing is lost, and the mask has as many blocks as the paper counted."""

from __future__ import annotations

import numpy as np
import pytest

from lightbound.workloads.registry import method, workload


def test_a_threshold_above_one_takes_every_block_and_is_dense_causal_attention() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is an optional extra of lightbound")
    work = workload("pbs_attn", "tiny", "whole")
    generator = np.random.default_rng(0)
    given = {name: generator.standard_normal(work.cascade.shape(name)) for name in ("Q", "K", "V")}
    found = work.cascade.evaluate({**given, "TAU": 1.5})["Y"][:, :, :70]
    q, k, v = (torch.from_numpy(given[name]) for name in "QKV")
    dense = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert np.abs(found - dense.numpy()).max() < 1e-12


@pytest.mark.parametrize(("length", "blocks"), [(8, 1205), (32, 13337), (128, 114996)])
def test_the_mask_has_the_blocks_that_the_paper_counted(length: int, blocks: int) -> None:
    mask = workload("pbs_attn", f"llama31_8b_{length}k", "1-pass").mask
    assert mask is not None
    count = mask.count(128, 128)
    assert abs(count.visits_total / blocks - 1) < 0.002
    assert count.block_sparse


def test_some_blocks_are_left_out_at_the_size_of_the_proof() -> None:
    work = workload("pbs_attn", "tiny", "selection")
    generator = np.random.default_rng(0)
    shapes = {name: tuple(work.cascade.shape(name)) for name in work.cascade.inputs}
    given = {name: generator.standard_normal(shape) for name, shape in shapes.items()}
    drawn = method("pbs_attn").inputs
    assert drawn is not None
    chosen = work.cascade.evaluate({**given, **drawn(generator, shapes, work.sizes)})["SEL"]
    assert 0.2 < chosen.sum() / (4 * 18 * 19 / 2) < 0.9
