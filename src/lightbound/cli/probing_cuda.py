"""``lightbound probe cuda``: what was measured of a GPU, here or elsewhere, and the machine that is made of it."""

from __future__ import annotations

from pathlib import Path

from lightbound.base.errors import LightboundError
from lightbound.base.place import check_place
from lightbound.kernels.cuda.probe import BUDGET_S, measure
from lightbound.validate.gpu.machine_file import machine_document, write_machine
from lightbound.validate.gpu.probe import Figure, GpuProbe, from_raw, read_probe

from .answer import Answer, Block, Table, Text
from .progress import progress

SHOWN_TASKS = 170


def answer_cuda(output: Path | None, given: Path | None, budget_s: float | None) -> tuple[Answer, Path]:
    """The figures of a GPU's probe, and where the machine was written."""
    if output is not None:
        check_place("--output", output)
    if given is not None:
        found = read_probe(given)
    else:
        if budget_s is not None and budget_s < 5:
            raise LightboundError("--budget", budget_s, "leaves no time to measure", "Give it 5 seconds or more.")
        with progress("Probing", total=SHOWN_TASKS) as advance:
            found = from_raw(measure(budget_s or BUDGET_S, step=lambda what: advance(1)))
    path = write_machine(found, output)
    data = {"file": str(path), "device": dict(found.device), "machine": machine_document(found)}
    figures = {
        name: {"value": one.value, "spread": one.spread, "most": one.most, "unit": one.unit, "what": one.what}
        for name, one in found.figures.items()
    }
    return Answer(_blocks(found), {**data, "figures": figures, "failed": dict(found.failed)}), path


def _blocks(found: GpuProbe) -> list[Block]:
    rows = [(name, shown(one), f"{one.spread:.1%}", one.what) for name, one in found.figures.items()]
    device = found.device
    title = f"{found.name}: {device['attributes']['multiprocessors']} multiprocessors, compute capability "
    title += f"{device['capability'] / 10:.1f}, measured {found.day}"
    notes = [f"{name} failed: {error}" for name, error in found.failed.items()]
    if found.skipped:
        notes.append(f"No time was left for {', '.join(found.skipped)}: give it a larger --budget.")
    blocks: list[Block] = [
        Table(("figure", "median", "spread", "what"), rows, title=title, right=frozenset({"median", "spread"}))
    ]
    return [*blocks, Text("\n".join(notes), title="Notes")] if notes else blocks


def shown(one: Figure) -> str:
    """A figure's median with its unit."""
    if one.unit == "Hz":
        return f"{one.value / 1e6:,.0f} MHz"
    if one.unit == "s":
        return f"{one.value * 1e6:.2f} us"
    if one.unit == "B/s":
        return f"{one.value / 1e9:,.0f} GB/s"
    return f"{one.value:.4g} {one.unit.replace(' per SM and clock', '/clk/SM').replace('multiply-accumulates', 'mac')}"
