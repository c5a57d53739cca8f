"""Kernels compiled for GPUs that are not here, the tables of what they take, and estimates beside both."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightbound.archs.library import machine
from lightbound.base.errors import LightboundError
from lightbound.kernels.triton import table
from lightbound.kernels.triton.block import Block, Product
from lightbound.kernels.triton.compile import compile_all
from lightbound.kernels.triton.estimate import estimate
from lightbound.kernels.triton.footprint import Resources
from lightbound.kernels.triton.kernel import Call, Case, Compiled, Tile, TritonKernel, Work
from lightbound.kernels.triton.occupancy import LIMITS, resident
from lightbound.kernels.triton.survey import changed
from lightbound.kernels.triton.targets import TARGETS, capability

SOURCE = '''
import triton
import triton.language as tl


@triton.jit
def product(a, b, c, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """C = A @ B, sizes that the tile divides."""
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    columns = tl.program_id(1) * BN + tl.arange(0, BN)
    steps = tl.arange(0, BK)
    total = tl.zeros((BM, BN), tl.float32)
    for at in range(0, K, BK):
        x = tl.load(a + rows[:, None] * K + (at + steps)[None, :])
        y = tl.load(b + (at + steps)[:, None] * N + columns[None, :])
        total = tl.dot(x, y, total)
    tl.store(c + rows[:, None] * N + columns[None, :], total.to(c.dtype.element_ty))
'''
BM, BN, BK = 128, 128, 64


def launch(warps: int = 4, stages: int = 3, **constants: int) -> Compiled:
    tensors, sizes = ("a", "b", "c"), ("M", "N", "K")
    return Compiled(
        module="product",
        function="product",
        signature={**dict.fromkeys(tensors, "*fp16"), **dict.fromkeys(sizes, "i32")},
        constants={"BM": BM, "BN": BN, "BK": BK, **constants},
        divisible=(*tensors, *sizes),
        warps=warps,
        stages=stages,
    )


BLOCK = Block(2, [Product(BM, BN, BK, "a", "b", keeps=True)], streamed=("a", "b"), stored=BM * BN)


@pytest.fixture(scope="module")
def device_code(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A package of device code that is not lightbound's."""
    pytest.importorskip("triton")
    folder = tmp_path_factory.mktemp("code") / "some_device_code"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "product.py").write_text(SOURCE)
    sys.path.insert(0, str(folder.parent))
    return folder.name


@pytest.fixture(scope="module")
def compiled(device_code: str) -> dict[str, Resources]:
    """The product for every target: in processes of their own, since tests may run in Triton's interpreter."""
    found = compile_all([(launch(), target) for target in TARGETS], package=device_code)
    assert all(isinstance(one, Resources) for one in found), found
    return {one.target: one for one in found if isinstance(one, Resources)}


@pytest.mark.parametrize("target", TARGETS)
def test_a_turn_of_the_loop_does_the_multiply_accumulates_of_its_tile(
    compiled: dict[str, Resources], target: str
) -> None:
    loop = compiled[target].main_loop
    assert loop is not None and loop.instructions["mma"] > 0
    groups = {"sm_80": 4, "sm_90": 1, "gfx942": 4}  # warps that issue one by one, or a warp group together
    if target in groups:  # Blackwell's instructions take their shape from a register
        assert loop.macs * groups[target] == BM * BN * BK
    copies = BK * (BM + BN) * 2 // 16 // compiled[target].threads  # of 16 bytes by each thread
    assert loop.instructions["async_copy" if target != "gfx942" else "global_load"] == copies


@pytest.mark.parametrize("target", TARGETS)
def test_registers_and_memory_are_those_of_the_hardware_s_blocks(compiled: dict[str, Resources], target: str) -> None:
    one = compiled[target]
    assert one.spill_bytes == one.stack_bytes == 0
    assert BM * BN // one.threads // 2 <= one.registers <= LIMITS[target].most_registers
    assert one.threads == 4 * TARGETS[target][2]
    assert (one.tensor_columns > 0) == (target == "sm_100")
    assert Resources.from_dict(one.to_dict()) == one


@pytest.mark.parametrize("target", TARGETS)
def test_the_estimate_of_a_product_is_exact_in_memory_and_right_in_blocks(
    compiled: dict[str, Resources], target: str
) -> None:
    one = compiled[target]
    expected = estimate(BLOCK, target, 4, 3)
    assert expected.shared_bytes == one.shared_bytes
    assert expected.tensor_columns == one.tensor_columns
    assert expected.blocks == one.blocks


def test_what_does_not_compile_is_an_error_in_its_place_and_the_next_one_compiles(device_code: str) -> None:
    wrong, right = compile_all([(launch(BM=100), "sm_90"), (launch(), "sm_90")], processes=1, package=device_code)
    assert isinstance(wrong, LightboundError) and "power of 2" in str(wrong)
    assert isinstance(right, Resources)


def test_a_compiler_that_cannot_start_is_told_of_every_launch(device_code: str) -> None:
    (found,) = compile_all([(launch(), "sm_90")], package="no_such_package")
    assert isinstance(found, LightboundError) and "no_such_package" in str(found)


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(LightboundError, match="Did you mean 'sm_90'"):
        capability("sm90")
    assert [capability(target) for target in TARGETS] == [80, 90, 100, 942]


def _kernel() -> TritonKernel:
    def none(*_: object) -> Call:
        raise AssertionError("nothing runs here")

    return TritonKernel(
        name="some_product",
        title="",
        cases=[Case("some_product", {"M": size, "N": size, "K": size}, "fp16") for size in (1024, 2048)],
        tile=lambda case, at: Tile({"BM": BM, "BN": BN, "BK": BK}, 4, 3),
        prepare=none,
        work=lambda case: Work(1, 0, 1),
        compiled=lambda case, tile: [launch(tile.warps, tile.stages, **tile.constants)],
        launches=lambda case, tile, at: [],
        tiles=lambda case, at: [Tile({"BM": 64, "BN": BN, "BK": BK}, 4, 2)],
        blocks={"product": lambda made: BLOCK},
    )


def test_cases_that_compile_alike_are_one_point_and_every_target_another() -> None:
    found = table.points(_kernel(), TARGETS)
    assert [point.target for point in found] == list(TARGETS)
    assert all(point.default and point.block == BLOCK for point in found)
    assert len(table.points(_kernel(), ["sm_90"], others=True)) == 2


def test_what_is_written_is_read_and_forgotten_when_the_code_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "FOLDER", tmp_path)
    monkeypatch.setattr(table, "DEVICE", tmp_path)
    taken = Resources("sm_90", "3.7.1", 100, 0, 0, 49152, 0, 128, {"mma": 3})
    code = tmp_path / "product.py"
    code.write_text(SOURCE)
    (point,) = table.points(_kernel(), ["sm_90"])
    table.source_of.cache_clear()
    path = table.write("some_product", [(point, taken)])
    assert path.parent == tmp_path and len(path.read_text().splitlines()) == 3
    assert table.recorded(point) == taken
    case, tile = _kernel().cases[1], point.tile
    assert table.resources_of(_kernel(), case, tile, "sm_90") == [taken]
    assert table.resources_of(_kernel(), case, tile, "sm_80") is None

    code.write_text("# A remark.\n" + SOURCE)
    table.source_of.cache_clear()
    assert table.recorded(point) == taken
    code.write_text(SOURCE.replace("range(0, K, BK)", "range(BK, K, BK)"))
    table.source_of.cache_clear()
    assert table.recorded(point) is None
    table.source_of.cache_clear()


def test_a_tile_is_changed_by_the_names_that_it_has() -> None:
    tile = Tile({"BM": 128}, 4, 3)
    assert changed(tile, {"BM": 64, "warps": 8}) == Tile({"BM": 64}, 8, 3)
    with pytest.raises(LightboundError, match="BM, warps, stages"):
        changed(tile, {"BX": 64})


@pytest.mark.parametrize(("target", "name"), [("sm_80", "a100"), ("sm_90", "h100_sxm"), ("sm_100", "b200")])
def test_limits_are_those_of_the_machine_files(target: str, name: str) -> None:
    stated, limits = machine(name).occupancy, LIMITS[target]
    assert stated is not None
    assert limits.registers * limits.lanes * 4 == stated.registers
    assert (limits.slots * 4, limits.lanes, limits.blocks) == (stated.warps, stated.warp_lanes, stated.ctas)
    assert (limits.shared_bytes, limits.block_bytes) == (stated.shared_bytes, stated.shared_per_cta_bytes)
    assert limits.reserved_bytes == stated.shared_reserved_bytes
    assert limits.most_registers == stated.registers_per_thread


def test_blocks_at_once_are_bound_by_whatever_runs_out_first() -> None:
    assert resident("sm_90", 128, 32, 0) == 16  # places for warps
    assert resident("sm_90", 128, 168, 0) == 3  # registers
    assert resident("sm_90", 128, 168, 100 * 1024) == 2  # shared memory
    assert resident("sm_100", 128, 100, 0, 256) == 2  # tensor memory
    assert resident("sm_90", 128, 32, 228 * 1024) == 0  # not even one
    assert resident("gfx942", 256, 180, 16384) == 2  # 512 registers of a lane hold two waves of 184
    assert resident("gfx942", 256, 40, 32768) == 2


TARGET = st.sampled_from(list(TARGETS))
TILES = st.sampled_from([16, 32, 64, 128])


@given(TARGET, TILES, TILES, st.sampled_from([4, 8]), st.integers(1, 5))
def test_more_stages_never_take_less_memory_nor_hold_more_blocks(
    target: str, rows: int, columns: int, warps: int, stages: int
) -> None:
    block = Block(2, [Product(rows, columns, 64, "a", "b", keeps=True)], ("a", "b"), stored=rows * columns)
    few, more = (estimate(block, target, warps, count) for count in (stages, stages + 1))
    assert few.shared_bytes <= more.shared_bytes
    if stages > 1:  # without a pipeline, nothing is on the way in registers
        assert few.blocks >= more.blocks


@given(TARGET, TILES, TILES, TILES, st.sampled_from([2, 4]), st.integers(1, 4))
def test_an_estimate_is_within_what_a_thread_and_a_block_can_have(
    target: str, rows: int, columns: int, deep: int, word_bytes: int, stages: int
) -> None:
    scores = Product(rows, columns, deep, "q", "k")
    sums = Product(rows, deep, columns, "weights", "v", keeps=True)
    block = Block(word_bytes, [scores, sums], ("k", "v"), ("q",), reduced=(rows, columns), stored=rows * deep)
    found = estimate(block, target, 4, stages)
    assert 0 < found.registers <= LIMITS[target].most_registers
    assert found.shared_bytes >= word_bytes * columns * deep
    assert found.blocks == resident(
        target, 4 * LIMITS[target].lanes, found.registers, found.shared_bytes, found.tensor_columns
    )
