"""``lightbound compare``: predicted and measured side by side, by kernel and shape."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightbound.sim.explain import seconds
from lightbound.validate.host.compare import Compared, Comparison, chosen_cases, compare_cases

from .answer import Answer, Block, Table, Text
from .progress import progress

if TYPE_CHECKING:
    from .charts.chart import Picture


def answer(
    kernels: Sequence[str],
    device: str,
    threads: int,
    repeats: int,
    budget: float,
    plot: Path | None,
    fresh: int | None = None,
) -> Answer:
    """The comparison, drawn too where a file is given."""
    cases = chosen_cases(kernels, device, fresh)
    with progress("Measuring", total=len(cases)) as advance:
        found = compare_cases(cases, threads, repeats, budget, advance)
    if plot is not None:
        from .comparison_plots import draw

        draw(found, plot)

    def pictures() -> Sequence[Picture]:
        from .charts.errors import comparison_charts

        return comparison_charts(found)

    return Answer(_blocks(found), found.to_dict(), [one.to_dict() for one in found.cases], pictures)


def _blocks(found: Comparison) -> list[Block]:
    columns = ("kernel", "shape", "predicted", "measured", "±", "error", "of bound", "bottleneck", "")
    table = Table(
        columns,
        [_row(one) for one in found.cases],
        title=f"{found.machine}; {found.threads} thread{'s' if found.threads > 1 else ''}",
        right=frozenset(columns[2:7]),
    )
    blocks: list[Block] = [table]
    errors = found.errors()
    if errors:
        rows = [(one.group, str(one.n), f"{one.mape:.1%}", f"{one.bias:+.1%}", f"{one.max:.1%}") for one in errors]
        names = ("kernel", "n", "MAPE", "bias", "maximum")
        blocks.append(Table(names, rows, title="Errors of the predicted times", right=frozenset(names[1:])))
    notes = [
        "Times are of the busiest thread, medians of undisturbed samples with half their 95 % interval. Tensors lie in "
        "the innermost cache that has room. No number is fitted to these timings; which mechanisms are modelled was "
        "chosen with such timings in view."
    ]
    faster = [one for one in found.cases if one.violates]
    if faster:
        notes.append(f"Faster than their bound: {', '.join(f'{one.case.kernel} {one.case.name}' for one in faster)}.")
    notes.extend(told for told in (found.clock, found.copying, found.sharing, found.noise) if told)
    blocks.append(Text("\n".join(notes), title="Notes"))
    return blocks


def _row(one: Compared) -> tuple[str, ...]:
    return (
        one.case.kernel,
        one.case.name,
        seconds(one.predicted.latency_s),
        seconds(one.measured.median_s),
        f"{one.measured.spread:.0%}",
        f"{one.error:+.1%}",
        f"{one.achieved:.0%}",
        one.predicted.bottleneck,
        "noisy" if one.measured.noisy else "",
    )
