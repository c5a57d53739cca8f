"""The search over designs: strides and tile shapes of a mask, each with its bounds, ranked by what a kernel can reach.

Counting a design is closed-form and takes microseconds, so a search counts all of them; with a machine the best are
held against it too. Large searches run in processes of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError, choose_from
from lightbound.workloads.masks.backends import TilePair, backend_names, power_of_two_tiles
from lightbound.workloads.masks.backends import backend as find_backend
from lightbound.workloads.masks.block_sparsity import kernel_block_sparse, minimum_block_sparse_stride
from lightbound.workloads.masks.mask import Mask
from lightbound.workloads.masks.shape import Shape, shape, text
from lightbound.workloads.masks.strides import pruned_strides
from lightbound.workloads.registry import Workload

from .bound import climb
from .masked import Problem, as_problem
from .outside import COPY_SHARE
from .simulate import MappingLike, as_machine
from .tile_choice import ANY, served_by

STRIDES = ("pruned", "given")
MANY = 2000  # tile pairs from which processes of their own pay
Progress = Callable[[int], None]
Candidate = tuple[TilePair, str, tuple[str, ...]]  # tiles, KV tiling, the backends that have them


@dataclass(frozen=True)
class Design:
    """One stride and tile pair. Speedups are those of the ladder's rungs of the same names.

    block_sparse is exact, skips_tests is the rule of the kernels. With a machine, `speedup` is the tightest bound of
    its ladder; kernel_s and estimated_speedup are the estimate's, and total_s is kernel_s with token permutation.
    """

    q_tile: Shape
    kv_tile: Shape
    kv_tiling: str
    backends: tuple[str, ...]
    stride: Shape | None
    operations: float
    worst_tile: float
    total_visits: float
    block_sparse: bool
    skips_tests: bool
    speedup: float
    kernel_s: float | None = None
    estimated_speedup: float | None = None
    total_s: float | None = None

    @property
    def tiles(self) -> str:
        """``4x8x8/2x8x8``."""
        return f"{text(self.q_tile)}/{text(self.kv_tile)}"

    def to_dict(self) -> dict[str, Any]:
        """One record: shapes as text."""
        return {
            "q_tile": text(self.q_tile),
            "kv_tile": text(self.kv_tile),
            "kv_tiling": self.kv_tiling,
            "backends": " ".join(self.backends),
            "stride": text(self.stride) if self.stride is not None else None,
            **{
                name: getattr(self, name)
                for name in (
                    *("operations", "worst_tile", "total_visits", "block_sparse", "skips_tests", "speedup"),
                    *("kernel_s", "estimated_speedup", "total_s"),
                )
            },
        }


@dataclass(frozen=True)
class DesignSearch:
    """What a search found, best first: by predicted time where there is an estimate, else by bound.

    `counted` designs were looked at under `tile_pairs` tile pairs; `designs` are the best of them.
    """

    workload: str
    mask: str
    machine: str | None
    tile_pairs: int
    counted: int
    designs: tuple[Design, ...]

    @property
    def best(self) -> Design:
        """The first design."""
        return self.designs[0]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "workload": self.workload,
            "mask": self.mask,
            "machine": self.machine,
            "tile_pairs": self.tile_pairs,
            "counted": self.counted,
            "designs": [design.to_dict() for design in self.designs],
        }


def bound_search(
    workload: Workload | Mask | str,
    machine: Machine | str | None = None,
    *,
    backend: str | None = None,
    tiles: Iterable[tuple[Sequence[int], Sequence[int]]] | None = None,
    tile_sizes: tuple[int, int] | None = None,
    strides: str = "pruned",
    kv_tiling: str | None = None,
    mapping: MappingLike = None,
    heads: int | None = None,
    head_dim: int | None = None,
    batch: int | None = None,
    copy_share: float = COPY_SHARE,
    limit: int = 50,
    workers: int | None = None,
    progress: Progress | None = None,
) -> DesignSearch:
    """Every stride worth looking at under every tile pair of a list, ranked.

    backend: whose tiles; those of the first backend that serves the case if not given, of all with "any".
    tiles: tile pairs to try instead. tile_sizes: or every power-of-two pair of these sizes (queries, keys).
    strides: "pruned" sweeps all strides of the mask and keeps those that lower visits, and the smallest that lets
        kernels skip their tests; "given" keeps the mask's own. Masks without strides have one design a tile pair.
    limit: so many designs are returned and, with a machine, estimated.
    workers: processes of a search over many tile pairs; one per core if not given.
    progress: called with the number of tile pairs and estimates done, as they are.
    """
    if strides not in STRIDES:
        raise LightboundError("strides", strides, "is not a way to choose strides", choose_from(STRIDES, strides))
    if limit < 1:
        raise LightboundError("limit", limit, "is no number of designs", "Write at least 1.")
    problem = as_problem(workload, heads, head_dim, batch)
    hardware = as_machine(machine) if machine is not None else None
    pairs = _candidates(problem, hardware, backend, tiles, tile_sizes, kv_tiling)
    done = progress or (lambda count: None)
    found: list[Design] = []
    for designs in _spread(_designs, [(problem, pair, strides) for pair in pairs], workers, done):
        found += designs
    ranked = sorted(found, key=_rank)
    best = ranked[:limit]
    if hardware is not None:
        best += [design for design in ranked[limit:] if design.skips_tests][:limit]  # what a bound ranks too low
        held = [_hold(problem, hardware, design, mapping, copy_share) for design in _counted(best, done)]
        best = sorted(held, key=_rank)[:limit]
    machine_name = hardware.name if hardware is not None else None
    return DesignSearch(problem.name, repr(problem.mask), machine_name, len(pairs), len(found), tuple(best))


def _rank(design: Design) -> tuple[Any, ...]:
    """Best first: the predicted time, then the bound; tests that can be skipped; the default tiles; small strides."""
    return (
        design.total_s or 0.0,
        -round(design.speedup, 9),
        not design.skips_tests,
        not design.block_sparse,
        -len(design.backends),
        sum(design.stride or ()),
    )


def _candidates(
    problem: Problem,
    machine: Machine | None,
    backend: str | None,
    tiles: Iterable[tuple[Sequence[int], Sequence[int]]] | None,
    tile_sizes: tuple[int, int] | None,
    kv_tiling: str | None,
) -> list[Candidate]:
    rank = len(problem.mask.grid)
    if tiles is not None:
        asked = [TilePair(shape("q_tile", q, rank), shape("kv_tile", kv, rank)) for q, kv in tiles]
    elif tile_sizes is not None:
        asked = [TilePair(*pair) for pair in product(*(power_of_two_tiles(size, rank) for size in tile_sizes))]
    else:
        return _offered(problem, machine, backend, kv_tiling)
    return [(pair, kv_tiling or "static", ()) for pair in dict.fromkeys(asked)]


def _offered(problem: Problem, machine: Machine | None, backend: str | None, kv_tiling: str | None) -> list[Candidate]:
    case: dict[str, Any] = {"head_dim": problem.head_dim, "element_bits": 8 * problem.work.word_bytes}
    rank = len(problem.mask.grid)
    if backend == ANY:
        capability = machine.params.get("compute_capability") if machine is not None else None
        lists = {
            name: find_backend(name).tiles(rank, compute_capability=capability, **case) for name in backend_names()
        }
    else:
        name, pairs = served_by(problem, machine, backend)
        lists = {name: pairs}
    having: dict[tuple[TilePair, str], list[str]] = {}
    for name, pairs in lists.items():
        for pair in pairs:
            having.setdefault((pair, kv_tiling or find_backend(name).kv_tiling), []).append(name)
    if not having:
        raise LightboundError("backend", backend, "offers no tile for this case", "Give tiles or tile_sizes.")
    return [(pair, tiling, tuple(names)) for (pair, tiling), names in having.items()]


def _designs(problem: Problem, candidate: Candidate, strides: str) -> list[Design]:
    """The designs of one tile pair, counted."""
    pair, kv_tiling, backends = candidate
    mask: Any = problem.mask
    if strides == "given" or not hasattr(mask, "with_stride"):
        return [_count(mask, getattr(mask, "stride", None), pair, kv_tiling, backends)]
    by = "visits_total" if mask.is_causal else "visits_max"
    chosen = list(pruned_strides(mask, *pair, kv_tiling, by))
    skipping = minimum_block_sparse_stride(mask, *pair, kv_tiling, rule="kernel")
    if None not in skipping and skipping not in chosen:
        chosen.append(tuple(step or 1 for step in skipping))
    return [_count(mask.with_stride(stride), stride, pair, kv_tiling, backends) for stride in chosen]


def _count(mask: Mask, stride: Shape | None, pair: TilePair, kv_tiling: str, backends: tuple[str, ...]) -> Design:
    count = mask.count(*pair, kv_tiling)
    return Design(
        q_tile=pair.q_tile,
        kv_tile=pair.kv_tile,
        kv_tiling=kv_tiling,
        backends=backends,
        stride=stride,
        operations=count.operations_speedup,
        worst_tile=count.worst_tile_speedup,
        total_visits=count.total_visits_speedup,
        block_sparse=count.block_sparse,
        skips_tests=_skips(mask, pair, kv_tiling) if stride is not None else count.block_sparse,
        speedup=min(count.operations_speedup, count.total_visits_speedup),
    )


def _skips(mask: Any, pair: TilePair, kv_tiling: str) -> bool:
    return hasattr(mask, "with_stride") and kernel_block_sparse(mask, *pair, kv_tiling)


def _hold(problem: Problem, machine: Machine, design: Design, mapping: MappingLike, copy_share: float) -> Design:
    """The design against the machine: the tightest bound, and the estimate."""
    mask: Any = problem.mask
    if design.stride is not None and hasattr(mask, "with_stride"):
        mask = mask.with_stride(design.stride)
    count = mask.count(design.q_tile, design.kv_tile, design.kv_tiling)
    ladder = climb(replace(problem, mask=mask), machine, count, design.backends, mapping, copy_share)
    return replace(
        design,
        speedup=ladder.speedup,
        kernel_s=ladder.estimate.kernel_s if ladder.estimate else None,
        estimated_speedup=ladder.estimated_speedup,
        total_s=ladder.estimate.kernel_s + (ladder.permutation.seconds or 0.0) if ladder.estimate else None,
    )


def _counted(designs: Iterable[Design], done: Progress) -> Iterable[Design]:
    for design in designs:
        yield design
        done(1)


def _spread(
    work: Callable[..., Any], calls: Sequence[tuple[Any, ...]], workers: int | None, done: Progress
) -> list[Any]:
    """The results of the calls in their order; in processes where there are many calls and more than one worker."""
    wanted = workers if workers is not None else (os.cpu_count() or 1) if len(calls) >= MANY else 1
    if wanted < 2:
        return [_told(work(*call), done, 1) for call in calls]
    size = -(-len(calls) // (8 * wanted))
    chunks = [calls[start : start + size] for start in range(0, len(calls), size)]
    pool: Executor
    with ProcessPoolExecutor(wanted) as pool:
        futures: dict[Future[list[Any]], int] = {pool.submit(_run, work, chunk): at for at, chunk in enumerate(chunks)}
        results: list[list[Any]] = [[] for _ in chunks]
        for future in as_completed(futures):
            results[futures[future]] = future.result()
            done(len(chunks[futures[future]]))
    return [result for chunk in results for result in chunk]


def _run(work: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    return [work(*call) for call in calls]


def _told(result: Any, done: Progress, count: int) -> Any:
    done(count)
    return result
