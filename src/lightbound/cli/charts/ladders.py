"""Charts of bounds: the rungs of a ladder, its roofline, its mask with the visited tiles; the designs of a search."""

from __future__ import annotations

from lightbound.archs.machine import Machine
from lightbound.drawing import mask_pictures
from lightbound.sim.bound import PAIR_OPERATIONS, fastest
from lightbound.sim.designs import DesignSearch
from lightbound.sim.ladder import Ladder
from lightbound.sim.masked import as_problem
from lightbound.workloads.registry import Workload

from .chart import Axis, Chart, Picture, Raster, Series
from .rooflines import Point, roofline

CELLS = 200  # rows and columns of a mask: more make a page slow


def ladder_charts(ladder: Ladder, work: Workload, machine: Machine | None) -> list[Picture]:
    """The ladder, its roofline where there is a machine, and the mask."""
    found: list[Picture] = [rungs(ladder)]
    if machine is not None and (chart := ladder_roofline(ladder, work, machine)) is not None:
        found.append(chart)
    return [*found, *masks(ladder)]


def rungs(ladder: Ladder) -> Chart:
    """A bar for each rung, and for the estimate."""
    bounds = [rung for rung in ladder.rungs if rung.is_bound]
    others = [(rung.name, rung.speedup) for rung in ladder.rungs if not rung.is_bound]
    guesses = [("estimate", ladder.estimated_speedup)]
    if ladder.permutation.seconds:
        guesses.append(("with token order", ladder.estimated_total_speedup))
    predicted = [(name, float(value)) for name, value in guesses if value is not None]
    series = [
        _bars("bound", [(rung.name, rung.speedup) for rung in bounds], 0),
        _bars("no bound", others, 1),
        _bars("predicted", predicted, 2),
    ]
    told = ", ".join(f"{rung.name} {rung.speedup:.4g}x" for rung in ladder.rungs)
    says = f"Speedup over dense attention by rung: {told}."
    if predicted:
        says += f" Predicted: {', '.join(f'{name} {value:.4g}x' for name, value in predicted)}."
    shown = [one for one in series if one.x]
    return Chart("Ladder of bounds", says, Axis("speedup over dense", "x"), Axis("rung"), shown, stacked=True)


def _bars(name: str, values: list[tuple[str, float]], style: int) -> Series:
    lengths = [value for _, value in values]
    return Series(
        name, lengths, [rung for rung, _ in values], "bars", [f"{value:.4g}x" for value in lengths], like=style
    )


def ladder_roofline(ladder: Ladder, work: Workload, machine: Machine) -> Chart | None:
    """The rungs that have a time, at the compulsory traffic of the workload, under the roofs of what a pair costs."""
    problem = as_problem(work, None, None, None)
    bandwidth = machine.levels[0].bandwidth_bytes_per_s
    pairs = float(ladder.count.attended_pairs) * problem.copies
    macs = pairs * problem.pair_operations.get("mac", 0)
    found = {op: fastest(machine, op) for op in PAIR_OPERATIONS if problem.pair_operations.get(op)}
    busy: dict[str, float] = {}
    for op, unit in found.items():
        if unit is not None:
            name, rate, _ = unit
            busy[name] = max(busy.get(name, 0.0), pairs * problem.pair_operations[op] / rate)
    if bandwidth is None or not macs or not busy:
        return None
    moved = float(problem.io_bytes)
    points = [Point(rung.name, rung.time_s, moved, True) for rung in ladder.rungs if rung.time_s]
    if ladder.estimate is not None:
        points.insert(0, Point("estimate", float(ladder.estimate.kernel_s), moved))
    if not points:
        return None
    title = f"Roofline of the attended pairs on {machine.name}, with the ladder"
    return roofline(title, macs, float(bandwidth), busy, points)


def masks(ladder: Ladder) -> list[Picture]:
    """The mask and the tiles that are visited, an axis each where it is a product of axes."""
    found: list[Picture] = []
    for picture in mask_pictures(ladder, CELLS):
        title = f"Mask and visited tiles, {picture.title.splitlines()[0]}"
        whole = ladder.count
        says = (
            f"{picture.title.replace(chr(10), '; ')}. {whole.density:.2%} of all pairs are attended; the worst Q tile "
            f"visits {whole.visits_max:,} KV tiles, the mean {whole.visits_mean:,.4g}. The box is the worst Q tile."
        )
        box = picture.worst if picture.worst[1] <= picture.shades.shape[0] else None
        found.append(Raster(title, says, f"key ({picture.unit})", "query", picture.shades, picture.keys, box))
    return found


def search_charts(search: DesignSearch) -> list[Picture]:
    """What each design allows: its bound against what the busiest tile of queries would allow, or its estimate."""
    timed = any(one.estimated_speedup for one in search.designs)
    series = []
    for name, skips in (("perfectly block-sparse", True), ("tests scores", False)):
        some = [one for one in search.designs if one.skips_tests is skips and (not timed or one.estimated_speedup)]
        y = [float((one.estimated_speedup if timed else one.worst_tile) or 0.0) for one in some]
        labels = [f"tiles {one.tiles}" + (f", stride {one.to_dict()['stride']}" if one.stride else "") for one in some]
        if some:
            series.append(Series(name, [one.speedup for one in some], y, "points", labels))
    best = search.best
    says = f"{len(search.designs)} designs; the best has tiles {best.tiles} and a bound of {best.speedup:.4g}x."
    y_title = "predicted speedup" if timed else "speedup by the worst tile"
    return [Chart("Designs", says, Axis("bound on the speedup", "x"), Axis(y_title, "x"), series)]
