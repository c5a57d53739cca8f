"""What the simulator is told of attention kernels: their loops, tiles and residency, and the instructions of their code.

Counts are of the SASS that Triton 3.7.1 makes for sm_90 (3.6.0 makes the same loops). In an iteration a thread takes,
for each of its scores, a maximum, a multiply-add, an exponential that flushes denormal numbers, an addition and half a
packed conversion, and a multiplication for each of its sums. Both products of an iteration lie together: that of the
weights is issued without a wait and awaited with the next scores. Beside those stand the instructions of OTHERS, which
add up addresses of operands, count stages and wait; they take turns at the issue of a warp, like an addition each.

Warps of a block march together: they meet at three barriers an iteration, before a tile of keys or values is overwritten.
What contends for the units are therefore the blocks of a processor. Cycles of an iteration (260) and of a block (3500)
are those of the workload `attention`'s own mappings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .attention_shapes import Shape, shape_of
from .kernel import Case, Launch, Tile

FILE, THREADS, SHARED = 65536, 2048, 233472  # registers, threads and bytes of shared memory of a Hopper processor
RESERVED = 1024  # bytes of shared memory that a block takes beside its own

# Of a thread, by head dimension, queries and keys of a tile, and warps: the most over all masks, and other instructions
# of an iteration without a mask.
_REGISTERS = {(64, 128, 128, 4): 236, (128, 128, 64, 4): 255, (256, 128, 64, 8): 205, (128, 128, 128, 8): 210}
_OTHERS = {(64, 128, 128, 4): 130, (128, 128, 64, 4): 135, (256, 128, 64, 8): 110, (128, 128, 128, 8): 100}
_USUAL_OTHERS = 120

_SCORES = {"lanes": ["p", "m0"]}
_ROWS = {"lanes": ["p"]}
_OUTPUT = {"lanes": ["p", "f"]}
