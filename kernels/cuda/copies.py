"""Copies to shared memory that threads ask for (cp.async): bytes that a multiprocessor gets of the L2 cache, by the
words in which rows come and by where these begin.

Tiles of matrices whose rows do not start at multiples of 128 bytes come so: each row touches a line more, and where 16
does not divide its distance to the next one, it comes in words of 8 or 4 bytes, through the first cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .bench import Bench
from .figures import PER_CLOCK, Figures, Task, figure
from .ptx import Program, timed, unrolled

WORDS = (4, 8, 16)
ROWS = (128, 256)  # bytes of a row
THREADS = 256
AT_ONCE = 8  # copies of a thread in a group
GROUPS = 2  # under way beside the one that is asked for
APART = 17 * 128  # bytes from one row to the next: another line, and other slices of the cache
RING = 8 << 20  # bytes gone through, which L2 keeps and the first cache does not
RATE = f"bytes {PER_CLOCK}"


def rows(row: int, word: int) -> Program:
    """Rows of `row` bytes in copies of `word`, AT_ONCE times as many as THREADS bring at once in a round.

    Block i begins with the row at byte a i of `data` mod c, rows are b bytes apart, and begin anew after c of them.
    """
    name = f"copies_{row}_{word}"
    lanes, behind = row // word, THREADS * word
    past = "cg" if word == 16 else "ca"
    setup = f"""
mul.lo.u32 %place, %cta, %a;
rem.u32 %place, %place, %c;
div.u32 %other, %thread, {lanes};
mad.lo.u32 %place, %other, %b, %place;
rem.u32 %place, %place, %c;
rem.u32 %other, %thread, {lanes};
mul.lo.u32 %column, %other, {word};
cvt.u64.u32 %wide, %column;
add.u64 %begin, %data, %wide;
mul.lo.u32 %step, %b, {THREADS // lanes};
mad.lo.u32 %into, %thread, {word}, %pool;"""
    copy = f"""
cvt.u64.u32 %far, %place;
add.u64 %far, %begin, %far;
cp.async.{past}.shared.global [%into+{{at}}], [%far], {word};
add.u32 %place, %place, %step;
setp.ge.u32 %p0, %place, %c;
@%p0 sub.u32 %place, %place, %c;"""
    body = unrolled(AT_ONCE, lambda index: copy.format(at=index * behind))
    body += f"\ncp.async.commit_group;\ncp.async.wait_group {GROUPS};"
    declared = ".reg .b32 %place, %column, %step, %into;\n.reg .b64 %far, %begin;"
    entry = timed(name, THREADS, declared, setup, body, [])
    return Program(name, entry, {"LDGSTS": AT_ONCE}, AT_ONCE * 32 * word, THREADS, AT_ONCE * behind, alone=False)


def tasks() -> list[Task]:
    """Every word and row that may be one."""
    return [Task(f"copies.{row}.{word}", 0.3, _copies(row, word)) for row, word in _kinds()]


def programs() -> Sequence[Program]:
    """All of them."""
    return [rows(row, word) for row, word in _kinds()]


def _kinds() -> list[tuple[int, int]]:
    return [(ROWS[0], word) for word in WORDS] + [(ROWS[1], WORDS[-1])]


def _copies(row: int, word: int) -> Callable[[Bench], Figures]:
    def run(bench: Bench) -> Figures:
        program, found = rows(row, word), {}
        step = APART * THREADS * word // row
        ring = RING // step * step
        data = bench.torch.zeros(ring + APART + row, device="cuda", dtype=bench.torch.int8)
        own = ring // bench.driver.multiprocessors // APART * APART
        for offset in (0, word):
            for how, spread in (("own", own), ("all", 0)):
                runs = bench.run(program, numbers=(spread, APART, ring), data=data[offset:])
                where = "each block from a row of its own on" if spread else "all blocks the same rows"
                what = f"rows of {row} bytes, {offset} behind a line, in words of {word}, {where}"
                name = f"copies.{row}.{word}.{offset}.{how}"
                found[name] = figure(RATE, what, runs.per_cycle(program.work), program=program.name)
        return found

    return run
