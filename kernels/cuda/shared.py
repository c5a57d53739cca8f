"""Programs of shared memory and of synchronisation: bandwidth, latency of a chain of loads, barriers.

Work of a round is in bytes of a warp where it is bandwidth, in instructions where it is latency.
"""

from __future__ import annotations

from collections.abc import Sequence

from .ptx import Program, registers, timed, unrolled

WARPS = 16
CHAINS = 4  # of loads in a warp
TABLE_BYTES = 1024 * WARPS
BARRIERS = (32, 64, 128, 256, 512, 1024)  # threads


def load(width: int) -> Program:
    """Reads of `width` words by each lane, side by side, without conflicts: the first word is where to read next."""
    name = f"shared_load_{4 * width}"
    vector = f".v{width}" if width > 1 else ""

    def line(index: int) -> str:
        chain = index % CHAINS
        words = ", ".join((f"%x{chain}", *(f"%y{chain * 3 + word}" for word in range(width - 1))))
        return f"ld.shared{vector}.b32 {f'{{{words}}}' if width > 1 else words}, [%x{chain}];"

    setup = (
        _mine(width)
        + "\nst.shared.b32 [%mine], %mine;\nbar.sync 0;\n"
        + "\n".join(f"mov.b32 %x{chain}, %mine;" for chain in range(CHAINS))
    )
    declared = registers(x=("b32", CHAINS), y=("b32", 3 * CHAINS)) + "\n.reg .b32 %mine;"
    entry = timed(name, 32 * WARPS, declared, setup, unrolled(32, line), [f"%x{chain}" for chain in range(CHAINS)])
    return Program(name, entry, {"LDS": 32}, 32 * 32 * 4 * width, 32 * WARPS, TABLE_BYTES)


def store(width: int) -> Program:
    """Writes of `width` words by each lane, side by side, without conflicts."""
    name = f"shared_store_{4 * width}"
    words = ", ".join(f"%x{word}" for word in range(width))
    values = f"{{{words}}}" if width > 1 else words
    vector = f".v{width}" if width > 1 else ""
    setup = _mine(width) + "\n" + "\n".join(f"ld.global.b32 %x{word}, [%from+{4096 * word}];" for word in range(width))
    body = unrolled(32, lambda index: f"st.volatile.shared{vector}.b32 [%mine], {values};")
    entry = timed(name, 32 * WARPS, registers(x=("b32", width)) + "\n.reg .b32 %mine;", setup, body, [])
    return Program(name, entry, {"STS": 32}, 32 * 32 * 4 * width, 32 * WARPS, TABLE_BYTES)


def _mine(width: int) -> str:
    return f"mad.lo.u32 %mine, %warp, 1024, %pool;\nmad.lo.u32 %mine, %lane, {4 * width}, %mine;"


WORDS_OF_ADDRESSES = """
mad.lo.u32 %address, %lane, 16, %pool;
mad.lo.u32 %other, %lane, 4, %pool;
st.shared.b32 [%other], %address;
st.shared.b32 [%other+128], %address;
st.shared.b32 [%other+256], %address;
st.shared.b32 [%other+384], %address;
bar.sync 0;"""


def matrices(warps: int, chains: int) -> Program:
    """ldmatrix of four 8x8 matrices, 512 bytes a warp: what it loads is where the next one loads from."""
    name = f"ldmatrix_{warps}_{chains}"

    def line(index: int) -> str:
        chain = index % chains
        words = ", ".join((f"%x{chain}", *(f"%y{chain * 3 + word}" for word in range(3))))
        return f"ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{{words}}}, [%x{chain}];"

    setup = WORDS_OF_ADDRESSES + "\n" + "\n".join(f"mov.b32 %x{chain}, %address;" for chain in range(chains))
    declared = registers(x=("b32", chains), y=("b32", 3 * chains))
    entry = timed(name, 32 * warps, declared, setup, unrolled(32, line), [f"%x{chain}" for chain in range(chains)])
    return Program(name, entry, {"LDSM": 32}, 32 * 512 if warps > 1 else 32, 32 * warps, TABLE_BYTES)


def chase() -> Program:
    """A chain of loads of one word: each word holds its own address."""
    setup = """
mad.lo.u32 %address, %lane, 4, %pool;
st.shared.b32 [%address], %address;
bar.sync 0;
mov.b32 %x0, %address;"""
    body = unrolled(32, lambda index: "ld.shared.b32 %x0, [%x0];")
    entry = timed("latency_shared", 32, registers(x=("b32", 1)), setup, body, ["%x0"])
    return Program("latency_shared", entry, {"LDS": 32}, 32, 32, TABLE_BYTES)


def barrier(threads: int) -> Program:
    """bar.sync of all threads of a block, again and again."""
    name = f"barrier_{threads}"
    entry = timed(name, threads, "", "", unrolled(16, lambda index: "bar.sync 0;"), [])
    return Program(name, entry, {"BAR": 16}, 16, threads)


def programs() -> Sequence[Program]:
    """All of them."""
    return [
        *(load(width) for width in (1, 2, 4)),
        *(store(width) for width in (1, 4)),
        matrices(WARPS, 4),
        matrices(1, 1),
        chase(),
        *(barrier(threads) for threads in BARRIERS),
    ]
