"""Kernels in Triton for GPUs: attention and what stands beside it, each with tiles and a mapping as plain data.

Nothing here loads torch or triton until a kernel is prepared or compiled: the code that runs on the device is in
device/, and only its files import triton. `require` says what to install where they are missing.
"""

from .kernel import Call as Call
from .kernel import Case as Case
from .kernel import Compiled as Compiled
from .kernel import Launch as Launch
from .kernel import MissingPackage as MissingPackage
from .kernel import Tile as Tile
from .kernel import TritonKernel as TritonKernel
from .kernel import Work as Work
from .kernel import require as require
