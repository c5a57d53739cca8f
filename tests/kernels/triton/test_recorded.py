"""The tables of compiled kernels: complete, free of spills, true, and not far from what is estimated."""

from __future__ import annotations

import pytest

from lightbound.kernels.triton import table
from lightbound.kernels.triton.catalogue import kernels
from lightbound.kernels.triton.survey import Surveyed, alike, differing, resources
from lightbound.kernels.triton.targets import TARGETS


def _on_record() -> list[Surveyed]:
    """Every default tile of every kernel, from the tables alone."""
    points = [point for kernel in kernels().values() for point in table.points(kernel, TARGETS)]
    missing = [f"{point.kernel} {point.tile.name} {point.target}" for point in points if table.recorded(point) is None]
    assert not missing, "run lightbound resources --write: " + ", ".join(missing[:5])
    return [one for name in kernels() for one in resources(name)]


def test_default_tiles_of_every_kernel_are_on_record_and_spill_nothing() -> None:
    spilling = [
        f"{one.point.kernel} {one.point.tile.name} {one.point.target}: {one.resources.spill_bytes} bytes"
        for one in _on_record()
        if one.resources is not None and one.resources.spill_bytes
    ]
    assert not spilling


def test_no_default_tile_makes_warps_await_each_product_and_turns_of_hopper_are_timed() -> None:
    every = [one for one in _on_record() if one.point.target == "sm_90"]
    assert [f"{one.point.kernel} {one.point.tile.name}" for one in every if one.serialized] == []
    assert all(one.main_loop.turn_cycles for one in every if one.main_loop is not None)


def test_shared_memory_is_estimated_to_the_byte_and_blocks_at_once_for_nine_of_ten_launches() -> None:
    known = [(one, one.estimate, one.resources) for one in _on_record() if one.estimate and one.resources]
    wrong = [
        f"{one.point.kernel} {one.point.tile.name} {one.point.target}: {made.shared_bytes}, not {taken.shared_bytes}"
        for one, made, taken in known
        if made.shared_bytes != taken.shared_bytes
    ]
    assert not wrong
    assert sum(made.blocks == one.blocks for one, made, _ in known) >= 0.9 * len(known)


def test_kernels_compile_as_recorded() -> None:
    """One launch of every function here, and a few more; `lightbound resources --check` compares all."""
    pytest.importorskip("triton")
    assert differing(sample=50) == []


def test_a_record_allows_for_the_assembler_choosing_otherwise_by_a_few_instructions() -> None:
    known = {"mma": 56, "move": 275, "fp32": 1845}
    assert alike(known, {"mma": 56, "move": 274, "wait": 2, "fp32": 1845})
    assert not alike(known, {**known, "mma": 112})
    assert not alike(254, 253)
    loops = next(
        one.resources.loops for one in resources("attention", "sm_90") if one.resources and one.resources.loops
    )
    assert alike(loops, loops) and not alike(loops, loops[:-1])
