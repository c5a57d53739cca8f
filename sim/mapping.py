"""Mappings as data: how a cascade is laid on a machine.

A mapping is a list of groups that run one after the other. A group is a *nest*, read from top to bottom as a loop nest
is written: loops (``for``), what is kept where from that point on (``hold``), and branches for some of the Einsums
(``do``). Tile sizes are formulas of rank sizes and machine quantities. docs/mapping.md is the vocabulary; this module
only says what a mapping document may hold. Nothing here knows a method.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from lightbound.base.errors import LightboundError
from lightbound.base.schema import check, fault

Quantity = int | float | str  # a number, or a formula of sizes, params and machine quantities


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _depth(value: Any) -> Any:
    if value != "full" and not (type(value) is int and value >= 1):
        raise fault(value, "is not a pipeline depth", "Write 1, more, or full.")
    return value


def _as_parts(value: Any) -> Any:
    value = _as_list(value)
    return dict.fromkeys(value, 1) if isinstance(value, list | tuple) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
Parts = Annotated[dict[str, Quantity], BeforeValidator(_as_parts)]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, arbitrary_types_allowed=True)


class For(_Document):
    """A loop over a rank. `tile` is the extent of the rank that is left below it; the last tile may be ragged.

    `over` deals the iterations over the machine's instances of that axis (``sm``), each to one worker. A loop asks for
    new tiles even where it makes a single trip; with `if_split`, such a loop is none. With `again`, Einsums below it
    that lack its rank do their work, and read what they need, again in every iteration: blocks that share an
    intermediate each make it for themselves. Such an Einsum's result stays in its group.
    """

    rank: str = Field(alias="for")
    tile: Quantity = 1
    over: str | None = None
    if_split: bool = False
    again: bool = False


class Hold(_Document):
    """Tensors kept in a storage level from this point of the nest on: one tile of each, at the extents left here.

    An intermediate that is held has its home there: it never goes further out. `copies` is 2 for double buffering.
    With `alias`, the tensors share one buffer as large as the largest of them. With `wait`, the unit's own threads
    bring them: work and refills form a pipeline of two stages, and each refill takes so many cycles beside its words.
    """

    tensors: Names = Field(alias="hold")
    level: str = Field(alias="in")
    copies: Quantity = 1
    alias: bool = False
    wait: Quantity | None = None


class Do(_Document):
    """A branch of the nest for some Einsums: their own loops and holds below the shared ones."""

    einsums: Names = Field(alias="do")
    nest: tuple[Node, ...] = ()


class Stage(_Document):
    """Bytes set aside in a level for data that streams through it without being reused."""

    size: Quantity = Field(alias="stage")
    level: str = Field(alias="in")


Node = For | Hold | Do | Stage


class Bind(_Document):
    """Which unit does these Einsums, and which ranks lie along its lanes (axis of the unit: rank, or several).

    With `ops`, only these operations of them: the scale after a matrix product on other lanes than the product. With
    `implied`, operations that the kernel does at every point although the cascade does not write them, each so many
    times: conversions between types, the tests of a mask.
    """

    einsums: Names
    unit: str
    space: dict[str, Names] = Field(default_factory=dict)
    ops: Names = ()
    implied: dict[str, Quantity] = Field(default_factory=dict)


class Fit(_Document):
    """A parameter that is as large as a level allows: the largest whole number with which all that the mapping holds
    there takes at most `share` of its capacity. `at_most` caps it; with `divides` it must divide that number.
    """

    fit: str
    at_most: Quantity | None = None
    divides: Quantity | None = None
    share: Quantity = 1


class Group(_Document):
    """Einsums that run together, overlapping as `slots` and `depth` say.

    slots: the order of work in one iteration of the shared loops (an epoch). Einsums of one slot on different units
        run side by side; slots follow each other. Without it, all Einsums form one slot: perfect overlap of units.
    depth: how many epochs are in flight. 1: a unit that feeds a later slot on another unit drains once an epoch.
        ``full``: software pipelining hides every drain. n: n - 1 epochs of work hide it.
    spill: intermediates whose home is the outermost level although producer and consumer are in this group.
    overbook: let what is held exceed a level; the excess fraction of every held tensor is fetched on each use.
    contexts: so many independent contexts of an instance (co-resident blocks, warp groups) contend for its units, each
        going through its epochs in order, `delay` cycles of each epoch on no unit. Throughput is that of the closed
        queueing network, between one context after the other and perfect overlap. 0: the units overlap as slots say.
        With slots, a context goes through them in order, its units overlap within one; without, it is at one unit at a
        time.
    chain: cycles that an epoch takes a context with an instance to itself, its work included, as machine code tells;
        what its units leave of them is delay too.
    overhead: cycles that a task (one iteration of the loops that are dealt `over` instances) takes beside its epochs.
    resident: to how many tasks of an instance at once its contexts belong (co-resident blocks). The others work on
        during the overhead of one, which then is a delay like any other.
    awaits, settles: levels of which a context awaits what it reads before it goes on, or what it writes before it ends,
        so that contexts contend for them as they do for units; with ``{level: part}``, so much of it. What is moved
        there without being awaited loads them too; other levels are served beside all work. Without contexts there is
        one stream of instructions: what it awaits to read adds to its slots.
    at_once: all that a context awaits to read is under way at once, as far as the path of its instance to a cache takes
        it: a level that instances share then bounds the flow, and is no unit of one of them. Without it, a context
        reads one thing after the other, at the share of its instance.
    apart: instances at work copy parts that lie far from each other, which memory does more slowly.
    least: cycles from an epoch of an instance to its next one, of whichever context, at least, for the sake of what all
        instances share beside levels, such as a line of the cache that all of them read. Of the analytical engine.
    """

    einsums: Names
    nest: tuple[Node, ...]
    slots: tuple[tuple[str, ...], ...] | None = None
    depth: Annotated[int | Literal["full"], BeforeValidator(_depth)] = "full"
    spill: Names = ()
    overbook: bool = False
    contexts: Quantity = 0
    delay: Quantity = 0
    chain: Quantity = 0
    overhead: Quantity = 0
    resident: Quantity = 1
    awaits: Parts = Field(default_factory=dict)
    settles: Parts = Field(default_factory=dict)
    at_once: bool = False
    apart: bool = False
    least: Quantity = 0

    @model_validator(mode="after")
    def _check_slots(self) -> Group:
        if self.slots is not None:
            listed = sorted(name for slot in self.slots for name in slot)
            if listed != sorted(self.einsums):
                once = ", ".join(sorted(self.einsums))
                problem = f"are slots that do not list each Einsum of the group once ({once})"
                raise fault(", ".join(listed), problem, "List every Einsum of the group in exactly one slot.")
        return self


class Masked(_Document):
    """How a kernel that a mapping describes treats a mask: which param or size is its tile of queries, which its tile
    of keys, and where it tests the mask (Einsums, unit and lanes of one more `bind`; what it does there is the mask's).
    `blocks`: a block takes one tile of ``queries`` and walks keys, or one of ``keys`` and walks queries.
    `order`: it starts its blocks as they are numbered (``launch``) or the one with most visits first (``longest``):
    those of `section` copies of the mask (heads) that start together, then those of the next, or with 0 those of all.
    `tiles`: pairs of both tiles that are worth a try where nobody says which.
    `tested`: it tests scores in the visits that the kernels of that mask test (``mask``), or in those that are not full
    (``partial``). `early`: what a tested visit takes besides and asks for no score, so that it goes on elsewhere.
    `ends`: tiles at the end of an axis cost as much as whole ones (``whole``), or what they hold (``short``).
    """

    q_tile: str
    kv_tile: str
    tests: Bind
    early: Bind | None = None
    blocks: Literal["queries", "keys"] = "queries"
    order: Literal["launch", "longest"] = "launch"
    section: int = Field(default=0, ge=0)
    tiles: tuple[tuple[int, int], ...] = ()
    tested: Literal["mask", "partial"] = "mask"
    ends: Literal["whole", "short"] = "whole"


class Mapping(_Document):
    """How a cascade is laid on a machine. `variant` names the cascade it is written for, `sizes` fills in tile sizes
    that the cascade leaves free, `params` are named formulas for use below them, in order. `choose` names decisions,
    each a list of settings of `params`: of all combinations that fit, the one predicted fastest is taken.
    With `masked`, a kernel of this mapping can skip tiles of keys that a mask leaves out. `widths` are the bytes of a
    word of tensors that are not of the workload's type (sums that are kept in FP32); `word_bytes` says that the mapping
    is for words of so many bytes only, as far as a choice among mappings goes.
    """

    name: str = "mapping"
    source: str = ""
    variant: str | None = None
    sizes: dict[str, Quantity] = Field(default_factory=dict)
    params: dict[str, Quantity | Fit] = Field(default_factory=dict)
    choose: dict[str, tuple[dict[str, Quantity], ...]] = Field(default_factory=dict)
    widths: dict[str, Quantity] = Field(default_factory=dict)
    word_bytes: int | None = None
    bind: tuple[Bind, ...]
    groups: tuple[Group, ...]
    masked: Masked | None = None

    @classmethod
    def from_data(cls, data: Any, where: str = "mapping") -> Mapping:
        """The mapping in plain data (from YAML, say).

        Raises LightboundError with the path of the field that is wrong.
        """
        if not isinstance(data, dict):
            found = "an empty document" if data is None else f"a {type(data).__name__}"
            raise LightboundError(where, found, "is not a mapping", "Write fields: bind, groups and others.")
        return check(cls, data, where)

    def to_data(self) -> dict[str, Any]:
        """Plain data that `from_data` reads back."""
        return self.model_dump(by_alias=True, exclude_defaults=True)
