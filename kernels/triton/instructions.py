"""What kind of instruction a mnemonic is, for the machine code of NVIDIA's GPUs (SASS) and of AMD's (amdgcn).

The kinds are the pipes that a kernel contends for: matrix products, special functions, full-rate and half-rate
arithmetic, conversions, shuffles, and each way into and out of memory. A mnemonic that no line below knows is `other`.
"""

from __future__ import annotations

import re
from functools import cache

KINDS: dict[str, str] = {
    "mma": "matrix products",
    "mufu": "special functions: exponential, reciprocal, logarithm, square root, sine",
    "fma": "multiply-adds in fp32 or packed narrower types",
    "fp32": "additions and multiplications, likewise",
    "compare": "minimum, maximum, comparison and selection",
    "convert": "conversions between types, packing included",
    "integer": "integer and logical arithmetic of threads, addresses above all",
    "scalar": "arithmetic once for a warp (uniform registers, scalar unit)",
    "move": "moves of registers, special registers and predicates",
    "shuffle": "exchanges between threads of a warp, votes and warp-wide reductions",
    "ldmatrix": "loads and stores of matrix fragments in shared memory",
    "shared_load": "other loads from shared memory",
    "shared_store": "other stores to shared memory",
    "global_load": "loads from global memory into registers",
    "global_store": "stores to global memory",
    "atomic": "atomic operations and reductions in memory",
    "async_copy": "copies from global to shared memory past the registers: cp.async, TMA, loads to LDS",
    "tensor_load": "loads of tensor memory, its stores too",
    "local": "loads and stores of spilled registers",
    "constant": "loads of constants and arguments",
    "barrier": "barriers of a block, mbarriers",
    "wait": "waits for copies, matrix products and memory; fences",
    "branch": "branches, calls and returns",
    "other": "anything else",
}
"""Kinds of instructions, each in words, in the order in which tables show them."""

# The first line that matches the beginning of a mnemonic gives its kind.
_SASS = r"""
mma           [HIDQOB]?G?MMA|UTC[A-Z]*MMA
mufu          MUFU|RRO
fma           FFMA|HFMA|DFMA
compare       FMNMX|FSEL|FSET|FCMP|HMNMX|HSET|DSETP|DMNMX|FCHK|VHMNMX|VIMNMX|ISETP|ISET|IMNMX|SEL\b|PSET
fp32          FADD|FHADD|FMUL|FSWZADD|HADD2(?!\.F32)|HMUL|DADD|DMUL
convert       F2F|I2F|F2I|FRND|I2I|I2IP|F2IP|HADD2\.F32
scalar        R2UR|S2UR|U(?!TC|TMA|BLK|CGABAR|LDC|ATOM|TMAPF|VIRT)[A-Z]
shuffle       SHFL|VOTE|MATCH|MOVM|ELECT|REDUX|CREDUX
ldmatrix      LDSM|STSM
shared_load   LDS\b
shared_store  STS\b
async_copy    LDGSTS|UTMA(?!PF)|UBLK
global_load   LDG\b|LD\b
global_store  STG|ST\b
atomic        ATOM|RED\b|REDG|REDAS|SUATOM|UATOM|CCTLRED
tensor_load   LDTM|STTM|UTCCP
local         LDL|STL
constant      LDC|ULDC|LDCU
barrier       BAR|SYNCS|UCGABAR|UTCBAR|BARRIER|B2R|R2B|UTCATOMSWS
wait          DEPBAR|LDGDEPBAR|LDTDEPBAR|WARPGROUP|MEMBAR|FENCE|ERRBAR|CCTL|NANOSLEEP|ARRIVES|ACQBULK|ACQSHMINIT
wait          NOP|YIELD|UTMAPF|UTMACMDFLUSH|PREEXIT|UVIRTCOUNT
branch        BRA|BRX|JMP|JMX|CALL|RET|EXIT|BSSY|BSYNC|BREAK|WARPSYNC|BMOV|BPT|KILL|RPCMOV
move          MOV|S2R|CS2R|P2R|R2P|PRMT|LEPC|GETLMEMBASE|SETCTAID|SETMAXREG
integer       IADD|IMAD|LEA|LOP|PLOP|SHF|SHL|SHR|SGXT|IABS|BMSK|POPC|FLO|BREV|IDP|IMUL|ISCADD|XMAD|VIADD|VABSDIFF
"""

_AMDGCN = r"""
mma           v_s?mfma|v_wmma
shuffle       ds_bpermute|ds_permute|ds_swizzle|v_readlane|v_writelane|v_readfirstlane|v_permlane|\S*_dpp
move          v_accvgpr|v_mov_b|v_pk_mov|v_swap
mufu          v_(exp|log|rcp|rsq|sqrt|sin|cos)_
fma           v_(pk_)?(fma|fmac|mad|mac|fmamk|fmaak|madmk|madak|dot\d)\w*_(f|bf)
compare       v_(pk_)?(max|min|maximum|minimum|med)\d?\w*_|v_cmpx?_|v_cndmask
fp32          v_(pk_)?(add|sub|subrev|mul|ldexp|div_\w+|fract|trunc|ceil|rndne|floor|frexp_\w+)_(legacy_)?(f|bf)
convert       v_cvt|v_pack|v_perm_b
async_copy    (global|buffer)_load_lds|buffer_load_\S+ lds
shared_load   ds_(read|load|consume)
shared_store  ds_(write|store|append)
local         scratch_
atomic        (global|flat|buffer|ds)_(atomic|add|sub|max|min|and|or|xor|cmpst|wrxchg|inc|dec)
global_load   (global|flat|buffer)_load
global_store  (global|flat|buffer)_store
constant      s_(load|buffer_load)
barrier       s_barrier
wait          s_waitcnt|s_nop|s_sleep|s_setprio|s_sethalt|buffer_(wbl2|inv|wbinvl1)|s_dcache|s_sched|s_wakeup
branch        s_(c?branch|setpc|swappc|endpgm|call|getpc|trap|cbranch_\w+)
scalar        s_
integer       v_
"""


def sass_kind(mnemonic: str) -> str:
    """The kind of a SASS mnemonic with its modifiers, such as ``MUFU.EX2``: one of KINDS."""
    return _kind(mnemonic, _SASS)


def amdgcn_kind(mnemonic: str) -> str:
    """The kind of an amdgcn mnemonic, such as ``v_exp_f32_e32``: one of KINDS."""
    return _kind(mnemonic, _AMDGCN)


@cache
def _kind(mnemonic: str, table: str) -> str:
    for kind, pattern in _patterns(table):
        if pattern.match(mnemonic):
            return kind
    return "other"


@cache
def _patterns(table: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    lines = (line.split(None, 1) for line in table.strip().splitlines())
    return tuple((kind, re.compile(pattern)) for kind, pattern in lines)


def macs_of(mnemonic: str) -> int:
    """Multiply-accumulates by all that issue one matrix instruction together, where its name tells: a warp's
    ``HMMA.16816`` is 16 x 8 x 16, a warp group's ``HGMMA.64x128x16``, a wave's ``v_mfma_f32_32x32x8_f16``. 0 where it
    does not (Blackwell's take their shape from a register).
    """
    if match := re.search(r"(\d+)x(\d+)x(\d+)", mnemonic):
        return int(match[1]) * int(match[2]) * int(match[3])
    if match := re.match(r"[HIDQB]MMA\.(?:SP\.)?(\d+)", mnemonic):
        shape = match[1]  # 16816 is 16 x 8 x 16, 1688 is 16 x 8 x 8, 884 is 8 x 8 x 4
        parts = {"16816": 16 * 8 * 16, "1688": 16 * 8 * 8, "1684": 16 * 8 * 4, "16832": 16 * 8 * 32, "884": 8 * 8 * 4}
        return parts.get(shape, 0)
    return 0
