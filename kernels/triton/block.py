"""What a block of threads does, as far as its registers and its shared memory hang on it: plain data of a tile.

It says no more than a mapping does: which matrices are multiplied in a turn of the loop, what is loaded before the loop
and what in every turn, and what a thread keeps. So it can be written before the kernel is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """A product of matrices: `rows` x `summed` by `summed` x `columns`.

    left, right: names of the operands; one that is neither streamed nor resident is computed by the block. keeps: its
    sums live over the turns of the loop. onto: it adds to the sums of another. lanes: by multiply-adds of FP32 lanes,
    not by matrix instructions.
    """

    rows: int
    columns: int
    summed: int
    left: str
    right: str
    keeps: bool = False
    lanes: bool = False
    onto: bool = False


@dataclass(frozen=True)
class Block:
    """A block of threads.

    products: of one turn of the loop, in order. streamed: operands that are loaded anew in every turn; of these, `read`
    are computed with too, and `turned` are multiplied from the left along their rows; along: right operands whose rows
    in memory are what is summed over; looked_up: where they lie is loaded a turn before. loops: one after the other, of
    the same products; vectors come by in the last. hidden: scores are hidden in a branch of the loop. resident:
    operands loaded once before it. made: computed operands that come from no product and so lie in no product's layout.
    descriptors: loads go through tensor descriptors where the target has them. vectors: lengths of vectors of 32 bits
    that are streamed beside operands; without products, that rows are reduced to and stored. spread: length of a vector
    that is laid along the rows of a computed operand.

    values: elements beside the products that live at once as FP32; packed: elements that live as words. reduced: rows
    that are reduced, and columns that lie side by side; 0 columns where every warp has some of each row. aligned: words
    that divide the length of rows in memory, and so the vectors in which they are loaded. beside: vectors as long as a
    row that it is computed with. stored: elements of the result tile, in words.
    """

    word_bytes: int
    products: Sequence[Product] = ()
    streamed: Sequence[str] = ()
    read: Sequence[str] = ()
    turned: Sequence[str] = ()
    along: Sequence[str] = ()
    looked_up: bool = False
    loops: int = 1
    hidden: bool = False
    resident: Sequence[str] = ()
    made: Sequence[str] = ()
    descriptors: bool = False
    vectors: Sequence[int] = ()
    spread: int = 0
    values: int = 0
    packed: int = 0
    reduced: tuple[int, int] = (0, 0)
    aligned: int = 16
    beside: int = 0
    stored: int = 0

    def elements(self, operand: str) -> int:
        """Elements of an operand."""
        for product in self.products:
            if operand == product.left:
                return product.rows * product.summed
            if operand == product.right:
                return product.summed * product.columns
        return 0

    def width(self, operand: str) -> int:
        """Elements of an operand that lie side by side."""
        for product in self.products:
            if operand in (product.left, product.right):
                along = (operand == product.left and operand not in self.turned) or operand in self.along
                return product.summed if along else product.rows if operand == product.left else product.columns
        return 0
