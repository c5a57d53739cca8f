"""Programs of global memory and of starting kernels: streams, chains of loads, blocks that only note when they ran."""

from __future__ import annotations

from collections.abc import Sequence

from .ptx import END, Program, head, looped, record, registers, sink, timed, unrolled

LINE_BYTES = 128
STREAM_THREADS = 512
AT_ONCE = 8  # loads of 16 bytes under way in a thread
BLOCK_THREADS = 128

_NEXT = """
add.u32 %place, %place, %b;
setp.ge.u32 %p0, %place, %c;
@%p0 sub.u32 %place, %place, %c;"""


def stream(kind: str) -> Program:
    """``read``, ``write`` or ``copy`` of AT_ONCE x 16 bytes a thread and round.

    Thread t of block i begins at byte (a i + 16 t) mod c of `data`, and steps by b bytes, round the c bytes: a and b
    say whether blocks share what they touch. Writes and the target of copies go to `out`. a, b < c < 2^31.
    """
    places, loads, stores, folds = [], [], [], []
    for index in range(AT_ONCE):
        x = ", ".join(f"%x{4 * index + word}" for word in range(4))
        places.append(f"cvt.u64.u32 %far{index}, %place;{_NEXT}")
        if kind != "write":
            loads.append(f"add.u64 %record, %data, %far{index};\nld.global.cg.v4.b32 {{{x}}}, [%record];")
        if kind != "read":
            stores.append(f"add.u64 %record, %out, %far{index};\nst.global.v4.b32 [%record], {{{x}}};")
        else:
            folds += [f"xor.b32 %sink, %sink, %x{4 * index + word};" for word in range(4)]
    setup = """
mul.lo.u32 %place, %cta, %a;
rem.u32 %place, %place, %c;
mad.lo.u32 %place, %thread, 16, %place;
rem.u32 %place, %place, %c;
""" + "\n".join(f"mov.b32 %x{index}, 0;" for index in range(4 * AT_ONCE))
    declared = registers(x=("b32", 4 * AT_ONCE), far=("b64", AT_ONCE)) + "\n.reg .b32 %place;"
    body = "\n".join((*places, *loads, *stores, *folds))
    name = f"stream_{kind}"
    entry = "\n".join(
        (head(name, STREAM_THREADS, declared), setup, looped("$loop", "%rounds", body), sink([]), "ret;\n}")
    )
    expected = {"LDG": AT_ONCE * (kind != "write"), "STG": AT_ONCE * (kind != "read")}
    sides = 2 if kind == "copy" else 1
    return Program(
        name, entry, {k: v for k, v in expected.items() if v}, AT_ONCE * 16 * 32 * sides, STREAM_THREADS, alone=False
    )


def chase(cached: bool) -> Program:
    """One thread follows addresses through `data`; past the first cache unless `cached`. Work: loads in a round."""
    name = f"chase_{'ca' if cached else 'cg'}"
    body = unrolled(16, lambda index: f"ld.global.{'ca' if cached else 'cg'}.u64 %at, [%at];")
    setup = "ld.global.u64 %at, [%data];"
    fold = "cvt.u32.u64 %low, %at;"
    entry = timed(name, 32, ".reg .b64 %at;\n.reg .b32 %low;", setup, body, []).replace(
        "setp.eq.b32 %again, %sink", f"{fold}\nxor.b32 %sink, %sink, %low;\nsetp.eq.b32 %again, %sink"
    )
    return Program(name, entry, {"LDG": 16}, 16, 32)


def each() -> Program:
    """One thread follows `rounds` addresses and writes the cycles of every load to `out`, 32 bits each."""
    body = """
mov.u64 %start, %clock64;
ld.global.cg.u64 %at, [%at];
setp.eq.u64 %p0, %at, 0;
@%p0 bra $stop;
mov.u64 %end, %clock64;
sub.u64 %wide, %end, %start;
st.global.u32 [%place], %wide;
add.u64 %place, %place, 4;"""
    entry = "\n".join(
        (head("chase_each", 32, ".reg .b64 %at, %place;"),
         "setp.ne.u32 %p1, %thread, 0;\n@%p1 bra $stop;\nld.global.u64 %at, [%data];\nmov.u64 %place, %out;",
         looped("$loop", "%rounds", body), "$stop:\nret;\n}")
    )  # fmt: skip
    return Program("chase_each", entry, {"LDG": 1, "STG": 1, "CS2R": 2}, 1, 32, alone=False)


def block() -> Program:
    """A block that spends `rounds` x 64 dependent multiply-adds between noting the clock first and last of all."""
    name = "block"
    body = unrolled(64, lambda index: "fma.rn.f32 %x0, %x0, %x0, %x0;")
    entry = "\n".join(
        (head(name, BLOCK_THREADS, registers(x=("b32", 1))).replace(
            "ld.param.u64 %out", "mov.u64 %start, %clock64;\nmov.u64 %ns, %globaltimer;\nld.param.u64 %out", 1),
         "mov.b32 %x0, %thread;", looped("$loop", "%rounds", body), END, sink(["%x0"]), record(BLOCK_THREADS // 32),
         "ret;\n}")
    )  # fmt: skip
    return Program(name, entry, {"FFMA": 64}, 64, BLOCK_THREADS)


def empty() -> Program:
    """A kernel that returns."""
    return Program("empty", "\n".join((head("empty", 32, ""), "ret;\n}")), {}, 0, 32)


def programs() -> Sequence[Program]:
    """All of them."""
    return [*(stream(kind) for kind in ("read", "write", "copy")), chase(True), chase(False), each(), block(), empty()]
