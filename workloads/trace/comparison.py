"""Operations of two cascades side by side: a traced module's and a hand-written one's."""

from __future__ import annotations

from collections.abc import Iterable

from ..cascade import Cascade
from ..counts import operations


def counted(cascade: Cascade, without: Iterable[str] = ()) -> dict[str, int]:
    """Operations by kind, without those Einsums that only move elements (copies, concatenations, padding) and those
    named in `without`."""
    moves = {name for name, origin in getattr(cascade, "origins", {}).items() if origin.moves}
    left_out = moves | set(without)
    total: dict[str, int] = {}
    for name, kinds in operations(cascade).items():
        if name not in left_out:
            for kind, count in kinds.items():
                total[kind] = total.get(kind, 0) + int(count)
    return total


def compare_counts(
    traced: Cascade, cascade: Cascade, *, without: Iterable[str] = (), without_traced: Iterable[str] = ()
) -> dict[str, tuple[int, int]]:
    """The kinds of operations whose counts differ: kind -> (in the trace, in the cascade). Empty where all agree.

    Selects of copies, concatenations and padding do not count. `without` and `without_traced` name Einsums of the
    cascade and of the trace to leave out, for differences that are known and justified one by one::

        assert compare_counts(lb.trace(module, x), cascade, without=["Mask"]) == {}
    """
    mine, theirs = counted(traced, without_traced), counted(cascade, without)
    kinds = sorted({*mine, *theirs})
    return {
        kind: (mine.get(kind, 0), theirs.get(kind, 0)) for kind in kinds if mine.get(kind, 0) != theirs.get(kind, 0)
    }
