"""Linear attention and prefix averages on a GPU, or in Triton's interpreter: any length, chunk and segments."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.kernels.triton.catalogue import find_kernel
from lightbound.kernels.triton.check import check
from lightbound.kernels.triton.kernel import Case, Tile, device_code

EXACT = ("fp32", "fp16")  # what the interpreter multiplies rightly
FEW = settings(max_examples=4, deadline=None)


def device() -> str:
    pytest.importorskip("triton")
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def error_of(case: Case, tile: Tile) -> float:
    """The error of a case in units of what its kernel tolerates."""
    kernel = find_kernel(case.kernel)
    return check(kernel, case, tile, device()) / kernel.tolerance[case.dtype]


@FEW
@given(
    st.integers(1, 2), st.integers(1, 130), st.integers(1, 33), st.integers(1, 33), st.sampled_from([1, 2, 5]),
    st.sampled_from(EXACT),
)  # fmt: skip
def test_linear_attention_is_that_of_all_pairs(
    heads: int, tokens: int, deep: int, wide: int, chunks: int, dtype: str
) -> None:
    case = Case("linear_attention", {"B": 1, "H": heads, "N": tokens, "D": deep, "E": wide}, dtype)
    assert error_of(case, Tile({"C": 16, "BE": 16, "SEGMENT": 16 * chunks}, 4, 1)) <= 1


@FEW
@given(st.integers(1, 2), st.integers(1, 150), st.integers(1, 33), st.sampled_from([1, 3, 10]), st.sampled_from(EXACT))
def test_prefix_averages_are_running_sums(heads: int, tokens: int, wide: int, chunks: int, dtype: str) -> None:
    case = Case("aaren_scan", {"B": 1, "H": heads, "N": tokens, "E": wide}, dtype)
    assert error_of(case, Tile({"C": 16, "BE": 16, "SEGMENT": 16 * chunks}, 4, 1)) <= 1


@pytest.mark.parametrize("segment", [16, 64])
def test_scores_that_rise_and_fall_by_hundreds_overflow_nothing(segment: int) -> None:
    """A prefix that ends before the largest score is as exact as one behind it: no exponential is above one."""
    import torch

    on_device = device_code("aaren_scan")

    tokens, wide = 64, 16
    x = torch.linspace(-400, 400, tokens, device=device())[None]
    x[:, 40:] = -300.0
    v = torch.randn(1, tokens, wide, device=x.device)
    o, count = torch.full_like(v, float("nan")), tokens // segment
    m, u = (torch.empty((1, count), device=x.device) for _ in range(2))
    w = torch.empty((1, count, wide), device=x.device)
    grid = (count, 1, 1)
    if count > 1:
        on_device.segments[grid](x, v, m, u, w, tokens, wide, segment, count, C=16, BE=16, WIDE=32)
    before = 0 if count == 1 else count
    on_device.prefixes[grid](x, v, m, u, w, o, tokens, wide, segment, count, C=16, BE=16, BEFORE=before, EXACT=True)
    running = torch.logcumsumexp(x.double(), 1)
    expected = torch.stack(
        [
            (torch.exp(x[0, : t + 1].double() - running[0, t])[:, None] * v[0, : t + 1].double()).sum(0)
            for t in range(tokens)
        ]
    )
    assert float((o[0].double() - expected).abs().max()) < 1e-4


@pytest.mark.parametrize("name", ["linear_attention", "aaren_scan"])
@pytest.mark.parametrize("capability", [80, 90, 100, 942])
def test_segments_are_whole_chunks_and_launches_cover_every_token(name: str, capability: int) -> None:
    kernel = find_kernel(name)
    for case in kernel.cases:
        for tile in (kernel.tile(case, capability), *kernel.tiles(case, capability)):
            assert tile.constants["SEGMENT"] % tile.constants["C"] == 0
            launches = kernel.launches(case, tile, capability)
            tokens = case.sizes["B"] * case.sizes["H"] * case.sizes["N"]
            for launch in launches:
                walked = launch.sizes["B"] * launch.sizes["H"] * launch.sizes["N"]
                assert tokens <= walked < tokens + case.sizes["B"] * case.sizes["H"] * tile.constants["SEGMENT"]
            assert len(launches) == len(kernel.compiled(case, tile))
