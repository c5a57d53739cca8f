"""What machine code does in its loops: instructions by kind for one turn of each, from SASS or amdgcn text.

The code becomes a graph of blocks without branches; an edge to a block that every way to its start passes (a dominator)
closes a loop. Loops that only wait, such as one that asks an mbarrier again, count as waits of the loop around them.
Nothing here needs triton.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lightbound.base.errors import LightboundError

from .instructions import amdgcn_kind, macs_of, sass_kind

_WAITS = {"wait", "barrier"}
_IDLE = _WAITS | {"branch", "scalar", "integer", "move"}  # a loop of these alone waits, if it waits at all


@dataclass(frozen=True)
class Control:
    """What the assembler told the scheduler with an instruction of SASS: cycles until the next one of the warp may
    issue, the barriers (of six) that it frees with its result and once it has read its registers, and a mask of those
    that it awaits.
    """

    stall: int
    writes: int | None
    reads: int | None
    awaits: int


@dataclass(frozen=True)
class Instruction:
    """A machine instruction: where it stands, its mnemonic and kind, where it may jump (places in the list), whether
    the next one may follow it, its operands as text, and its control word where there is one.
    """

    place: str
    mnemonic: str
    kind: str
    jumps: tuple[int, ...] = ()
    falls: bool = True
    operands: str = ""
    control: Control | None = None


@dataclass(frozen=True)
class Loop:
    """A loop of the machine code, and what one turn of it issues for each warp (AMD: wave).

    place: address or label of its first instruction. depth: 1 for a loop in no other. innermost: no loop in it does
    more than wait. instructions: by kind, those of loops within it left out. skippable: how many of them some turns
    jump over. exponentials: those among `mufu`. macs: multiply-accumulates by matrix instructions, as `macs_of` counts.
    groups: in how many groups warps hand matrix products to units that work beside them, each awaited as one (wgmma).
    turn_cycles: of a turn of a block with a multiprocessor to itself, by its control words (turns.py), where they are
    known.
    """

    place: str
    depth: int
    innermost: bool
    instructions: Mapping[str, int]
    skippable: int
    exponentials: int
    macs: int
    groups: int = 0
    turn_cycles: int | None = None

    @property
    def total(self) -> int:
        """Instructions of a turn."""
        return sum(self.instructions.values())


def counted(instructions: Iterable[Instruction]) -> dict[str, int]:
    """Instructions by kind, most frequent first."""
    return dict(Counter(one.kind for one in instructions).most_common())


def loops(
    program: Sequence[Instruction], timed: Callable[[Sequence[Instruction]], float | None] | None = None
) -> list[Loop]:
    """The loops of a program in the order of their first instructions, without those that only wait. `timed` gives the
    cycles of a turn through the instructions of an innermost one.
    """
    graph = _Graph(program)
    bodies = _working(graph)
    found = []
    for header, body in sorted(bodies.items()):
        within = [other for other in bodies if other != header and other in body]
        inner = set().union(*(bodies[other] for other in within)) if within else set()
        own = [one for block in sorted(body - inner) for one in graph.instructions(block)]
        cycles = timed(own) if timed is not None and not within else None
        found.append(
            Loop(
                place=program[graph.starts[header]].place,
                depth=1 + sum(header in other for first, other in bodies.items() if first != header),
                innermost=not within,
                instructions=counted(own),
                skippable=sum(len(graph.instructions(block)) for block in graph.skippable(header, body) - inner),
                exponentials=sum(bool(re.match(r"MUFU\.EX2|v_exp", one.mnemonic)) for one in own),
                macs=sum(macs_of(one.mnemonic) for one in own if one.kind == "mma"),
                groups=sum(one.kind == "mma" and "gsb0" in one.operands for one in own),
                turn_cycles=None if cycles is None else round(cycles),
            )
        )
    return found


def around(program: Sequence[Instruction]) -> tuple[Sequence[Instruction], Sequence[Instruction]]:
    """What stands before the first loop, and behind the last one up to the end of the program; without loops all of it
    and nothing.
    """
    graph = _Graph(program)
    inside = [block for body in _working(graph).values() for block in body]
    if not inside:
        return program[: _end(program, 0)], ()
    first, last = graph.starts[min(inside)], graph.ends[max(inside)]
    return program[:first], program[last : _end(program, last)]


def _end(program: Sequence[Instruction], start: int) -> int:
    """The place behind the first instruction from which nothing goes on to the next, other than by a jump."""
    return next(
        (place + 1 for place in range(start, len(program)) if not (program[place].falls or program[place].jumps)),
        len(program),
    )


def _working(graph: _Graph) -> dict[int, set[int]]:
    """Loops that do more than wait, by header."""
    return {
        header: body
        for header, body in graph.natural_loops().items()
        if not _waits({one.kind for block in body for one in graph.instructions(block)})
    }


def _waits(kinds: set[str]) -> bool:
    return kinds <= _IDLE and bool(kinds & _WAITS)


class _Graph:
    """Blocks of a program that its start reaches, numbered by place, and what follows what."""

    def __init__(self, program: Sequence[Instruction]) -> None:
        self.program = program
        heads = {0, *(place for one in program for place in one.jumps)}
        heads |= {place + 1 for place, one in enumerate(program) if one.jumps or not one.falls}
        self.starts = sorted(head for head in heads if head < len(program))
        block_at = {start: block for block, start in enumerate(self.starts)}
        self.ends = [*self.starts[1:], len(program)]
        self._spans = list(zip(self.starts, self.ends, strict=True))
        self.after: list[list[int]] = []
        for _, end in self._spans:
            last = program[end - 1]
            following = [*last.jumps, *([end] if last.falls and end < len(program) else [])]
            self.after.append([block_at[place] for place in dict.fromkeys(following)])
        self._order = self._reverse_postorder()
        self.before: dict[int, list[int]] = {block: [] for block in self._order}
        for block in self._order:
            for following in self.after[block]:
                self.before[following].append(block)
        self._above = self._dominators()

    def instructions(self, block: int) -> Sequence[Instruction]:
        start, end = self._spans[block]
        return self.program[start:end]

    def natural_loops(self) -> dict[int, set[int]]:
        """By header, the blocks from which a jump back to it is reached without passing it."""
        found: dict[int, set[int]] = {}
        for block in self._order:
            for header in self.after[block]:
                if self._dominates(header, block):
                    found.setdefault(header, {header}).update(self._reaching(block, header))
        return found

    def skippable(self, header: int, body: set[int]) -> set[int]:
        """Blocks of a loop that some way around it avoids."""
        back = [block for block in self.before[header] if block in body]
        return {block for block in body if not all(self._dominates(block, last) for last in back)}

    def _reaching(self, block: int, header: int) -> set[int]:
        seen, waiting = {header}, [block]
        while waiting:
            at = waiting.pop()
            if at not in seen:
                seen.add(at)
                waiting.extend(self.before[at])
        return seen

    def _reverse_postorder(self) -> list[int]:
        order: list[int] = []
        seen = {0}
        stack: list[tuple[int, Iterator[int]]] = [(0, iter(self.after[0]))] if self.after else []
        while stack:
            block, rest = stack[-1]
            for following in rest:
                if following not in seen:
                    seen.add(following)
                    stack.append((following, iter(self.after[following])))
                    break
            else:
                order.append(block)
                stack.pop()
        return order[::-1]

    def _dominators(self) -> dict[int, int]:
        """Immediate dominators, by Cooper, Harvey and Kennedy's iteration: 'A simple, fast dominance algorithm'."""
        rank = {block: number for number, block in enumerate(self._order)}
        above = {self._order[0]: self._order[0]} if self._order else {}

        def common(one: int, other: int) -> int:
            while one != other:
                while rank[one] > rank[other]:
                    one = above[one]
                while rank[other] > rank[one]:
                    other = above[other]
            return one

        changed = True
        while changed:
            changed = False
            for block in self._order[1:]:
                known = [before for before in self.before[block] if before in above]
                best = known[0]
                for other in known[1:]:
                    best = common(best, other)
                if above.get(block) != best:
                    above[block] = best
                    changed = True
        return above

    def _dominates(self, one: int, other: int) -> bool:
        while other != one and self._above[other] != other:
            other = self._above[other]
        return other == one


_SASS_LINE = re.compile(
    r"^[ \t]+/\*([0-9a-f]{4,})\*/\s+(@!?U?P\w+\s+)?([A-Z][\w.]*)\s*([^;]*);"
    r"(?:\s*/\* 0x[0-9a-f]{16} \*/\s*\n\s*/\* 0x([0-9a-f]{16}) \*/)?",
    re.MULTILINE,
)
_ADDRESS = re.compile(r"0x([0-9a-f]+)\s*$")
_JUMP = ("BRA", "JMP", "CALL.REL", "WARPSYNC.COLLECTIVE")
_END = ("EXIT", "RET", "BRX", "JMX", "KILL")


def sass_program(text: str, function: str) -> list[Instruction]:
    """A function of ``cuobjdump -sass``. Indirect jumps lead nowhere."""
    section = re.search(rf"Function : {re.escape(function)}\n(.*?)(?=\n\s*Function : |\Z)", text, re.DOTALL)
    lines = list(_SASS_LINE.finditer(section[1] if section else ""))
    if not lines:
        raise LightboundError(
            "sass", function, "is not a function of this code", "Name one that cuobjdump -sass shows."
        )
    at = {int(match[1], 16): place for place, match in enumerate(lines)}
    joins: dict[str, int] = {}  # where threads that part meet again, by convergence barrier
    program = []
    for place, match in enumerate(lines):
        address, guard, mnemonic, operands, word = match.groups()
        jumps: tuple[int, ...] = ()
        falls = True
        target = _ADDRESS.search(operands)
        goal = at.get(int(target[1], 16)) if target else None
        if mnemonic.startswith(_JUMP) and goal is not None:
            jumps = (goal,)
            falls = bool(guard) or "," in operands or not mnemonic.startswith(("BRA", "JMP"))
        elif mnemonic.startswith("BSSY") and goal is not None:
            joins[operands.split(",")[0]] = goal
        elif mnemonic.startswith("BSYNC"):
            goal = joins.get(operands.split(",")[0].strip(), -1)
            jumps = (goal,) if goal > place + 1 else ()
        elif mnemonic.startswith(_END):
            falls = bool(guard)
        constant = mnemonic.startswith("HFMA2") and "-RZ, RZ" in operands  # a constant, made by way of another pipe
        kind = "move" if constant or mnemonic.startswith("IMAD.MOV") else sass_kind(mnemonic)
        control = _control(int(word, 16)) if word else None
        program.append(Instruction(address, mnemonic, kind, jumps, falls, operands.strip(), control))
    return program


def _control(word: int) -> Control:
    """Of the upper half of an instruction of 128 bits, as since Volta (Jia et al., arXiv 1804.06826, section 2.1)."""
    barrier = lambda at: None if word >> at & 7 == 7 else word >> at & 7  # noqa: E731
    return Control(word >> 41 & 15, barrier(46), barrier(49), word >> 52 & 63)


_AMD_LINE = re.compile(r"^\s+([a-z][a-z0-9_]+)(?:\s+([^;]*?))?\s*(?:;.*)?$")
_LABEL = re.compile(r"^([.\w$]+):")


def amdgcn_program(text: str, function: str) -> list[Instruction]:
    """A function of the assembly that LLVM writes for AMD's GPUs."""
    body = re.search(rf"^{re.escape(function)}:(.*?)^\s*(?:\.section|\.Lfunc_end)", text, re.DOTALL | re.MULTILINE)
    if body is None:
        raise LightboundError("amdgcn", function, "is not a function of this code", "Name a label of the assembly.")
    lines: list[tuple[str, str, str]] = []
    labels: dict[str, int] = {}
    place = function
    for line in body[1].splitlines()[1:]:
        if label := _LABEL.match(line):
            if label[1].startswith(".LBB"):
                place = label[1]
            labels[label[1]] = len(lines)
        elif match := _AMD_LINE.match(line):
            lines.append((place, match[1], match[2] or ""))
    program = []
    for where, mnemonic, operands in lines:
        goal = labels.get(operands.split()[0]) if mnemonic.startswith(("s_cbranch", "s_branch")) else None
        jumps = (goal,) if goal is not None and goal < len(lines) else ()
        falls = not mnemonic.startswith(("s_branch", "s_endpgm", "s_setpc"))
        kind = amdgcn_kind(f"{mnemonic} lds" if operands.endswith(" lds") else mnemonic)
        program.append(Instruction(where, mnemonic, kind, jumps, falls))
    return program
