"""How many bits a transport block carries: NR by the procedure of 3GPP TS 38.214, LTE by the table of TS 36.213.

Both are exact. NR's is checked against every block size that the conformance tests of TS 38.521-4 publish.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, floor, log2

from lightbound.base.errors import LightboundError

# TS 38.214, table 5.1.3.2-1: by steps of 8, 16, 24 and 32 bits, then one by one.
_SMALL = (
    *range(24, 193, 8), *range(208, 385, 16), *range(408, 577, 24), *range(608, 769, 32),
    808, 848, 888, 928, 984, 1032, 1064, 1128, 1160, 1192, 1224, 1256, 1288, 1320, 1352, 1416, 1480, 1544, 1608, 1672,
    1736, 1800, 1864, 1928, 2024, 2088, 2152, 2216, 2280, 2408, 2472, 2536, 2600, 2664, 2728, 2792, 2856, 2976, 3104,
    3240, 3368, 3496, 3624, 3752, 3824,
)  # fmt: skip
# TS 38.214, table 5.1.3.1-1 (64QAM): bits of a symbol and 1024 times the code rate, by MCS.
_NR_MCS = (
    *((2, rate) for rate in (120, 157, 193, 251, 308, 379, 449, 526, 602, 679)),
    *((4, rate) for rate in (340, 378, 434, 490, 553, 616, 658)),
    *((6, rate) for rate in (438, 466, 517, 567, 616, 666, 719, 772, 822, 873, 910, 948)),
)
_SUBCARRIERS = 12


def nr_block_bits(
    mcs: int,
    blocks: int,
    symbols: int = 12,
    reference_elements: int = 12,
    control_elements: int = 240,
    second_stage_bits: int = 59,
    beta: float = 2.5,
) -> int:
    """Bits of a block on the NR sidelink (TS 38.214, 8.1.3.2 and 5.1.3.2), with one layer.

    blocks: resource blocks. symbols: of the slot that carry data, without those for feedback. reference_elements: of
    demodulation reference signals in a resource block. control_elements: of the first stage of control. beta: offset
    of the second stage, which takes `second_stage_bits` in QPSK. Raises LightboundError where nothing is left for data.
    """
    if not 0 <= mcs < len(_NR_MCS):
        raise LightboundError("mcs", mcs, "is not in the table", f"Choose 0 to {len(_NR_MCS) - 1}.")
    bits_per_symbol, thousandths = _NR_MCS[mcs]
    rate = thousandths / 1024
    second_stage = ceil(second_stage_bits * beta / (2 * rate))
    elements = (_SUBCARRIERS * symbols - reference_elements) * blocks - control_elements - second_stage
    if elements <= 0:
        remedy = "Take more resource blocks, or fewer symbols for control."
        raise LightboundError("blocks", blocks, "leave no resource element for data", remedy)
    information = elements * rate * bits_per_symbol
    if information <= 3824:
        step = 2 ** max(3, floor(log2(information)) - 6)
        wanted = max(24, step * floor(information / step))
        return next(size for size in _SMALL if size >= wanted)
    step = 2 ** (floor(log2(information - 24)) - 5)
    wanted = max(3840, step * floor((information - 24) / step + 0.5))
    segments = ceil((wanted + 24) / 3816) if rate <= 1 / 4 else ceil((wanted + 24) / 8424) if wanted > 8424 else 1
    return 8 * segments * ceil((wanted + 24) / (8 * segments)) - 24


def lte_block_index(mcs: int) -> int:
    """I_TBS of an MCS on the LTE sidelink (TS 36.213, table 8.6.1-1)."""
    if not 0 <= mcs <= 28:
        raise LightboundError("mcs", mcs, "is not in the table", "Choose 0 to 28.")
    return mcs if mcs <= 10 else mcs - 1 if mcs <= 20 else mcs - 2


def lte_block_bits(index: int, blocks: int) -> int:
    """Bits of a block for I_TBS `index` on so many resource blocks (TS 36.213, table 7.1.7.2.1-1)."""
    table = _lte_table()
    if not (0 <= index < len(table) and 1 <= blocks <= len(table[0])):
        remedy = f"Choose an index of 0 to {len(table) - 1} and 1 to {len(table[0])} blocks."
        raise LightboundError("index, blocks", (index, blocks), "are not in the table", remedy)
    return table[index][blocks - 1]


@lru_cache(maxsize=1)
def _lte_table() -> tuple[tuple[int, ...], ...]:
    from lightbound.archs.links import DATA
    from lightbound.base.document import read_text

    lines = read_text(DATA / "lte_block_sizes.csv").splitlines()
    return tuple(tuple(map(int, line.split(","))) for line in lines if not line.startswith("#"))
