"""Programs of the tensor cores: mma.sync by warps, wgmma by groups of four warps (compute capability 9.0 only).

Work of a round is in multiply-accumulates of a warp. Operands are read from `data`: random numbers or zeros, since
power depends on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .ptx import FILLS, HOPPER, Program, fill_pool, registers, timed, unrolled

GROUP = 128  # threads of a warp group
OPERAND_BYTES = 48 * 1024  # of shared memory: a tile of A (64 rows of 128 bytes) and one of B (256 rows)


@dataclass(frozen=True)
class Warp:
    """An mma.sync of 16 rows and 8 columns: name in PTX, depth, registers of A, B and of the accumulator, opcode."""

    name: str
    depth: int
    a: int
    b: int
    acc: int
    opcode: str
    least: int = 80


SYNC: Mapping[str, Warp] = {
    "fp16": Warp("m16n8k16.row.col.f32.f16.f16.f32", 16, 4, 2, 4, "HMMA"),
    "bf16": Warp("m16n8k16.row.col.f32.bf16.bf16.f32", 16, 4, 2, 4, "HMMA"),
    "fp16_into_fp16": Warp("m16n8k16.row.col.f16.f16.f16.f16", 16, 4, 2, 2, "HMMA"),
    "tf32": Warp("m16n8k8.row.col.f32.tf32.tf32.f32", 8, 4, 2, 4, "HMMA"),
    "int8": Warp("m16n8k32.row.col.s32.s8.s8.s32", 32, 4, 2, 4, "IMMA"),
}

TILES = (2, 4)  # fragments of A and of B that a warp multiplies with each other: 8 accumulators, as kernels have it


def sync_lines(kind: str, turns: int) -> tuple[str, str, list[str], str, int]:
    """Declarations, setup, names of accumulators, unrolled lines and instructions of mma.sync by one warp."""
    one = SYNC[kind]
    rows, columns = TILES
    declared = registers(ma=("b32", rows * one.a), mb=("b32", columns * one.b), mc=("b32", rows * columns * one.acc))
    operands = [f"%ma{i}" for i in range(rows * one.a)] + [f"%mb{i}" for i in range(columns * one.b)]
    load = "\n".join(f"ld.global.b32 {name}, [%from+{1024 * i}];" for i, name in enumerate(operands))
    accumulators = [f"%mc{i}" for i in range(rows * columns * one.acc)]
    clear = "\n".join(f"mov.b32 {name}, 0;" for name in accumulators)

    def line(index: int) -> str:
        row, column = divmod(index % (rows * columns), columns)
        acc = _list("mc", (row * columns + column) * one.acc, one.acc)
        a, b = _list("ma", row * one.a, one.a), _list("mb", column * one.b, one.b)
        return f"mma.sync.aligned.{one.name} {acc}, {a}, {b}, {acc};"

    count = turns * rows * columns
    return declared, f"{load}\n{clear}", accumulators, unrolled(count, line), count


def sync(kind: str, warps: int, turns: int = 4) -> Program:
    """mma.sync by `warps` warps, each with eight accumulators."""
    declared, setup, kept, text, count = sync_lines(kind, turns)
    name, one = f"sync_{kind}_{warps}", SYNC[kind]
    entry = timed(name, 32 * warps, declared, setup, text, kept)
    return Program(name, entry, {one.opcode: count}, count * 16 * 8 * one.depth, 32 * warps, least=one.least)


def sync_latency(kind: str) -> Program:
    """One accumulator of one warp: each mma.sync waits for the one before."""
    one = SYNC[kind]
    declared = registers(ma=("b32", one.a), mb=("b32", one.b), mc=("b32", one.acc))
    names = [f"%ma{i}" for i in range(one.a)] + [f"%mb{i}" for i in range(one.b)]
    load = "\n".join(f"ld.global.b32 {name}, [%from+{1024 * i}];" for i, name in enumerate(names))
    kept = [f"%mc{i}" for i in range(one.acc)]
    clear = "\n".join(f"mov.b32 {name}, 0;" for name in kept)
    acc, a, b = _list("mc", 0, one.acc), _list("ma", 0, one.a), _list("mb", 0, one.b)
    text = unrolled(32, lambda index: f"mma.sync.aligned.{one.name} {acc}, {a}, {b}, {acc};")
    name = f"latency_sync_{kind}"
    return Program(name, timed(name, 32, declared, f"{load}\n{clear}", text, kept), {one.opcode: 32}, 32, 32)


@dataclass(frozen=True)
class Group:
    """A wgmma of 64 rows: types in PTX, depth, immediate operands after the descriptors, opcode."""

    types: str
    depth: int
    after: str
    opcode: str
    acc: str = "f32"


GROUPS: Mapping[str, Group] = {
    "fp16": Group("f32.f16.f16", 16, "1, 1, 1, 0, 0", "HGMMA"),
    "bf16": Group("f32.bf16.bf16", 16, "1, 1, 1, 0, 0", "HGMMA"),
    "tf32": Group("f32.tf32.tf32", 8, "1, 1, 1", "HGMMA"),
    "fp8": Group("f32.e4m3.e4m3", 32, "1, 1, 1", "QGMMA"),
    "int8": Group("s32.s8.s8", 32, "1", "IGMMA", "s32"),
}


def group_setup(threads: int) -> str:
    """Fill shared memory and make the descriptors %da (tile of A) and %db (tile of B), rows of 128 bytes, swizzled."""
    return f"""{fill_pool(OPERAND_BYTES, threads)}
fence.proxy.async;
bar.sync 0;
and.b32 %address, %pool, 0x3ffff;
shr.u32 %address, %address, 4;
cvt.u64.u32 %wide, %address;
or.b64 %da, %wide, 0x4000004000010000;
add.u64 %db, %da, 512;"""


def group_lines(kind: str, n: int, count: int, from_registers: bool = False) -> str:
    """`count` wgmma into one set of accumulators %g0.., over four steps of the tile's depth, without commit or wait."""
    one = GROUPS[kind]
    acc = _list("g", 0, n // 2)

    def line(index: int) -> str:
        step = f"%db{index % 4}"
        a = _list("ga", index % 4 * 4, 4) if from_registers else f"%da{index % 4}"
        after = (
            one.after if not from_registers else one.after.rsplit(",", 1)[0] if one.after.count(",") == 4 else one.after
        )
        return f"wgmma.mma_async.sync.aligned.m64n{n}k{one.depth}.{one.types} {acc}, {a}, {step}, {after};"

    steps = "\n".join(f"add.u64 %da{i}, %da, {2 * i};\nadd.u64 %db{i}, %db, {2 * i};" for i in range(4))
    return f"{steps}\n{unrolled(count, line)}"


def group_declared(n: int) -> str:
    """Registers of `group_setup` and `group_lines`."""
    return (
        FILLS + "\n" + registers(g=("b32", n // 2), ga=("b32", 16), da=("b64", 4), db=("b64", 4))
        + "\n.reg .b64 %da, %db;"
    )  # fmt: skip


def group_clear(n: int) -> str:
    """Accumulators at zero, fragments of A from `data`."""
    zero = "\n".join(f"mov.b32 %g{i}, 0;" for i in range(n // 2))
    load = "\n".join(f"ld.global.b32 %ga{i}, [%from+{1024 * i}];" for i in range(16))
    return f"{zero}\n{load}\nwgmma.fence.sync.aligned;"


COMMIT = "wgmma.commit_group.sync.aligned;"


def wait(groups: int) -> str:
    """Wait until at most this many groups of wgmma are under way."""
    return f"wgmma.wait_group.sync.aligned {groups};"


def group(kind: str, n: int, groups: int, from_registers: bool = False, count: int = 8) -> Program:
    """wgmma by `groups` warp groups, one set of accumulators each; one group of instructions stays under way."""
    name = f"group_{kind}_n{n}_{'rs' if from_registers else 'ss'}_{groups}"
    body = f"{group_lines(kind, n, count, from_registers)}\n{COMMIT}\n{wait(0 if from_registers else 1)}"
    return _group(name, kind, n, groups, body, count)


def group_latency(kind: str, n: int, count: int) -> Program:
    """One warp group issues `count` wgmma and waits for them, in turn."""
    name = f"latency_group_{kind}_n{n}_{count}"
    body = f"wgmma.fence.sync.aligned;\n{group_lines(kind, n, count)}\n{COMMIT}\n{wait(0)}"
    return _group(name, kind, n, 1, body, count)


def _group(name: str, kind: str, n: int, groups: int, body: str, count: int) -> Program:
    one, threads = GROUPS[kind], GROUP * groups
    kept = [f"%g{i}" for i in range(n // 2)]
    setup = f"{group_setup(threads)}\n{group_clear(n)}"
    entry = timed(name, threads, group_declared(n), setup, body, kept).replace(
        "mov.u64 %end, %clock64;", f"{wait(0)}\nmov.u64 %end, %clock64;"
    )
    loop = {one.opcode: count, "WARPGROUP": 2}
    return Program(name, entry, loop, count * 64 * n * one.depth / 4, threads, OPERAND_BYTES, only=HOPPER)


def _list(name: str, first: int, count: int) -> str:
    return "{" + ", ".join(f"%{name}{first + i}" for i in range(count)) + "}"


SIZES = (64, 128, 256)


def programs() -> Sequence[Program]:
    """All of them."""
    return [
        *(sync(kind, 8) for kind in SYNC),
        *(sync("fp16", warps) for warps in (4, 16)),
        sync_latency("fp16"),
        *(group("fp16", n, groups) for n in SIZES for groups in (1, 2)),
        *(group("fp16", n, groups, True) for n in SIZES for groups in (1, 2)),
        *(group(kind, 256, 2) for kind in GROUPS if kind != "fp16"),
        *(group_latency("fp16", n, count) for n in SIZES for count in (1, 4)),
    ]
