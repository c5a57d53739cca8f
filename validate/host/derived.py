"""Figures that follow from others: what one loop takes longer than another."""

from __future__ import annotations

import numpy as np

from .residence import crowding
from .sampling import Figure


def figure(values: list[float], what: str, percentile: float = 50) -> Figure:
    """Of samples, what so many per cent do not exceed."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return Figure(float(np.percentile(values, percentile)), float((high - low) / 2 / middle), what, float(max(values)))


def inverse(rate: Figure) -> Figure:
    """Seconds of a step of a chain."""
    return Figure(1 / rate.value, rate.spread, f"a chain: {rate.what}")


def beside(mixed: Figure, alone: Figure) -> Figure:
    """Of a multiply-add's time, what an operation of another kind takes that stands beside it: none where each kind has
    units of its own, all where they share them. In `mixed` four of these stand beside ten multiply-adds.
    """
    part = (alone.value / mixed.value - 1) * 10 / 4
    return Figure(min(max(part, 1e-3), 1.0), mixed.spread + alone.spread, f"{mixed.what}, against {alone.what}")


def ends(short: Figure, long: Figure, lanes: int) -> Figure:
    """Seconds that the end of a set of short sums takes: eight runs of eight steps, twelve side by side. Never
    none: a machine has no zeros.
    """
    value = (1 / short.value - 1 / long.value) * 8 * 8 * 12 * lanes
    return Figure(max(value, 1e-12), short.spread + long.spread, f"{short.what}, against {long.what}")


def over(stream: Figure, rows: Figure) -> Figure:
    """How much longer lines of short rows take than those of a stream."""
    return Figure(stream.value / rows.value, rows.spread + stream.spread, f"{rows.what}, against a stream")


def written_past(past: Figure, copy: Figure) -> Figure:
    """Of a word that is written past all caches, what it takes of memory's time over what one takes that is read or
    written in a copy: no line is fetched for it that is then written as a whole.
    """
    value = 2 * copy.shared / past.shared - 1
    return Figure(min(max(value, 0.05), 1.0), past.spread + copy.spread, f"{past.what}, against {copy.what}")


def awaited(here: Figure, there: Figure, stream: Figure, moved: int) -> Figure:
    """Of the time that a level takes for a stream that is loaded, or loaded and stored (then two bytes are moved where
    one is read), the part for which multiply-adds beside it, which take about as long, are held up: what they take
    longer than in the nearest cache, there. A thousandth where all of it is hidden.
    """
    part = (1 / here.value - 1 / there.value) * stream.value / moved
    return Figure(min(max(part, 1e-3), 1.0), here.spread + there.spread, f"{here.what}, against {there.what}")


def held(around: Figure, inside: Figure, outside: Figure, times: float) -> Figure:
    """Of a cache's room the part that is left to a walk, told by one through so many times its room, by another that
    fits it, and by one that comes from outside it (residence.py).
    """
    found = (1 / outside.value - 1 / around.value) / (1 / outside.value - 1 / inside.value)
    part = times / crowding(min(max(found, 0.02), 0.98))
    spread = around.spread + inside.spread + outside.spread
    return Figure(min(max(part, 0.25), 1.0), spread, f"{around.what}, between one within and one from outside")


def twice(figure: Figure) -> Figure:
    """A copy reads and writes: bytes of both."""
    return Figure(2 * figure.value, figure.spread, figure.what, 2 * figure.most, 2 * figure.shared)
