"""Tile shapes that kernels offer."""

from __future__ import annotations

from math import prod

import pytest

from lightbound.base.errors import LightboundError
from lightbound.workloads.masks import backend_names, offered_tiles, power_of_two_tiles, require_offered
from lightbound.workloads.masks.backends import backend


def test_every_shape_of_blackwell_multiplies_to_the_sizes_of_its_kernels() -> None:
    for rank in (1, 2, 3):
        forward = {(prod(q), prod(kv)) for q, kv in offered_tiles("blackwell-fna", rank)}
        backward = {(prod(q), prod(kv)) for q, kv in offered_tiles("blackwell-fna", rank, backward=True)}
        assert (forward, backward) == ({(256, 128)}, {(128, 128)})


@pytest.mark.parametrize(
    ("name", "backward", "counts"),
    [
        ("blackwell-fna", False, (1, 4, 7)),
        ("blackwell-fna", True, (1, 4, 9)),
        ("hopper-fna", False, (1, 1, 2)),
        ("hopper-fna", True, (1, 2, 4)),
        ("cutlass-fna", False, (3, 27, 76)),
        ("cutlass-fna", True, (2, 61, 325)),
        ("flex-fna", False, (1, 3, 3)),
    ],
)
def test_a_backend_offers_as_many_shapes_as_its_source_lists(
    name: str, backward: bool, counts: tuple[int, int, int]
) -> None:
    offered = tuple(offered_tiles(name, rank, backward=backward) for rank in (1, 2, 3))
    assert tuple(map(len, offered)) == counts
    assert all(len(set(pairs)) == len(pairs) for pairs in offered)


@pytest.mark.parametrize(
    ("name", "rank", "default"),
    [
        ("blackwell-fna", 3, "8x4x8/4x4x8"),
        ("hopper-fna", 2, "16x8/16x8"),
        ("cutlass-fna", 3, "4x4x4/4x4x4"),
        ("flex-fna", 1, "64/64"),
    ],
)
def test_the_first_shape_is_the_default(name: str, rank: int, default: str) -> None:
    assert str(offered_tiles(name, rank)[0]) == default


def test_conditions_on_head_dimension_precision_and_gpu_choose_the_shapes() -> None:
    assert len(offered_tiles("cutlass-fna", 3, compute_capability=86)) == 46
    assert len(offered_tiles("cutlass-fna", 3, compute_capability=86, backward=True)) == 100
    assert len(offered_tiles("cutlass-fna", 3, head_dim=256, backward=True)) == 250
    assert len(offered_tiles("cutlass-fna", 3, element_bits=32, backward=True)) == 250
    assert [str(pair) for pair in offered_tiles("hopper-fna", 1, head_dim=64)] == ["64/128"]
    assert [str(pair) for pair in offered_tiles("hopper-fna", 1, head_dim=64, backward=True)] == [
        "64/128",
        "128/128",
    ]
    assert offered_tiles("blackwell-fna", 1, element_bits=8) == offered_tiles("blackwell-fna", 1)


def test_only_the_kernels_without_permutation_tile_keys_dynamically() -> None:
    dynamic = [name for name in backend_names() if backend(name).kv_tiling == "dynamic"]
    assert dynamic == ["cutlass-fna"]


def test_every_backend_says_where_its_list_was_read() -> None:
    assert backend_names() == ("blackwell-fna", "hopper-fna", "cutlass-fna", "flex-fna")
    assert all(backend(name).source and backend(name).title for name in backend_names())


def test_a_tile_that_no_backend_has_is_refused_with_those_that_they_have() -> None:
    assert require_offered((4, 8, 8), (2, 8, 8)) == ("blackwell-fna",)
    assert require_offered(64, 64) == ("cutlass-fna", "flex-fna")
    with pytest.raises(LightboundError) as refused:
        require_offered((6, 8, 8), (6, 8, 8))
    assert "q_tile/kv_tile = 6x8x8/6x8x8: is a tile pair that no backend offers" in str(refused.value)
    assert "blackwell-fna: 8x4x8/4x4x8" in refused.value.remedy
    with pytest.raises(LightboundError, match="is not a tile pair that hopper-fna offers"):
        require_offered((4, 8, 8), (2, 8, 8), "hopper-fna")
    with pytest.raises(LightboundError, match="Tile shapes have 1 to 3 axes"):
        require_offered((2, 2, 2, 2), (2, 2, 2, 2))


def test_an_unknown_backend_or_an_unserved_case_names_the_alternatives() -> None:
    with pytest.raises(LightboundError, match="Did you mean 'hopper-fna'"):
        offered_tiles("hoper-fna", 2)
    with pytest.raises(LightboundError, match="offers no tile for head_dim=96"):
        offered_tiles("hopper-fna", 2, head_dim=96)
    with pytest.raises(LightboundError, match="Choose 1, 2 or 3"):
        offered_tiles("hopper-fna", 4)


def test_power_of_two_shapes_are_all_there_once() -> None:
    shapes = power_of_two_tiles(256, 3)
    assert len(shapes) == len(set(shapes)) == 45
    assert all(prod(shape) == 256 for shape in shapes)
    assert power_of_two_tiles(64, 2, 2) == ((32, 2), (16, 4), (8, 8), (4, 16), (2, 32))
    with pytest.raises(LightboundError, match="is not a power of two"):
        power_of_two_tiles(96, 2)
