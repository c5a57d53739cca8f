"""What blocks of Hopper wait for: the latency of tiles shows with two stages and not with three, and falls to the first
of those that share them.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lightbound.kernels.triton.hopper_waits import (
    ENGINE,
    FAR,
    NEAR,
    Code,
    Products,
    block,
    far_part,
    iteration,
    load,
    own,
    stored,
)

CODE = Code(128, 100, 900, 1200, 700)
PRODUCTS = Products((256.0,), (256.0,), 128)


def test_tiles_from_memory_take_its_latency_longer() -> None:
    assert load(0) == ENGINE
    assert load(4096, 1.0) - load(4096) == FAR


def test_what_blocks_alone_want_comes_as_fast_as_memory_serves_those_that_start_together() -> None:
    assert own(32768, 1) == load(32768, 1.0)
    assert own(32768, 60) < own(32768, 132) == own(32768, 1000)
    assert stored(32768, 1) == NEAR < stored(32768, 132) == stored(32768, 1000)


def test_a_tile_that_is_asked_for_late_is_waited_for() -> None:
    early = iteration(CODE, 600, 1, 250, PRODUCTS, 0.0)
    late = iteration(CODE, 600, 1, 250, PRODUCTS, load(16384))
    assert 0 < early < late
    assert block(CODE, (load(0),), PRODUCTS, load(16384)) < block(CODE, (load(0),), PRODUCTS, 0.0)


def test_blocks_that_start_together_wait_for_memory_one_in_each_processor() -> None:
    assert far_part(100, 2, 100, 10, 1000) == 1.0
    assert far_part(264, 2, 100, 10, 1000) == 0.5


def test_blocks_that_begin_at_tiles_of_their_own_find_most_of_them_in_the_cache() -> None:
    assert 1 / 16 <= far_part(64, 2, 16, 8.5, 2000, apart=True) < far_part(64, 2, 16, 8.5, 2000)
    assert far_part(64, 2, 16, 1000, 2000, apart=True) > far_part(64, 2, 16, 10, 2000, apart=True)  # they catch up


@given(sharing=st.integers(1, 100), visits=st.floats(1, 1000), visit=st.floats(100, 5000))
def test_in_later_waves_at_least_the_first_one_waits_for_memory(sharing: int, visits: float, visit: float) -> None:
    part = far_part(10_000, 2, sharing, visits, visit)
    assert 1 / sharing <= part + 1e-12
    assert part <= 1
