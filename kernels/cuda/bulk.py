"""Copies of the memory engine of Hopper: what one takes from its issue until a thread that waits for it goes on.

One thread asks for a number of bytes (cp.async.bulk), waits at a barrier in shared memory that counts them, and asks
for the next ones. This is how tiles of operands come; a tile through a descriptor goes the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .bench import Bench
from .figures import CYCLES, Figures, Task, figure
from .ptx import HOPPER, Program, timed

KIB = 1024
SIZES = (1 * KIB, 8 * KIB, 16 * KIB, 32 * KIB)
NEAR, FAR = 8 << 20, 1 << 30  # bytes gone through: some that L2 keeps, and more than it does
ROUNDS, REPEATS = 300, 7
APART, SHIFT = 4097, 509  # copies from one to the next in memory, and from one launch to the next
BARRIER = 64 * KIB  # where in shared memory, behind the bytes


def bulk(size: int) -> Program:
    """Copies of `size` bytes one after the other. Block i begins at byte (a i) mod c of `data` and steps by b bytes,
    round the c bytes.
    """
    name = f"bulk_{size}"
    setup = f"""
mul.lo.u32 %place, %cta, %a;
rem.u32 %place, %place, %c;
add.u32 %barrier, %pool, {BARRIER};
mov.b32 %phase, 0;
setp.ne.u32 %p0, %thread, 0;
@%p0 bra $made;
mbarrier.init.shared::cta.b64 [%barrier], 1;
fence.proxy.async;
$made:"""
    body = f"""
@%p0 bra $next;
cvt.u64.u32 %far, %place;
add.u64 %far, %data, %far;
mbarrier.arrive.expect_tx.shared::cta.b64 %state, [%barrier], {size};
cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%pool], [%far], {size}, [%barrier];
$wait:
mbarrier.try_wait.parity.shared::cta.b64 %p1, [%barrier], %phase;
@!%p1 bra $wait;
xor.b32 %phase, %phase, 1;
add.u32 %place, %place, %b;
setp.ge.u32 %p2, %place, %c;
@%p2 sub.u32 %place, %place, %c;
$next:"""
    declared = ".reg .b32 %place, %barrier, %phase;\n.reg .b64 %far, %state;"
    entry = timed(name, 32, declared, setup, body, [])
    return Program(name, entry, {}, 1, 32, BARRIER + 64, least=HOPPER, only=HOPPER, alone=False)


def tasks(capability: int) -> list[Task]:
    """Copies of every size, by one multiprocessor and by all of them, from L2 and from memory."""
    return [Task(f"bulk.{size // KIB}KiB", 0.5, _bulk(size)) for size in SIZES] if capability == HOPPER else []


def programs() -> Sequence[Program]:
    """All of them."""
    return [bulk(size) for size in SIZES]


def _bulk(size: int) -> Callable[[Bench], Figures]:
    def run(bench: Bench) -> Figures:
        program, found, every = bulk(size), {}, bench.driver.multiprocessors
        for where, ring in (("l2", NEAR), ("dram", FAR)):
            # From memory every launch begins elsewhere, and steps far: nothing is there from the launch before.
            step, shift = (size, 0) if ring == NEAR else (APART * size % ring, SHIFT * size)
            data = bench.torch.zeros((ring + (REPEATS + 2) * shift + size) // 8, device="cuda", dtype=bench.torch.int64)
            numbers = (ROUNDS, ring // every // size * size, step, ring)
            for blocks in (1, every):
                samples = []
                for repeat in range(REPEATS + 1):
                    start = data.data_ptr() + repeat * shift
                    bench.driver.launch(program, blocks, bench.out.data_ptr(), start, numbers, bench.alone(program))
                    records = bench.records(blocks, 1)
                    cycles = sorted((records[..., 1] - records[..., 0]).ravel())
                    if repeat:
                        samples.append(float(cycles[len(cycles) // 2]) / ROUNDS)
                how = "one SM" if blocks == 1 else "all SMs at once"
                what = f"a copy of {size // KIB} KiB from {where} to shared memory, waited for, {how}"
                name = f"bulk.{size // KIB}KiB.{where}.{'one' if blocks == 1 else 'all'}"
                found[name] = figure(CYCLES, what, samples, program=program.name)
            del data
        return found

    return run
