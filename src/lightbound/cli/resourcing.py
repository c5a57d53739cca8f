"""``lightbound resources``: what launches take beside the estimates, and what their main loops issue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lightbound.base.errors import LightboundError
from lightbound.kernels.triton.assembly import Loop
from lightbound.kernels.triton.instructions import KINDS
from lightbound.kernels.triton.machine_code import ASSUMED_WARPS, MachineCode, machine_code
from lightbound.kernels.triton.survey import Surveyed, differing, record, resources

from .answer import Answer, Block, Table, Text
from .given import pairs

COLUMNS = ("tile", "type", "target", "launches", "registers", "≈", "shared", "≈", "blocks", "≈", "spilled", "tmem")
MIX = {
    "mma": ("mma",),
    "mufu": ("mufu",),
    "fma": ("fma",),
    "fp32": ("fp32",),
    "cmp": ("compare",),
    "cvt": ("convert",),
    "int": ("integer", "scalar", "move"),
    "shfl": ("shuffle",),
    "ldsm": ("ldmatrix",),
    "smem": ("shared_load", "shared_store"),
    "tmem": ("tensor_load",),
    "gmem": ("global_load", "global_store", "atomic"),
    "async": ("async_copy",),
    "bar": ("barrier",),
}
"""Columns of the table of instructions, and the kinds that each adds up."""
SERIALIZED = "ptxas awaits each matrix product before the next one (wgmma is serialized)"
CYCLES = ("tile", "type", "target", "start", "turn", "end", "products", "groups")


def answer(kernels: Sequence[str], targets: Sequence[str], tiles: Iterable[str], words: str) -> Answer:
    """Two tables a function: what launches take, and the instructions of their main loops."""
    given = list(tiles)
    every = given == ["all"]
    found = resources(kernels, targets, None if every else _tile(given), words, every)
    functions = dict.fromkeys((one.point.kernel, one.point.launch.function) for one in found)
    blocks: list[Block] = []
    for kernel, function in functions:
        mine = [one for one in found if (one.point.kernel, one.point.launch.function) == (kernel, function)]
        blocks += _tables(function if function == kernel else f"{kernel}: {function}", mine)
    blocks += _warnings(found) + _agreement(found)
    failed = [f"{one.point.kernel} {one.point.tile.name} {one.point.target}: {one.error}" for one in found if one.error]
    if failed:
        blocks.append(Text("\n".join(failed), title="Not compiled"))
    return Answer(blocks, [one.to_dict() for one in found], [_record(one) for one in found])


def compiled(path: str, warps: int | None, function: str) -> Answer:
    """Loops of compiled code: where they begin, how long a turn takes, and what it issues."""
    found = machine_code(path, warps, function)
    blocks: list[Block] = [block for one in found for block in _loops(one)]
    slow = [f"{one.function} {loop.place}" for one in found for loop in one.loops if one.serialized(loop)]
    if slow:
        blocks.append(Text("\n".join([f"{SERIALIZED}:", *slow])))
    if any(one.threads_from == "assumed" for one in found):
        blocks.append(Text(f"The code does not say how many warps a block has: {ASSUMED_WARPS} are assumed (--warps)."))
    rows = [
        {"function": one.function, **_loop_row(loop), "threads": one.threads, "threads_from": one.threads_from}
        for one in found
        for loop in one.loops
    ]
    return Answer(blocks, [one.to_dict() for one in found], rows)


def _loops(code: MachineCode) -> list[Block]:
    """What the loops of a function take, and what they issue."""
    threads = {"bound": f"at most {code.threads}", "assumed": f"an assumed {code.threads}"}
    number = threads.get(code.threads_from, str(code.threads))
    title = f"{code.function} for {code.target or 'an unknown target'}, blocks of {number} threads"
    if code.start_cycles is not None:
        title += f", {code.start_cycles} cycles at the start and {code.end_cycles} at the end"
    if not code.loops:
        return [Text(f"{sum(code.instructions.values())} instructions, no loop that does more than wait.", title=title)]
    names = ("loop", "depth", "turn", "products", "groups", "instructions")
    taken = [
        (
            loop.place,
            str(loop.depth),
            *(_span([number or 0]) for number in (loop.turn_cycles, loop.instructions.get("mma", 0), loop.groups)),
            str(loop.total),
        )
        for loop in code.loops
    ]
    mixed = [
        (
            loop.place,
            *(_span([sum(loop.instructions.get(kind, 0) for kind in kinds)]) for kinds in MIX.values()),
        )
        for loop in code.loops
    ]
    issued = f"{code.function}, instructions of a warp in a turn"
    return [
        Table(names, taken, title, frozenset(names[1:])),
        Table(("loop", *MIX), mixed, issued, frozenset(MIX)),
    ]


def _loop_row(loop: Loop) -> dict[str, object]:
    data = {name: value for name, value in vars(loop).items() if name != "instructions"}
    return {**data, **{kind: loop.instructions.get(kind, 0) for kind in KINDS}}


def recorded(kernels: Sequence[str], check: bool) -> tuple[Answer, bool]:
    """Write the tables of kernels anew, or compare them with what is compiled now; whether they agree."""
    if not check:
        paths = [str(path) for path in record(kernels)]
        return Answer([Text("\n".join(f"Written: {path}" for path in paths))], paths), True
    lines = differing(kernels)
    return Answer([Text("\n".join(lines) or "Every launch is as recorded.")], lines), not lines


def _tile(given: Sequence[str]) -> dict[str, int]:
    found = {}
    parts = [part for text in given for part in text.split(",") if part.strip()]
    for name, value in pairs("--tiles", parts, "BQ=64,warps=8"):
        if not value.isdigit():
            raise LightboundError("--tiles", value, f"is not a number for {name}", "Write one, such as warps=8.")
        found[name] = int(value)
    return found


def _tables(title: str, found: Sequence[Surveyed]) -> list[Block]:
    """Launches that differ in their masks or in what is divisible alone share a row."""
    rows: dict[tuple[str, str, str], list[Surveyed]] = {}
    for one in found:
        if one.resources is not None:
            rows.setdefault((one.point.tile.name, one.point.case.dtype, one.point.target), []).append(one)
    taken = [(*row, str(len(ones)), *_taken(ones)) for row, ones in rows.items()]
    loops = {row: [loop for one in ones if (loop := one.main_loop) is not None] for row, ones in rows.items()}
    names = ("tile", "type", "target", "all", *MIX)
    mixed = [
        (
            *row,
            _span([loop.total for loop in those]),
            *(
                _span([sum(loop.instructions.get(kind, 0) for kind in kinds) for loop in those])
                for kinds in MIX.values()
            ),
        )
        for row, those in loops.items()
        if those
    ]
    blocks: list[Block] = [Table(COLUMNS, taken, title, frozenset(COLUMNS[3:]))] if taken else []
    if mixed:
        blocks.append(
            Table(names, mixed, f"{title}, instructions of a warp in a turn of the main loop", frozenset(names[3:]))
        )
    timed = [(*row, *_cycles(ones)) for row, ones in rows.items() if any(_is_timed(one) for one in ones)]
    if timed:
        blocks.append(Table(CYCLES, timed, f"{title}, cycles of a block that is alone", frozenset(CYCLES[3:])))
    return blocks


def _is_timed(one: Surveyed) -> bool:
    return one.resources is not None and one.resources.start_cycles is not None


def _cycles(ones: Sequence[Surveyed]) -> tuple[str, ...]:
    codes = [one.resources for one in ones if one.resources is not None]
    loops = [loop for one in ones if (loop := one.main_loop) is not None]
    return (
        _span([code.start_cycles or 0 for code in codes]),
        _span([loop.turn_cycles or 0 for loop in loops]),
        _span([code.end_cycles or 0 for code in codes]),
        _span([loop.instructions.get("mma", 0) for loop in loops]),
        _span([loop.groups for loop in loops]),
    )


def _taken(ones: Sequence[Surveyed]) -> tuple[str, ...]:
    done = [one.resources for one in ones if one.resources is not None]
    guesses = [one.estimate for one in ones if one.estimate is not None]
    return (
        _span([one.registers for one in done]),
        _span([guess.registers for guess in guesses]),
        _span([one.shared_bytes for one in done]),
        _span([guess.shared_bytes for guess in guesses]),
        _span([one.blocks for one in ones if one.blocks is not None]),
        _span([guess.blocks for guess in guesses]),
        _span([one.spill_bytes for one in done]),
        _span([one.tensor_columns for one in done]),
    )


def _span(values: Sequence[int]) -> str:
    """One number, or the least and the most; nothing for zeros."""
    if not any(values):
        return ""
    return str(values[0]) if len(set(values)) == 1 else f"{min(values)}-{max(values)}"


def _warnings(found: Sequence[Surveyed]) -> list[Block]:
    """Tiles whose matrix products follow each other one by one."""
    slow = dict.fromkeys(f"{one.point.kernel} {one.point.tile.name}" for one in found if one.serialized)
    if not slow:
        return []
    return [Text("\n".join([f"{SERIALIZED}; try other stages or tiles:", *slow]))]


def _agreement(found: Sequence[Surveyed]) -> list[Block]:
    """How often the estimate is right."""
    known = [(one, one.resources, one.estimate) for one in found]
    both = [(one, taken, guess) for one, taken, guess in known if taken is not None and guess is not None]
    if not both:
        return []
    shared = sum(taken.shared_bytes == guess.shared_bytes for _, taken, guess in both)
    blocks = sum(one.blocks == guess.blocks for one, _, guess in both)
    text = f"≈ is estimated from the tile: of {len(both)}, shared memory exact in {shared}, blocks at once in {blocks}."
    return [Text(text)]


def _record(one: Surveyed) -> dict[str, object]:
    data = one.to_dict()
    taken, guess = data.pop("resources") or {}, data.pop("estimate") or {}
    loop = one.main_loop
    return {
        **data,
        **{name: value for name, value in taken.items() if name not in ("loops", "instructions", "target")},
        **{f"estimated_{name}": value for name, value in guess.items()},
        "loop_turn_cycles": loop.turn_cycles if loop is not None else "",
        **{f"loop_{kind}": loop.instructions.get(kind, 0) if loop is not None else "" for kind in KINDS},
    }
