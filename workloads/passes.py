"""How often a cascade must walk over a rank, and what has to be kept meanwhile.

The number of passes belongs to the cascade: no mapping lowers it. Einsums of one pass can be fused tile by
tile; Einsums of different passes cannot be fused on that rank. A tensor that is used in two passes must be
held over a whole fiber, or spilled and loaded again, or recomputed. The rule itself is in `pass_rule`; here
is what follows from it: the numbers, the reasons, the footprints and the words. See docs/passes.md for a
worked example.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from .cascade import Cascade
from .expression import Access, Affine, Coefficient, Index, size_symbol
from .pass_rule import Force, Walk, check_family
from .structure import Structure

if TYPE_CHECKING:
    from .registry import Workload

__all__ = ["Force", "Live", "PassAnalysis", "pass_of", "passes"]


@dataclass(frozen=True)
class Live:
    """A tensor that has to outlive a pass over the family.

    `held` is the least that is alive at once, in elements as a formula of sizes ("M"): what one walk needs,
    `per` the ranks that can be taken one coordinate at a time. `whole` is the whole tensor ("B*H*M*P").
    `carries` tells a tensor with an element for each point of the family from a summary of its tiles, which
    is smaller by a tile.
    """

    tensor: str
    first: int
    last: int
    held: str
    per: tuple[str, ...]
    whole: str
    carries: bool


@dataclass(frozen=True)
class PassAnalysis:
    """The passes of one cascade over one rank family.

    `einsum` gives every Einsum its pass, from 1; an Einsum that does not iterate over the family has the
    pass after whose start its operands are known. `forced` is the longest chain of reasons, one for each
    pass after the first; `forces` are all reasons met. `live` holds the tensors that outlive a pass, by
    name; `running` the running values along the family, with what one step of them occupies and
    `running_per` the ranks they share.
    """

    family: str
    ranks: tuple[str, ...]
    count: int
    einsum: Mapping[str, int]
    forced: tuple[Force, ...]
    forces: tuple[Force, ...]
    live: Mapping[str, Live]
    running: Mapping[str, str]
    running_per: tuple[str, ...]

    def explain(self) -> str:
        """The analysis in words: what each pass does, what forces it, what is held and what may be fused."""
        return "\n".join(_words(self))


def passes(cascade: Workload | Cascade | str, family: str) -> PassAnalysis:
    """The passes over a rank family (``"m"``; a rank of it or its size symbol will do).

    cascade: a Cascade, or that of a Workload or of the name of one. No sizes are needed.
    Raises LightboundError where the cascade has no such family, or a tensor needs itself over the whole of
    it.
    """
    if not isinstance(cascade, Cascade):
        from .registry import as_workload

        cascade = as_workload(cascade).cascade
    return _analysis(cascade, check_family(cascade, family))


def pass_of(cascade: Cascade) -> Mapping[str, PassAnalysis]:
    """The analysis of every rank family, by family; computed once for all sizings of a cascade."""
    return {family: _analysis(cascade, family) for family in cascade.families}


def _analysis(cascade: Cascade, family: str) -> PassAnalysis:
    known = _known(cascade.structure.first)
    if family not in known:
        known[family] = _analyse(cascade, family)
    return known[family]


@lru_cache(maxsize=256)
def _known(structure: Structure) -> dict[str, PassAnalysis]:
    """What is known of the cascades whose lines say the same."""
    return {}


def _analyse(cascade: Cascade, family: str) -> PassAnalysis:
    walk = Walk(cascade, family)
    longest: tuple[Force, ...] = max((state.chain for state in walk.states.values()), key=len, default=())
    running = {
        name: access
        for name, ranks in cascade.iterative.items()
        if walk.members & set(ranks) and (writer := cascade.writer(name)) and (access := writer.output)
    }
    shared = [rank for rank in cascade.ranks if rank not in walk.members]
    per = tuple(rank for rank in shared if running and all(rank in access.ranks for access in running.values()))
    step = frozenset((*per, *walk.members))
    return PassAnalysis(
        family=family,
        ranks=cascade.families[family],
        count=len(longest) + 1,
        einsum={einsum.name: walk.states[einsum.name].pass_number for einsum in cascade.einsums},
        forced=longest,
        forces=tuple(sorted(walk.forces, key=lambda force: force.pass_number)),
        live=dict(_live(cascade, walk)),
        running={name: _size(cascade, walk, name, without=step) for name in running},
        running_per=per,
    )


def _live(cascade: Cascade, walk: Walk) -> Iterator[tuple[str, Live]]:
    """Tensors with a rank of the family that are touched in more than one pass."""
    for name in (*cascade.inputs, *(einsum.name for einsum in cascade.einsums)):
        numbers = walk.touched.get(name, {1})
        first, last = min(numbers), max(numbers)
        along = frozenset[str]().union(*(walk.fiber_ranks(access) for access in cascade.accesses(name)))
        if first == last or not along:
            continue
        barriers = [force for force in walk.forces if first < force.pass_number <= last]
        ranks = dict.fromkeys(rank for access in cascade.accesses(name) for rank in access.ranks)
        per = tuple(rank for rank in ranks if all(rank in force.per for force in barriers))
        yield (
            name,
            Live(
                tensor=name,
                first=first,
                last=last,
                held=_size(cascade, walk, name, without=frozenset(per)),
                per=per,
                whole=_size(cascade, walk, name, without=frozenset()),
                carries=walk.spans(along),
            ),
        )


def _size(cascade: Cascade, walk: Walk, tensor: str, without: frozenset[str]) -> str:
    """Elements of a tensor as a formula of sizes; dimensions over the ranks `without` are left out."""
    writer, declared = cascade.writer(tensor), cascade.declared.get(tensor, ())
    access = writer.output if writer is not None else _plainest(cascade.accesses(tensor))
    factors: list[str] = []
    for place, index in enumerate(access.indices):
        if isinstance(index, Affine) and without.issuperset(index.ranks):
            continue
        if declared and writer is None:
            factors.append(str(declared[place]))
        elif isinstance(index, Affine):
            factors.extend(_extent(index))
    for group in walk.spanning:
        parts = [size_symbol(rank) for rank in group]
        if len(parts) > 1 and all(part in factors for part in parts):  # all partitions together are the whole
            factors[min(factors.index(part) for part in parts)] = size_symbol(walk.family)
            factors = [factor for factor in factors if factor not in parts]
    return "*".join(factors) or "1"


def _plainest(accesses: tuple[Access, ...]) -> Access:
    """The access that says most about a tensor's dimensions: the one with most bare ranks."""
    return max(accesses, key=lambda access: [_plain(index) for index in access.indices])


def _plain(index: Index) -> int:
    return 0 if not isinstance(index, Affine) else 1 if index.rank is None and index.radix is None else 2


def _extent(index: Affine) -> tuple[str, ...]:
    """How many positions an index reaches, as factors: M for m, T+K-1 for t+k, M1 and M0 for m1*M0+m0."""
    if index.rank is not None or index.radix is not None:
        return tuple(size_symbol(rank) for rank in index.ranks)
    reach = "".join(_step(coefficient, size_symbol(rank)) for coefficient, rank in index.terms)
    offset = index.offset + 1 if isinstance(index.offset, int) else f"{index.offset}+1"
    return (f"({offset}{reach})",)


def _step(coefficient: Coefficient, size: str) -> str:
    """What one term adds to the largest position an index takes; a falling term adds nothing."""
    if isinstance(coefficient, int):
        return "" if coefficient < 1 else f"+{size}-1" if coefficient == 1 else f"+{coefficient}*({size}-1)"
    return f"+({coefficient})*({size}-1)"


def _words(analysis: PassAnalysis) -> Iterator[str]:
    family = analysis.family
    partitions = "" if analysis.ranks == (family,) else f", partitioned as {', '.join(analysis.ranks)}"
    yield f"{analysis.count} pass{'es' if analysis.count > 1 else ''} over {family}{partitions}"
    for number in range(1, analysis.count + 1):
        yield f"  pass {number}: {', '.join(name for name, at in analysis.einsum.items() if at == number)}"
    for force in analysis.forced:
        origin = f" (or recomputed from {_listed(force.origins)})" if force.origins else ""
        yield (
            f"Pass {force.pass_number} begins at {force.einsum}: it needs {_needed(force)} at every point of "
            f"{family}, and that is known only after a walk over all of {family}. "
            f"So {_listed(force.again)} must be walked again{origin}."
        )
    for live in analysis.live.values():
        what = ", a summary of tiles," if not live.carries else ""
        yield (
            f"{live.tensor}{what} lives from pass {live.first} to pass {live.last}: "
            f"at least {live.held} elements{_each(live.per)}, {live.whole} in all."
        )
    if analysis.live:
        yield "What lives across passes is held that long, or spilled and loaded again, or recomputed."
    if analysis.running:
        steps = ", ".join(f"{name} {held}" for name, held in analysis.running.items())
        yield f"Carried from step to step along {family}: {steps} elements{_each(analysis.running_per)}."
    if analysis.count == 1:
        growth = f"no buffer has to grow with {size_symbol(family)}"
        yield f"All Einsums can be fused over {family}, tile by tile, and {growth}."
    else:
        yield f"Einsums of one pass can be fused over {family}, tile by tile; others cannot."


def _needed(force: Force) -> str:
    return "a value of its own" if force.through == force.einsum else force.through


def _each(ranks: tuple[str, ...]) -> str:
    return f" for each {', '.join(ranks)}" if ranks else ""


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
