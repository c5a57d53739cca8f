"""How many blocks of threads a multiprocessor holds at once, for the targets that kernels are compiled for.

For NVIDIA these are the limits that the machine files state; here they stand by target, since a compiler knows no
machine, and with the grains in which registers and shared memory are dealt.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What bounds the blocks of a multiprocessor (AMD: compute unit).

    registers: of 32 bits for each lane of a scheduler's warps together; grain: they are dealt in so many a lane. slots:
    warps of each of the four schedulers. shared_bytes, of which a block gets at most `block_bytes` in grains of
    `shared_grain` and the system takes `reserved_bytes` of each. tensor_columns: of tensor memory, 0 without one.
    """

    lanes: int
    registers: int
    most_registers: int
    grain: int
    slots: int
    blocks: int
    shared_bytes: int
    block_bytes: int
    reserved_bytes: int
    shared_grain: int
    tensor_columns: int = 0
    source: str = ""


KIB = 1024
SCHEDULERS = 4  # of every multiprocessor and compute unit here
_CUDA = "CUDA C++ Programming Guide, technical specifications by compute capability; CUDA occupancy calculator: grains"
LIMITS = {
    "sm_80": Limits(32, 512, 255, 8, 16, 32, 164 * KIB, 163 * KIB, KIB, 128, source=_CUDA),
    "sm_90": Limits(32, 512, 255, 8, 16, 32, 228 * KIB, 227 * KIB, KIB, 128, source=_CUDA),
    "sm_100": Limits(32, 512, 255, 8, 16, 32, 228 * KIB, 227 * KIB, KIB, 128, 512, source=_CUDA),
    "gfx942": Limits(
        64, 512, 512, 8, 8, 16, 64 * KIB, 64 * KIB, 0, 512,
        source="LLVM, AMDGPUBaseInfo: 512 vector registers and 8 waves of a SIMD, 16 workgroups of several waves",
    ),
}  # fmt: skip


def resident(target: str, threads: int, registers: int, shared_bytes: int, tensor_columns: int = 0) -> int:
    """Blocks of `threads` that one multiprocessor holds; 0 where not even one fits.

    registers: of a thread. shared_bytes: of a block, without what the system reserves.
    """
    limits = LIMITS[target]
    warps = -(-threads // limits.lanes)
    if shared_bytes > limits.block_bytes or tensor_columns > limits.tensor_columns:
        return 0
    dealt = max(limits.grain, -(-registers // limits.grain) * limits.grain)
    at_once = SCHEDULERS * min(limits.slots, limits.registers // dealt)
    bounds = [at_once // warps, limits.blocks]
    taken = -(-(shared_bytes + limits.reserved_bytes) // limits.shared_grain) * limits.shared_grain
    if taken:
        bounds.append(limits.shared_bytes // taken)
    if tensor_columns:
        bounds.append(limits.tensor_columns // tensor_columns)
    return min(bounds)
