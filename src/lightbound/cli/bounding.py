"""``lightbound bound``: the ladder of one design, or the best designs of a search, as tables and with reasons."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.sim.bound import bound
from lightbound.sim.designs import DesignSearch, bound_search
from lightbound.sim.explain import seconds, size
from lightbound.sim.ladder import Ladder
from lightbound.sim.mapping import Mapping as KernelMapping
from lightbound.workloads.masks.causal import Causal
from lightbound.workloads.masks.shape import text
from lightbound.workloads.registry import Workload

from .answer import Answer, Block, Table, Text
from .inputs import inputs
from .progress import progress

if TYPE_CHECKING:
    from .charts.chart import Picture

SHOWN = 20  # designs in the table of a search; csv and json have all that were asked for


def shape(option: str, given: str | None) -> tuple[int, ...] | int | None:
    """``18,24,24`` or ``18x24x24`` as a tuple, ``16`` as a number."""
    if given is None:
        return None
    numbers = _numbers(given)
    if not numbers:
        problem = "is not a shape"
        raise LightboundError(option, given, problem, f"Write one whole number an axis: {option} 18,24,24.")
    return numbers[0] if len(numbers) == 1 else numbers


def flags(option: str, given: str | None) -> tuple[bool, ...] | bool | None:
    """``1,0,0`` as yes or no an axis; one for all axes."""
    if given is None:
        return None
    found = tuple(bool(value) for value in _numbers(given) if value <= 1)
    if not found or len(found) < len(_numbers(given)):
        raise LightboundError(option, given, "is not yes or no", f"Write 1 or 0 an axis: {option} 1,0,0.")
    return found[0] if len(found) == 1 else found


def _numbers(given: str) -> tuple[int, ...]:
    """The whole numbers of a list; none where one of them is something else."""
    parts = [part.strip() for part in re.split(r"[,x]", given.strip())]
    return tuple(map(int, parts)) if all(part.isascii() and part.isdigit() for part in parts) else ()


def with_mask(work: Workload, options: Mapping[str, Any]) -> Workload:
    """The workload with these options of its mask; those that are None stay as they are."""
    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        return work
    if work.mask is None:
        name = next(iter(given))
        remedy = "Choose a workload with a mask, such as gna."
        remedy = f"Write --causal 1 for attention without axes, or c{remedy[1:]}" if name == "causal" else remedy
        raise LightboundError(f"--{name.replace('_', '-')}", given[name], f"is of a mask; {work.name} has none", remedy)
    grid = given.get("grid")
    if isinstance(grid, int):
        given["grid"] = (grid,)
    if grid is not None and "window" not in given:
        remedy = "Give --window, and --stride where it is not 1."
        raise LightboundError("--grid", grid, "changes the grid but not the window", remedy)
    if grid is not None:
        given = {"stride": 1, "dilation": 1, "causal": False, "extra_keys": 0, **given}
    return work.with_options(**given)


def ladder_answer(
    work: Workload,
    machine: Machine | None,
    tiles: Mapping[str, Any],
    mapping: KernelMapping | str | None,
    plot: Path | None,
) -> Answer:
    """One ladder; drawn to the file `plot` too, where one is given."""
    if plot is not None:
        from lightbound.drawing import check_drawable

        check_drawable(plot)
    ladder = bound(work, machine, mapping=mapping, **tiles)
    if plot is not None:
        from lightbound.drawing import draw

        draw(ladder, plot)
    blocks = [_summary(ladder, work), _rungs(ladder), _estimate(ladder, machine), _run(ladder)]
    blocks.append(Text(ladder.explain(), title="Why", leads=True))
    records = [{name: value for name, value in rung.items() if name != "why"} for rung in ladder.to_dict()["rungs"]]
    data = {**ladder.to_dict(), "options": _plain(work.options), "explanation": ladder.explain()}

    def pictures() -> Sequence[Picture]:
        from .charts.ladders import ladder_charts

        return ladder_charts(ladder, work, machine)

    shown = [block for block in blocks if block is not None]
    return Answer(shown, data, records, pictures, lambda: inputs(work, machine))


def search_answer(
    work: Workload,
    machine: Machine | None,
    sought: Mapping[str, Any],
    mapping: KernelMapping | str | None,
    plot: Path | None,
) -> Answer:
    """The best designs of a search."""
    if plot is not None:
        from lightbound.drawing import check_drawable

        check_drawable(plot)
    with progress(f"Searching designs of {work.name}") as advance:
        found = bound_search(work, machine, mapping=mapping, progress=advance, **sought)
    if plot is not None:
        from lightbound.drawing import draw

        draw(found, plot)
    data = {**found.to_dict(), "options": _plain(work.options)}

    def pictures() -> Sequence[Picture]:
        from .charts.ladders import search_charts

        return search_charts(found)

    records = [design.to_dict() for design in found.designs]
    blocks = [_search_summary(found, work), _designs(found)]
    return Answer(blocks, data, records, pictures, lambda: inputs(work, machine))


def _summary(ladder: Ladder, work: Workload) -> Block:
    count = ladder.count
    state = (
        "yes" if ladder.block_sparse else f"no: {count.partial_tiles:,} of {count.visits_total:,} visits are partial"
    )
    if ladder.block_sparse and ladder.tested_visits:
        state += ", but the rule of the kernels does not see it"
    rows = [
        ("mask", _options(work)),
        ("tiles", f"{text(count.q_tile)} queries / {text(count.kv_tile)} keys, {count.kv_tiling} KV tiles"),
        ("offered by", ", ".join(ladder.backends) or "no backend that is known"),
        ("Q tiles", f"{count.q_tiles:,} in each of {ladder.copies:,} heads"),
        ("KV tiles visited", f"{count.visits_max:,} by the worst Q tile, {count.visits_mean:,.4g} on average"),
        ("perfectly block-sparse", state),
        ("speedup, at most", f"{ladder.speedup:.4g}x"),
    ]
    if ladder.time_s is not None:
        rows.append(("kernel, at least", f"{seconds(ladder.time_s)} on {ladder.machine}"))
    name = work.name + (f", preset {work.preset}" if work.preset else "")
    return Table(("bound", name), rows)


def _options(work: Workload) -> str:
    if work.mask is None:
        return "none: every query attends every key"
    if isinstance(work.mask, Causal):
        return "causal: no query looks ahead"
    shown = {name: value for name, value in work.options.items() if value not in (False, 0)}
    return " ".join(f"{name}={text(value) if isinstance(value, tuple) else value}" for name, value in shown.items())


def _rungs(ladder: Ladder) -> Block:
    rows = [
        (
            rung.name,
            f"{rung.speedup:.4g}x",
            f"{rung.lost:.1%}" if rung.lost > 5e-4 else "",
            "bound" if rung.is_bound else "no bound" if rung.informative else "not informative",
            seconds(rung.time_s) if rung.time_s is not None else "",
        )
        for rung in ladder.rungs
    ]
    columns = ("rung", "speedup", "lost", "claims", "least time")
    return Table(
        columns, rows, title="Ladder, over dense attention", right=frozenset({"speedup", "lost", "least time"})
    )


def _estimate(ladder: Ladder, machine: Machine | None) -> Block | None:
    """Times of kernels alone, as published speedups have them; what a launch adds is told beside."""
    e, p = ladder.estimate, ladder.permutation
    rows = []
    if e is not None:
        dense = ladder.dense_s["estimate"]
        launch = e.launches * float(machine.launch_latency_s) if machine is not None else 0.0
        without = f"both without the launch of {seconds(launch)}, which simulate adds" if launch else ""
        rows = [
            ("dense kernel", seconds(dense), "", without),
            ("kernel", seconds(e.kernel_s), f"{dense / e.kernel_s:.4g}x", ""),
        ]
        if e.tested:
            rows[-1] = (*rows[-1][:3], f"tests scores: {e.tax:.2f} times the time of a tile without")
    if p.bytes:
        took = seconds(p.seconds) if p.seconds is not None else ""
        total = ladder.estimated_total_speedup
        note = f"{size(p.bytes)} of copies at {p.share:.0%} of the bandwidth"
        rows.append(("with token order", f"+ {took}" if took else "", f"{total:.4g}x" if total else "", note))
    if not rows:
        return None
    title = f"Estimate on {ladder.machine}: a prediction, no bound" if e is not None else "Outside the kernel"
    return Table(("", "time", "speedup", ""), rows, title=title, right=frozenset({"time", "speedup"}))


def _run(ladder: Ladder) -> Block | None:
    known = ladder.end_to_end
    if known is None:
        return None
    reached = [(rung.name, rung.speedup) for rung in ladder.rungs if rung.informative]
    for name, value in (("estimate", ladder.estimated_speedup), ("with token order", ladder.estimated_total_speedup)):
        reached += [(name, value)] if value is not None else []
    rows = [
        (name, f"{ladder.run_speedup(value):.3f}x", f"{ladder.run_speedup(value, known.dense_steps):.3f}x")
        for name, value in reached
    ]
    columns = ("attention at", "all steps", f"first {known.dense_steps} of {known.steps} dense")
    title = f"End to end, attention being {known.share:.1%} of a dense run"
    return Table(columns, rows, title=title, right=frozenset(columns[1:]))


def _search_summary(found: DesignSearch, work: Workload) -> Block:
    best = found.best
    designs = f"{found.counted:,} under {found.tile_pairs:,} tile pairs, the best {len(found.designs)} kept"
    rows = [("mask", _options(work)), ("designs", designs), ("best", f"{_stride(best)}tiles {best.tiles}")]
    sparse = next((design for design in found.designs if design.skips_tests), None)
    if sparse is not None and sparse is not best:
        rows.append(("best block-sparse", f"{_stride(sparse)}tiles {sparse.tiles}"))
    return Table(("search", work.name + (f", preset {work.preset}" if work.preset else "")), rows)


def _stride(design: Any) -> str:
    return f"stride {text(design.stride)}, " if design.stride is not None else ""


def _designs(found: DesignSearch) -> Block:
    timed = found.machine is not None and any(design.kernel_s for design in found.designs)
    rows = []
    for design in found.designs[:SHOWN]:
        row = [
            text(design.stride) if design.stride is not None else "",
            design.tiles,
            f"{design.worst_tile:.4g}x",
            f"{design.total_visits:.4g}x",
            f"{design.speedup:.4g}x",
            "yes" if design.skips_tests else "exactly" if design.block_sparse else "",
        ]
        if timed:
            row += [
                seconds(design.kernel_s) if design.kernel_s else "",
                f"{design.estimated_speedup:.4g}x" if design.estimated_speedup else "",
            ]
        rows.append(tuple(row))
    columns = ("stride", "tiles", "worst tile", "total visits", "bound", "block-sparse")
    columns += ("estimate", "speedup") if timed else ()
    title = f"Best designs on {found.machine}" if found.machine else "Best designs"
    return Table(columns, rows, title=title, right=frozenset((*columns[2:5], *columns[6:])))


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
