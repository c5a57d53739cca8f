"""A small mask as text, a row a query and a column a key: for docs and terminals, not a plot of a real one."""

from __future__ import annotations

from lightbound.base.errors import LightboundError

from .mask import Mask

LIMIT = 128


def picture(mask: Mask) -> str:
    """``#`` where the query attends the key, ``.`` where not; for at most 128 queries and keys."""
    if max(mask.queries, mask.keys) > LIMIT:
        raise LightboundError(
            "mask",
            f"{mask.queries} queries, {mask.keys} keys",
            "is too large to print as text",
            f"Print a mask of at most {LIMIT} queries and keys.",
        )
    lines = []
    for query in range(mask.queries):
        attended = set(mask.row(query).tolist())
        lines.append("".join("#" if key in attended else "." for key in range(mask.keys)))
    return "\n".join(lines)
