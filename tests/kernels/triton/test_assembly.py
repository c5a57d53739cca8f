"""Machine code read for its loops: short programs written here in the form in which the tools print them."""

from __future__ import annotations

import re

import pytest

from lightbound.base.errors import LightboundError
from lightbound.kernels.triton.assembly import Control, amdgcn_program, counted, loops, sass_program
from lightbound.kernels.triton.instructions import KINDS, amdgcn_kind, macs_of, sass_kind


def sass(text: str) -> str:
    """Lines such as ``loop: @P0 BRA loop`` as cuobjdump prints them: 16 bytes each, jumps by address."""
    lines = [line.strip() for line in text.strip().splitlines()]
    labels = {match[1]: 16 * at for at, line in enumerate(lines) if (match := re.match(r"(\w+): ", line))}
    shown = []
    for at, line in enumerate(lines):
        code = re.sub(r"^\w+: ", "", line)
        code = re.sub(r"->(\w+)", lambda match: hex(labels[match[1]]), code)
        guard, _, rest = code.partition(" ") if code.startswith("@") else ("", "", code)
        shown.append(f"        /*{16 * at:04x}*/  {guard:>17} {rest} ;      /* 0x0000000000007918 */")
        shown.append(" " * 60 + "/* 0x000fc00000000000 */")
    return '\n\t\tFunction : kernel\n\t.headerflags @"EF_CUDA_SM90"\n' + "\n".join(shown) + "\n"


def test_a_loop_is_what_lies_between_a_jump_back_and_where_it_leads() -> None:
    program = sass_program(
        sass(
            """
            S2R R0, SR_TID.X
            loop: LDSM.16.M88.4 R4, [R2]
            HMMA.16816.F32 R8, R4, R6, R8
            HMMA.16816.F32 R12, R4, R10, R12
            MUFU.EX2 R3, R3
            @P0 BRA ->loop
            STG.E.128 [R2], R8
            EXIT
            """
        ),
        "kernel",
    )
    (loop,) = loops(program)
    assert loop.instructions == {"mma": 2, "ldmatrix": 1, "mufu": 1, "branch": 1}
    assert (loop.place, loop.depth, loop.innermost) == ("0010", 1, True)
    assert (loop.total, loop.exponentials, loop.macs, loop.skippable) == (5, 1, 2 * 16 * 8 * 16, 0)
    assert counted(program)["global_store"] == 1


def test_a_wait_that_was_moved_out_of_the_loop_is_part_of_it_and_no_loop() -> None:
    program = sass_program(
        sass(
            """
            MOV R0, RZ
            loop: SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR4], R4
            @!P0 BRA ->again
            on: LDTM.x64 R4, tmem[UR13]
            FADD R4, R4, R5
            @P1 BRA ->loop
            EXIT
            again: SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR4], R4
            @!P0 BRA ->again
            BRA ->on
            end: BRA ->end
            """
        ),
        "kernel",
    )
    (loop,) = loops(program)
    assert loop.innermost
    assert loop.instructions == {"barrier": 2, "branch": 4, "tensor_load": 1, "fp32": 1}
    assert loop.skippable == 3  # the wait asks again only where it has to


def test_an_inner_loop_is_counted_by_itself() -> None:
    outer, inner = loops(
        sass_program(
            sass(
                """
                MOV R0, RZ
                outer: FMUL R1, R1, R2
                inner: FFMA R3, R3, R4, R5
                LDG.E R6, [R2]
                @P0 BRA ->inner
                FADD R1, R1, R2
                @P1 BRA ->outer
                EXIT
                """
            ),
            "kernel",
        )
    )
    assert (outer.depth, outer.innermost, outer.instructions) == (1, False, {"fp32": 2, "branch": 1})
    assert (inner.depth, inner.innermost, inner.instructions) == (2, True, {"fma": 1, "global_load": 1, "branch": 1})


def test_a_call_that_leaves_the_loop_and_one_that_returns_are_both_followed() -> None:
    program = sass_program(
        sass(
            """
            loop: FADD R1, R1, R2
            @!P2 CALL.REL.NOINC ->out
            BRA ->loop
            out: CALL.REL.NOINC ->divide
            EXIT
            divide: MUFU.RCP R1, R1
            RET.REL.NODEC R2 0x0
            """
        ),
        "kernel",
    )
    (loop,) = loops(program)
    assert loop.instructions == {"fp32": 1, "branch": 2}


def test_what_some_turns_jump_over_is_counted_and_told() -> None:
    program = sass_program(
        sass(
            """
            loop: FADD R1, R1, R2
            BRA.U UP0, ->past
            FSEL R1, R1, R2, P1
            FSEL R2, R1, R2, P1
            past: MUFU.EX2 R1, R1
            @P0 BRA ->loop
            EXIT
            """
        ),
        "kernel",
    )
    (loop,) = loops(program)
    assert loop.instructions["compare"] == loop.skippable == 2


def test_the_control_word_of_an_instruction_is_read() -> None:
    line = "        /*0010*/  MUFU.EX2 R3, R3 ;   /* 0x0000000300037308 */\n                 /* 0x{:016x} */\n"
    words = [2 << 41 | 1 << 46 | 3 << 49, 1 << 41 | 7 << 46 | 7 << 49 | 0b100 << 52]
    text = "\n\t\tFunction : kernel\n" + "".join(line.format(word | 0x800) for word in words)
    first, second = sass_program(text, "kernel")
    assert first.control == Control(stall=2, writes=1, reads=3, awaits=0)
    assert second.control == Control(stall=1, writes=None, reads=None, awaits=0b100)
    assert (first.mnemonic, first.operands) == ("MUFU.EX2", "R3, R3")


def test_groups_of_products_are_those_that_are_handed_over_together() -> None:
    text = sass(
        """
        loop: HGMMA.64x64x16.F32 R24, gdesc[UR8], R24
        HGMMA.64x64x16.F32 R24, gdesc[UR8], R24, gsb0
        HGMMA.64x64x16.F32 R56, gdesc[UR8], R56, gsb0
        WARPGROUP.DEPBAR.LE gsb0, 0x0
        @P0 BRA ->loop
        EXIT
        """
    )
    (loop,) = loops(sass_program(text, "kernel"), lambda own: 10.4 * len(own))
    assert (loop.instructions["mma"], loop.groups, loop.turn_cycles) == (3, 2, 52)


def test_a_function_that_is_not_there_is_refused() -> None:
    with pytest.raises(LightboundError, match="is not a function of this code"):
        sass_program(sass("EXIT"), "other")
    with pytest.raises(LightboundError, match="is not a function of this code"):
        amdgcn_program("kernel:\n\ts_endpgm\n.Lfunc_end0:\n", "other")


AMD = """
\t.text
\t.globl\tkernel
kernel:                                  ; @kernel
.Lfunc_begin0:
; %bb.0:
\ts_load_dwordx8 s[4:11], s[0:1], 0x0
\ts_branch .LBB0_2
.LBB0_1:                                 ;   in Loop: Header=BB0_2 Depth=1
.Ltmp3:
\t.loc\t1 12 5                          ; kernel.py:12:5
\tv_mfma_f32_32x32x8_f16 v[0:15], v[16:17], v[18:19], v[0:15]
\tv_exp_f32_e32 v3, v3
\ts_cbranch_scc0 .LBB0_4
.LBB0_2:                                 ; =>This Inner Loop Header: Depth=1
\ts_and_saveexec_b64 s[2:3], vcc
\ts_cbranch_execz .LBB0_1
; %bb.3:                                 ;   in Loop: Header=BB0_2 Depth=1
\tglobal_load_dwordx4 v[4:7], v[8:9], off
\tbuffer_load_dword v4, s[4:7], 0 offen lds
\ts_branch .LBB0_1
.LBB0_4:
\tglobal_store_dwordx4 v[8:9], v[4:7], off
\ts_endpgm
.Lfunc_end0:
\t.section\t.rodata,"a",@progbits
"""


def test_a_loop_of_amd_s_code_holds_the_guarded_loads_too() -> None:
    (loop,) = loops(amdgcn_program(AMD, "kernel"))
    assert loop.place == ".LBB0_2"
    assert loop.instructions == {"branch": 3, "mma": 1, "mufu": 1, "scalar": 1, "global_load": 1, "async_copy": 1}
    assert (loop.skippable, loop.exponentials, loop.macs) == (3, 1, 32 * 32 * 8)


@pytest.mark.parametrize(
    ("mnemonic", "kind"),
    [
        ("HGMMA.64x128x16.F32", "mma"), ("UTCHMMA", "mma"), ("HMMA.16816.F32.BF16", "mma"), ("IMMA.16832.S8.S8", "mma"),
        ("HFMA2.MMA", "fma"), ("FFMA2", "fma"), ("FMUL", "fp32"), ("FADD2", "fp32"), ("FMNMX3", "compare"),
        ("ISETP.GE.AND", "compare"), ("F2FP.BF16.F32.PACK_AB", "convert"), ("HADD2.F32", "convert"),
        ("IMAD.WIDE.U32", "integer"), ("UIADD3", "scalar"), ("R2UR", "scalar"), ("SHFL.BFLY", "shuffle"),
        ("LDSM.16.MT88.4", "ldmatrix"), ("LDS.128", "shared_load"), ("STS.128", "shared_store"),
        ("LDGSTS.E.BYPASS.128", "async_copy"), ("UTMALDG.3D", "async_copy"), ("LDG.E.128", "global_load"),
        ("STG.E.128", "global_store"), ("ATOMG.E.ADD", "atomic"), ("LDTM.x64", "tensor_load"), ("STL.64", "local"),
        ("ULDC.64", "constant"), ("BAR.SYNC.DEFER_BLOCKING", "barrier"), ("UTCBAR", "barrier"),
        ("LDGDEPBAR", "wait"), ("WARPGROUP.DEPBAR.LE", "wait"), ("BRA.U", "branch"), ("CS2R", "move"),
    ],
)  # fmt: skip
def test_a_sass_mnemonic_has_the_kind_of_its_pipe(mnemonic: str, kind: str) -> None:
    assert sass_kind(mnemonic) == kind


@pytest.mark.parametrize(
    ("mnemonic", "kind"),
    [
        ("v_mfma_f32_16x16x16_bf16", "mma"), ("v_exp_f32_e32", "mufu"), ("v_rcp_f32_e32", "mufu"),
        ("v_pk_fma_f32", "fma"), ("v_fmac_f32_e32", "fma"), ("v_pk_mul_f32", "fp32"), ("v_sub_f32_e32", "fp32"),
        ("v_max3_f32", "compare"), ("v_cndmask_b32_e32", "compare"), ("v_cvt_f16_f32_e32", "convert"),
        ("v_add_u32_e32", "integer"), ("v_mad_u64_u32", "integer"), ("s_add_i32", "scalar"), ("v_mov_b32_e32", "move"),
        ("v_accvgpr_read_b32", "move"), ("v_add_f32_dpp", "shuffle"), ("ds_bpermute_b32", "shuffle"),
        ("ds_read2_b64", "shared_load"), ("ds_write_b128", "shared_store"), ("scratch_load_dword", "local"),
        ("global_load_dwordx4", "global_load"), ("global_load_lds_dword", "async_copy"),
        ("buffer_store_dwordx4", "global_store"), ("global_atomic_add_f32", "atomic"), ("s_barrier", "barrier"),
        ("s_waitcnt", "wait"), ("s_cbranch_scc0", "branch"), ("s_load_dwordx2", "constant"),
    ],
)  # fmt: skip
def test_an_amdgcn_mnemonic_has_the_kind_of_its_pipe(mnemonic: str, kind: str) -> None:
    assert amdgcn_kind(mnemonic) == kind


def test_every_kind_is_said_in_words_and_what_nobody_knows_is_other() -> None:
    assert sass_kind("QQQ") == amdgcn_kind("qqq") == "other"
    assert all(KINDS.values())


def test_multiply_accumulates_are_read_off_the_name() -> None:
    assert macs_of("HMMA.1688.F32.TF32") == 16 * 8 * 8
    assert macs_of("HGMMA.64x256x16.F32.BF16") == 64 * 256 * 16
    assert macs_of("v_mfma_f32_16x16x16_f16") == 16**3
    assert macs_of("UTCHMMA") == 0
