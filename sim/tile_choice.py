"""Which tiles a bound is for: those given, checked against the kernels there are, or the best that kernels offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.workloads.masks.backends import TilePair, backend_names, offered_tiles, require_offered
from lightbound.workloads.masks.backends import backend as find_backend
from lightbound.workloads.masks.shape import ShapeLike, shape
from lightbound.workloads.masks.tile_count import TileCount
from lightbound.workloads.masks.tiling import tiling

from .masked import Problem

ANY = "any"


@dataclass(frozen=True)
class Tiles:
    """A tile pair with its KV tiling, the counts that it gives, and the backends that offer it."""

    count: TileCount
    backends: tuple[str, ...]


def choose_tiles(
    problem: Problem,
    machine: Machine | None,
    q_tile: ShapeLike | None,
    kv_tile: ShapeLike | None,
    kv_tiling: str | None,
    backend: str | None,
) -> Tiles:
    """The tiles of a problem.

    A pair that is given is taken as it is, or with `backend` must be one that this backend (``any``: some backend)
    offers. Without a pair it is the one of the backend, or of the first backend that serves the problem on the machine,
    under which the fewest scores are visited.
    """
    name = None if backend in (None, ANY) else backend
    case = {"head_dim": problem.head_dim, "element_bits": 8 * problem.work.word_bytes}
    if q_tile is None or kv_tile is None:
        return _best(problem, machine, q_tile, kv_tile, kv_tiling, name, case)
    tiling(len(problem.mask.grid), q_tile, kv_tile)  # a wrong number of axes is told as that
    if backend is not None:
        require_offered(q_tile, kv_tile, name, **case)
    offering = _offering(q_tile, kv_tile, case)
    own = find_backend(name or offering[0]).kv_tiling if name or offering else "static"
    return Tiles(problem.mask.count(q_tile, kv_tile, kv_tiling or own), offering)


def served_by(problem: Problem, machine: Machine | None, backend: str | None) -> tuple[str, tuple[TilePair, ...]]:
    """A backend and its tile pairs for a problem: the one named, or the first that serves it on the machine."""
    rank = len(problem.mask.grid)
    case: dict[str, Any] = {"head_dim": problem.head_dim, "element_bits": 8 * problem.work.word_bytes}
    if backend is not None and backend != ANY:
        return backend, offered_tiles(backend, rank, **case)
    capability = machine.params.get("compute_capability") if machine is not None else None
    for name in backend_names():
        found = find_backend(name).tiles(rank, compute_capability=capability, **case)
        if found:
            return name, found
    raise LightboundError(
        "q_tile", None, f"is needed: no backend tiles a grid of {rank} axes for this case", "Give q_tile and kv_tile."
    )


def _best(
    problem: Problem,
    machine: Machine | None,
    q_tile: ShapeLike | None,
    kv_tile: ShapeLike | None,
    kv_tiling: str | None,
    backend: str | None,
    case: dict[str, Any],
) -> Tiles:
    name, pairs = served_by(problem, machine, backend)
    rank = len(problem.mask.grid)
    given = {
        "q_tile": None if q_tile is None else shape("q_tile", q_tile, rank),
        "kv_tile": None if kv_tile is None else shape("kv_tile", kv_tile, rank),
    }
    kept = [pair for pair in pairs if all(tile in (None, getattr(pair, field)) for field, tile in given.items())]
    if not kept:
        field, tile = next((field, tile) for field, tile in given.items() if tile is not None)
        remedy = f"Give both tiles, or choose from {', '.join(map(str, pairs))}."
        raise LightboundError(field, tile, f"is in no tile pair of {name}", remedy)
    own = find_backend(name).kv_tiling
    counts = [problem.mask.count(*pair, kv_tiling or own) for pair in kept]
    best = min(counts, key=lambda count: count.visits_total * count.tiling.q_tile_size * count.tiling.kv_tile_size)
    return Tiles(best, _offering(best.q_tile, best.kv_tile, case))


def _offering(q_tile: ShapeLike, kv_tile: ShapeLike, case: dict[str, Any]) -> tuple[str, ...]:
    try:
        return require_offered(q_tile, kv_tile, **case)
    except LightboundError:
        return ()
