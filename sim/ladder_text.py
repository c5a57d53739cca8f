"""A ladder in sentences: rung by rung what is lost and why, then what a kernel is predicted to reach, and what it costs
outside. Numbers are the ladder's; nothing is computed here that decides anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightbound.workloads.masks.shape import text

from .explain import seconds, size

if TYPE_CHECKING:
    from .ladder import Ladder, Rung


def explain(ladder: Ladder) -> str:
    """The paragraphs behind `Ladder.explain`."""
    lines = [_headline(ladder), *(rung_line(rung) for rung in ladder.rungs), _masking(ladder), _prediction(ladder)]
    lines += [_copies(ladder), _run(ladder)]
    return "\n".join(line for line in lines if line)


def _headline(ladder: Ladder) -> str:
    tiles = f"{text(ladder.count.q_tile)}/{text(ladder.count.kv_tile)}"
    offered = f"offered by {', '.join(ladder.backends)}" if ladder.backends else "offered by no backend that is known"
    return (
        f"{ladder.workload} in {ladder.count.kv_tiling} tiles of {tiles} (queries/keys, {offered}): "
        f"at most {ladder.speedup:.4g} times as fast as dense attention."
    )


def rung_line(rung: Rung) -> str:
    """One rung: its speedup, what was lost, and why."""
    lost = f", {rung.lost:.1%} less than the bound above" if rung.lost > 5e-4 else ""
    return f"{rung.name}: {rung.speedup:.4g}x{lost}. {rung.why}"


def _masking(ladder: Ladder) -> str:
    count = ladder.count
    if ladder.block_sparse and not ladder.tested_visits:
        return "Perfectly block-sparse: no visited tile needs a mask, and kernels know it."
    if ladder.block_sparse:
        return "Perfectly block-sparse, but the rule by which kernels decide does not see it: they test every score."
    tests = "; kernels test the scores of all of them" if ladder.tested_visits == count.visits_total else ""
    return f"Not block-sparse: {count.partial_tiles:,} of {count.visits_total:,} visited tiles need a mask{tests}."


def _prediction(ladder: Ladder) -> str:
    e = ladder.estimate
    if e is None:
        return f"No estimate: {ladder.no_estimate}" if ladder.machine else ""
    tax = f" A tested tile takes {e.tax:.2f} times as long." if e.tested else ""
    return (
        f"Predicted for {ladder.machine} by mapping {e.mapping!r}: {seconds(e.kernel_s)} without its launch, "
        f"{ladder.estimated_speedup:.4g} times as fast as the same kernel run dense "
        f"({seconds(ladder.dense_s['estimate'])}).{tax}"
    )


def _copies(ladder: Ladder) -> str:
    p = ladder.permutation
    if not p.bytes:
        return "Tokens lie in tile order already, or the kernel gathers them: nothing is copied."
    took = f", {seconds(p.seconds)} at {p.share:.0%} of the memory bandwidth" if p.seconds is not None else ""
    total = ladder.estimated_total_speedup
    left = f"; with them the speedup is {total:.4g}" if total is not None else ""
    return f"Putting tokens in tile order and back moves {size(p.bytes)}{took}{left}."


def _run(ladder: Ladder) -> str:
    known = ladder.end_to_end
    if known is None:
        return ""
    best = ladder.run_speedup(ladder.speedup)
    mixed = f", {ladder.run_speedup(ladder.speedup, known.dense_steps):.4g} with the first {known.dense_steps} dense"
    return (
        f"Attention is {known.share:.1%} of a run of {known.steps} steps: at the bound the run gets {best:.4g} times "
        f"as fast{mixed if known.dense_steps else ''}."
    )
