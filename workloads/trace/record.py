"""Run a module on fake tensors and see every ATen operator it calls.

Fake tensors have shapes and no memory, so that the size of a model does not matter. Each operator is handed to
its lowering; what has none is taken apart by torch's own decompositions, and what has none either is opaque.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightbound.base.errors import LightboundError

from .builder import Builder
from .evaluation import constant_of
from .operators import LOWERINGS, POINTWISE
from .operators.pointwise import pointwise
from .values import Value, is_free, stored
from .writing import assign

if TYPE_CHECKING:
    import torch

SILENT = {
    "prim.device", "aten._assert_async", "aten._assert_scalar", "aten.sym_size", "aten.sym_stride", "aten.sym_numel",
    "aten._has_compatible_shallow_copy_type", "aten.is_pinned", "aten._assert_tensor_metadata", "prim.layout",
}  # fmt: skip


@dataclass(frozen=True)
class Call:
    """One operator being lowered: where lines go, what it is, its arguments and its results as fake tensors."""

    build: Builder
    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any

    @property
    def word(self) -> str:
        """The operator's plain name: ``softmax`` of ``aten._softmax.default``."""
        return self.func.overloadpacket.__name__.strip("_")

    def shape(self, place: int = 0) -> tuple[int, ...]:
        """The shape of a result."""
        return tuple(int(size) for size in tensors_in(self.result)[place].shape)

    def dtype(self, place: int) -> torch.dtype:
        """The type of a tensor argument."""
        return self.args[place].dtype


class Recorder:
    """Records operators into a Builder while its `mode` is active."""

    def __init__(self, build: Builder, fake: Any) -> None:
        self.build = build
        self.mode = dispatching(self.dispatch)
        self.fake = fake
        self.constants: dict[str, torch.Tensor] = {}
        self.inputs: list[torch.Tensor] = []
        self._values: dict[int, Value] = {}
        self._alive: list[torch.Tensor] = []
        self._places: dict[int, str] = {}
        self._paused = 0

    # ---- tensors and values

    def bind(self, tensor: torch.Tensor, value: Value) -> None:
        """Say what a tensor is."""
        if id(tensor) not in self._values:
            self._alive.append(tensor)
        self._values[id(tensor)] = value

    def value(self, tensor: torch.Tensor) -> Value:
        """What a tensor is. One that nobody has seen is a constant of the module."""
        found = self._values.get(id(tensor))
        if found is not None:
            return found
        return self._constant(tensor)

    def _constant(self, tensor: torch.Tensor) -> Value:
        known = constant_of(tensor)
        if known is not None:
            value = stored(known, ())
        else:
            name = self.build.name("Constant")
            value = self.build.input(name, tensor.shape, ["n"] * tensor.dim())
            self.constants[next(reversed(self.build.declared))] = tensor
        self.bind(tensor, value)
        return value

    # ---- operators

    def dispatch(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run an operator, and write its lines."""
        name = f"{func.namespace}.{func.overloadpacket.__name__}"
        if name in SILENT or self._paused:
            return func(*args, **kwargs)
        if name in ("aten._local_scalar_dense", "aten.item"):
            return self._number(args[0])
        args, kwargs = self._faked(args), self._faked(kwargs)
        if not self._known(func, name):
            taken = self._apart(func, args, kwargs)
            if taken is not NotImplemented:
                return taken
        result = self._run(func, args, kwargs)
        self._record(func, name, args, kwargs, result)
        return result

    def _run(self, func: Any, args: Any, kwargs: Any) -> Any:
        from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

        try:
            return func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException) as error:
            raise data_dependent(str(func), self.build.place) from error

    def _faked(self, tree: Any) -> Any:
        """Real tensors as fake ones, so that constants inside a module do not mix."""

        import torch
        from torch.utils._pytree import tree_map_only

        def one(tensor: torch.Tensor) -> torch.Tensor:
            if isinstance(tensor, torch._subclasses.FakeTensor):
                return tensor
            fake = self.fake.from_tensor(tensor)
            if id(fake) not in self._values:
                value = self.value(tensor)
                self.bind(fake, value)
            return fake

        return tree_map_only(torch.Tensor, one, tree)

    def _known(self, func: Any, name: str) -> bool:
        return name in LOWERINGS or name in POINTWISE or _functional(func, name) is not None

    def _apart(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The result of an operator by the operators that torch says it is made of."""
        import torch
        from torch._decomp import decomposition_table

        made: Callable[..., Any] | None = decomposition_table.get(func)
        before = self.build.operator
        self.build.operator = before or str(func)
        try:
            if made is not None:
                with self.mode:
                    try:
                        return made(*args, **kwargs)
                    except NotImplementedError:
                        return NotImplemented
            if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
                with self.mode:
                    return func.decompose(*args, **kwargs)
            return NotImplemented
        finally:
            self.build.operator = before

    def _record(self, func: Any, name: str, args: Any, kwargs: Any, result: Any) -> None:
        import torch
        from torch.utils._pytree import tree_map_only

        build = self.build
        before = build.operator, build.place, build.backward
        build.operator = before[0] or str(func)
        build.place, build.backward = self._place(build.place)
        try:
            call = Call(build, func, args, kwargs, result)
            values = tree_map_only(torch.Tensor, self.value, (args, kwargs))
            written = _functional(func, name)
            if written is not None:
                made = self._lower(written, call, values)
                if torch.Tag.inplace_view in func.tags:  # another view of the same storage, such as squeeze_
                    self.bind(args[0], _first(made))
                    return
                assign(build, values[0][0], _first(made), is_copy=name == "aten.copy_")
                return
            made = self._lower(name, call, values)
            tensors = tensors_in(result)
            for tensor, value in zip(tensors, _listed(made), strict=False):
                if value is not None:
                    self._check(func, tensor, value)
                    self.bind(tensor, value)
        finally:
            build.operator, build.place, build.backward = before

    def _check(self, func: Any, tensor: torch.Tensor, value: Value) -> None:
        if tensor.numel() and self.build.shape(value) != tuple(tensor.shape):
            raise AssertionError(f"{func}: traced {self.build.shape(value)}, is {tuple(tensor.shape)}")

    def _lower(self, name: str, call: Call, values: Any) -> Any:
        args, kwargs = values
        if name in LOWERINGS:
            made = LOWERINGS[name](call, *args, **kwargs)
            if made is not NotImplemented:
                return made
        elif name in POINTWISE:
            made = pointwise(call, POINTWISE[name], args, kwargs)
            if made is not NotImplemented:
                return made
        return self._opaque(call, args, kwargs)

    def _opaque(self, call: Call, args: Any, kwargs: Any) -> list[Value]:
        import torch
        from torch.utils._pytree import tree_flatten

        tensors = tensors_in(call.result)
        operands = [one for one in tree_flatten((args, kwargs), is_leaf=_is_value)[0] if isinstance(one, Value)]
        if torch.Tag.pointwise in call.func.tags and len(tensors) == 1:
            made = pointwise(call, None, args, kwargs)
            if made is not NotImplemented:
                return [made]
        return [self.build.opaque(operands, tensor.shape, call.word) for tensor in tensors]

    def _number(self, tensor: torch.Tensor) -> Any:
        """The number in a tensor that Python asks for, where it follows from constants."""
        from .evaluation import number_of

        value = self.value(tensor)
        expr = self.build.read(value)
        if is_free(expr):
            number = number_of(self.build, expr)
            kind = tensor.dtype
            return number if kind.is_floating_point else bool(number) if str(kind) == "torch.bool" else int(number)
        raise data_dependent("item()", self.build.place)

    # ---- modules

    def _place(self, current: str) -> tuple[str, bool]:
        """The module an operator belongs to; in a backward pass, the one whose operator it differentiates."""
        import torch

        node = torch._C._current_autograd_node()
        if node is None:
            if torch.is_grad_enabled():
                self._places[_sequence_number() - 1] = current
            return current, False
        return self._places.get(node._sequence_nr(), current), True

    def paused(self) -> _Paused:
        """Operators inside this context are run and not recorded."""
        return _Paused(self)


def _sequence_number() -> int:
    """The number that autograd gives its next node."""
    from torch.autograd import _get_sequence_nr  # pyright: ignore[reportPrivateImportUsage]

    return _get_sequence_nr()


def dispatching(handle: Callable[[Any, Any, Any], Any]) -> Any:
    """A mode of torch that hands every operator to a function."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return handle(func, args, kwargs or {})

    return Mode()


def tensors_in(tree: Any) -> list[torch.Tensor]:
    """The tensors of a result, in order."""
    import torch
    from torch.utils._pytree import tree_flatten

    return [one for one in tree_flatten(tree)[0] if isinstance(one, torch.Tensor)]


class _Paused:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def __enter__(self) -> None:
        self._recorder._paused += 1

    def __exit__(self, *error: object) -> None:
        self._recorder._paused -= 1


def data_dependent(operator: str, place: str) -> LightboundError:
    """The error for control flow that depends on values, which a trace does not have."""
    return LightboundError(
        f"trace: {place or 'module'}", operator, "depends on the values of tensors, and a trace has only shapes",
        "Write it without .item(), nonzero or branches on values (masks, gathers and topk trace well).",
    )  # fmt: skip


def _functional(func: Any, name: str) -> str | None:
    """The operator that computes what an in-place operator writes."""
    if not func._schema.is_mutable or not name.endswith("_") or name.endswith("__"):
        return None
    same = name[:-1]
    return same if same in LOWERINGS or same in POINTWISE else None


def _is_value(one: Any) -> bool:
    return isinstance(one, Value)


def _first(made: Any) -> Value:
    return made if isinstance(made, Value) else made[0]


def _listed(made: Any) -> Sequence[Value | None]:
    return [made] if isinstance(made, Value) or made is None else list(made)


__all__ = ["Call", "Recorder", "data_dependent"]
