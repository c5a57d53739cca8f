"""`peak_memory`: how many bytes a cascade needs at once, at which Einsum, and what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from lightbound.base.errors import LightboundError, choose_from

from ..cascade import Cascade
from ..counts import footprint, operations
from ..passes import passes
from .liveness import live
from .ordering import best_order
from .schedule import AGAIN, GRADIENT, Task, forward, loops
from .schedule import training as training_tasks

if TYPE_CHECKING:
    from ..registry import Workload

OPTIMIZERS = {"none": 0, "sgd": 0, "momentum": 4, "adam": 8, "adam_mixed": 12}
"""Bytes of state for each parameter: 32-bit moments, and in mixed precision a 32-bit copy of the parameter."""
ORDERS = ("given", "best")
TILE = 128
"""Of a tile that nobody chose, the largest that an error proposes."""


@dataclass(frozen=True)
class PeakMemory:
    """Memory of one execution, in bytes.

    `activation_bytes` is the peak of everything but the parameters: inputs, intermediates, outputs, and in training
    what the backward pass needs and the gradients of intermediates. `kept_bytes` are the intermediates that outlive
    the forward pass. Gradients of parameters and the state of the optimizer are stated apart. `recomputed` are the
    operations done a second time.
    """

    workload: str
    training: bool
    order: str
    activation_bytes: int
    kept_bytes: int
    parameter_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    at: str
    live: dict[str, int]
    timeline: tuple[tuple[str, int], ...]
    recomputed: int = 0
    notes: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """Everything together at the peak."""
        return self.activation_bytes + self.parameter_bytes + self.gradient_bytes + self.optimizer_bytes

    def explain(self) -> str:
        """Where the peak is, and what is alive there, in words."""
        largest = sorted(self.live.items(), key=lambda item: -item[1])
        shown = [f"  {name}: {_size(size)}" for name, size in largest[:8]]
        if len(largest) > 8:
            rest = sum(size for _, size in largest[8:])
            shown.append(f"  and {len(largest) - 8} more: {_size(rest)}")
        head = f"The peak of {_size(self.activation_bytes)} is at {self.at}, where these are alive:"
        return "\n".join([head, *shown, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        fields = (
            "workload", "training", "order", "activation_bytes", "kept_bytes", "parameter_bytes", "gradient_bytes",
            "optimizer_bytes", "total_bytes", "at", "recomputed",
        )  # fmt: skip
        return {
            **{name: getattr(self, name) for name in fields},
            "live": dict(self.live),
            "timeline": [{"at": name, "bytes": size} for name, size in self.timeline],
            "notes": list(self.notes),
        }


def peak_memory(
    workload: Workload | Cascade | str,
    training: bool = False,
    *,
    word_bytes: int | None = None,
    parameters: Sequence[str] | None = None,
    order: str = "given",
    in_place: bool = True,
    checkpoint: int | Sequence[str] | None = None,
    fused: Sequence[str] = (),
    detached: Sequence[str] = (),
    optimizer: str = "none",
) -> PeakMemory:
    """The most memory that a workload needs at once, when its Einsums run whole, one after another.

    workload: a Workload, a sized Cascade, or a name. training: also run backward, in reverse order; of a traced
    training step the backward pass is in the cascade already. word_bytes: of every element, by default the
    workload's own (2). parameters: the inputs that are weights; a trace knows them. order: ``given``, or ``best``
    for the order of inference with the smallest peak (exact for small graphs, greedy for others; the result says
    which). in_place: pointwise Einsums write over an operand that nobody needs any more. checkpoint: in training,
    a number of segments or names of Einsums to keep; the rest is recomputed. fused: ranks along which the Einsums
    of one pass run one coordinate at a time. detached: Einsums that no gradient flows through,
    such as the maximum that a softmax subtracts. optimizer: none, sgd, momentum, adam, adam_mixed.
    Raises LightboundError for missing sizes, unknown names, and options that do not go together.
    """
    from ..registry import as_workload

    work = as_workload(workload)
    cascade, word = work.cascade, work.word_bytes if word_bytes is None else word_bytes
    _check(cascade, training, order, checkpoint, word)
    for name in detached:
        cascade.einsum(name)
    weights = _parameters(cascade, parameters)
    origins = getattr(cascade, "origins", {})
    traced_step = any(origin.backward for origin in origins.values())
    _check_optimizer(optimizer, training or traced_step)
    backward = training and not traced_step
    if traced_step and checkpoint is not None:
        remedy = "Trace with train=False, and ask for training=True: the backward pass is then derived."
        raise LightboundError("checkpoint", checkpoint, "needs a forward pass; this trace has its backward", remedy)
    elements, notes = _elements(cascade, fused, backward)
    gradients = _gradients(cascade) if traced_step else {}
    sizes = {name: int(count) * word for name, count in elements.items() if name not in weights}
    if traced_step:
        sizes = {name: size for name, size in sizes.items() if name not in gradients}
    inputs = frozenset(cascade.inputs)
    outputs = frozenset(cascade.outputs)
    how = "given"
    if backward:
        from .saved import differentiable

        graded = differentiable(cascade, weights, detached)
        tasks = training_tasks(cascade, graded, checkpoint)
        sizes |= _of_training(tasks, sizes)
        for name in (*weights, *(set(cascade.inputs) - set(weights))):
            sizes.pop(f"{GRADIENT}{name}", None)
        gradient_words = sum(int(elements[name]) for name in weights if name in graded)
    else:
        if order == "best":
            tasks, how = best_order(cascade, sizes, inputs, outputs, in_place)
        else:
            tasks = forward(cascade)
        gradient_words = sum(int(footprint(cascade, name)) for name in gradients)
    found = live(tasks, sizes, inputs - set(weights), outputs, in_place and not backward)
    weight_elements = sum(int(footprint(cascade, name)) for name in weights)
    is_training = training or traced_step
    return PeakMemory(
        workload=work.name,
        training=is_training,
        order=how,
        activation_bytes=max(found.bytes_at),
        kept_bytes=_kept(cascade, tasks, sizes, origins),
        parameter_bytes=weight_elements * word,
        gradient_bytes=gradient_words * word,
        optimizer_bytes=weight_elements * OPTIMIZERS[optimizer] if is_training else 0,
        at=tasks[found.peak].name,
        live=found.tensors,
        timeline=tuple((task.name, size) for task, size in zip(tasks, found.bytes_at, strict=True)),
        recomputed=_recomputed(cascade, tasks),
        notes=tuple(notes),
    )


def _check(cascade: Cascade, training: bool, order: str, checkpoint: int | Sequence[str] | None, word: int) -> None:
    if any(isinstance(size, np.ndarray) for size in cascade.sizes.values()):
        raise LightboundError("sizes", "arrays", "are a sweep", "Ask for one size at a time.")
    if cascade.missing_sizes:
        missing = cascade.missing_sizes[0]
        remedy = f"Give it: {_example(cascade, missing)}"
        raise LightboundError(f"sizes.{missing}", None, f"has no value in {cascade.name}", remedy)
    if not isinstance(word, int | np.integer) or isinstance(word, bool) or word < 1:
        raise LightboundError("word_bytes", word, "is no number of bytes", "Write a whole number of at least 1.")
    if order not in ORDERS:
        raise LightboundError("order", order, "does not exist", choose_from(ORDERS, order))
    if checkpoint is not None and not training:
        raise LightboundError("checkpoint", checkpoint, "is for training", "Ask for training=True (--training).")
    if order == "best" and training:
        raise LightboundError("order", order, "is for inference", "A backward pass runs in reverse of the given order.")


def _example(cascade: Cascade, missing: str) -> str:
    """A value for a size; of a tile one that divides its rank."""
    for partition in cascade.partitions:
        whole = cascade.sizes.get(partition.total)
        if missing in partition.parts[1:] and whole is not None:
            tile = max(size for size in range(1, min(whole, TILE) + 1) if whole % size == 0)
            return f"{missing}={tile}, say; it is the tile of {partition.total}, which elsewhere a mapping chooses."
    return f"{missing}=..."


def _check_optimizer(optimizer: str, training: bool) -> None:
    if optimizer not in OPTIMIZERS:
        raise LightboundError("optimizer", optimizer, "is not known", choose_from(OPTIMIZERS, optimizer))
    if optimizer != "none" and not training:
        raise LightboundError("optimizer", optimizer, "is for training", "Ask for training=True (--training).")


def _parameters(cascade: Cascade, given: Sequence[str] | None) -> tuple[str, ...]:
    if given is not None:
        for name in given:
            if name not in cascade.inputs:
                raise LightboundError("parameters", name, "is not an input", choose_from(cascade.inputs, name))
        return tuple(given)
    sources, kinds = getattr(cascade, "sources", {}), getattr(cascade, "kinds", {})
    return tuple(name for name in cascade.inputs if sources.get(name) in kinds)


def _gradients(cascade: Cascade) -> frozenset[str]:
    """The Einsums of a traced step that are gradients of parameters and read by nobody."""
    results = getattr(cascade, "results", {})
    found = {
        result.expr.tensor
        for label, result in results.items()
        if label.startswith("grad.") and hasattr(result.expr, "tensor")
    }
    return frozenset(found & set(cascade.outputs))


def _elements(cascade: Cascade, fused: Sequence[str], training: bool) -> tuple[dict[str, int], list[str]]:
    """How many elements of each tensor are alive at once, and remarks."""
    found: dict[str, int] = {}
    notes: list[str] = []
    for tensor in cascade.tensors:
        whole = prod(int(size) for size in cascade.shape(tensor))
        found[tensor] = whole if training else int(footprint(cascade, tensor))
    if not training:
        for rank, names in loops(cascade):
            for name in names:
                inside = all(reader.name in names for reader in cascade.readers(name))
                writer = cascade.writer(name)
                carried = rank in cascade.iterative.get(name, ()) or name in cascade.outputs
                if writer is not None and inside and not carried and rank in writer.output.ranks:
                    found[name] //= int(cascade.size(rank))
    if training and cascade.iterative:
        notes.append(f"Every iterate of {', '.join(cascade.iterative)} is kept for the backward pass.")
    if training and fused:
        raise LightboundError("fused", ", ".join(fused), "is for inference", "Training keeps whole tensors.")
    for rank in fused:
        if rank not in cascade.ranks:
            raise LightboundError("fused", rank, "is not a rank", choose_from(cascade.ranks, rank))
        analysis = passes(cascade, rank)
        for name in cascade.intermediates:
            writer = cascade.writer(name)
            assert writer is not None
            readers = [analysis.einsum[one.name] for one in cascade.readers(name)]
            together = all(number == analysis.einsum[name] for number in readers)
            stepped = rank in cascade.iterative.get(name, ())
            everywhere = all(rank in access.ranks for access in cascade.accesses(name))
            if rank in writer.output.ranks and together and everywhere and not stepped and name not in analysis.live:
                found[name] //= int(cascade.size(rank))
        notes.append(f"Fused over {rank}: Einsums of one pass hold one of {cascade.size(rank)} coordinates at a time.")
    return found, notes


def _of_training(tasks: Sequence[Task], sizes: dict[str, int]) -> dict[str, int]:
    """Sizes of gradients and of what is computed again: those of the tensors themselves."""
    names = {name for task in tasks for name in (*task.reads, *task.writes)}
    found: dict[str, int] = {}
    for name in names:
        plain = name.removeprefix(GRADIENT).removeprefix(AGAIN)
        if name not in sizes and plain in sizes:
            found[name] = sizes[plain]
    return found


def _kept(cascade: Cascade, tasks: Sequence[Task], sizes: dict[str, int], origins: Any) -> int:
    """Bytes of intermediates that the forward pass makes and the backward pass reads."""
    made = {name for task in tasks if _is_forward(task, origins) for name in task.writes}
    again = {name for task in tasks if not _is_forward(task, origins) for name in task.reads}
    return sum(sizes.get(name, 0) for name in made & again)


def _is_forward(task: Task, origins: Any) -> bool:
    return task.phase == "forward" and not any(origins[name].backward for name in task.writes if name in origins)


def _recomputed(cascade: Cascade, tasks: Sequence[Task]) -> int:
    again = {name.removeprefix(AGAIN) for task in tasks if task.phase == "recomputation" for name in task.writes}
    counts = operations(cascade)
    return sum(int(count) for name in again if name in counts for count in counts[name].values())


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"
