"""Masks: which keys each query attends, and exactly how many tiles a kernel must visit for it.

Each mask counts attended pairs, visited, full and partial tiles under a tiling (`Mask.count`); nothing here knows
machines or kernels beyond the tile shapes that they offer (`backends`). It evaluates no attention.
"""

from .backends import TilePair, backend_names, offered_tiles, power_of_two_tiles, require_offered
from .block_sparse import BlockSparse
from .block_sparsity import kernel_block_sparse, minimum_block_sparse_stride
from .blocked import Blocked
from .causal import Causal
from .composition import Intersection, Union
from .dense import Dense
from .documents import Documents
from .gna import GNA
from .graph import Graph
from .mask import Mask
from .permutation import Permuted, tile_order
from .picture import picture
from .predicate import Predicate
from .sliding_window import Sinks, SlidingWindow
from .strided import Strided
from .strides import AxisStride, StrideSweep, axis_strides, pruned_strides, sweep_strides
from .tile_count import TileCount, Visits

__all__ = [
    "GNA",
    "AxisStride",
    "BlockSparse",
    "Blocked",
    "Causal",
    "Dense",
    "Documents",
    "Graph",
    "Intersection",
    "Mask",
    "Permuted",
    "Predicate",
    "Sinks",
    "SlidingWindow",
    "StrideSweep",
    "Strided",
    "TileCount",
    "TilePair",
    "Union",
    "Visits",
    "axis_strides",
    "backend_names",
    "kernel_block_sparse",
    "minimum_block_sparse_stride",
    "offered_tiles",
    "picture",
    "power_of_two_tiles",
    "pruned_strides",
    "require_offered",
    "sweep_strides",
    "tile_order",
]
