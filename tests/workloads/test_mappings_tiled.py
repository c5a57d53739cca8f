"""Matrix products in tiles: a mapping has the blocks that the kernel has."""

from __future__ import annotations

from math import ceil

import pytest

from lightbound.archs.library import machine
from lightbound.sim.overrides import with_values
from lightbound.sim.prediction import Prediction
from lightbound.sim.simulate import predict, resolve_mapping
from lightbound.workloads.registry import workload


def product(rows: int, columns: int, **setting: int) -> Prediction:
    """So many tiles of 128 by 128, on an H200."""
    work, mapping = resolve_mapping(
        workload("matmul", word_bytes=2, M=128 * rows, N=128 * columns, K=1024), machine("h200"), "tiled_tensor"
    )
    return predict(work, machine("h200"), with_values(mapping, {"BM": 128, "BN": 128, "WARPS": 8, **setting}))


@pytest.mark.parametrize("group", [1, 4, 8, 16])
def test_groups_of_rows_add_no_blocks(group: int) -> None:
    for tall in (*range(1, 33), 48, 64, 37, 61, 97):
        made = product(tall, 2, GROUP=group).params["HEIGHT"]
        assert 1 <= made <= tall
        extra = made * ceil(tall / made) - tall
        assert extra == 0 if tall <= 32 else extra <= tall / 8


def test_a_wave_of_blocks_takes_one_wave_however_its_rows_are_grouped() -> None:
    """12 by 9 tiles are 108 blocks, 12 by 11 are 132: both one on each processor; one row of tiles more is a second."""
    assert product(12, 9).latency_s == pytest.approx(product(12, 11).latency_s, rel=0.1)
    assert product(13, 11).latency_s > 1.2 * product(12, 11).latency_s
