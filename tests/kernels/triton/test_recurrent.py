"""Linear attention and prefix averages on a GPU, or in Triton's interpreter: any length, chunk and segments."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.kernels.triton.catalogue import find_kernel
from lightbound.kernels.triton.check import check
from lightbound.kernels.triton.kernel import Case, Tile, device_code
from lightbound.kernels.triton.linear_attention import _reference

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


def _prefixes(x: Any, v: Any, segment: int) -> Any:
    """The averages of one head by the kernel, in segments of so many tokens."""
    import torch

    on_device = device_code("aaren_scan")
    tokens, wide = v.shape
    o, count = torch.full_like(v, float("nan")), -(-tokens // segment)
    m, u = (torch.empty((1, count), device=x.device) for _ in range(2))
    w = torch.empty((1, count, wide), device=x.device)
    if count > 1:
        on_device.segments[(count, 1, 1)](x, v, m, u, w, tokens, wide, segment, count, C=16, BE=16, WIDE=32)
    before = 0 if count == 1 else count
    on_device.prefixes[(count, 1, 1)](
        x, v, m, u, w, o, tokens, wide, segment, count, C=16, BE=16, BEFORE=before, EXACT=True
    )
    return o.double()


def _averages(x: Any, v: Any) -> Any:
    """The same in float64, prefix by prefix."""
    import torch

    weights = [torch.softmax(x[: t + 1].double(), 0) for t in range(len(x))]
    return torch.stack([(row[:, None] * v[: t + 1].double()).sum(0) for t, row in enumerate(weights)])


@pytest.mark.parametrize("segment", [16, 64])
def test_scores_that_rise_and_fall_by_hundreds_overflow_nothing(segment: int) -> None:
    """A prefix that ends before the largest score is as exact as one behind it: no exponential is above one."""
    import torch

    x = torch.linspace(-400, 400, 64, device=device())
    x[40:] = -300.0
    v = torch.randn(64, 16, device=x.device)
    assert float((_prefixes(x, v, segment) - _averages(x, v)).abs().max()) < 1e-4


@pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")  # numpy's, in the interpreter
@pytest.mark.parametrize("segment", [16, 32, 64])
@pytest.mark.parametrize("padding", [2, 16, 40])
def test_padding_in_front_of_a_sequence_does_not_reach_the_tokens_behind_it(padding: int, segment: int) -> None:
    """Nor those in front of it: what has seen padding alone is the mean of its values, where float64 has NaN."""
    import torch

    x, v = torch.randn(64, device=device()), torch.randn(64, 16, device=device())
    x[:padding] = -float("inf")
    x[padding + 3 : padding + 5] = -float("inf")
    found, expected = _prefixes(x, v, segment), _averages(x, v)
    assert int(expected.isnan().any(1).sum()) == padding
    assert float((found[padding:] - expected[padding:]).abs().max()) < 1e-5
    means = v.double().cumsum(0) / torch.arange(1, 65, device=v.device)[:, None]
    assert float((found[:padding] - means[:padding]).abs().max()) < 1e-5


@pytest.mark.parametrize("segment", [16, 64])
def test_a_score_that_is_no_number_spoils_all_prefixes_that_hold_it(segment: int) -> None:
    import torch

    x, v = torch.randn(64, device=device()), torch.randn(64, 16, device=device())
    x[50] = float("nan")
    spoilt = _prefixes(x, v, segment).isnan()
    assert bool(spoilt[50:].all()) and not bool(spoilt[:50].any())


@pytest.mark.parametrize("segment", [32, 224])
@pytest.mark.parametrize("slope", [0.0, 1e-6, 0.5])
def test_states_beyond_the_range_of_fp16_are_read_as_exactly_as_others(slope: float, segment: int) -> None:
    """Keys and values of one sign, whose products add up to 150 thousand where nothing decays."""
    import torch

    on_device = device_code("linear_attention")
    tokens, deep, wide, at = 200, 16, 16, device()
    generator = torch.Generator(at).manual_seed(1)
    q, k, v = (torch.randn(1, tokens, size, generator=generator, device=at) for size in (deep, deep, wide))
    q, k, v = (0.01 * q).half(), (35 * k.abs()).half(), (35 * v.abs()).half()
    slopes, count = torch.tensor([slope], device=at), -(-tokens // segment)
    s, o = torch.empty(1, count, deep, wide, device=at), torch.empty_like(v)
    sizes, shared = (1, tokens, deep, wide, segment, count), {"C": 16, "BD": 16, "BE": 16, "EXACT": False}
    if count > 1:
        on_device.states[(count, 1, 1)](k, v, slopes, s, *sizes, **shared)
    on_device.walk[(count, 1, 1)](q, k, v, slopes, s, o, *sizes, **shared, BEFORE=count > 1)
    expected = _reference(q, k, v, slopes)
    tolerance = find_kernel("linear_attention").tolerance["fp16"]
    assert float((o.double() - expected).abs().max() / expected.abs().max()) < tolerance


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
