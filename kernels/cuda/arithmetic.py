"""Programs that repeat arithmetic on registers: rates of one operation, rates of mixtures, latencies of chains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .ptx import Program, registers, timed

WARPS = 16  # of an SM: four for each of its quarters
CHAINS = 8  # of a warp, each depends on itself only
IN_A_ROUND = 128  # instructions of one kind, about


@dataclass(frozen=True)
class Operation:
    """An operation on 32-bit registers: `text` is given the register, another one of its kind, and the repetition.

    opcodes: what the assembler makes of it. Register operands %s0 and %s1 hold numbers that do not change.
    """

    text: Callable[[str, str, int], str]
    opcodes: Mapping[str, int]
    what: str
    least: int = 80


def _one(line: str, opcode: str, what: str, least: int = 80) -> Operation:
    return Operation(lambda x, y, n: line.format(x=x, y=y), {opcode: 1}, what, least)


OPERATIONS: Mapping[str, Operation] = {
    "ffma": _one("fma.rn.f32 {x}, {x}, %s0, %s1;", "FFMA", "fp32 multiply-add"),
    "fadd": _one("add.rn.f32 {x}, {x}, %s0;", "FADD", "fp32 addition"),
    "fmul": _one("mul.rn.f32 {x}, {x}, %s0;", "FMUL", "fp32 multiplication"),
    "fmnmx": Operation(
        lambda x, y, n: f"{('max', 'min')[n % 2]}.f32 {x}, {x}, %s{n % 2};", {"FMNMX": 1}, "fp32 maximum or minimum"
    ),
    "select": Operation(
        lambda x, y, n: f"setp.gt.f32 %p{n % 6}, {x}, %s0;\nselp.b32 {x}, %s1, {x}, %p{n % 6};",
        {"FSETP": 1, "SEL|FSEL": 1},
        "fp32 comparison and selection, counted as a pair",
    ),
    "iadd": _one(
        "add.s32 %sum, {x}, %s0;\nadd.s32 {x}, %sum, {y};", "IADD3", "32-bit integer addition of three numbers"
    ),
    "lop": _one("lop3.b32 {x}, {x}, {y}, %s0, 0x96;", "LOP3", "bitwise operation on three numbers"),
    "imad": _one("mad.lo.s32 {x}, {x}, %s0, %s1;", "IMAD", "32-bit integer multiply-add"),
    "shift": _one("shf.l.wrap.b32 {x}, {x}, {y}, 7;", "SHF", "shift of two registers"),
    "pack_fp16": _one("cvt.rn.f16x2.f32 {x}, {x}, %s0;", "F2FP", "conversion of two fp32 to fp16"),
    "pack_bf16": _one("cvt.rn.bf16x2.f32 {x}, {x}, %s0;", "F2FP", "conversion of two fp32 to bf16"),
    "ex2": _one("ex2.approx.ftz.f32 {x}, {x};", "MUFU", "exponential base 2, denormals flushed"),
    "ex2_full": Operation(
        lambda x, y, n: f"sub.f32 {x}, %s0, {x};\nex2.approx.f32 {x}, {x};",  # else no denormal can come
        {"MUFU": 1, "FADD": 1, "FSETP": 1, "FMUL": 2},
        "exponential base 2 of a difference, with denormals: compare, two predicated multiplications",
    ),
    "lg2": _one("lg2.approx.ftz.f32 {x}, {x};", "MUFU", "logarithm base 2"),
    "rcp": Operation(  # two reciprocals in a row would be none
        lambda x, y, n: f"{('rcp', 'lg2')[n % 2]}.approx.ftz.f32 {x}, {x};",
        {"MUFU": 1},
        "reciprocal, logarithm in turn",
    ),
    "rsqrt": _one("rsqrt.approx.ftz.f32 {x}, {x};", "MUFU", "reciprocal square root"),
    "tanh": _one("tanh.approx.f32 {x}, {x};", "MUFU", "hyperbolic tangent"),
    "shuffle": _one("shfl.sync.bfly.b32 {x}, {x}, 1, 31, -1;", "SHFL", "exchange between lanes of a warp"),
    "hfma2": _one("fma.rn.f16x2 {x}, {x}, %s0, %s1;", "HFMA2", "two fp16 multiply-adds"),
}

MIXES: Mapping[str, Mapping[str, int]] = {
    "ffma_fmnmx": {"ffma": 1, "fmnmx": 1},
    "ffma2_fmnmx": {"ffma": 2, "fmnmx": 1},
    "ffma_iadd": {"ffma": 1, "iadd": 1},
    "ffma_fadd": {"ffma": 1, "fadd": 1},
    "ffma_imad": {"ffma": 1, "imad": 1},
    "ffma_pack": {"ffma": 2, "pack_fp16": 1},
    "fmnmx_pack": {"fmnmx": 1, "pack_fp16": 1},
    "fmnmx_iadd": {"fmnmx": 1, "iadd": 1},
    "fmnmx_shuffle": {"fmnmx": 4, "shuffle": 1},
    "ffma4_ex2": {"ffma": 4, "ex2": 1},
    "ffma8_ex2": {"ffma": 8, "ex2": 1},
    "fmnmx3_ex2": {"fmnmx": 3, "ex2": 1},
    "shuffle_ex2": {"shuffle": 1, "ex2": 1},
    "softmax": {"fmnmx": 2, "ffma": 2, "ex2": 2, "fadd": 2, "pack_fp16": 1},
    "softmax_without_ex2": {"fmnmx": 2, "ffma": 2, "fadd": 2, "pack_fp16": 1},
    "softmax_rescaled": {"fmnmx": 2, "ffma": 2, "ex2": 2, "fadd": 2, "pack_fp16": 1, "fmul": 2},
    "softmax_masked": {"select": 2, "fmnmx": 2, "ffma": 2, "ex2": 2, "fadd": 2, "pack_fp16": 1},
}
"""Operations that stand in a loop together; `softmax` is that of two scores, as attention kernels have it."""

CHAINED = ("ffma", "fadd", "fmul", "fmnmx", "iadd", "imad", "pack_fp16", "ex2", "rcp", "shuffle", "hfma2")
"""Operations whose latency is measured: each as one chain of one warp."""


def setup(chains: int, group: str = "x") -> str:
    """Load %x0.. and the constants %s0, %s1 from `data`, other values for each thread."""
    lines = (f"ld.global.b32 %{group}{index}, [%from+{4096 * (index + 1)}];" for index in range(chains))
    return "\n".join(("ld.global.b32 %s0, [%from];", "ld.global.b32 %s1, [%from+2048];", *lines))


def pattern(mix: Mapping[str, int]) -> list[str]:
    """The operations of one turn in an order that spreads each evenly."""
    places = [((turn + 0.5) / count, op) for op, count in mix.items() for turn in range(count)]
    return [op for _, op in sorted(places)]


def lines(turns: int, mix: Mapping[str, int], chains: int = CHAINS) -> tuple[str, list[str], dict[str, int]]:
    """Unrolled lines of a mixture, the registers that they use, and the opcodes in them. Each kind has own chains."""
    order, kinds = pattern(mix), list(mix)
    done = dict.fromkeys(kinds, 0)
    text: list[str] = []
    opcodes: dict[str, int] = {}
    for _ in range(turns):
        for op in order:
            first, turn = kinds.index(op) * chains, done[op]
            x, y = f"%x{first + turn % chains}", f"%x{first + (turn + 1) % chains}"
            text.append(OPERATIONS[op].text(x, y, turn // chains + turn % chains * (chains % 2)))
            done[op] += 1
            for opcode, times in OPERATIONS[op].opcodes.items():
                opcodes[opcode] = opcodes.get(opcode, 0) + times
    return "\n".join(text), [f"%x{index}" for index in range(len(kinds) * chains)], opcodes


def rate(op: str) -> Program:
    """One operation on many independent registers by many warps. Work: operations of a lane in a round."""
    return _program(f"rate_{op}", {op: 1}, IN_A_ROUND, CHAINS, WARPS)


def mix(name: str) -> Program:
    """A mixture of operations. Work: turns of the whole mixture in a round."""
    kinds = MIXES[name]
    return _program(f"mix_{name}", kinds, max(CHAINS, IN_A_ROUND // sum(kinds.values())), CHAINS, WARPS)


def latency(op: str) -> Program:
    """One chain of one warp: each operation waits for the one before. Work: operations in a round."""
    return _program(f"latency_{op}", {op: 1}, 64, 1, 1)


def _program(name: str, kinds: Mapping[str, int], turns: int, chains: int, warps: int) -> Program:
    text, names, opcodes = lines(turns, kinds, chains)
    declared = registers(x=("b32", len(names)), s=("b32", 2)) + "\n.reg .b32 %sum;"
    least = max(OPERATIONS[op].least for op in kinds)
    entry = timed(name, 32 * warps, declared, setup(len(names)), text, names)
    return Program(name, entry, opcodes, turns, 32 * warps, least=least)


def programs() -> Sequence[Program]:
    """All of them."""
    return [*(rate(op) for op in OPERATIONS), *(mix(name) for name in MIXES), *(latency(op) for op in CHAINED)]
