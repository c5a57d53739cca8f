"""How many words each level reads and writes for each tensor of a group (rules 2 to 6 and 14 of docs/mapping.md).

A tensor comes down a chain of holds, from the outermost level to the unit. What goes into a hold is read from the
level above and written to the hold's own; what the unit takes is read from the innermost one. An intermediate between
Einsums of one unit in one pass costs nothing; otherwise it is written once at its home and read once by each
(unit, pass) that needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lightbound.base.formula import Number, ceil_div, divide, evaluate, is_array, maximum, minimum, where
from lightbound.workloads.expression import Access, Affine

from .flow import Flow, Held, Site, Walk
from .nests import Nests
from .plan import GroupPlan
from .reuse import Nest, together, windows

READ, WRITE = "read", "write"
Action = tuple[int, str, str]  # level, READ or WRITE, tensor


@dataclass
class Traffic:
    """Words by (level, read or write, tensor): of all instances, and of the busiest one, at a port of its own.

    A word of a tensor with a width of its own counts as so many of the workload's words. fills: of the words written to
    a level, by level and tensor, those that come from outside into a hold.
    """

    words: dict[Action, Number]
    busiest: dict[Action, Number]
    widths: Mapping[str, Number] = field(default_factory=dict)
    fills: dict[tuple[int, str], Number] = field(default_factory=dict)

    def fill(self, level: int, tensor: str, words: Number) -> None:
        """Words from the level outside that are written to a hold."""
        self.add(level, WRITE, tensor, words)
        self.fills[level, tensor] = self.fills.get((level, tensor), 0) + words * self.widths.get(tensor, 1)

    def add(self, level: int, action: str, tensor: str, words: Number) -> None:
        key = (level, action, tensor)
        if tensor in self.widths:
            words = words * self.widths[tensor]
        self.words[key] = self.words.get(key, 0) + words


def group_traffic(plan: GroupPlan, nests: Nests, spilled: Mapping[int, Number]) -> Traffic:
    """The words moved by a group. `spilled` is, for each overbooked level, the fraction of every tensor held there
    that is not there when it is wanted.
    """
    traffic = _all_flows(plan, nests, spilled)
    if any(loop.over is not None for site in plan.sites.values() for loop in site.loops):
        rounds = maximum(*(_rounds(site, nests) for site in plan.sites.values()))
        task = _all_flows(plan, nests.one_task(), spilled).words
        traffic.busiest = {key: minimum(words, rounds * task.get(key, 0)) for key, words in traffic.words.items()}
    return traffic


def _all_flows(plan: GroupPlan, nests: Nests, spilled: Mapping[int, Number]) -> Traffic:
    words: dict[Action, Number] = {}
    traffic = Traffic(words, words, relative_widths(plan, nests))
    for flow in plan.flows:
        if flow.arrives:
            _read_from_outside(flow, nests, spilled, traffic)
        elif flow.home is not None:
            _read_at_home(flow, nests, spilled, traffic)
        if flow.leaves:
            _write_outside(flow, nests, spilled, traffic)
    return traffic


def relative_widths(plan: GroupPlan, nests: Nests) -> dict[str, Number]:
    """Words of the workload's type that a word of a tensor with a width of its own takes."""
    names = nests.environment
    return {tensor: evaluate(width, names) / names["word_bytes"] for tensor, width in plan.widths.items()}


def _rounds(site: Site, nests: Nests) -> Number:
    """How many tasks the busiest instance does one after the other."""
    nest = nests.below(site.loops)
    tasks: Number = 1
    for at, loop in enumerate(site.loops):
        if loop.over is not None and loop.rank in site.ranks:
            tasks = tasks * ceil_div(nest.extent(loop.rank, at), nest.extent(loop.rank, at + 1))
    return ceil_div(tasks, site.instances)


def _taken(walk: Walk, nests: Nests) -> Number:
    """Words that Einsums of one walk take of a tensor: what several of them read alike is read once."""
    words: Number = 0
    for window, taking in walk[1]:
        words = words + maximum(*(_at_unit(site, window[0], nests, window[1:]) for site in taking))
    return words


def _at_unit(site: Site, access: Access, nests: Nests, also: tuple[Access, ...] = ()) -> Number:
    """Words that pass between an Einsum's unit, all copies of it, and what is nearest."""

    def words() -> Number:
        nest = nests.inside(site)
        dealt = _side_by_side(site.instances, site, site.ranks, nests)
        apart = {at: once for at, (_, once) in dealt.items()}
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
        dealt = _side_by_side(held.instances, site, ranks, nests)
        rounds = {} if held.apart else {at: divide(ceil_div(trips, once), trips) for at, (trips, once) in dealt.items()}
        apart = {at: once for at, (_, once) in dealt.items()} if held.apart else {}
        depth = len(held.loops)
        moved = nests.below(held.loops).moved(access, depth, ranks, also, rounds, apart)
        for at, once in apart.items():
            if at >= depth and site.loops[at].rank not in access.ranks:
                moved = moved * once
        return moved

    return nests.once(("at hold", id(held.loops), held.level, id(site.loops), ranks, access, also), words)


def _read_from_outside(flow: Flow, nests: Nests, spilled: Mapping[int, Number], traffic: Traffic) -> None:
    walks = [(walk[0], _taken(walk, nests)) for walk in flow.walks]
    filled: dict[int, None] = {}
    for sites, unit_words in walks:
        level = 0
        for held in sites[0].holds.get(flow.tensor, ()):
            if id(held) not in filled:
                filled[id(held)] = None
                moved = _filled(flow, held, nests)
                missing = spilled.get(held.level, 0)
                if level == 0 and _present(missing) and not _used_by_all(held, sites[0]):
                    wanted = _wanted(flow, held, walks)
                    moved = (1 - missing) * moved + missing * wanted
                traffic.add(level, READ, flow.tensor, moved)
                traffic.fill(held.level, flow.tensor, moved)
            level = held.level
        traffic.add(level, READ, flow.tensor, unit_words)


def _used_by_all(held: Held, site: Site) -> bool:
    """Whether what is held is the same for all tasks that are dealt over instances: used so often that it stays."""
    dealt = [loop for loop in site.loops if loop.over is not None]
    return bool(dealt) and not any(loop in held.loops for loop in dealt)


def _wanted(flow: Flow, held: Held, walks: list[tuple[tuple[Site, ...], Number]]) -> Number:
    """Words that a hold without room would bring: what every pass wants; units that read alike share what came."""
    passes: dict[object, Number] = {}
    for sites, words in walks:
        if held in sites[0].holds.get(flow.tensor, ()):
            passes[sites[0].passes] = maximum(passes.get(sites[0].passes, 0), words)
    return sum(passes.values())


def _filled(flow: Flow, held: Held, nests: Nests) -> Number:
    """Words brought into a hold: by the loops that run for any reader below it, for all that they read."""
    below = flow.below[id(held)]
    key = ("filled", flow.tensor, held.users, id(held.loops), held.level, tuple(id(site.loops) for site, _ in below))
    return nests.once(key, lambda: _brought(flow, held, nests, below))


def _brought(flow: Flow, held: Held, nests: Nests, below: tuple[tuple[Site, Access], ...]) -> Number:
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
    once = _once(flow, nests)
    at_unit = _at_unit(writer, access, nests)
    chain: tuple[Held, ...] = writer.holds.get(flow.tensor, ())
    if flow.home not in (None, 0):  # already written at its home: only the copy that leaves is new
        chain, inner = chain[:1], chain[0].level
        moved = _at_hold(chain[0], writer, writer.ranks, access, nests)
        traffic.add(inner, READ, flow.tensor, moved)
        traffic.add(0, WRITE, flow.tensor, moved)
        return
    level = 0
    for held in chain:
        outer = _at_hold(held, writer, writer.ranks, access, nests)
        missing = spilled.get(held.level, 0)
        if level == 0 and _present(missing):
            outer = (1 - missing) * outer + missing * at_unit
        back = _revisited(outer, once)
        traffic.add(level, WRITE, flow.tensor, outer)
        traffic.add(held.level, READ, flow.tensor, outer)
        traffic.add(level, READ, flow.tensor, back)
        traffic.add(held.level, WRITE, flow.tensor, back)
        level = held.level
    traffic.add(level, WRITE, flow.tensor, at_unit)
    traffic.add(level, READ, flow.tensor, _revisited(at_unit, once))


def _revisited(words: Number, once: Number) -> Number:
    return maximum(0, words - once)


def readers_at_once(plan: GroupPlan, nests: Nests, tensor: str) -> Number:
    """How many instances that run side by side read the same words of a tensor: those at different iterations of dealt
    loops over ranks that it lacks. The most over its readers.
    """
    most: Number = 1
    for flow in plan.flows:
        for site, access in flow.readers if flow.tensor == tensor else ():
            alike: Number = 1
            for position, (_, at_once) in _side_by_side(site.instances, site, site.ranks, nests).items():
                if site.loops[position].rank not in access.ranks:
                    alike = alike * at_once
            most = maximum(most, alike)
    return most


def footprints(plan: GroupPlan, nests: Nests) -> dict[int, dict[int, tuple[Number, tuple[str, ...]]]]:
    """Words that each buffer of each level takes in one copy of it: level -> buffer -> (words, tensors)."""
    return nests.once(("footprints", plan.holds), lambda: _footprints(plan, nests))


def _footprints(plan: GroupPlan, nests: Nests) -> dict[int, dict[int, tuple[Number, tuple[str, ...]]]]:
    found: dict[int, dict[int, tuple[Number, tuple[str, ...]]]] = {}
    running = {flow.tensor: flow.running for flow in plan.flows}
    widths = relative_widths(plan, nests)
    for held in plan.holds:
        site = next(plan.sites[name] for name in sorted(held.users))
        words = _held_words(held, site, running.get(held.tensor, frozenset()), nests) * widths.get(held.tensor, 1)
        buffers = found.setdefault(held.level, {})
        known, tensors = buffers.get(held.buffer, (0, ()))
        buffers[held.buffer] = (maximum(known, words), (*tensors, held.tensor))
    return found


def _held_words(held: Held, site: Site, live: frozenset[str], nests: Nests) -> Number:
    """Words of all copies of what is held, and of all tiles of it that are held at once; `site` is one of its users."""

    def words() -> Number:
        room = _room(held, nests.below(held.loops), live)
        return room * evaluate(held.copies, nests.environment) * _tiles_at_once(site, held, nests)

    place = id(held.loops), id(site.loops), held.level
    return nests.once(("held", held.tensor, held.users, held.copies, live, *place), words)


def _room(held: Held, nest: Nest, live: frozenset[str]) -> Number:
    """Words of what is held: of the tile that is written, or of those that are read together; the whole at most."""
    depth = len(held.loops)
    written = [nest.footprint(access, depth, live) for access in held.written]
    if live:
        return maximum(*written, *(nest.footprint(access, depth, live) for access in held.reads))
    several = windows(held.reads)
    tiles = [nest.footprint(window[0], depth, (), window[1:]) for window in several]
    room = together(nest, depth, several, tiles) if tiles else 0
    if len(several) > 1:
        room = minimum(room, maximum(*(nest.footprint(window[0], 0, (), window[1:]) for window in several)))
    return maximum(*written, room)


def _tiles_at_once(site: Site, held: Held, nests: Nests) -> Number:
    """How many tiles of a tensor a shared level holds at once, for instances that work on different iterations."""
    accesses = (*site.einsum.reads, site.einsum.output)
    own = {rank for access in accesses if access.tensor == held.tensor for rank in access.ranks}
    result: Number = 1
    if held.apart:
        return result
    for position, (_, at_once) in _side_by_side(held.instances, site, site.ranks, nests).items():
        if position < len(held.loops) and held.loops[position].rank in own:
            result = result * at_once
    return result


def _side_by_side(
    instances: Number, site: Site, ranks: frozenset[str], nests: Nests
) -> dict[int, tuple[Number, Number]]:
    """For loops over these ranks that are dealt over instances, by position: their trips, and how many run at once.

    Iterations are dealt in loop order, so that the innermost loops fill the instances first.
    """
    if isinstance(instances, int) and instances == 1:
        return {}
    if is_array(instances):
        return _dealt(instances, site, ranks, nests)
    return nests.once(("dealt", id(site.loops), instances, ranks), lambda: _dealt(instances, site, ranks, nests))


def _dealt(instances: Number, site: Site, ranks: frozenset[str], nests: Nests) -> dict[int, tuple[Number, Number]]:
    found: dict[int, tuple[Number, Number]] = {}
    nest = nests.below(site.loops)
    free = instances
    for position in reversed(range(len(site.loops))):
        loop = site.loops[position]
        if loop.over is not None and loop.rank in ranks:
            trips = ceil_div(nest.extent(loop.rank, position), nest.extent(loop.rank, position + 1))
            at_once = minimum(trips, free)
            found[position] = trips, at_once
            free = ceil_div(free, at_once)
    return found
