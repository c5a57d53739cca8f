"""A mapping checked against its cascade and its machine, and resolved: who sits where, who holds what, who feeds whom.

A plan depends on structure only, not on sizes, so that one plan serves every point of a sweep. It knows nothing of
time or traffic; reuse.py and analytical.py do the arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from functools import lru_cache

from lightbound.archs.machine import Machine, Unit
from lightbound.base.errors import LightboundError, choose_from
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.einsum import Einsum
from lightbound.workloads.expression import Access
from lightbound.workloads.passes import passes

from .binding import Piece, bindings, check_known, operand_lanes, pieces_of
from .flow import Flow, Held, PassVector, Site
from .mapping import Bind, Do, For, Group, Hold, Mapping, Node, Quantity, Stage


@dataclass(frozen=True, eq=False)
class GroupPlan:
    """A group with every name resolved: where its Einsums run, what flows between them, what is held."""

    group: Group
    shared: tuple[For, ...]
    sites: Dictionary[str, Site]
    flows: tuple[Flow, ...]
    holds: tuple[Held, ...]
    stages: tuple[tuple[int, Stage], ...]
    draining: tuple[tuple[int, Unit], ...]  # (slot, unit) that must drain before a later slot
    scopes: Dictionary[int, str]  # levels of which every instance of an axis has its own
    widths: Dictionary[str, Quantity] = field(default_factory=dict)  # bytes of a word of tensors of another type

    @property
    def private(self) -> frozenset[int]:
        """Levels of which there are several."""
        return frozenset(self.scopes)


@dataclass(frozen=True, eq=False)
class Plan:
    """A whole mapping with every name resolved; `order` numbers the group of every Einsum."""

    cascade: Cascade
    mapping: Mapping
    machine: Machine
    groups: tuple[GroupPlan, ...]
    order: Dictionary[str, int] = field(default_factory=dict)


def make_plan(cascade: Cascade, mapping: Mapping, machine: Machine) -> Plan:
    """The plan, or a LightboundError that names the field of the mapping that does not fit the cascade or machine."""
    where = f"mapping {mapping.name!r}"
    group_of: dict[str, int] = {}
    for number, group in enumerate(mapping.groups):
        for name in group.einsums:
            check_known(f"{where}: groups.{number}.einsums", name, (einsum.name for einsum in cascade.einsums))
            if name in group_of:
                raise LightboundError(f"{where}: groups.{number}.einsums", name, "is in two groups", "Keep one.")
            group_of[name] = number
    unplaced = [einsum.name for einsum in cascade.einsums if einsum.name not in group_of]
    if unplaced:
        raise LightboundError(
            f"{where}: groups",
            ", ".join(unplaced),
            "of the cascade is in no group",
            "Add it to a group" + (f", or use the cascade {mapping.variant!r}." if mapping.variant else "."),
        )
    _check_order(where, cascade, group_of)
    return _planned(cascade, mapping, machine, group_of, where)


def _check_order(where: str, cascade: Cascade, group_of: Dictionary[str, int]) -> None:
    for producer, consumer in cascade.graph.edges:
        if group_of[producer] > group_of[consumer]:
            raise LightboundError(
                f"{where}: groups",
                consumer,
                f"runs in group {group_of[consumer]}, before {producer}, which it needs",
                "Order the groups so that values are written before they are read.",
            )


Accesses = tuple[frozenset[str], tuple[Access, ...], tuple[Access, ...]]  # users of a tensor, its reads, its writes
Bound = tuple[tuple[Bind, ...], tuple[Piece, ...], Unit, Dictionary[str, tuple[str, ...]]]


@lru_cache(maxsize=64)
def pass_vectors(cascade: Cascade) -> dict[str, PassVector]:
    """In which pass over each family of ranks every Einsum is."""
    analyses = [passes(cascade, family) for family in cascade.families]
    return {einsum.name: tuple(one.einsum[einsum.name] for one in analyses) for einsum in cascade.einsums}


class Loops:
    """Loops from outermost to innermost, each run of them made once: those of several nests of a cascade that are equal
    are one. And so is what nodes of nests hold below them for some Einsums, the `accesses` of those to a tensor (that
    read, and that write), and the `pieces` of an Einsum under binds, with the unit and the lanes of its operands.
    """

    def __init__(self) -> None:
        self.pieces: dict[tuple[str, tuple[int, ...]], Bound] = {}
        self._known: dict[tuple[int, For], tuple[For, ...]] = {}
        self.holds: dict[tuple[int, int, frozenset[str]], tuple[Hold, list[Held]]] = {}
        self.buffers = 0
        self.accesses: dict[tuple[str, frozenset[str]], Accesses] = {}

    def below(self, loops: tuple[For, ...], inner: For) -> tuple[For, ...]:
        """These loops and one more inside them."""
        return self._known.setdefault((id(loops), inner), (*loops, inner))


class _Walk:
    """Reads a nest from top to bottom and notes the loops and holds above every Einsum."""

    def __init__(self, where: str, cascade: Cascade, machine: Machine, group: Group, loops: Loops) -> None:
        self.known = loops
        self.where = where
        self.cascade = cascade
        self.machine = machine
        self.levels = {level.name: number for number, level in enumerate(machine.levels)}
        self.holds: list[Held] = []
        self.stages: list[tuple[int, Stage]] = []
        self.leaf: dict[str, tuple[tuple[For, ...], tuple[Held, ...], int]] = {}  # and how many of the loops are shared
        self.shared = self.nest(group.nest, frozenset(group.einsums), (), (), None)

    def level(self, name: str) -> int:
        if name not in self.levels:
            check_known(f"{self.where}.nest: in", name, self.levels)
        return self.levels[name]

    def nest(
        self,
        nodes: tuple[Node, ...],
        einsums: frozenset[str],
        loops: tuple[For, ...],
        holds: tuple[Held, ...],
        shared: int | None,
    ) -> tuple[For, ...]:
        """The loops at the end of a nest, which are those of the group where none are `shared` so far."""
        waiting = set(einsums)
        for node in nodes:
            match node:
                case For():
                    if node.rank not in self.cascade.ranks:
                        check_known(f"{self.where}.nest: for", node.rank, self.cascade.ranks)
                    if node.over is not None:
                        check_known(f"{self.where}.nest: over", node.over, self.machine.instances)
                    loops = self.known.below(loops, node)
                case Hold():
                    made = self.hold(node, loops, frozenset(waiting))
                    self._check_inward(holds, made)
                    holds = (*holds, *made)
                case Stage():
                    self.stages.append((self.level(node.level), node))
                case Do():
                    branch = frozenset(node.einsums)
                    stray = branch - waiting
                    if stray:
                        raise LightboundError(
                            f"{self.where}.nest: do",
                            ", ".join(sorted(stray)),
                            "does not run here",
                            choose_from(waiting, sorted(stray)[0]),
                        )
                    waiting -= branch
                    self.nest(node.nest, branch, loops, holds, len(loops) if shared is None else shared)
        for name in waiting:
            self.leaf[name] = (loops, holds, len(loops) if shared is None else shared)
        return loops

    def _check_inward(self, around: tuple[Held, ...], made: list[Held]) -> None:
        """What is held in a level comes from one further out."""
        for held in made:
            inner = next((one for one in around if one.tensor == held.tensor and one.level > held.level), None)
            if inner is not None:
                outer, name = self.machine.levels[held.level].name, self.machine.levels[inner.level].name
                raise LightboundError(
                    f"{self.where}.nest: hold",
                    held.tensor,
                    f"is held in {outer} below a hold in {name}, which lies further in",
                    f"Write the hold in {outer} first, or leave one out.",
                )

    def hold(self, node: Hold, loops: tuple[For, ...], einsums: frozenset[str]) -> list[Held]:
        key = id(node), id(loops), einsums
        if key not in self.known.holds:
            self.known.holds[key] = node, self._hold(node, loops, einsums)
        made = self.known.holds[key][1]
        self.holds.extend(made)
        return made

    def _hold(self, node: Hold, loops: tuple[For, ...], einsums: frozenset[str]) -> list[Held]:
        level = self.level(node.level)
        made = []
        for tensor in node.tensors:
            users, reads, written = self.accesses(tensor, einsums)
            if not users:
                touched = {a.tensor for name in einsums for a in _touched(self.cascade.einsum(name))}
                raise LightboundError(
                    f"{self.where}.nest: hold",
                    tensor,
                    "is used by no Einsum below this point",
                    choose_from(touched, tensor),
                )
            if not (node.alias and made):
                self.known.buffers += 1
            place = tensor, level, loops, node.copies, self.known.buffers
            made.append(Held(*place, users, reads, written, node.wait, self.machine.levels[level].scope))
        return made

    def accesses(self, tensor: str, einsums: frozenset[str]) -> Accesses:
        """Which of these Einsums use a tensor, how they read it and how they write it, each way once."""
        key = tensor, einsums
        if key not in self.known.accesses:
            readers = [e for e in self.cascade.readers(tensor) if e.name in einsums]
            writer = self.cascade.writer(tensor)
            writers = [writer] if writer is not None and writer.name in einsums else []
            reads = dict.fromkeys(a for e in readers for a in e.reads if a.tensor == tensor)
            users = frozenset(e.name for e in (*readers, *writers))
            self.known.accesses[key] = users, tuple(reads), tuple(e.output for e in writers)
        return self.known.accesses[key]


def _touched(einsum: Einsum) -> tuple[Access, ...]:
    return (einsum.output, *einsum.reads)


class Frame:
    """A group but for its binding: its nest walked, its neighbours known. A search that tries many binds of one nest
    walks it once, and Einsums that are bound alike share a site. `loops` may be those of other frames too.
    """

    def __init__(
        self,
        where: str,
        cascade: Cascade,
        machine: Machine,
        group: Group,
        number: int,
        group_of: Dictionary[str, int],
        loops: Loops | None = None,
    ) -> None:
        self.where = where
        self.cascade = cascade
        self.machine = machine
        self.group = group
        self.walk = _Walk(where, cascade, machine, group, loops or Loops())
        self.einsums = tuple(einsum for einsum in cascade.einsums if einsum.name in group.einsums)
        self.vectors = pass_vectors(cascade)
        inside = {einsum.name for einsum in self.einsums}
        self.edges = [edge for edge in cascade.graph.edges if inside.issuperset(edge)]
        self.read_elsewhere = {
            name for name in inside if any(group_of[reader.name] != number for reader in cascade.readers(name))
        }
        slots = group.slots or (group.einsums,)
        self.slot_of = {name: position for position, slot in enumerate(slots) for name in slot}
        self._sites: dict[tuple[str, tuple[int, ...]], tuple[tuple[Bind, ...], Site]] = {}

    def bound(self, binds: Dictionary[str, tuple[Bind, ...]], widths: Dictionary[str, Quantity]) -> GroupPlan:
        """The group under the binds of its Einsums, those of single operations first (`binding.bindings`)."""
        sites = {einsum.name: self._site(einsum, binds[einsum.name]) for einsum in self.einsums}
        walk = self.walk
        return GroupPlan(
            self.group,
            walk.shared,
            sites,
            self._flows(sites),
            tuple(walk.holds),
            tuple(walk.stages),
            self._draining(sites),
            {number: level.scope for number, level in enumerate(self.machine.levels) if level.scope is not None},
            widths,
        )

    def _site(self, einsum: Einsum, binds: tuple[Bind, ...]) -> Site:
        key = einsum.name, tuple(map(id, binds))
        if key not in self._sites:
            known = self.walk.known.pieces
            if key not in known:
                pieces = pieces_of(einsum, binds, self.machine)
                known[key] = binds, pieces, *operand_lanes(einsum, binds, self.machine, pieces)
            _, pieces, unit, space = known[key]
            loops, holds, shared = self.walk.leaf[einsum.name]
            chain: dict[str, tuple[Held, ...]] = {}
            for held in holds:
                if einsum.name in held.users:
                    chain[held.tensor] = (*chain.get(held.tensor, ()), held)
            passes_, slot = self.vectors[einsum.name], self.slot_of[einsum.name]
            axes = self.machine.instances
            site = Site(einsum, unit, space, pieces, shared, loops, chain, passes_, slot, axes, key)
            self._sites[key] = binds, site
        return self._sites[key][1]

    def _flows(self, sites: Dictionary[str, Site]) -> tuple[Flow, ...]:
        tensors: dict[str, list[tuple[Site, Access]]] = {}
        for site in sites.values():
            for access in site.einsum.reads:
                tensors.setdefault(access.tensor, []).append((site, access))
            tensors.setdefault(site.einsum.output.tensor, [])
        for tensor in self.group.spill:
            check_known(f"{self.where}.spill", tensor, (name for name in tensors if name in sites))
        flows = []
        for tensor, readers in tensors.items():
            writer = sites.get(tensor)
            home: int | None = None
            if writer is not None:
                kept = [held.level for held in writer.holds.get(tensor, ())]
                if tensor in self.group.spill:
                    home = 0
                elif kept and any(
                    held in site.holds.get(tensor, ()) for held in writer.holds[tensor] for site, _ in readers
                ):
                    home = kept[0]
            outside = tensor in self.read_elsewhere or tensor in self.cascade.outputs or home == 0
            running = self.cascade.iterative.get(tensor, frozenset())
            flows.append(Flow(tensor, writer, tuple(readers), home, writer is not None and outside, running))
        return tuple(flows)

    def _draining(self, sites: Dictionary[str, Site]) -> tuple[tuple[int, Unit], ...]:
        """Slots whose unit feeds a later slot on another unit. A value read in an earlier slot is one epoch old:
        free.
        """
        found: dict[tuple[int, str], Unit] = {}
        for producer, consumer in self.edges:
            a, b = sites[producer], sites[consumer]
            if a.unit.name != b.unit.name and a.slot < b.slot:
                found[(a.slot, a.unit.name)] = a.unit
        return tuple((slot, unit) for (slot, _), unit in found.items())


def _planned(cascade: Cascade, mapping: Mapping, machine: Machine, group_of: dict[str, int], where: str) -> Plan:
    bound = bindings(where, cascade, mapping.bind, machine, list(group_of))
    for tensor in mapping.widths:
        check_known(f"{where}: widths", tensor, cascade.tensors)
    groups = tuple(
        Frame(f"{where}: groups.{number}", cascade, machine, group, number, group_of).bound(bound, mapping.widths)
        for number, group in enumerate(mapping.groups)
    )
    return Plan(cascade, mapping, machine, groups, group_of)
