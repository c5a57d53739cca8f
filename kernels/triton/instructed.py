"""Which instructions multiply the matrices of a block, how its warps share them, and which operands change hands."""

from __future__ import annotations

from .block import Block, Product


def instruction(product: Product, target: str, warps: int) -> str:
    """What multiplies: ``wgmma`` (sums in registers, operands in shared memory), ``tcgen05`` (sums in tensor memory),
    ``mma`` (a warp's own fragments), ``mfma``, or the ``lanes``.
    """
    if product.lanes:
        return "lanes"
    if target == "gfx942":
        return "mfma"
    wide = product.rows >= 64 and warps % 4 == 0
    return {"sm_90": "wgmma", "sm_100": "tcgen05"}.get(target, "mma") if wide else "mma"


def asynchronous(block: Block, target: str, warps: int) -> bool:
    """Whether matrix instructions read shared memory while warps go on."""
    return any(instruction(one, target, warps) in ("wgmma", "tcgen05") for one in block.products)


def warp_grid(block: Block, product: Product, how: str, warps: int) -> tuple[int, int]:
    """Warps along the rows and along the columns of a product. Products that feed each other are shared out alike."""
    if len(block.products) > 1 and not (how == "mma" and cut_off(block, product)):
        last = block.products[-1]
        return (warps, 1) if last.rows >= last.columns else (1, warps)
    tall, wide = (16, 8) if how == "mma" else (32, 32)
    down, across = 1, 1
    while down * across < warps:
        if product.rows / (tall * down) >= product.columns / (wide * across):
            down *= 2
        else:
            across *= 2
    return down, across


def makers(block: Block, product: Product) -> list[Product]:
    """The products whose sums become the left operand of another: those before it of its shape."""
    before = block.products[: list(block.products).index(product)]
    shape = (product.rows, product.summed)
    return [one for one in before if (one.rows, one.columns) == shape and not one.keeps]


def cut_off(block: Block, product: Product) -> bool:
    """Whether a product is shared out by itself, since a branch that hides scores stands between it and those that its
    sums go to: the scores, and what follows them where nothing else feeds it.
    """
    if not block.hidden:
        return False
    return product is block.products[0] or makers(block, product) == [block.products[0]]


def exchanged(block: Block, target: str, warps: int) -> dict[str, int]:
    """Bytes of computed operands that pass through shared memory."""
    known = {*block.streamed, *block.resident}
    found = {}
    for one in block.products:
        how = instruction(one, target, warps)
        if one.right not in known:
            found[one.right] = block.word_bytes * one.summed * one.columns
        # A warp that has whole rows of what it computed multiplies them at once.
        apart = one.left in block.made and how != "tcgen05"
        apart |= how == "mma" and (
            one.rows < 16 * warps or (len(block.products) > 1 and not _whole_rows(block, one, warps))
        )
        apart |= how == "mfma" and 32 < one.rows < 32 * warps  # fewer rows are computed by every warp
        if one.left not in known and apart:
            found[one.left] = block.word_bytes * one.rows * one.summed
    return found


def _whole_rows(block: Block, product: Product, warps: int) -> bool:
    return all(warp_grid(block, one, "mma", warps)[1] == 1 for one in (product, *makers(block, product)[-1:]))
