"""Programs in which some warps keep the tensor cores busy and others compute beside them: who slows whom.

The first warps run `rounds` rounds of tensor instructions; the others `a` rounds of an operation with a given number of
chains, which sets how much of its pipe they ask for. One of the two runs long enough to span the other: records tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .arithmetic import lines
from .arithmetic import setup as load_constants
from .ptx import END, HOPPER, START, Program, head, looped, record, registers, sink
from .tensor import (
    COMMIT,
    GROUP,
    OPERAND_BYTES,
    group_clear,
    group_declared,
    group_lines,
    group_setup,
    sync_lines,
    wait,
)

OTHERS = 4  # warps beside the tensor's, one for each quarter of an SM, with as many chains as asked for
TURNS = 32  # instructions of a chain in a round
SYNC_WARPS = 8
GROUP_N = 128


@dataclass(frozen=True)
class Pair:
    """Two kinds of warps in one program. tensor_warps come first. Work of a round of each: of a warp."""

    program: Program
    op: str
    chains: int
    tensor_warps: int
    tensor_work: float
    other_work: float


def beside_sync(op: str, chains: int) -> Pair:
    """mma.sync by eight warps, four warps of `op` beside it."""
    declared, setup, kept, text, count = sync_lines("fp16", 4)
    return _pair("sync", op, chains, SYNC_WARPS, declared, setup, text, kept, {"HMMA": count}, count * 16 * 8 * 16, "")


def beside_group(op: str, chains: int, groups: int) -> Pair:
    """wgmma by one or two warp groups, four warps of `op` beside it."""
    warps = groups * GROUP // 32
    text = f"{group_lines('fp16', GROUP_N, 8)}\n{COMMIT}\n{wait(1)}"
    setup = f"{group_setup(32 * (warps + OTHERS))}"
    kept = [f"%g{i}" for i in range(GROUP_N // 2)]
    loop = {"HGMMA": 8, "WARPGROUP": 2}
    work = 8 * 64 * GROUP_N * 16 / 4
    return _pair(
        f"group{groups}", op, chains, warps, group_declared(GROUP_N), setup, text, kept, loop, work, wait(0),
        group_clear(GROUP_N),
    )  # fmt: skip


def _pair(
    kind: str, op: str, chains: int, warps: int, declared: str, setup: str, text: str, kept: list[str],
    loop: Mapping[str, int], work: float, after: str, before: str = "",
) -> Pair:  # fmt: skip
    other, names, _opcodes = lines(TURNS * chains, {op: 1}, chains)
    name = f"beside_{kind}_{op}_{chains}"
    threads = 32 * (warps + OTHERS)
    entry = "\n".join(
        (
            head(name, threads, declared + "\n" + registers(x=("b32", len(names)), s=("b32", 2)) + "\n.reg .b32 %sum;"),
            setup,
            load_constants(len(names)),
            f"setp.ge.u32 %p8, %warp, {warps};\n@%p8 bra $others;",
            before,
            START,
            looped("$tensor", "%rounds", text),
            after,
            END,
            sink(kept),
            record(warps + OTHERS),
            "ret;\n$others:",
            START,
            looped("$other", "%a", other),
            END,
            sink(names),
            record(warps + OTHERS),
            "ret;\n}",
        )
    )
    group = kind.startswith("group")
    shared = OPERAND_BYTES if group else 0
    program = Program(name, entry, loop, work, threads, shared, only=HOPPER if group else 0)
    return Pair(program, op, chains, warps, work, float(TURNS * chains))


SWEEP = (1, 2, 3, 4, 8)
KINDS = ("ffma", "fadd", "fmnmx", "iadd", "ex2", "pack_fp16")


def pairs(capability: int) -> Sequence[Pair]:
    """What is measured on a GPU of this compute capability."""
    found = [beside_sync("ffma", chains) for chains in SWEEP]
    found += [beside_sync(op, 8) for op in KINDS if op != "ffma"]
    if capability == HOPPER:
        found += [beside_group("ffma", chains, 2) for chains in SWEEP]
        found += [beside_group(op, 8, 2) for op in KINDS if op != "ffma"]
        found += [beside_group(op, 8, 1) for op in ("ffma", "ex2")]
    return found


def programs() -> Sequence[Program]:
    """All of them."""
    return [one.program for one in pairs(HOPPER)]
