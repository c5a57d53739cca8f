"""The shapes at which attention is measured, and small ones at which it is checked.

Measured: sequences of 512 to 32K, head dimensions of models, from fewer blocks than a GPU has processors to hundreds
of waves; lengths that no tile divides; grouped queries; windows. A case takes at most about 15 ms on an H200.
"""

from __future__ import annotations

from .attention_shapes import case_of
from .kernel import Case

LENGTHS = (512, 1024, 2048, 4096, 8192, 16384)


def _forward() -> list[Case]:
    made: list[Case] = []

    def add(batch: int, heads: int, length: int, dim: int, dtype: str = "bf16", keys: int = 0, shared: int = 1,
            **options: object) -> None:  # fmt: skip
        made.append(case_of("attention", batch, heads, length, dim, dtype, keys, shared, **options))

    for length in LENGTHS:  # 16384 tokens and a model dimension of 2048, as kernels are usually compared
        for dim in (64, 128):
            add(16384 // length, 2048 // dim, length, dim, "fp16")
            add(16384 // length, 2048 // dim, length, dim, "fp16", mask="causal")
    for dim in (64, 128):
        add(1, 8, 32768, dim)
        add(1, 8, 32768, dim, mask="causal")
    for length in (1024, 4096):  # values are normal numbers in both types, but bf16 has other conversions
        add(4, 16, length, 128)
        add(4, 16, length, 64, mask="causal")
    for length in (512, 2048, 8192):  # few blocks: less than a wave, a little more than one
        add(1, 4, length, 128)
        add(1, 4, length, 64, mask="causal")
    add(1, 1, 16384, 128)
    add(1, 1, 32768, 128, mask="causal")
    add(1, 9, 4096, 128)
    add(1, 17, 2048, 128, "fp16")
    for length in (1000, 4000, 10000):  # tiles do not divide them
        add(2, 16, length, 128)
        add(2, 16, length, 64, mask="causal")
    for shared in (4, 8):  # grouped queries
        add(2, 32, 4096, 128, shared=shared, mask="causal")
        add(1, 32, 8192, 128, shared=shared)
    add(1, 64, 8192, 128, "fp16", shared=8, mask="causal")
    for before in (255, 1023, 4095):
        add(1, 32, 8192, 128, mask="window", before=before)
        add(1, 32, 16384, 64, mask="window", before=before)
    add(4, 8, 4096, 256)
    add(4, 8, 4096, 256, mask="causal")
    add(1, 32, 1024, 128, keys=16384, mask="causal")  # a chunk of a prompt against what came before
    add(1, 32, 128, 128, keys=8192)
    add(2, 16, 4096, 128, lse=1, mask="causal")
    return made


FORWARD = tuple(_forward())


def _tiny(kernel: str, *shapes: tuple[int, int, int, int, dict[str, object]], **options: object) -> list[Case]:
    """Shapes: queries, keys, head dimension, heads to one of keys, and the mask; every second one in fp16."""
    return [
        case_of(kernel, 1, 2 * shared, queries, dim, ("fp32", "fp16")[number % 2], keys, shared, **mask, **options)
        for number, (queries, keys, dim, shared, mask) in enumerate(shapes)
    ]


_CAUSAL: dict[str, object] = {"mask": "causal"}
_WINDOW: dict[str, object] = {"mask": "window", "before": 20}

FORWARD_TINY = (  # campaigns check every fifth: there, rows see nothing, of all their keys or of the first tile
    *_tiny(
        "attention",
        (300, 130, 64, 1, _CAUSAL),
        (7, 130, 64, 1, {}),
        (130, 100, 64, 2, {}),
        (128, 128, 128, 1, {}),
        (100, 100, 64, 1, _CAUSAL),
        (257, 300, 64, 2, _WINDOW),
        (1, 1, 64, 1, {}),
        (256, 256, 128, 1, _CAUSAL),
        (130, 130, 64, 1, _WINDOW),
        (130, 300, 64, 2, _CAUSAL),
        (100, 40, 256, 1, _CAUSAL),
        (70, 70, 256, 1, {}),
    ),
    *_tiny("attention", (130, 257, 64, 1, _CAUSAL), (100, 64, 64, 2, {}), (130, 200, 128, 1, _CAUSAL), lse=1),
)


def _backward() -> list[Case]:
    made: list[Case] = []

    def add(batch: int, heads: int, length: int, dim: int, dtype: str = "bf16", keys: int = 0, shared: int = 1,
            **options: object) -> None:  # fmt: skip
        made.append(case_of("attention_backward", batch, heads, length, dim, dtype, keys, shared, **options))

    for length in (512, 2048, 8192):
        for dim in (64, 128):
            add(8192 // length, 2048 // dim, length, dim)
            add(8192 // length, 2048 // dim, length, dim, mask="causal")
    add(1, 4, 16384, 128, "fp16", mask="causal")
    add(1, 4, 16384, 64, "fp16")
    for length in (1024, 4096):  # few blocks
        add(1, 4, length, 128)
        add(1, 4, length, 64, mask="causal")
    add(2, 16, 1000, 128)
    add(2, 16, 3000, 64, mask="causal")
    add(1, 32, 4096, 128, shared=4, mask="causal")
    add(1, 32, 4096, 128, shared=8)
    add(2, 8, 2048, 256, "fp16")
    add(1, 16, 1024, 128, "fp16", keys=4096, mask="causal")
    return made


BACKWARD = tuple(_backward())

BACKWARD_TINY = (
    *_tiny(
        "attention_backward",
        (1, 3, 64, 1, {}),
        (7, 130, 64, 1, {}),
        (130, 100, 64, 2, {}),
        (128, 128, 128, 1, {}),
        (100, 100, 64, 1, _CAUSAL),
        (130, 200, 64, 2, _CAUSAL),
        (200, 130, 64, 1, _CAUSAL),
        (128, 128, 128, 1, _CAUSAL),
    ),
)
