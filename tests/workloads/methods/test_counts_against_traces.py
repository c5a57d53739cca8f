"""Operations of every method's default cascade are those of its traced PyTorch reference, but for what it names."""

from __future__ import annotations

from typing import Any

import pytest

from lightbound.base.errors import LightboundError
from lightbound.workloads.methods import load_method, method_names
from lightbound.workloads.registry import workload

from .test_catalogue import drawn

torch = pytest.importorskip("torch", reason="PyTorch is an optional extra of lightbound")

PROVEN = [name for name in method_names() if load_method(name).reference is not None]


@pytest.mark.parametrize("name", PROVEN)
def test_a_cascade_counts_what_its_traced_reference_counts(name: str) -> None:
    import lightbound as lb
    from lightbound.workloads.trace import compare_counts

    method = load_method(name)
    work = workload(name, "tiny", method.default_variant)
    given = {tensor: torch.from_numpy(array) for tensor, array in drawn(work).items()}

    def reference(*inputs: Any) -> tuple[Any, ...]:
        assert method.reference is not None
        return tuple(method.reference(work.variant, dict(zip(given, inputs, strict=True)), work.sizes).values())

    named = set(method.counted_apart)
    if "trace" in named:
        with pytest.raises(LightboundError, match="depends on the values of tensors"):
            lb.trace(reference, *given.values())
        assert named == {"trace"}
        return
    differences = compare_counts(lb.trace(reference, *given.values()), work.cascade)
    assert set(differences) == named, differences
