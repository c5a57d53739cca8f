"""`scan`: a loop over time that a trace sees as one step, so that its length does not matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from lightbound.base.errors import LightboundError

from ..expression import Access, Affine, free_ranks, is_constant, size_symbol
from .values import Value, plain, stored, substitute, through

if TYPE_CHECKING:
    import torch

    from .record import Recorder

ACTIVE: ContextVar[Recorder | None] = ContextVar("recorder", default=None)
"""The trace under way, where `scan` can tell it that a loop begins."""

Step = Callable[[Any, Any], tuple[Any, Any]]


def scan(step: Step, carry: Any, xs: Any, dim: int = 0) -> tuple[Any, Any]:
    """``carry, y = step(carry, x)`` for every x along a dimension: the last carry, and the ys stacked along it.

    carry, xs and y are tensors or tuples of tensors (y may be None); all xs have one length along `dim`, which x
    lacks. It runs as a Python loop. In a trace without gradients it becomes the recurrence it is: `step` is traced
    once, the carry is an iterative tensor, and every other line has a rank for time. In a training step, and inside
    another scan, the loop is unrolled.
    """
    import torch

    inputs = xs if isinstance(xs, tuple) else (xs,)
    if not inputs or not all(isinstance(one, torch.Tensor) for one in inputs):
        raise LightboundError("scan", type(xs).__name__, "is no tensor to scan", "Pass a tensor, or a tuple of them.")
    lengths = {one.shape[dim] for one in inputs}
    if len(lengths) != 1:
        raise LightboundError("scan", sorted(lengths), "are different lengths", "Scan tensors of one length.")
    recorder = ACTIVE.get()
    if recorder is None or torch.is_grad_enabled() or recorder.build.loops or lengths == {1}:
        return _unrolled(step, carry, xs, dim)
    return _Recurrence(recorder, dim, int(lengths.pop())).run(step, carry, xs)


def _unrolled(step: Step, carry: Any, xs: Any, dim: int) -> tuple[Any, Any]:
    import torch

    many = isinstance(xs, tuple)
    slices = [one.unbind(dim) for one in (xs if many else (xs,))]
    ys: list[Any] = []
    for now in zip(*slices, strict=True):
        carry, y = step(carry, now if many else now[0])
        ys.append(y)
    if ys[0] is None:
        return carry, None
    if isinstance(ys[0], tuple):
        return carry, tuple(torch.stack(list(one), dim) for one in zip(*ys, strict=True))
    return carry, torch.stack(ys, dim)


class _Recurrence:
    """One loop of a trace: its rank, and the tensors that go around it."""

    def __init__(self, recorder: Recorder, dim: int, length: int) -> None:
        self.recorder = recorder
        self.build = recorder.build
        self.dim = dim
        self.length = length
        self.rank = ""

    def run(self, step: Step, carry: Any, xs: Any) -> tuple[Any, Any]:
        build, recorder = self.build, self.recorder
        carries = carry if isinstance(carry, tuple) else (carry,)
        inputs = xs if isinstance(xs, tuple) else (xs,)
        self.rank = self._rank(carries, inputs)
        names = [self._begin(one) for one in carries]
        before = [self._fake(one) for one in carries]
        for fake, one, name in zip(before, carries, names, strict=True):
            recorder.bind(fake, self._at(name, recorder.value(one), plain(self.rank)))
        slices = tuple(self._slice(one) for one in inputs)
        build.loops.append(self.rank)
        try:
            after, y = step(
                tuple(before) if isinstance(carry, tuple) else before[0],
                slices if isinstance(xs, tuple) else slices[0],
            )
        finally:
            build.loops.pop()
        following = after if isinstance(after, tuple) else (after,)
        if len(following) != len(carries):
            problem = f"are returned for {len(carries)} carried tensors"
            raise LightboundError("scan", len(following), problem, "Return as many as the step was given.")
        for name, first, one in zip(names, carries, following, strict=True):
            self._go_on(name, recorder.value(first), recorder.value(one))
        last = tuple(self._last(name, one) for name, one in zip(names, carries, strict=True))
        found = None if y is None else tuple(self._stack(one) for one in (y if isinstance(y, tuple) else (y,)))
        ys = found if found is None or isinstance(y, tuple) else found[0]
        return (last if isinstance(carry, tuple) else last[0]), ys

    def _rank(self, carries: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor]) -> str:
        """The rank of time: that of the first input, unless a carried tensor has it too."""
        build = self.build
        taken = {build.ranks.find(rank) for one in carries for rank in self.recorder.value(one).atoms}
        dim = self.recorder.value(inputs[0]).dims[self.dim]
        if len(dim) == 1 and build.ranks.find(dim[0]) not in taken:
            return build.ranks.find(dim[0])
        others = {build.ranks.find(rank) for one in inputs for rank in self.recorder.value(one).atoms}
        return build.fresh(self.length, "t", taken | others)

    def _begin(self, carried: torch.Tensor) -> str:
        """The line of the first value."""
        from .names import line_name

        build = self.build
        value = self.recorder.value(carried)
        name = build.name(line_name(build, "state"))
        if is_constant(build.read(value)):  # a batch of 1 is a rank too
            dims = tuple(dim or (build.fresh(1, "n", value.atoms),) for dim in value.dims)
            value = stored(build.read(value), dims)
        value = build.material(value, "First") if not _plainly(build, value) else value
        self.recorder.bind(carried, value)
        output = Access(name, (Affine(), *self._own(value)))
        build.line(output, build.read(value), first=True)
        return name

    def _own(self, value: Value) -> tuple[Affine, ...]:
        return tuple(plain(self.build.ranks.find(rank)) for rank in value.atoms)

    def _at(self, name: str, like: Value, when: Affine) -> Value:
        self.build.ranks.keep_apart((self.rank, *like.atoms))
        return stored(Access(name, (when, *self._own(like))), like.dims)

    def _go_on(self, name: str, first: Value, value: Value) -> None:
        """The line of the next value, over the ranks of the first."""
        build = self.build
        labels = [str(place) for place in range(len(first.dims))]
        space = build.space([self._at(name, first, plain(self.rank)), value], [labels, labels])
        kept = [label for label, dim in zip(labels, first.dims, strict=True) if dim]
        gone = {rank: Affine() for label in labels if label not in kept for rank in space.ranks[label]}
        output = Access(name, (Affine(((1, self.rank),), 1), *map(plain, space.flat(kept))))
        build.line(output, substitute(build.ranks, space.exprs[1], gone))

    def _fake(self, tensor: torch.Tensor) -> torch.Tensor:
        import torch

        with self.recorder.paused():
            return torch.empty(tensor.shape, dtype=tensor.dtype)

    def _slice(self, tensor: torch.Tensor) -> torch.Tensor:
        """One x: the input with its dimension at the rank of time."""
        build, recorder = self.build, self.recorder
        value = recorder.value(tensor)
        place = self.dim % len(value.dims)
        if len(value.dims[place]) != 1:
            value = build.flat(value, place)
        kept = (*value.dims[:place], *value.dims[place + 1 :])
        own = build.ranks.find(value.dims[place][0])
        moves = {} if own == build.ranks.find(self.rank) else {own: plain(self.rank)}
        build.ranks.keep_apart((self.rank, *(rank for dim in kept for rank in dim)))
        with recorder.paused():
            fake = tensor.select(self.dim, 0).clone()
        recorder.bind(fake, through(build.ranks, value, kept, moves))
        return fake

    def _last(self, name: str, carried: torch.Tensor) -> torch.Tensor:
        fake = self._fake(carried)
        when = Affine((), size_symbol(self.build.ranks.find(self.rank)))
        self.recorder.bind(fake, self._at(name, self.recorder.value(carried), when))
        return fake

    def _stack(self, y: torch.Tensor) -> torch.Tensor:
        import torch

        value = self.recorder.value(y)
        place = self.dim % (len(value.dims) + 1)
        shape = list(y.shape)
        shape.insert(place, self.length)
        with self.recorder.paused():
            fake = torch.empty(shape, dtype=y.dtype)
        dims = (*value.dims[:place], (self.rank,), *value.dims[place:])
        self.recorder.bind(fake, stored(self.build.read(value), dims))
        return fake


def _plainly(build: Any, value: Value) -> bool:
    """Whether a first value may stand on the right of a line: it is constant, or has all its ranks."""
    expr = build.read(value)
    return is_constant(expr) or {build.ranks.find(rank) for rank in value.atoms} <= set(free_ranks(expr))
