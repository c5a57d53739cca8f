"""Every method of the catalogue: its cascades compute what an independent PyTorch reference computes, in float64."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from lightbound.workloads.methods import load_method, method_names
from lightbound.workloads.registry import Workload, workload

METHODS = {name: load_method(name) for name in method_names()}
PROVEN = [(name, variant) for name, one in METHODS.items() if one.reference is not None for variant in one.cascades]


def drawn(work: Workload) -> dict[str, np.ndarray]:
    """Inputs of a workload: normal numbers, and what the method draws itself."""
    generator = np.random.default_rng(zlib.crc32(f"{work.name}, {work.variant}".encode()))
    cascade = work.cascade
    shapes = {tensor: tuple(int(size) for size in cascade.shape(tensor)) for tensor in cascade.inputs}
    given = {tensor: generator.standard_normal(shape) for tensor, shape in shapes.items()}
    if work.method.inputs is not None:
        own = work.method.inputs(generator, shapes, work.sizes)
        given |= {tensor: np.asarray(array) for tensor, array in own.items() if tensor in shapes}
    return given


@pytest.mark.parametrize(("name", "variant"), PROVEN)
def test_the_cascade_computes_what_the_reference_computes(name: str, variant: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is an optional extra of lightbound")
    work = workload(name, "tiny", variant)
    assert work.method.reference is not None
    given = drawn(work)
    expected = work.method.reference(
        variant, {tensor: torch.from_numpy(array) for tensor, array in given.items()}, work.sizes
    )
    found = work.cascade.evaluate(given)
    assert set(expected) == set(found)
    for tensor, array in found.items():
        wanted = expected[tensor].detach().numpy()
        assert wanted.shape == array.shape, tensor
        scale = max(1.0, float(np.abs(wanted).max(initial=0)))
        assert np.abs(array - wanted).max(initial=0) <= 1e-9 * scale, tensor


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_states_fits_together(name: str) -> None:
    method = METHODS[name]
    inputs = {tensor for variant in method.cascades for tensor in workload(name, variant=variant).cascade.inputs}
    assert set(method.weights) <= inputs
    assert set(method.state) <= inputs
    assert len({claim.name for claim in method.claims}) == len(method.claims)
    for claim in method.claims:
        assert (claim.quantity is None) == bool(claim.not_derivable), claim.name
        assert bool(claim.runs) == (claim.quantity is not None), claim.name
        for run in (*claim.runs, *claim.baseline):
            workload(run.method or name, run.preset, run.variant, **run.sizes)
