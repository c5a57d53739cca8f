"""What blocks of Hopper wait for beside their work: cycles of an iteration and of a block, sums of measured latencies.

An iteration of a fused kernel is one chain: products, waited for; arithmetic on their results; a product whose first
operand lies in registers, issued and not waited for; and, behind it, the request for the next tiles. The memory engine
is asked that late since the stage it fills is read until then: with two stages it fills the one that is needed next,
and all of its latency shows that the product issued before does not hide. With three the tile was asked for an
iteration earlier.

`Code` is what the machine code says (Triton 3.6.0 for sm_90): its control words give the cycles after which each next
instruction may issue and which results it awaits; these were added up with the measured latencies of exponentials (17),
exchanges between lanes (24) and barriers (21). Latencies are those of `lightbound probe cuda` on an H200.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WGMMA = 72  # from the last multiplication of a wgmma to the warp that waits: latency.wgmma.n64.1, 104, of which 32 work
NEAR = 282  # a load that hits the L2 cache: chase.8MiB
FAR = 689 - NEAR  # what one from memory takes longer: chase.512MiB
# From a request to the memory engine until a thread that waits for its bytes goes on, from the L2 cache to all
# processors at once: bulk.*.l2.all, 470 cycles for 1 KiB, 558 for 8, 674 for 16, 910 for 32.
ENGINE = 456
RATE = 72  # bytes a cycle
NEXT = 412  # from the end of a block to the start of the next one in its place: blocks.gap
ASKED = 110  # from the issue of the last product to the request for tiles, by the control words
BEHIND = 250  # from that issue to the first wait of the next iteration
# A product with one operand in registers takes longer with one warp group alone: wgmma.fp16.n*.rs.1 by .ss.1.
ALONE = {64: 2046 / 1702, 128: 2046 / 1859, 256: 2046 / 1949}
PROCESSORS = 132
# Bytes a cycle of all processors together: from memory, read.1024MiB at the clock of tensor cores, 1750 MHz; and to the
# L2 cache, write.16MiB.
MEMORY, WRITTEN = 2520, 2270


@dataclass(frozen=True)
class Code:
    """Of a thread: registers, the most over all masks, and instructions of an iteration beside those that are counted
    by score and sum. Of a warp, if nothing but its own instructions made it wait: cycles of an iteration, of what comes
    before the loop, and of what comes after it.
    """

    registers: int
    others: int
    chain: int
    start: int
    end: int


@dataclass(frozen=True)
class Products:
    """Cycles of the tensor cores for those of an iteration that are waited for and those that are not, one by one; and
    columns of the latter's results, of one instruction.
    """

    awaited: Sequence[float]
    behind: Sequence[float]
    columns: int

    @property
    def last(self) -> float:
        """The one whose result the next iteration awaits, with one warp group alone."""
        return self.behind[-1] * self.alone

    @property
    def cycles(self) -> float:
        """All of an iteration."""
        return sum(self.awaited) + sum(self.behind)

    @property
    def alone(self) -> float:
        """How much longer a product from registers takes with one warp group."""
        return ALONE[min(256, max(64, 1 << (int(self.columns) - 1).bit_length()))]


def load(size_bytes: float, far: float = 0.0) -> float:
    """From a request to the memory engine until its bytes are there; `far`: the part of requests that go to memory."""
    return ENGINE + far * FAR + size_bytes / RATE


def own(size_bytes: float, blocks: int) -> float:
    """As `load`, of bytes that no other block wants: they come from memory, which serves all of so many blocks at once,
    one on each processor.
    """
    return load(size_bytes, 1.0) + size_bytes * max(0.0, min(blocks, PROCESSORS) / MEMORY - 1 / RATE)


def stored(size_bytes: float, blocks: int) -> float:
    """Cycles until a block is rid of its results, where as many end at once as there are, one on each processor."""
    return max(NEAR, size_bytes * min(blocks, PROCESSORS) / WRITTEN)


def far_part(blocks: int, resident: int, sharing: float, visits: float, visit: float, apart: bool = False) -> float:
    """The part of awaited tiles that come from memory. `sharing` blocks want the same tiles, one after the other in
    `visits` of at least `visit` cycles.

    The first of them waits for memory. The next one began a little later and finds tiles in the cache, so that it comes
    nearer with every visit; once it is as near as the latency of memory they walk in step, and wait for the same.
    Blocks that start together do so from the beginning, but those that share a processor take turns, and only one of
    them is the first. Where each begins at a tile of its own (`apart`), one after the other, they are a visit apart.
    """
    each = -(-blocks // PROCESSORS)
    if each <= resident and not apart:
        return 1 / each
    # between starts: as many blocks at once as are resident take so much longer
    later = visit * each if each <= resident else visits * visit / PROCESSORS
    count = max(1, round(sharing))
    return sum(max(0.0, 1 - number * later / FAR / visits) for number in range(count)) / count


def iteration(code: Code, work: float, groups: int, sfu: float, products: Products, fetched: float) -> float:
    """Cycles of an iteration in which a block waits and no unit works for it.

    work: of all units but the tensor cores, for all warps, one after the other, `sfu` of them exponentials. groups:
    warp groups of a block, which march together, so that exponentials of one wait for those of the others. fetched:
    from a request for the next tile until it is there, 0 where it was asked for an iteration earlier.
    """
    chain = code.chain + (groups - 1) * sfu / groups
    alone = products.alone if groups == 1 else 1.0
    last = max(products.behind[-1] * alone, BEHIND, ASKED + fetched if fetched else 0.0)
    slower = sum(products.behind[:-1]) * (alone - 1)
    waits = WGMMA * len(products.awaited)
    return max(0.0, chain - BEHIND - work + waits + last - products.behind[-1] + slower)


def block(code: Code, first: Sequence[float], products: Products, fetched: float, last: float = NEAR) -> float:
    """Cycles of a block beside its iterations: it starts, awaits what it keeps and then its first tiles (`first`: each
    from request to arrival), and at the end its stores (`last`). The last iteration awaits no tiles.
    """
    early = max(0.0, ASKED + fetched - max(products.last, BEHIND)) if fetched else 0.0
    return NEXT + code.start + sum(first) + WGMMA + code.end + last - early
