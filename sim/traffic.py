"""How many words each level reads and writes for each tensor of a group (rules 2 to 6 and 14 of docs/mapping.md).

A tensor comes down a chain of holds, from the outermost level to the unit. What goes into a hold is read from the
level above and written to the hold's own; what the unit takes is read from the innermost one. An intermediate between
Einsums of one unit in one pass, along the same lanes, costs nothing; otherwise it is written once at its home and read
once by each (unit, pass) that needs it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from lightbound.base.formula import Number, ceil_div, divide, evaluate, maximum, minimum, times, where
from lightbound.workloads.expression import Access, Affine

from .busiest import busiest_share
from .flow import Flow, Held, Site, Walk
from .nests import Nests
from .plan import GroupPlan
from .reuse import together, windows

READ, WRITE = "read", "write"
Action = tuple[int, str, str]  # level, READ or WRITE, tensor
Key = TypeVar("Key")


@dataclass
class Traffic:
    """Words by (level, read or write, tensor): of all instances, and of the busiest one, at a port of its own.

    A word of a tensor with a width of its own counts as so many of the workload's words. fills: of the words written to
    a level, by level and tensor, those that come from outside into a hold. spared: words of sums which other instances
    have begun, that only the first of them need not read back. levels: those that are asked for, or all.
    """

    words: dict[Action, Number]
    busiest: dict[Action, Number]
    widths: Mapping[str, Number] = field(default_factory=dict)
    fills: dict[tuple[int, str], Number] = field(default_factory=dict)
    spared: dict[Action, Number] = field(default_factory=dict)
    levels: frozenset[int] | None = None

    def wants(self, *levels: int) -> bool:
        """Whether words of any of these are asked for."""
        return self.levels is None or not self.levels.isdisjoint(levels)

    def of(self, levels: Collection[int]) -> list[tuple[Action, Number]]:
        """The words that pass some levels."""
        return [(key, words) for key, words in self.words.items() if key[0] in levels]

    def fill(self, level: int, tensor: str, words: Number) -> None:
        """Words from the level outside that are written to a hold."""
        if self.wants(level):
            self.add(level, WRITE, tensor, words)
            _more(self.fills, (level, tensor), times(words, self.widths.get(tensor, 1)))

    def add(self, level: int, action: str, tensor: str, words: Number) -> None:
        """Words that pass a level, if they are asked for."""
        if self.wants(level):
            _more(self.words, (level, action, tensor), times(words, self.widths.get(tensor, 1)))

    def spare(self, level: int, action: str, tensor: str, words: Number) -> None:
        """Words that pass a level for all instances but the first."""
        if self.wants(level):
            _more(self.spared, (level, action, tensor), times(words, self.widths.get(tensor, 1)))


def _more(table: dict[Key, Number], key: Key, words: Number) -> None:
    known = table.get(key)
    table[key] = words if known is None else known + words


def group_traffic(
    plan: GroupPlan, nests: Nests, spilled: Mapping[int, Number], whole: Traffic | None = None
) -> Traffic:
    """The words moved by a group. `spilled` is, for each overbooked level, the fraction of every tensor held there
    that is not there when it is wanted. `whole`: those of all instances, where they are known.
    """
    traffic = whole_traffic(plan, nests, spilled) if whole is None else whole
    if not any(site.over for site in plan.sites.values()):
        return traffic
    flows = {flow.tensor: flow for flow in plan.flows}
    busiest = {}
    for key, words in traffic.of(plan.private):
        level, _, tensor = key
        share = _busiest_share(flows[tensor], plan.scopes[level], nests)
        busiest[key] = minimum(words, share * (words + traffic.spared.get(key, 0)))
    return replace(traffic, busiest=traffic.words | busiest)


def _busiest_share(flow: Flow, scope: str, nests: Nests) -> Number:
    """The part of a tensor's words that passes the busiest instance: that of the Einsums which read or write it."""

    sites = [site for site, _ in flow.readers] + ([flow.writer] if flow.writer is not None else [])
    return maximum(*(_share_of(site, scope, nests) for site in sites))


def _share_of(site: Site, scope: str, nests: Nests) -> Number:
    key = ("share", id(site.loops), site.einsum.name, scope)
    return nests.once(key, lambda: busiest_share(site, scope, site.einsum.ranks, nests))


def whole_traffic(plan: GroupPlan, nests: Nests, spilled: Mapping[int, Number]) -> Traffic:
    """The words of all instances, of which the busiest is taken to move all."""
    return _all_flows(plan, nests, spilled)


def outermost_traffic(plan: GroupPlan, nests: Nests) -> Traffic:
    """Of the words moved by a group those that pass the outermost level."""
    return _all_flows(plan, nests, {}, frozenset({0}))


def _all_flows(
    plan: GroupPlan, nests: Nests, spilled: Mapping[int, Number], levels: frozenset[int] | None = None
) -> Traffic:
    """All words, or those of these levels."""
    words: dict[Action, Number] = {}
    traffic = Traffic(words, words, relative_widths(plan, nests), levels=levels)
    for flow in plan.flows:
        if flow.arrives:
            _read_from_outside(flow, nests, spilled, traffic)
        elif flow.home is not None and (traffic.wants(flow.home) or _present(spilled.get(flow.home, 0))):
            _read_at_home(flow, nests, spilled, traffic)
        if flow.leaves:
            _write_outside(flow, nests, spilled, traffic)
    return traffic


def relative_widths(plan: GroupPlan, nests: Nests) -> dict[str, Number]:
    """Words of the workload's type that a word of a tensor with a width of its own takes."""
    names = nests.environment
    return {tensor: evaluate(width, names) / names["word_bytes"] for tensor, width in plan.widths.items()}


def _taken(walk: Walk, nests: Nests) -> Number:
    """Words that Einsums of one walk take of a tensor: what several of them read alike is read once."""
    first, *others = (
        maximum(*(_at_unit(site, window[0], nests, window[1:]) for site in taking)) for window, taking in walk[1]
    )
    return sum(others, first)


def _at_unit(site: Site, access: Access, nests: Nests, also: tuple[Access, ...] = ()) -> Number:
    """Words that pass between an Einsum's unit, all copies of it, and what is nearest."""

    def words() -> Number:
        nest = nests.inside(site)
        dealt = nests.side_by_side(site, site.unit.scope, site.ranks)
        apart = {at: one.apart for at, one in dealt.items()}
        return nest.moved(access, len(nest.steps), site.ranks, also, apart=apart)

    return nests.once(("at unit", site.key or site, access, also), words)


def _at_hold(
    held: Held, site: Site, ranks: frozenset[str], access: Access, nests: Nests, also: tuple[Access, ...] = ()
) -> Number:
    """Words that pass between a hold, all copies of it, and what is above it.

    Instances that run side by side fill a copy each where every instance has its own. Where they share one, those at
    the same tile are taken to be near each other in time, so that one fetch serves them all.
    """

    def words() -> Number:
        dealt = nests.side_by_side(site, held.scope, ranks)
        apart = {at: one.apart for at, one in dealt.items()} if held.apart else {}
        rounds = {
            at: minimum(1, divide(ceil_div(one.trips, one.at_once) * one.apart, one.trips))
            for at, one in dealt.items()
            if not held.apart or np.any(np.asarray(one.together) > 1)
        }
        depth = len(held.loops)
        moved = nests.below(held.loops).moved(access, depth, ranks, also, rounds, apart)
        for at, once in apart.items():
            if at >= depth and site.loops[at].rank not in access.ranks:
                moved = times(moved, once)
        return moved

    return nests.once(("at hold", id(held.loops), held.level, id(site.loops), ranks, access, also), words)


def _read_from_outside(flow: Flow, nests: Nests, spilled: Mapping[int, Number], traffic: Traffic) -> None:
    filled: dict[int, None] = {}
    for walk in flow.walks:
        level, first = 0, walk[0][0]
        for held in first.holds.get(flow.tensor, ()):
            if id(held) not in filled and traffic.wants(level, held.level):
                filled[id(held)] = None
                moved = _filled(flow, held, nests)
                missing = spilled.get(held.level, 0)
                if level == 0 and _present(missing) and not _used_by_all(held, first):
                    moved = (1 - missing) * moved + missing * _wanted(flow, held, nests)
                traffic.add(level, READ, flow.tensor, moved)
                traffic.fill(held.level, flow.tensor, moved)
            level = held.level
        if traffic.wants(level):
            traffic.add(level, READ, flow.tensor, _taken(walk, nests))


def _used_by_all(held: Held, site: Site) -> bool:
    """Whether what is held is the same for all tasks that are dealt over instances: used so often that it stays."""
    dealt = [loop for loop in site.loops if loop.over is not None]
    return bool(dealt) and not any(loop in held.loops for loop in dealt)


def _wanted(flow: Flow, held: Held, nests: Nests) -> Number:
    """Words that a hold without room would bring: what every pass wants; units that read alike share what came."""
    passes: dict[object, Number] = {}
    for walk in flow.walks:
        first = walk[0][0]
        if held in first.holds.get(flow.tensor, ()):
            passes[first.passes] = maximum(passes.get(first.passes, 0), _taken(walk, nests))
    return sum(passes.values())


def _filled(flow: Flow, held: Held, nests: Nests) -> Number:
    """Words brought into a hold: by the loops that run for any reader below it, for all that they read."""
    below = flow.below[id(held)]
    key = ("filled", flow.tensor, held.users, id(held.loops), held.level, tuple(id(site.loops) for site, _ in below))
    return nests.once(key, lambda: _brought(flow, held, nests, below))


def _brought(flow: Flow, held: Held, nests: Nests, below: tuple[tuple[Site, Access], ...]) -> Number:
    if len(below) == 1:
        ((site, access),) = below
        return _at_hold(held, site, site.ranks, access, nests)
    ranks = frozenset().union(*(site.ranks for site, _ in below))
    nest = nests.below(held.loops)
    depth = len(held.loops)
    site = max((site for site, _ in below), key=lambda site: len(site.loops))
    if flow.running:
        return maximum(*(_at_hold(held, site, ranks, access, nests) for _, access in below))
    several = windows(tuple(dict.fromkeys(access for _, access in below)))
    moved = [_at_hold(held, site, ranks, window[0], nests, window[1:]) for window in several]
    if len(several) == 1:
        return moved[0]
    whole = maximum(*(nest.footprint(window[0], 0, (), window[1:]) for window in several))
    total = together(nest, depth, several, moved)
    for window, words in zip(several, moved, strict=True):  # one that is all there has the others in it
        total = where(nest.footprint(window[0], depth, (), window[1:]) >= whole, words, total)
    return total


def _present(value: Number) -> bool:
    return not (isinstance(value, int | float) and value == 0)


def _read_at_home(flow: Flow, nests: Nests, spilled: Mapping[int, Number], traffic: Traffic) -> None:
    assert flow.writer is not None and flow.home is not None
    home = flow.home
    if flow.running:
        writes, reads = _running(flow, nests)
    else:
        walks = flow.walks_apart
        if not walks and not flow.leaves:
            return
        writes = _at_unit(flow.writer, flow.writer.einsum.output, nests)
        reads = sum(_taken(walk, nests) for walk in walks) + (writes - _once(flow, nests))
        if _sums_apart(flow.writer):
            traffic.spare(home, READ, flow.tensor, _once(flow, nests))
    traffic.add(home, WRITE, flow.tensor, writes)
    traffic.add(home, READ, flow.tensor, reads)
    missing = spilled.get(home, 0)
    if _present(missing):
        traffic.add(0, WRITE, flow.tensor, missing * writes)
        traffic.add(0, READ, flow.tensor, missing * reads)


def _running(flow: Flow, nests: Nests) -> tuple[Number, Number]:
    """A running tensor is written once an iterate, read back once an iterate by each (unit, pass) that carries it on,
    and read once at the end. Its newest iterate goes straight from unit to unit.
    """
    writer = flow.writer
    assert writer is not None
    writes = _at_unit(writer, writer.einsum.output, nests)
    reads: dict[tuple[object, ...], Number] = {}
    for site, access in flow.readers:
        if not is_newest(access, writer.einsum.output):
            words = _at_unit(site, access, nests)
            key = (site.unit.name, bool(flow.running & set(access.ranks)))
            reads[key] = maximum(reads.get(key, 0), words)
    return writes, sum(reads.values())


def is_newest(access: Access, written: Access) -> bool:
    """Whether a read of a running tensor takes the iterate that this very step writes."""
    return all(
        a == b for a, b in zip(access.indices, written.indices, strict=True) if isinstance(b, Affine) and b.offset != 0
    )


def _once(flow: Flow, nests: Nests) -> Number:
    assert flow.writer is not None
    return nests.inside(flow.writer).footprint(flow.writer.einsum.output, 0)


def _write_outside(flow: Flow, nests: Nests, spilled: Mapping[int, Number], traffic: Traffic) -> None:
    """Results go out through the writer's holds; a sum that is left before it is whole is read back to go on."""
    writer = flow.writer
    assert writer is not None
    access = writer.einsum.output
    chain: tuple[Held, ...] = writer.holds.get(flow.tensor, ())
    if flow.home not in (None, 0):  # already written at its home: only the copy that leaves is new
        chain, inner = chain[:1], chain[0].level
        moved = _at_hold(chain[0], writer, writer.ranks, access, nests)
        traffic.add(inner, READ, flow.tensor, moved)
        traffic.add(0, WRITE, flow.tensor, moved)
        return
    once = _once(flow, nests)
    begun = once if _sums_apart(writer) else 0
    level = 0
    for held in chain:
        if traffic.wants(level, held.level):
            outer = _at_hold(held, writer, writer.ranks, access, nests)
            missing = spilled.get(held.level, 0)
            if level == 0 and _present(missing):
                outer = (1 - missing) * outer + missing * _at_unit(writer, access, nests)
            back = maximum(0, outer - once)
            traffic.add(level, WRITE, flow.tensor, outer)
            traffic.add(held.level, READ, flow.tensor, outer)
            traffic.add(level, READ, flow.tensor, back)
            traffic.add(held.level, WRITE, flow.tensor, back)
            traffic.spare(level, READ, flow.tensor, begun)
            traffic.spare(held.level, WRITE, flow.tensor, begun)
        level = held.level
    if traffic.wants(level):
        at_unit = _at_unit(writer, access, nests)
        traffic.add(level, WRITE, flow.tensor, at_unit)
        traffic.add(level, READ, flow.tensor, maximum(0, at_unit - once))
        traffic.spare(level, READ, flow.tensor, begun)


def _sums_apart(site: Site) -> bool:
    """Whether instances add up parts of one sum: what one has begun the next one reads back."""
    return any(loop.over is not None and loop.rank in site.einsum.reduced for loop in site.loops)


def readers_at_once(plan: GroupPlan, nests: Nests, tensor: str) -> Number:
    """How many instances that run side by side read the same words of a tensor: those at different iterations of dealt
    loops over ranks that it lacks. The most over its readers.
    """
    most: Number = 1
    for flow in plan.flows:
        for site, access in flow.readers if flow.tensor == tensor else ():
            alike: Number = 1
            for position, dealt in nests.side_by_side(site, site.unit.scope, site.ranks).items():
                if site.loops[position].rank not in access.ranks:
                    alike = times(alike, dealt.apart)
            most = maximum(most, alike)
    return most
