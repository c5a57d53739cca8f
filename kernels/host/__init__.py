"""Attention kernels that run on the processor of this machine, in fp32: C++ (csrc/host_*), called with arrays.

Every function takes numpy arrays (or whatever `numpy.asarray` makes fp32 arrays of without a copy, such as tensors of
PyTorch on the CPU), checks them, and returns a new array, or the one given as `out`. `threads` is how many threads
work, all cores by default; a list given as `seconds` is filled with the processor time of each. The instruction set
is the best that the machine has; the environment variable ``LIGHTBOUND_ISA`` names a lower one. What each kernel
implements, as a cascade with tiles and a mapping, is plain data in catalogue.py.
"""

from .arrays import instruction_set as instruction_set
from .arrays import instruction_sets as instruction_sets
from .attention import attention as attention
from .attention import block_sparse_attention as block_sparse_attention
from .attention import gna_attention as gna_attention
from .attention import sliding_window_attention as sliding_window_attention
from .attention import three_pass_attention as three_pass_attention
from .products import exp as exp
from .products import gemm as gemm
from .products import softmax as softmax
from .recurrent import linear_attention as linear_attention
from .recurrent import prefix_attention as prefix_attention
