"""A module from a file: ``file.py:factory``, built without memory for its weights."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightbound.base.errors import LightboundError, choose_from

if TYPE_CHECKING:
    from .traced import TracedCascade


@contextmanager
def weightless() -> Iterator[None]:
    """Modules and tensors made inside have shapes and no memory; `trace` takes them as they are.

    A number that a constructor asks of a constant tensor (``torch.linspace(0, 1, 12)[3].item()``) is still known.
    """
    from torch._subclasses import FakeTensorMode

    from .builder import Builder
    from .record import Recorder

    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with fake, Recorder(Builder(), fake).mode, _no_rejection():
        yield


@contextmanager
def _no_rejection() -> Iterator[None]:
    """Without drawing truncated normal numbers again until all are inside: there are no numbers to look at."""
    from torch.nn import init

    name = "_no_grad_trunc_normal_"
    before = getattr(init, name, None)
    setattr(init, name, lambda tensor, *_, **__: tensor)
    try:
        yield
    finally:
        if before is not None:
            setattr(init, name, before)


def trace_factory(spec: str, train: bool = False, sizes: Mapping[str, int] | None = None) -> TracedCascade:
    """Trace what a factory returns: a module and its inputs, ``(module, x, ...)``; a last dictionary is keywords.

    spec: ``path/to/file.py:factory`` or ``package.module:factory``. sizes: passed to the factory by name.
    Raises LightboundError where there is no such factory, or it does not take these sizes, or fails.
    """
    from . import trace

    factory = load(spec)
    given = dict(sizes or {})
    _check_sizes(spec, factory, given)
    try:
        with weightless():
            made = factory(**given)
    except LightboundError:
        raise
    except Exception as error:  # whatever a user's code raises
        problem = f"failed with {type(error).__name__}: {error}".rstrip(".")
        raise LightboundError(f"factory {spec}", None, problem, "Correct it, or its sizes.") from error
    module, *inputs = made if isinstance(made, tuple | list) else (made,)
    keywords = inputs.pop() if inputs and isinstance(inputs[-1], Mapping) else {}
    if not callable(module) or not (inputs or keywords):
        problem = "does not return a module and its inputs"
        raise LightboundError(f"factory {spec}", type(made).__name__, problem, "Return (module, input, ...).")
    return trace(module, *inputs, train=train, name=spec.rpartition(":")[2], **keywords)


def load(spec: str) -> Callable[..., Any]:
    """The function that ``file.py:name`` or ``package.module:name`` means."""
    where, colon, name = spec.rpartition(":")
    if not colon or not name.isidentifier():
        remedy = "Write file.py:factory, a function that returns (module, input, ...)."
        raise LightboundError("trace", spec, "does not name a file and a function", remedy)
    module = _from_file(Path(where)) if where.endswith(".py") else _by_name(where)
    found = getattr(module, name, None)
    if not callable(found):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise LightboundError(f"trace: {where}", name, "is not a function of it", choose_from(names, name))
    return found


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise LightboundError("trace: file", str(path), "does not exist", "Check the path.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's code raises
        problem = f"cannot be imported ({type(error).__name__}: {error})"
        raise LightboundError("trace: file", str(path), problem, "Correct the file.") from error
    finally:
        sys.path.remove(str(path.parent.resolve()))
    return module


def _by_name(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        remedy = "Install it, or write the path of a file: file.py:factory."
        raise LightboundError("trace: module", name, f"cannot be imported ({error})", remedy) from error


def _check_sizes(spec: str, factory: Callable[..., Any], given: Mapping[str, int]) -> None:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return
    names = [one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    if not any(one.kind == one.VAR_KEYWORD for one in parameters):
        for name, value in given.items():
            if name not in names:
                problem = f"is not a parameter of {spec}"
                raise LightboundError(f"--set {name}", value, problem, choose_from(names, name))
    for one in parameters:
        is_named = one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        if is_named and one.default is one.empty and one.name not in given:
            raise LightboundError(f"factory {spec}", one.name, "has no value", f"Give it: --set {one.name}=...")
