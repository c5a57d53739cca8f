"""The numbers of a traced cascade, to compare with the module's own: small sizes, float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cascade import Cascade
from ..einsum import Einsum
from ..expression import Access, Affine, free_ranks, is_constant

if TYPE_CHECKING:
    import torch

    from .traced import TracedCascade


def replay(
    traced: TracedCascade, module: Any, *inputs: Any, gradients: Mapping[str, Any] | None = None, **keywords: Any
) -> dict[str, np.ndarray]:
    """What the cascade of a module computes for real inputs and the module's own parameters, by output.

    The arrays have the shapes of what ``module(*inputs)`` returns; of a training step they include ``grad.PATH``
    for each parameter, given `gradients` of the outputs (ones where none are given). Raises LightboundError where
    the cascade has an opaque Einsum.
    """
    arrays = arrays_of(traced, module, inputs, keywords, gradients or {})
    lines: list[Einsum] = []
    where: dict[str, str] = {}
    for number, (label, result) in enumerate(traced.results.items()):
        free = free_ranks(result.expr)
        if is_constant(result.expr) and not free:
            continue
        name = where[label] = f"Result_{number}"
        kept = [rank for dim in result.dims for rank in dim if rank in free]
        lines.append(Einsum(name, Access(name, tuple(Affine(((1, rank),)) for rank in kept)), result.expr))
    extended = Cascade(traced.name, (*traced.einsums, *lines), traced.initial, {}, traced.declared, traced.parameters)
    sizes = {rank.upper(): size for rank, size in traced.lengths.items() if rank.upper() in extended.structure.symbols}
    extended = extended.with_sizes(**{**sizes, **traced.sizes})
    found = extended.evaluate({name: array for name, array in arrays.items() if name in extended.inputs}, keep="all")
    made: dict[str, np.ndarray] = {}
    for label, result in traced.results.items():
        flat = [rank for dim in result.dims for rank in dim]
        if label not in where:
            made[label] = np.full(result.shape, _value(result))
            continue
        free = free_ranks(result.expr)
        array = found[where[label]]
        array = array.reshape([traced.lengths[rank] if rank in free else 1 for rank in flat])
        whole = [traced.lengths[rank] for rank in flat]
        made[label] = np.broadcast_to(array, whole).reshape(result.shape)
    return made


def _value(result: Any) -> float:
    return float(getattr(result.expr, "value", 0))


def arrays_of(
    traced: TracedCascade, module: Any, inputs: tuple[Any, ...], keywords: Mapping[str, Any],
    gradients: Mapping[str, Any],
) -> dict[str, np.ndarray]:  # fmt: skip
    """An array for each input of the cascade: parameters and buffers of the module, its inputs, constants."""
    import torch
    from torch.utils._pytree import tree_flatten

    state: dict[str, torch.Tensor] = {}
    if isinstance(module, torch.nn.Module):
        state.update(module.named_parameters(remove_duplicate=False))
        state.update(module.named_buffers(remove_duplicate=False))
    given = iter(one for one in tree_flatten((inputs, dict(keywords)))[0] if isinstance(one, torch.Tensor))
    order = list(traced.input_order)
    tensors = dict(zip(order, given, strict=False))
    arrays: dict[str, np.ndarray] = {}
    for name, source in traced.sources.items():
        if source in state:
            arrays[name] = _array(state[source])
        elif name in tensors:
            arrays[name] = _array(tensors[name])
        elif name in traced.constants:
            arrays[name] = _array(traced.constants[name])
        elif name.startswith("Random"):
            arrays[name] = np.ones(traced.shape(name))
        elif source.startswith("gradient:"):
            label = source.removeprefix("gradient:")
            shape = traced.shape(name)
            arrays[name] = np.asarray(gradients.get(label, np.ones(shape)), dtype=np.float64).reshape(shape)
    return arrays


def _array(tensor: torch.Tensor) -> np.ndarray:
    import torch

    return tensor.detach().to(torch.float64).numpy()
