"""The answer of ``lightbound memory``: the peak, and what is alive there."""

from __future__ import annotations

from lightbound.sim.explain import size
from lightbound.workloads.memory import PeakMemory, peak_memory
from lightbound.workloads.registry import Workload

from .answer import Answer, Block, Table, Text
from .progress import progress

ROWS = 16


def answer(
    work: Workload, training: bool, parameters: str | None, order: str, in_place: bool, checkpoint: str | None,
    fused: str | None, detached: str | None, optimizer: str,
) -> Answer:  # fmt: skip
    """The peak memory of a workload."""
    with progress(f"Schedules of {work.name}"):
        found = peak_memory(
            work,
            training,
            word_bytes=work.word_bytes,
            parameters=None if parameters is None else _names(parameters),
            order=order,
            in_place=in_place,
            checkpoint=_checkpoint(checkpoint),
            fused=_names(fused),
            detached=_names(detached),
            optimizer=optimizer,
        )
    timeline = [{"step": number, "at": name, "bytes": held} for number, (name, held) in enumerate(found.timeline, 1)]
    return Answer([*_blocks(found)], {**found.to_dict(), "explanation": found.explain()}, timeline)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _checkpoint(text: str | None) -> int | tuple[str, ...] | None:
    if text is None:
        return None
    return int(text) if text.strip().isdigit() else _names(text)


def _blocks(found: PeakMemory) -> list[Block]:
    parts = [
        ("activations at the peak", found.activation_bytes),
        ("of these kept for the backward pass", found.kept_bytes),
        ("parameters", found.parameter_bytes),
        ("gradients of parameters", found.gradient_bytes),
        ("optimizer", found.optimizer_bytes),
    ]
    rows = [(name, size(value)) for name, value in parts if value or name.startswith("activations")]
    rows.append(("total", size(found.total_bytes)))
    title = f"Memory of {found.workload}, {'a training step' if found.training else 'inference'}, {found.order} order"
    blocks: list[Block] = [Table(("what", "bytes"), rows, title=title, right=frozenset({"bytes"}))]
    shown = found.timeline
    if len(shown) > ROWS:
        largest = sorted(range(len(shown)), key=lambda at: -shown[at][1])[:ROWS]
        shown = tuple(shown[at] for at in sorted(largest))
    steps = [(name, size(held)) for name, held in shown]
    title = (
        f"Alive at each Einsum{f' (the {ROWS} largest of {len(found.timeline)})' if shown != found.timeline else ''}"
    )
    blocks.append(Table(("while computing", "bytes"), steps, title=title, right=frozenset({"bytes"})))
    blocks.append(Text(found.explain(), title="In words", verbatim=True))
    if found.recomputed:
        blocks.append(Text(f"{found.recomputed:,} operations are done a second time."))
    return blocks
