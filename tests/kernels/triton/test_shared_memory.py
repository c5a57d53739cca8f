"""Shared memory as Triton lays it out: buffers in time and space, and tiles that pass between layouts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lightbound.kernels.triton.allocation import Buffer, allocated
from lightbound.kernels.triton.conversion import (
    Layout,
    blocked,
    left_of_turned,
    right_of_turned,
    scratch_bytes,
    sums,
    tensor_memory,
)

KIB = 1024
BUFFERS = st.lists(
    st.builds(
        lambda size, first, length, alignment: Buffer(size, first, first + length, alignment),
        st.integers(1, 5000),
        st.integers(0, 40),
        st.integers(1, 40),
        st.sampled_from([16, 128, KIB]),
    ),
    min_size=1,
    max_size=12,
)


@given(BUFFERS)
def test_buffers_that_live_at_once_lie_apart_at_their_alignment(buffers: list[Buffer]) -> None:
    total = allocated(buffers)
    assert not any(one.clashes(other) for one in buffers for other in buffers)
    assert all(one.offset % one.alignment == 0 for one in buffers)
    assert total == max(one.offset + one.size for one in buffers)
    at_once = [sum(one.size for one in buffers if one.lives_with(step, step + 1)) for step in range(81)]
    assert total >= max(at_once)


def test_a_block_without_buffers_takes_nothing() -> None:
    assert allocated([]) == 0


def test_barriers_of_three_stages_begin_at_multiples_of_sixteen() -> None:
    """Attention for sm_90 of 64 queries and keys of 128 channels in three stages, as Triton 3.7.1 laid it out."""
    queries = Buffer(16 * KIB, 75, 190, KIB)
    keys, values = Buffer(48 * KIB, 84, 190, KIB), Buffer(48 * KIB, 85, 189, KIB)
    waits = [Buffer(24, 86, 188), Buffer(24, 93, 184)]
    assert allocated([queries, keys, values, *waits]) == 114744
    assert [one.offset for one in waits] == [114688, 114720]


def test_a_small_buffer_before_an_aligned_one_costs_its_alignment() -> None:
    """Block-sparse attention for sm_90: barriers of two loops stand before queries that begin at a whole KiB."""
    queries = Buffer(32 * KIB, 77, 301, KIB)
    loops = [
        part
        for start, end in ((93, 191), (194, 301))
        for part in (
            Buffer(64 * KIB, start, end, KIB),
            Buffer(64 * KIB, start + 1, end - 1, KIB),
            Buffer(16, start + 2, end - 2),
            Buffer(16, start + 3, end - 3),
        )
    ]
    assert allocated([queries, *loops]) == 164864
    assert queries.offset == 128 * KIB + KIB


def test_scratch_of_conversions_is_what_triton_takes() -> None:
    """Compiled by Triton 3.7.1: a conversion alone in a kernel, for sm_80, in tensor memory for sm_100."""
    assert scratch_bytes(sums(128, 256, 2, 4), blocked(128, 256, 8, 8), 2, False) == 8192
    assert scratch_bytes(sums(128, 128, 2, 4), blocked(128, 128, 1, 8), 2, False) == 32768
    assert scratch_bytes(sums(64, 32, 2, 2), sums(64, 32, 4, 1), 4, False) == 4096
    assert scratch_bytes(sums(64, 32, 4, 2), sums(64, 32, 1, 8), 4, False) == 8192
    assert scratch_bytes(blocked(64, 64, 8, 4), left_of_turned(64, 64, 4, 1, 2), 2, False) == 2048
    assert scratch_bytes(blocked(64, 64, 8, 4), right_of_turned(64, 64, 4, 1, 2), 2, False) == 2048
    assert scratch_bytes(tensor_memory(64, 64, 4), blocked(64, 64, 8, 4), 2, True) == 2048
    assert scratch_bytes(blocked(64, 32, 4, 8), blocked(64, 32, 1, 8), 4, True) == 4096  # in vectors of one word
    assert scratch_bytes(blocked(32, 256, 1, 8), blocked(32, 256, 4, 8), 4, False) == 16384


def test_lanes_shuffle_what_one_bit_of_a_register_tells_apart() -> None:
    assert scratch_bytes(blocked(16, 64, 2, 4, 2), blocked(16, 64, 4, 4), 4, False) == 0


@given(
    st.sampled_from([32, 64, 128]),
    st.sampled_from([32, 64, 128, 256]),
    st.sampled_from([(4, 1), (2, 2), (1, 4)]),
    st.sampled_from([1, 4, 8]),
)
def test_layouts_hold_every_element_once_and_scratch_is_a_whole_part_of_the_tile(
    rows: int, columns: int, grid: tuple[int, int], vector: int
) -> None:
    layouts = [blocked(rows, columns, vector, 4), right_of_turned(rows, columns, *grid, 2)]
    if rows >= 16 * grid[0]:
        layouts.append(sums(rows, columns, *grid))
    if columns >= 16 * grid[0]:
        layouts.append(left_of_turned(rows, columns, *grid, 2))
    for one in layouts:
        assert _elements(one) == set(range(rows * columns))
        for other in layouts:
            scratch = scratch_bytes(one, other, 2, False)
            assert scratch == 0 or rows * columns * 2 % scratch == 0


def _elements(layout: Layout) -> set[int]:
    found = {0}
    for base in (*layout.registers, *layout.lanes, *layout.warps):
        found |= {one ^ base for one in found}
    return found
