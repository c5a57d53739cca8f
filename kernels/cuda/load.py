"""Programs that load a multiprocessor for a chosen time and note how its clock does: tensor work with pauses, or none.

A run is `rounds` samples of `a` bursts; after every burst `b` short chains of dependent multiply-adds pass, in which
the tensor cores rest. After each sample the first thread of the first block writes %clock64 and %globaltimer to `data`,
which holds operands in its first part and samples from byte SAMPLES_AT on.
"""

from __future__ import annotations

from collections.abc import Sequence

from .arithmetic import lines
from .arithmetic import setup as load_constants
from .ptx import END, HOPPER, START, Program, head, looped, record, registers, sink, unrolled
from .tensor import COMMIT, OPERAND_BYTES, group_clear, group_declared, group_lines, group_setup, sync_lines, wait

SAMPLES_AT = 1 << 20
PAUSE = 16  # dependent multiply-adds of one pause
BURST = 16  # wgmma in a burst
SYNC_WARPS = 8
DECLARED = ".reg .b32 %rest, %bursts, %pauses;\n.reg .b64 %sample, %tick;\n.reg .pred %one;"


def _load(name: str, threads: int, declared: str, setup: str, burst: str, kept: list[str], after: str, shared: int,
          work: float, only: int) -> Program:  # fmt: skip
    pause = unrolled(PAUSE, lambda index: "fma.rn.f32 %rest, %rest, %rest, %rest;")
    entry = "\n".join(
        (
            head(name, threads, f"{declared}\n{DECLARED}"),
            setup,
            f"add.u64 %sample, %data, {SAMPLES_AT};",
            "mov.b32 %rest, %thread;\nor.b32 %other, %thread, %cta;\nsetp.eq.u32 %one, %other, 0;",
            START,
            "$sample:\n.pragma \"nounroll\";\nmov.u32 %bursts, %a;\n$burst:\n.pragma \"nounroll\";",
            burst,
            "setp.eq.u32 %p1, %b, 0;\n@%p1 bra $rested;\nmov.u32 %pauses, %b;",
            looped("$pause", "%pauses", pause),
            "$rested:\nsub.u32 %bursts, %bursts, 1;\nsetp.ne.u32 %again, %bursts, 0;\n@%again bra $burst;",
            "mov.u64 %tick, %clock64;\n@%one st.global.u64 [%sample], %tick;",
            "mov.u64 %tick, %globaltimer;\n@%one st.global.u64 [%sample+8], %tick;\nadd.u64 %sample, %sample, 16;",
            "sub.u32 %rounds, %rounds, 1;\nsetp.ne.u32 %again, %rounds, 0;\n@%again bra $sample;",
            after,
            END,
            sink([*kept, "%rest"]),
            record(threads // 32),
            "ret;\n}",
        )
    )  # fmt: skip
    return Program(name, entry, {}, work, threads, shared, only=only)


def group() -> Program:
    """Bursts of wgmma of 256 columns by one warp group; work: multiply-accumulates of a warp in a burst."""
    burst = f"wgmma.fence.sync.aligned;\n{group_lines('fp16', 256, BURST)}\n{COMMIT}\n{wait(0)}"
    setup = f"{group_setup(128)}\n{group_clear(256)}"
    kept = [f"%g{i}" for i in range(128)]
    return _load(
        "load_group", 128, group_declared(256), setup, burst, kept, wait(0), OPERAND_BYTES, BURST * 64 * 256 * 16 / 4,
        HOPPER,
    )  # fmt: skip


def sync() -> Program:
    """Bursts of mma.sync by eight warps; work: multiply-accumulates of a warp in a burst."""
    declared, setup, kept, text, count = sync_lines("fp16", 16)
    return _load("load_sync", 32 * SYNC_WARPS, declared, setup, text, kept, "", 0, count * 16 * 8 * 16, 0)


def fp32() -> Program:
    """Bursts of fp32 multiply-adds by 16 warps; work: those of a lane in a burst."""
    text, names, _ = lines(256, {"ffma": 1})
    declared = registers(x=("b32", len(names)), s=("b32", 2)) + "\n.reg .b32 %sum;"
    return _load("load_fp32", 512, declared, load_constants(len(names)), text, names, "", 0, 256, 0)


def programs() -> Sequence[Program]:
    """All of them."""
    return [group(), sync(), fp32()]
