"""Tile shapes that real kernels offer, read from tiles.yaml, and power-of-two shapes for searches beyond them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, cast

from lightbound.base.document import read_yaml
from lightbound.base.errors import LightboundError, choose_from

from .shape import Shape, ShapeLike, shape, text
from .tiling import KvTiling

SHOWN = 12  # tile pairs named in an error
RANKS = (1, 2, 3)


class TilePair(NamedTuple):
    """Tile shapes of queries and keys."""

    q_tile: Shape
    kv_tile: Shape

    def __str__(self) -> str:
        return f"{text(self.q_tile)}/{text(self.kv_tile)}"


@dataclass(frozen=True)
class Backend:
    """A family of kernels; `source` says where its list of tiles was read."""

    name: str
    title: str
    source: str
    kv_tiling: KvTiling
    entries: dict[str, list[dict[str, Any]]] = field(repr=False)

    def tiles(
        self,
        rank: int,
        head_dim: int = 128,
        backward: bool = False,
        element_bits: int = 16,
        compute_capability: int | None = None,
    ) -> tuple[TilePair, ...]:
        """Tile pairs for a token grid of `rank` axes, the default first; none where the kernels do not serve the case.

        `compute_capability` is 80, 86, 90, ...; without it, whatever some GPU of the backend offers.
        """
        pairs: dict[TilePair, None] = {}
        for entry in self.entries["backward" if backward else "forward"]:
            if _holds(entry, head_dim, element_bits, compute_capability):
                pairs.update(dict.fromkeys(_entry_tiles(entry, rank)))
        return tuple(pairs)


def backend_names() -> tuple[str, ...]:
    """Backends whose tiles are known, in the order in which a library prefers them."""
    return tuple(_backends())


def backend(name: str) -> Backend:
    """The backend of that name."""
    if name not in _backends():
        raise LightboundError("backend", name, "is not known", choose_from(backend_names(), name))
    return _backends()[name]


def offered_tiles(name: str, rank: int, **case: Any) -> tuple[TilePair, ...]:
    """Tile pairs of a backend, the default first; `case` as in `Backend.tiles`. At least one, or an error."""
    kernels = backend(name)
    if rank not in RANKS:
        raise LightboundError("rank", rank, "is not a rank that kernels tile", "Choose 1, 2 or 3.")
    pairs = kernels.tiles(rank, **case)
    if not pairs:
        shown = ", ".join(f"{key}={value}" for key, value in case.items())
        others = [each for each in backend_names() if backend(each).tiles(rank, **case)]
        raise LightboundError(
            "backend",
            name,
            f"offers no tile for {shown}",
            f"Backends that do: {', '.join(others)}." if others else "Choose a head_dim of 32, 64 or 128.",
        )
    return pairs


def require_offered(q_tile: ShapeLike, kv_tile: ShapeLike, name: str | None = None, **case: Any) -> tuple[str, ...]:
    """The backends that offer a tile pair (`name` alone if given); an error where none does."""
    wanted = TilePair(shape("q_tile", q_tile), shape("kv_tile", kv_tile))
    names = backend_names() if name is None else (backend(name).name,)
    rank = len(wanted.q_tile)
    offers = {each: backend(each).tiles(rank, **case) for each in names if rank in RANKS}
    having = tuple(each for each, pairs in offers.items() if wanted in pairs)
    if having:
        return having
    listed = "; ".join(f"{each}: {_list(pairs)}" for each, pairs in offers.items() if pairs)
    raise LightboundError(
        "q_tile/kv_tile",
        str(wanted),
        "is a tile pair that no backend offers" if name is None else f"is not a tile pair that {name} offers",
        f"Choose from {listed}." if listed else f"Tile shapes have 1 to {RANKS[-1]} axes.",
    )


@lru_cache(maxsize=256)
def power_of_two_tiles(size: int, rank: int, least: int = 1) -> tuple[Shape, ...]:
    """Every shape of `rank` axes whose extents are powers of two, at least `least`, and multiply to `size`."""
    if size < 1 or size & (size - 1):
        raise LightboundError("size", size, "is not a power of two", "Choose 32, 64, 128, 256, ...")
    powers = [1 << exponent for exponent in range(size.bit_length()) if 1 << exponent >= least]
    if rank == 1:
        return ((size,),) if size >= least else ()
    return tuple(
        (first, *rest) for first in reversed(powers) for rest in power_of_two_tiles(size // first, rank - 1, least)
    )


@lru_cache(maxsize=1)
def _backends() -> dict[str, Backend]:
    data = read_yaml(Path(__file__).with_name("tiles.yaml"), "tile list")
    return {
        name: Backend(
            name,
            entry["title"],
            entry["source"],
            cast("KvTiling", entry["kv_tiling"]),
            {direction: entry[direction] for direction in ("forward", "backward")},
        )
        for name, entry in data.items()
    }


def _holds(entry: dict[str, Any], head_dim: int, element_bits: int, compute_capability: int | None) -> bool:
    return (
        head_dim in entry.get("head_dims", [head_dim])
        and entry.get("min_head_dim", 0) <= head_dim <= entry.get("max_head_dim", head_dim)
        and element_bits in entry.get("element_bits", [element_bits])
        and compute_capability in (None, *entry.get("compute_capability", [compute_capability]))
        and (compute_capability is None or compute_capability not in entry.get("except_compute_capability", []))
    )


def _entry_tiles(entry: dict[str, Any], rank: int) -> tuple[TilePair, ...]:
    if "tiles" in entry:
        return tuple(TilePair(*_read(pair)) for pair in entry["tiles"].get(rank, []))
    pairs: list[TilePair] = []
    for sizes in entry["sizes"]:
        (q_size,), (kv_size,) = _read(sizes)
        shapes = product(power_of_two_tiles(q_size, rank, 2), power_of_two_tiles(kv_size, rank, 2))
        pairs += [TilePair(*pair) for pair in shapes if entry["rule"] == "all" or _nested(*pair)]
    return tuple(pairs)


def _nested(q_tile: Shape, kv_tile: Shape) -> bool:
    return all(kv_extent % q_extent == 0 for q_extent, kv_extent in zip(q_tile, kv_tile, strict=True))


def _read(pair: str) -> tuple[Shape, Shape]:
    q_tile, kv_tile = pair.split("/")
    return tuple(map(int, q_tile.split("x"))), tuple(map(int, kv_tile.split("x")))


def _list(pairs: tuple[TilePair, ...]) -> str:
    more = f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
    return ", ".join(map(str, pairs[:SHOWN])) + more
