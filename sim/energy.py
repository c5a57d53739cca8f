"""Energy by action counts: operations on units, their register files, and rows of every storage level.

Every action is counted on every instance that does it. A machine that states no energy for an action adds nothing for
it, and the prediction names what was left out: a total is never invented.
"""

from __future__ import annotations

from lightbound.base.formula import Number, evaluate

from .analytical import GroupResult
from .binding import Piece
from .plan import Plan
from .reuse import Sizes

OPERANDS = {"mac": 3, "add": 2, "sub": 2, "mul": 2, "div": 2, "max": 2, "min": 2, "pow": 2, "compare": 2, "select": 3}


def energy(
    plan: Plan, sizes: Sizes, names: Sizes, results: tuple[GroupResult, ...], word_bytes: int
) -> tuple[dict[str, Number], tuple[str, ...]]:
    """Joules by component (``2d.mac``, ``2d.registers``, ``dram.read``), and what the machine does not price."""
    parts: dict[str, Number] = {}
    missing: dict[str, None] = {}
    for group in plan.groups:
        for site in group.sites.values():
            for piece in site.pieces:
                _operations(parts, missing, piece, sizes, names)
    for result in results:
        for (number, action, _), words in result.words.items():
            level = plan.machine.levels[number]
            row = level.read_energy_j if action == "read" else level.write_energy_j
            if row is None or level.row_bytes is None:
                missing.setdefault(f"{level.name} {action}s")
            else:
                _add(parts, f"{level.name}.{action}", words * word_bytes / level.row_bytes * row)
    return parts, tuple(missing)


def _operations(parts: dict[str, Number], missing: dict[str, None], piece: Piece, sizes: Sizes, names: Sizes) -> None:
    unit = piece.unit
    points = evaluate(piece.times, names)
    for rank in piece.ranks:
        points = points * sizes[rank]
    label = "+".join(piece.ops)
    joules = unit.energy(piece.ops)
    if joules is None:
        missing.setdefault(f"{label} on {unit.name}")
    else:
        _add(parts, f"{unit.name}.{label}", points * joules)
    if unit.registers is not None and unit.registers.read_energy_j is not None:
        write = unit.registers.write_energy_j or 0
        each = sum(
            (unit.cycles((op,)) or 1) * (OPERANDS.get(op, 1) * unit.registers.read_energy_j + write) for op in piece.ops
        )
        _add(parts, f"{unit.name}.registers", points * each)


def _add(parts: dict[str, Number], key: str, joules: Number) -> None:
    parts[key] = parts.get(key, 0.0) + joules
