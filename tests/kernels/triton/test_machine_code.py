"""Compiled code of any kernel, from a text or a cubin: its loops, and whether products wait for each other."""

from __future__ import annotations

from pathlib import Path

import pytest

import lightbound as lb
from lightbound.base.errors import LightboundError
from lightbound.kernels.cuda import tensor
from lightbound.kernels.cuda.assemble import assemble, tool
from lightbound.kernels.cuda.ptx import module
from lightbound.kernels.triton import machine_code
from lightbound.kernels.triton.kernel import MissingPackage

NEEDS_TOOLS = pytest.mark.skipif(
    tool("ptxas") is None or tool("cuobjdump") is None, reason="needs pip install 'lightbound[triton]'"
)
STALL = 1 << 41 | 7 << 46 | 7 << 49  # one cycle, no barrier set or awaited


def listing(function: str, lines: list[str], target: int = 90, stalls: int = STALL) -> str:
    """As ``cuobjdump -sass`` prints it."""
    shown = [f'\t\tFunction : {function}\n\t.headerflags\t@"EF_CUDA_SM{target} EF_CUDA_64BIT_ADDRESS"']
    for at, line in enumerate(lines):
        shown += [f"        /*{16 * at:04x}*/                   {line} ;   /* 0x0000000000007918 */"]
        shown += [" " * 60 + f"/* 0x{stalls:016x} */"]
    return "\n".join(shown) + "\n"


def products(each: bool) -> list[str]:
    """A loop of four products, handed over together or one by one."""
    name = "HGMMA.64x128x16.F32 R24, gdesc[UR8].tnspB, R24"
    one = [f"{name}, gsb0", "WARPGROUP.DEPBAR.LE gsb0, 0x0"]
    body = one * 4 if each else [name] * 3 + one
    return ["FADD R0, R0, R1", *body, "@P0 BRA 0x10", "EXIT"]


def test_loops_of_a_listing_are_read_with_their_cycles_where_units_were_measured(tmp_path: Path) -> None:
    path = tmp_path / "code.sass"
    path.write_text(listing("apart", products(True)) + listing("together", products(False)) + listing(
        "ampere", ["FADD R0, R0, R1", "@P0 BRA 0x0", "EXIT"], 80))  # fmt: skip
    apart, together, ampere = lb.machine_code(path)
    assert [one.function for one in (apart, together, ampere)] == ["apart", "together", "ampere"]
    assert [one.target for one in (apart, together, ampere)] == ["sm_90", "sm_90", "sm_80"]
    (slow,), (fast,), (other,) = apart.loops, together.loops, ampere.loops
    assert (slow.groups, fast.groups) == (4, 1) and apart.serialized(slow) and not together.serialized(fast)
    assert slow.turn_cycles is not None and fast.turn_cycles is not None
    assert slow.turn_cycles - fast.turn_cycles == pytest.approx(3 * 72, abs=16)
    assert apart.start_cycles == 1 and other.turn_cycles is None and ampere.start_cycles is None
    assert [one.function for one in lb.machine_code(path, function="tog")] == ["together"]
    assert lb.machine_code(path, warps=8, function="tog")[0].threads == 256


@NEEDS_TOOLS
def test_a_cubin_is_read_as_its_listing_is(tmp_path: Path) -> None:
    program = tensor.group("fp16", 64, 1)
    path = tmp_path / "code.cubin"
    path.write_bytes(assemble(module([program], 90), 90))
    (code,) = lb.machine_code(path)
    assert code.threads == program.threads
    loop = max(code.loops, key=lambda one: one.macs)
    assert loop.instructions["mma"] == 8 and loop.groups == 1 and not code.serialized(loop)
    assert loop.turn_cycles is not None and loop.turn_cycles >= 8 * 32  # what the tensor cores need


@NEEDS_TOOLS
def test_threads_are_those_that_a_cubin_states_unless_others_are_given(tmp_path: Path) -> None:
    text, path = module([tensor.group("fp16", 64, 2)], 90), tmp_path / "code.cubin"
    bound = ".maxntid 256, 1, 1"
    assert bound in text
    for stated, threads, told in (
        (bound, 256, "bound"),
        (".reqntid 64, 4, 1", 256, "code"),
        (".reqntid 128\n.minnctapersm 2", 128, "code"),
        ("", 128, "assumed"),
    ):
        path.write_bytes(assemble(text.replace(bound, stated), 90))
        (code,) = lb.machine_code(path)
        assert (code.threads, code.threads_from) == (threads, told)
        (code,) = lb.machine_code(path, warps=2)
        assert (code.threads, code.threads_from) == (64, "given")


def test_threads_are_told_function_by_function() -> None:
    dumped = """
.nv.info.small
	<0x1>
	Attribute:	EIATTR_MAX_THREADS
	Format:	EIFMT_SVAL
	Value:	0x400 0x1 0x1
.nv.info.silent
	Attribute:	EIATTR_CRS_STACK_SIZE
	Format:	EIFMT_SVAL
	Value:	0x0
.nv.info.large
	Attribute:	EIATTR_REQNTID
	Format:	EIFMT_SVAL
	Value:	0x80 0x2 0x1
	Attribute:	EIATTR_MAX_THREADS
	Format:	EIFMT_SVAL
	Value:	0x100 0x1 0x1
"""
    assert machine_code.stated_threads(dumped) == {"small": (1024, "bound"), "large": (256, "code")}


@NEEDS_TOOLS
@pytest.mark.parametrize("kept", [4, 500, 5000])
def test_what_cuobjdump_says_of_a_part_of_a_cubin_is_passed_on(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "code.cubin"
    path.write_bytes(assemble(module([tensor.group("fp16", 64, 1)], 90), 90)[:kept] + b"\0")
    with pytest.raises(LightboundError, match=r"cuobjdump \((File|Invalid) .*Give a whole cubin"):
        lb.machine_code(path)


def test_ptx_is_sent_to_its_assembler(tmp_path: Path) -> None:
    path = tmp_path / "code.ptx"
    path.write_text(module([tensor.group("fp16", 64, 1)], 90))
    with pytest.raises(LightboundError, match=r"is PTX.*ptxas --gpu-name"):
        lb.machine_code(path)


def test_what_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LightboundError, match="cannot be read"):
        lb.machine_code(tmp_path / "nowhere")
    path = tmp_path / "notes.txt"
    path.write_text("nothing")
    with pytest.raises(LightboundError, match="holds no function of SASS"):
        lb.machine_code(path)
    path.write_text(listing("one", products(False)))
    with pytest.raises(LightboundError, match="Choose from: one"):
        lb.machine_code(path, function="other")
    path.write_bytes(b"\x7fELF\0\0")
    monkeypatch.setattr(machine_code, "tool", lambda name: None)
    with pytest.raises(MissingPackage, match="cuobjdump"):
        lb.machine_code(path)
