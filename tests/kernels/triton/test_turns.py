"""Turns of loops followed by their control words: short loops written here, and those on record beside an H200."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightbound.kernels.triton.assembly import Control, Instruction
from lightbound.kernels.triton.catalogue import find_kernel
from lightbound.kernels.triton.instructions import sass_kind
from lightbound.kernels.triton.kernel import Case, Tile
from lightbound.kernels.triton.table import resources_of
from lightbound.kernels.triton.turns import PRODUCT, turn_cycles
from lightbound.validate.gpu.records import recorded_files


def made(text: str, stall: int = 1, writes: int | None = None, reads: int | None = None, awaits: int = 0):
    """An instruction of SASS, such as ``HGMMA.64x64x16.F32 R24, gsb0``."""
    mnemonic, _, operands = text.partition(" ")
    return Instruction(
        "", mnemonic, sass_kind(mnemonic), operands=operands, control=Control(stall, writes, reads, awaits)
    )


def group(size: int, pending: int, columns: int = 128) -> Sequence[Instruction]:
    """So many products handed over together; all but the last `pending` groups are awaited."""
    name = f"HGMMA.64x{columns}x16.F32"
    products = [made(f"{name} R24, R24")] * (size - 1) + [made(f"{name} R24, R24, gsb0")]
    return [*products, made(f"WARPGROUP.DEPBAR.LE gsb0, 0x{pending:x}")]


def cycles(loop: Sequence[Instruction], threads: int = 128) -> float:
    found = turn_cycles(loop, threads)
    assert found is not None
    return found


def test_what_depends_on_nothing_goes_as_fast_as_its_unit() -> None:
    assert cycles([made("FADD R1, R1, R2")] * 64) == pytest.approx(64)
    assert cycles([made("FMNMX R1, R1, R2")] * 64) == pytest.approx(128)
    assert cycles([made("MUFU.EX2 R1, R1")] * 64) == pytest.approx(512)
    assert cycles([made("STS.128 [R1], R4")] * 64) == pytest.approx(64 * 4 * 4)  # of four quarters, 128 bytes a cycle


def test_what_awaits_a_result_takes_its_latency() -> None:
    assert cycles([made("MUFU.EX2 R1, R1", writes=0, awaits=1)] * 10) == pytest.approx(171)
    assert cycles([made("FADD R1, R1, R2", stall=4)] * 10) == pytest.approx(40)


def test_warps_of_a_block_share_a_quarter_and_meet_at_barriers() -> None:
    work = [made("FMNMX R1, R1, R2")] * 64
    assert cycles(work, 256) == pytest.approx(2 * cycles(work, 128))
    wait = [made("BAR.SYNC.DEFER_BLOCKING 0x0")]
    assert cycles(wait, 128) == pytest.approx(12.6 + 128 / 16)
    assert cycles([*work, *wait], 256) == pytest.approx(2 * 128 + 12.6 + 256 / 16, abs=4)


def test_products_in_flight_hide_their_wait_and_awaited_ones_do_not() -> None:
    ahead, awaited = group(4, 1), group(4, 0)
    serial = [one for _ in range(4) for one in group(1, 0)]
    assert cycles(ahead) == pytest.approx(256, abs=1)
    assert cycles(awaited) == pytest.approx(256 + PRODUCT, abs=8)
    assert cycles(serial) == pytest.approx(256 + 4 * PRODUCT, abs=16)
    # of two groups one multiplies while the other waits
    assert cycles(serial, 256) < 2 * cycles(serial, 128) - 2 * PRODUCT


def test_products_of_a_warp_take_the_rate_that_was_measured() -> None:
    assert cycles([made("HMMA.16816.F32 R8, R4, R6, R8")] * 32) == pytest.approx(32 * 2048 / 325)
    chain = [made("HMMA.16816.F32 R8, R4, R6, R8", writes=0, awaits=1)] * 32
    assert cycles(chain) == pytest.approx(32 * 24.1)


def test_products_hold_three_issue_slots_of_four() -> None:
    both = [*[made("FADD R1, R1, R2")] * 128, *group(4, 1)]
    assert cycles(both) == pytest.approx(128 + 0.75 * 256, rel=0.1)


def test_code_without_control_words_has_no_turn() -> None:
    assert turn_cycles([], 128) is None
    assert turn_cycles([replace(made("FADD R1"), control=None)], 128) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["FADD R1", "FMNMX R1", "MUFU.EX2 R1", "LDS.128 R1", "SHFL.BFLY R1", "LDG.E R1"]),
            st.integers(1, 15),
            st.one_of(st.none(), st.integers(0, 5)),
            st.integers(0, 63),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_no_turn_beats_its_stalls_or_a_unit_and_waits_only_lengthen_it(parts) -> None:
    loop = [made(text, stall, writes, None, awaits) for text, stall, writes, awaits in parts]
    free = [made(text, stall) for text, stall, _, _ in parts]
    found = cycles(loop)
    assert found >= sum(stall for _, stall, _, _ in parts) - 1e-6
    assert found >= 8 * sum(text.startswith("MUFU") for text, *_ in parts) - 1e-6
    assert found >= cycles(free) - 1e-6
    assert cycles(free, 256) >= cycles(free, 128) - 1e-6


@pytest.mark.parametrize(
    ("kernel", "name", "turns", "within"),
    [
        ("aaren_scan", "B8 H16 N8192 E64 fp16", 8192 // 64, 0.08),  # one block on a processor
        ("matmul", "M4096 N4096 K4096 bf16", 4 * 4096 // 64, 0.10),  # four rounds, whose starts and ends count too
    ],
)
def test_turns_on_record_are_what_an_h200_took(kernel: str, name: str, turns: int, within: float) -> None:
    lines = [json.loads(line) for path in recorded_files() for line in path.read_text(encoding="utf-8").splitlines()]
    mine = [one for one in lines if one["record"] == "timing" and (one["kernel"], one.get("name")) == (kernel, name)]
    took = next(one for one in mine if one["implementation"] == "lightbound")
    case, tile = Case(**took["case"]), Tile(**took["tile"])
    found = resources_of(find_kernel(kernel), case, tile, "sm_90")
    assert found is not None
    loop = found[-1].main_loop
    assert loop is not None and loop.turn_cycles is not None
    assert loop.turn_cycles * turns / took["clock_hz"] == pytest.approx(took["median_s"], rel=within)
