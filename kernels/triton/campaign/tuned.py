"""Which tile was fastest, case by case, out of tuning records: what default tiles are chosen from."""

from __future__ import annotations

from collections.abc import Iterable

from ..kernel import Tile
from .records import Record


def fastest_tiles(records: Iterable[Record]) -> list[tuple[str, str, str, float, float]]:
    """Kernel, case, tile, its seconds, and the seconds of the case's first tile (the default one) over them."""
    by_case: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record["record"] == "tuning":
            by_case.setdefault((record["kernel"], record["name"]), []).append(record)
    found = []
    for (kernel, case), tried in sorted(by_case.items()):
        for one in sorted(tried, key=lambda record: record["median_s"]):
            tile = Tile(**one["tile"]).name
            found.append((kernel, case, tile, one["median_s"], tried[0]["median_s"] / one["median_s"]))
    return found


def tuning_text(records: Iterable[Record]) -> str:
    """The same as lines, the fastest tile of each case first."""
    lines, last = [], None
    for kernel, case, tile, seconds, gain in fastest_tiles(records):
        if (kernel, case) != last:
            lines.append(f"{kernel}: {case}")
            last = (kernel, case)
        lines.append(f"  {seconds * 1e6:10.1f} us  {gain:5.2f}x the default  {tile}")
    return "\n".join(lines)
