"""What rules for tiles and signatures are made of: bytes of a word, powers of two, processors of a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import gcd
from typing import Any

WORD_BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}
# Streaming multiprocessors or compute units of the largest part of a capability: A100, H200, B200, MI300X.
PROCESSORS = {80: 108, 86: 84, 89: 128, 90: 132, 100: 148, 120: 170, 942: 304}


def processors(capability: int) -> int:
    """How many processors a GPU of this capability has; those of an A100 where it is not known."""
    return PROCESSORS.get(capability, 108)


def power_of_two(number: int) -> int:
    """The smallest power of two that is at least `number`."""
    return 1 << max(0, number - 1).bit_length()


def ceil_div(number: int, divisor: int) -> int:
    """How many tiles of `divisor` cover `number`."""
    return -(-number // divisor)


def alignment(*sizes: int) -> int:
    """The largest power of two, up to 16, that divides all of some sizes."""
    return gcd(16, *sizes)


def torch_type(dtype: str) -> Any:
    """torch's type of a name."""
    import torch

    return {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[dtype]


def randoms(device: str, seed: int, dtype: str) -> Callable[..., Any]:
    """A source of normal numbers: called with the sizes of a tensor, and how large its numbers are."""
    import torch

    generator = torch.Generator(device=device).manual_seed(seed)

    def draw(*sizes: int, scale: float = 1.0) -> Any:
        made = torch.randn(sizes, generator=generator, device=device, dtype=torch.float32)
        return (made * scale).to(torch_type(dtype))

    return draw


def signature(dtype: str, tensors: Sequence[str], numbers: Sequence[str], fp32: Sequence[str] = ()) -> dict[str, str]:
    """Types of a function's arguments: tensors of a type, tensors of FP32, whole numbers."""
    return {
        **dict.fromkeys(tensors, f"*{dtype}"),
        **dict.fromkeys(fp32, "*fp32"),
        **dict.fromkeys(numbers, "i32"),
    }


def divisible(tensors: Sequence[str], numbers: Mapping[str, int]) -> tuple[str, ...]:
    """Arguments that 16 divides: tensors, which start at such addresses, and the numbers that are so."""
    return (*tensors, *(name for name, number in numbers.items() if number % 16 == 0 and number != 1))


def integers(numbers: Mapping[str, int]) -> tuple[dict[str, str], dict[str, int]]:
    """Types of whole numbers as they are launched, and those that become constants: Triton compiles a 1 into code."""
    return (
        {name: "i32" for name, number in numbers.items() if number != 1},
        {n: 1 for n, v in numbers.items() if v == 1},
    )
