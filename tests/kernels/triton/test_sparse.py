"""Sparse kernels for GPUs: the tiles that they visit are those of the masks, and sorted keys change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.kernels.triton import block_sparse, decode, gna, segment_sort
from lightbound.kernels.triton.block_table import chosen
from lightbound.kernels.triton.check import check
from lightbound.kernels.triton.kernel import Case
from lightbound.kernels.triton.neighborhood import Neighborhood, in_three, tile_order
from lightbound.workloads.masks import GNA
from lightbound.workloads.masks import tile_order as order_of_mask

CAPABILITIES = (80, 90, 100, 942)


@st.composite
def neighborhoods(draw: st.DrawFn, longest: int = 40) -> dict[str, list[int]]:
    rank = draw(st.integers(1, 3))
    grid = [draw(st.integers(2, longest)) for _ in range(rank)]
    window = [draw(st.integers(2, extent)) for extent in grid]
    stride = [draw(st.integers(1, size)) for size in window]
    return {"grid": grid, "window": window, "stride": stride, "causal": [draw(st.integers(0, 1)) for _ in grid]}


def mask_of(options: dict[str, list[int]]) -> GNA:
    shapes = (tuple(options[name]) for name in ("grid", "window", "stride"))
    return GNA(*shapes, causal=tuple(bool(flag) for flag in options.get("causal", [0] * len(options["grid"]))))


@settings(max_examples=60, deadline=None)
@given(neighborhoods(), st.integers(0, 2**16))
def test_the_tiles_that_gna_visits_are_those_of_its_mask(options: dict[str, list[int]], seed: int) -> None:
    sizes = np.random.default_rng(seed).choice([1, 2, 4, 8, 16], (2, len(options["grid"])))
    q_tile, kv_tile = (tuple(int(size) for size in row) for row in sizes)
    mask, ours = mask_of(options), Neighborhood.of(options)
    count = mask.count(q_tile, kv_tile)
    tiles = in_three(q_tile, 1), in_three(kv_tile, 1)
    assert np.array_equal(ours.visits(*tiles), count.visits)
    tested = ours.tested(*tiles)
    assert np.all(tested >= count.visits - count.full_visits)
    if all(extent % size == 0 for extent, size in zip(options["grid"], kv_tile, strict=True)):
        assert np.array_equal(tested, count.visits - count.full_visits)
    assert ours.pairs == mask.attended_pairs


@settings(max_examples=30, deadline=None)
@given(neighborhoods(longest=9))
def test_what_a_query_attends_by_coordinates_is_what_the_mask_says(options: dict[str, list[int]]) -> None:
    torch = pytest.importorskip("torch")
    mask, ours = mask_of(options), Neighborhood.of(options)
    for axis, one in enumerate(mask.axes, 3 - len(options["grid"])):
        at = np.arange(ours.grid[axis])
        start, stop = one.bounds(np.zeros_like(at), at)
        seen = gna.attends(ours, axis, torch.from_numpy(at)[:, None], torch.from_numpy(at)[None, :]).numpy()
        assert np.array_equal(seen, (at >= start[:, None]) & (at < stop[:, None]))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4)), min_size=3, max_size=3))
def test_the_order_of_tiles_is_that_of_masks_and_holds_every_token_once(axes: list[tuple[int, int]]) -> None:
    grid, tile = zip(*axes, strict=True)
    order = tile_order(grid, tile)
    kept = order[order >= 0]
    assert np.array_equal(np.sort(kept), np.arange(np.prod(grid)))
    assert np.array_equal(kept, order_of_mask(grid, tile))


PUBLISHED = [case for case in gna.CAMPAIGN if np.prod(case.options["grid"]) > 10000]


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: case.name)
def test_gna_tests_no_score_where_its_mask_is_block_sparse(case: Case) -> None:
    options = dict(case.options)
    q_tile, kv_tile = gna.shapes(gna.tile(case, 90))
    rank = len(options["grid"])
    count = mask_of(options).count(q_tile[3 - rank :], kv_tile[3 - rank :])
    tested = Neighborhood.of(options).tested(q_tile, kv_tile).sum()
    if count.block_sparse and all(
        extent % size == 0 for extent, size in zip(options["grid"], kv_tile[3 - rank :], strict=True)
    ):
        assert tested == 0
    (launch,) = gna.launches(case, gna.tile(case, 90), 90)
    assert launch.mask is not None
    assert sum(launch.mask["tested"]) == tested


def test_the_published_strides_are_block_sparse_in_our_tiles() -> None:
    sparse = [
        case
        for case in gna.CAMPAIGN
        if Neighborhood.of(case.options).tested(*gna.shapes(gna.tile(case, 90))).sum() == 0
    ]
    assert len(sparse) >= 6
    assert gna.CAMPAIGN[0] in sparse  # HunyuanVideo with strides of 16 x 8 x 8


@pytest.mark.parametrize("case", block_sparse.CAMPAIGN, ids=lambda case: case.name)
def test_a_table_holds_the_share_of_blocks_that_is_asked_for(case: Case) -> None:
    table, block, tokens = block_sparse.table(case), case.options["block"], case.sizes["N"]
    rows = -(-tokens // block)
    heads = len(table.untested) // rows
    every = heads * (rows * (rows + 1) // 2 if case.options.get("causal") else rows * rows)
    assert len(table.columns) / every == pytest.approx(case.options["density"], rel=0.05)
    for number in range(min(len(table.untested), 300)):
        row = table.row(number)
        assert len(set(row.tolist())) == len(row)
        assert not case.options.get("causal") or number % rows in row


def test_sorted_keys_change_nothing_where_all_blocks_are_taken(device: str) -> None:
    """Softmax does not ask for the order of keys: attention over sorted keys is causal attention over keys as given."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("triton")
    import math

    from lightbound.kernels.triton.device import block_sparse as on_device
    from lightbound.kernels.triton.device import segments

    attend: Any = on_device.block_sparse_forward
    sort: Any = segments.sort_segments
    heads, tokens, dim, block, segment = 2, 70, 64, 16, 32
    generator = torch.Generator(device).manual_seed(3)
    q, k, v = (torch.randn(heads, tokens, dim, generator=generator, device=device) for _ in range(3))
    importance = torch.rand(heads, tokens, generator=generator, device=device)
    moved_k, moved_v = torch.empty_like(k), torch.empty_like(v)
    positions = torch.full((heads, tokens), -1, dtype=torch.int32, device=device)
    sort[(3, heads, 2)](k, v, importance, moved_k, moved_v, positions, tokens, SEGMENT=segment, PART=16, DIM=dim)
    assert torch.equal(positions, block_sparse.sorted_places(importance, segment))
    table = chosen(tokens, {"block": block, "density": 1.0, "causal": 1, "segment": segment}, heads)
    rows = (torch.from_numpy(one).to(device) for one in (table.offsets, table.untested, table.columns))
    out = torch.full_like(q, math.nan)
    attend[(5, heads)](
        q, moved_k, moved_v, out, *rows, positions, math.log2(math.e) / math.sqrt(dim), tokens, tokens,
        BLOCK=block, BLOCK_K=block, TMA=0, PTX=0, DIM=dim, PER_HEAD=0, CAUSAL=1, MOVED=1, PRECISION="ieee",
    )  # fmt: skip
    expected = torch.nn.functional.scaled_dot_product_attention(q.double(), k.double(), v.double(), is_causal=True)
    assert (out.double() - expected).abs().max() <= 1e-5 * expected.abs().max()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 64), st.integers(1, 32), st.integers(1, 200_000), st.sampled_from(CAPABILITIES))
def test_parts_cover_the_cache_and_none_is_empty(batch: int, heads: int, cache: int, capability: int) -> None:
    case = Case("decode", {"B": batch, "H": heads, "G": 4, "M": cache, "E": 128}, "bf16")
    for at in (decode.tile(case, capability), *decode.tiles(case, capability)):
        part, parts = decode.part_keys(case, at), at.constants["PARTS"]
        assert part * (parts - 1) < cache <= part * parts


@pytest.mark.parametrize("case", decode.TINY[:2], ids=lambda case: case.name)
def test_decoding_does_not_depend_on_the_number_of_parts(case: Case, device: str) -> None:
    for at in (decode.Tile({"BLOCK_K": 32, "PARTS": parts}, 4, 1) for parts in (1, 2, 3)):
        assert check(decode.DECODE, case, at, device) <= decode.DECODE.tolerance[case.dtype]


def _fuse_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the interpreter do what compilers for GPUs do: a product is not rounded where a difference takes it."""
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    def product(builder: Any, left: Any, right: Any) -> Any:
        made = builder.binary_op(left, right, np.multiply)
        made.set_attr("factors", (left.data, right.data))
        return made

    def difference(builder: Any, left: Any, right: Any) -> Any:
        if "factors" not in left.attr:
            return builder.binary_op(left, right, np.subtract)
        one, other = left.attr["factors"]
        return TensorHandle((one.astype(np.float64) * other - right.data).astype(right.data.dtype), left.dtype)

    monkeypatch.setattr(InterpreterBuilder, "create_fmul", product)
    monkeypatch.setattr(InterpreterBuilder, "create_fsub", difference)


def test_a_large_maximum_that_stays_shrinks_no_sums(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All scores are 1003.7, so that the output is the mean of the values, of the first tiles as of the last."""
    torch = pytest.importorskip("torch")
    from lightbound.kernels.triton.device import decode as on_device

    if device == "cpu":
        _fuse_products(monkeypatch)
    walk: Any = on_device.decode_part
    tiles, keys, dim = 300, 16, 16
    q, k = torch.full((1, 1, dim), 1003.7 / dim, device=device), torch.ones(1, tiles * keys, dim, device=device)
    v = torch.linspace(1, 0, tiles * keys, device=device)[None, :, None].expand(1, -1, dim).contiguous()
    out, most, total = (torch.empty(size, device=device) for size in (dim, 1, 1))
    lengths = torch.tensor([tiles * keys], dtype=torch.int32, device=device)
    walk[(1, 1)](
        q, k, v, lengths, out, most, total, 1.4426950408889634, tiles * keys, tiles * keys, 1,
        ROWS=1, BLOCK_Q=16, NEW=1, BLOCK_K=keys, DIM=dim, PRECISION="ieee",
    )  # fmt: skip
    assert (out / total - 0.5).abs().max() < 1e-5


@pytest.mark.parametrize("kernel", [gna.GNA, block_sparse.BLOCK_SPARSE, decode.DECODE, segment_sort.SEGMENT_SORT])
def test_every_case_has_a_tile_and_a_mapping_on_every_machine(kernel: gna.TritonKernel) -> None:
    names = [case.name for case in kernel.cases]
    assert len(set(names)) == len(names)
    for case in kernel.cases[-5:]:
        for capability in CAPABILITIES:
            at = kernel.tile(case, capability)
            assert len(kernel.launches(case, at, capability)) == 1
            assert kernel.work(case).bytes > 0
            for one in kernel.compiled(case, at):
                assert set(one.divisible) <= set(one.signature)
