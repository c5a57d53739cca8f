"""``lightbound resources``: what every launch takes beside the estimate, and what its main loop issues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lightbound.base.errors import LightboundError
from lightbound.kernels.triton.instructions import KINDS
from lightbound.kernels.triton.survey import Surveyed, differing, record, resources

from .answer import Answer, Block, Table, Text
from .given import pairs

COLUMNS = (
    "kernel",
    "function",
    "case",
    "tile",
    "target",
    "registers",
    "spilled",
    "shared",
    "tmem",
    "blocks",
    "estimate",
)


def answer(kernels: Sequence[str], targets: Sequence[str], tiles: Iterable[str], words: str) -> Answer:
    """A table of what launches take, and one of the instructions of their main loops."""
    given = list(tiles)
    every = given == ["all"]
    found = resources(kernels, targets, None if every else _tile(given), words, every)
    done = [one for one in found if one.resources is not None]
    blocks: list[Block] = [
        Table(COLUMNS, [_row(one) for one in done], right=frozenset(COLUMNS[5:])),
        *_mix(done),
        *_agreement(done),
    ]
    failed = [f"{one.point.kernel} {one.point.tile.name} {one.point.target}: {one.error}" for one in found if one.error]
    if failed:
        blocks.append(Text("\n".join(failed), title="Not compiled"))
    return Answer(blocks, [one.to_dict() for one in found], [_record(one) for one in found])


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


def _row(one: Surveyed) -> tuple[str, ...]:
    taken, expected = one.resources, one.estimate
    assert taken is not None
    guess = ""
    if expected is not None:
        guess = f"{expected.registers} {expected.shared_bytes} {expected.blocks}"
    return (
        one.point.kernel,
        one.point.launch.function,
        one.point.case.name,
        one.point.tile.name,
        one.point.target,
        str(taken.registers),
        str(taken.spill_bytes),
        str(taken.shared_bytes),
        str(taken.tensor_columns or ""),
        str(one.blocks),
        guess,
    )


def _mix(done: Sequence[Surveyed]) -> list[Table]:
    found = [(one, loop) for one in done if one.resources is not None and (loop := one.resources.main_loop) is not None]
    kinds = [kind for kind in KINDS if any(loop.instructions.get(kind) for _, loop in found)]
    names = ("function", "tile", "target", "all", *kinds)
    rows = [
        (
            one.point.launch.function,
            one.point.tile.name,
            one.point.target,
            str(loop.total),
            *(str(loop.instructions.get(kind, "")) for kind in kinds),
        )
        for one, loop in found
    ]
    title = "Instructions of a warp in a turn of its main loop"
    return [Table(names, rows, title, frozenset(names[3:]))] if rows else []


def _agreement(done: Sequence[Surveyed]) -> list[Text]:
    """How often the estimate is right."""
    both = [(one, one.resources, one.estimate) for one in done]
    known = [(one, taken, guess) for one, taken, guess in both if taken is not None and guess is not None]
    if not known:
        return []
    shared = sum(taken.shared_bytes == guess.shared_bytes for _, taken, guess in known)
    blocks = sum(one.blocks == guess.blocks for one, _, guess in known)
    return [
        Text(
            f"Estimates are registers of a thread, shared memory and blocks at once. Of {len(known)}, shared memory is "
            f"exact in {shared} and the number of blocks right in {blocks}."
        )
    ]


def _record(one: Surveyed) -> dict[str, object]:
    data = one.to_dict()
    taken, guess = data.pop("resources") or {}, data.pop("estimate") or {}
    loop = one.resources.main_loop if one.resources is not None else None
    return {
        **data,
        **{name: value for name, value in taken.items() if name not in ("loops", "instructions", "target")},
        **{f"estimated_{name}": value for name, value in guess.items()},
        **{f"loop_{kind}": loop.instructions.get(kind, 0) if loop is not None else "" for kind in KINDS},
    }
