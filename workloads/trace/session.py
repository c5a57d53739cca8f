"""`trace`: a module and its inputs to a cascade."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lightbound.base.errors import LightboundError

from .builder import Builder
from .finish import finish
from .names import parameter_hints, rank_hints
from .record import Recorder
from .traced import TracedCascade
from .values import Value

if TYPE_CHECKING:
    import torch


def run(
    module: Callable[..., Any], inputs: Sequence[Any], keywords: Mapping[str, Any], train: bool, name: str,
    ranks: Mapping[str, Sequence[str]],
) -> TracedCascade:  # fmt: skip
    """Trace one call; see `trace.trace`."""
    import torch

    fake = _mode(module, inputs, keywords)
    build = Builder()
    recorder = Recorder(build, fake)
    is_module = isinstance(module, torch.nn.Module)
    owned = _owned(module) if is_module else {}
    faked: dict[int, torch.Tensor] = {}
    parameters: dict[str, torch.Tensor] = {}
    sources: dict[str, str] = {}
    with torch.random.fork_rng(devices=[]), fake:
        for path, (owner, tensor) in owned.items():
            if id(tensor) not in faked:
                faked[id(tensor)] = _fake(fake, tensor, train and tensor.requires_grad)
                shape = tuple(tensor.shape)
                hints = parameter_hints(owner, path, shape)
                value = build.input(_parameter_name(path), shape, hints, place=_repeated(path))
                sources[next(reversed(build.declared))] = path
                recorder.bind(faked[id(tensor)], value)
            parameters[path] = faked[id(tensor)]
        args, kwargs, given = _inputs(recorder, module, inputs, keywords, ranks, train)
        sources.update(given)
        before = module.training if is_module else False
        try:
            if is_module:
                module.train(train)
            context = torch.enable_grad() if train else torch.no_grad()
            with context, _plain_attention(), _one_hot(), _tracking(module, build), _announced(recorder), recorder.mode:
                made = (
                    torch.func.functional_call(module, parameters, args, kwargs)
                    if is_module
                    else module(*args, **kwargs)
                )
                outputs = _outputs(recorder, made)
                gradients: dict[str, torch.Tensor] = {}
                if train:
                    gradients = _backward(recorder, outputs, parameters, sources)
        finally:
            if is_module:
                module.train(before)
        for path, gradient in gradients.items():
            outputs[path] = gradient
    values = {label: recorder.value(tensor) for label, tensor in outputs.items()}
    shapes = {label: tuple(tensor.shape) for label, tensor in outputs.items()}
    kinds = {path: "buffer" if not tensor.requires_grad else "parameter" for path, (_, tensor) in owned.items()}
    return finish(build, name, values, shapes, sources, recorder.constants, kinds)


def _mode(module: Any, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """The fake mode that the module was built in, or a new one."""
    import torch
    from torch.utils._pytree import tree_flatten

    tensors = [*module.parameters(), *module.buffers()] if isinstance(module, torch.nn.Module) else []
    tensors += [one for one in tree_flatten((inputs, dict(keywords)))[0] if isinstance(one, torch.Tensor)]
    for one in tensors:
        if isinstance(one, torch._subclasses.FakeTensor):
            return one.fake_mode
    return torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True)


def _fake(mode: Any, tensor: torch.Tensor, requires_grad: bool) -> torch.Tensor:
    """A fake copy of a tensor, on the CPU, that only this trace knows."""
    import torch

    made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")
    return made.requires_grad_(requires_grad)


def _owned(module: torch.nn.Module) -> dict[str, tuple[torch.nn.Module, torch.Tensor]]:
    """Every parameter and buffer by its path, with the module that owns it; shared ones under every path."""
    found: dict[str, tuple[torch.nn.Module, torch.Tensor]] = {}
    for prefix, owner in module.named_modules(remove_duplicate=False):
        held = {**owner._parameters, **owner._buffers}
        for key, tensor in held.items():
            if tensor is not None:
                found[f"{prefix}.{key}" if prefix else key] = (owner, tensor)
    return found


def _repeated(path: str) -> str:
    """The path of a parameter inside a layer; not of one that a list holds itself, whose neighbours differ."""
    owner = path.rpartition(".")[0]
    return "" if owner.rpartition(".")[2].isdigit() else path


def _parameter_name(path: str) -> str:
    from .names import short_path

    return short_path(path)


def _inputs(
    recorder: Recorder, module: Any, inputs: Sequence[Any], keywords: Mapping[str, Any],
    ranks: Mapping[str, Sequence[str]], train: bool,
) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, str]]:  # fmt: skip
    """Fake inputs, bound to inputs of the cascade that are called after the arguments."""
    import torch
    from torch.utils._pytree import tree_map_only

    function = module.forward if isinstance(module, torch.nn.Module) else module
    try:
        names = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
    except (TypeError, ValueError):
        names = []
    sources: dict[str, str] = {}

    def bound(label: str, tree: Any) -> Any:
        def one(tensor: torch.Tensor) -> torch.Tensor:
            shape = tuple(int(size) for size in tensor.shape)
            integer = not tensor.dtype.is_floating_point and not tensor.dtype.is_complex
            hints = _hints(label, shape, integer, ranks)
            value = recorder.build.input(label, shape, hints, keep_ones=True)
            sources[next(reversed(recorder.build.declared))] = f"input:{label}"
            made = _fake(recorder.fake, tensor, train and tensor.requires_grad)
            recorder.bind(made, value)
            recorder.inputs.append(made)
            return made

        return tree_map_only(torch.Tensor, one, tree)

    labels = [names[place] if place < len(names) else f"input_{place}" for place in range(len(inputs))]
    args = tuple(bound(label, one) for label, one in zip(labels, inputs, strict=True))
    return args, {label: bound(label, one) for label, one in keywords.items()}, sources


def _hints(label: str, shape: tuple[int, ...], integer: bool, ranks: Mapping[str, Sequence[str]]) -> list[str]:
    given = ranks.get(label)
    if given is None:
        return rank_hints(shape, integer)
    chosen = given.split() if isinstance(given, str) else list(given)
    if len(chosen) != len(shape):
        problem = f"names {len(chosen)} ranks of a tensor with {len(shape)} dimensions"
        raise LightboundError(f"ranks.{label}", " ".join(chosen), problem, "Name one rank for each dimension.")
    return chosen


def _outputs(recorder: Recorder, made: Any) -> dict[str, torch.Tensor]:
    """The tensors a module returns, by name."""
    import torch

    found: dict[str, torch.Tensor] = {}

    def walk(label: str, tree: Any) -> None:
        if isinstance(tree, torch.Tensor):
            found[label or "output"] = tree
        elif isinstance(tree, Mapping):
            for key, one in tree.items():
                walk(f"{label}.{key}" if label else str(key), one)
        elif isinstance(tree, list | tuple):
            for place, one in enumerate(tree):
                walk(f"{label}.{place}" if label else f"output.{place}", one)

    walk("", made)
    if not found:
        raise LightboundError("trace", type(made).__name__, "is returned, and holds no tensor", "Return a tensor.")
    return found


def _backward(
    recorder: Recorder, outputs: dict[str, torch.Tensor], parameters: dict[str, torch.Tensor], sources: dict[str, str]
) -> dict[str, torch.Tensor]:
    """Gradients of every parameter and input that wants one, given the gradients of the outputs."""
    import torch

    build = recorder.build
    wanted = {path: one for path, one in parameters.items() if one.requires_grad}
    unique = {id(one): path for path, one in reversed(wanted.items())}
    for tensor in list(recorder.inputs):
        if tensor.requires_grad and id(tensor) not in unique:
            unique[id(tensor)] = f"input {len(unique)}"
            wanted[unique[id(tensor)]] = tensor
    differentiable = [one for one in outputs.values() if one.requires_grad]
    if not differentiable or not unique:
        remedy = "Trace with train=False, or give the module parameters that require gradients."
        raise LightboundError("trace: train", True, "but nothing the module returns can be differentiated", remedy)
    seeds: list[torch.Tensor] = []
    for label, one in outputs.items():
        if not one.requires_grad:
            continue
        with recorder.paused():
            seed = torch.ones_like(one)
        if one.dim():
            value = recorder.value(one)
            name = build.name(f"Grad_{label}")
            made = build.input_like(name, value)
            sources[name] = f"gradient:{label}"
            recorder.bind(seed, made)
        else:
            from ..expression import Number
            from .values import stored

            recorder.bind(seed, stored(Number(1), ()))
        seeds.append(seed)
    paths = list(unique.values())
    found = torch.autograd.grad(
        differentiable, [wanted[path] for path in paths], seeds, allow_unused=True, retain_graph=False
    )
    return {f"grad.{path}": one for path, one in zip(paths, found, strict=True) if one is not None}


def _one_hot() -> Any:
    """One-hot by comparison: torch's own first looks at the largest class."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Compare(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = kwargs or {}
            if function in (torch.nn.functional.one_hot,):
                classes = args[1] if len(args) > 1 else given.get("num_classes", -1)
                if classes != -1:
                    index = args[0] if args else given["tensor"]
                    return (index.unsqueeze(-1) == torch.arange(classes)).to(torch.int64)
            return function(*args, **given)

    return Compare()


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Without the fused encoder layer of torch's inference, which hides every operator in one."""
    import torch

    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _announced(recorder: Recorder) -> Iterator[None]:
    """Lets `scan` know of the trace."""
    from .scanning import ACTIVE

    token = ACTIVE.set(recorder)
    try:
        yield
    finally:
        ACTIVE.reset(token)


@contextmanager
def _tracking(module: Any, build: Builder) -> Iterator[None]:
    """Keeps `build.place` at the path of the module that runs."""
    import torch
    from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

    if not isinstance(module, torch.nn.Module):
        yield
        return
    paths = {id(one): path for path, one in module.named_modules()}
    stack: list[str] = []

    def enter(one: torch.nn.Module, _: Any) -> None:
        stack.append(build.place)
        build.place = paths.get(id(one), build.place)
        build.ranks.restart(build.place or "model")

    def leave(one: torch.nn.Module, _: Any, __: Any) -> None:
        build.place = stack.pop() if stack else ""

    hooks = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


__all__ = ["Value", "run"]
