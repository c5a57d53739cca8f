"""Random numbers that depend on what they are for and not on when they are drawn, so that engines agree on them."""

from __future__ import annotations

_MASK = 2**64 - 1


def hashed(*numbers: int) -> int:
    """A hash of whole numbers: each is folded in by the finaliser of splitmix64 (csrc/event_random.hpp)."""
    result = 0
    for number in numbers:
        z = ((result ^ number) + 0x9E3779B97F4A7C15) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        result = z ^ (z >> 31)
    return result


def uniform(*numbers: int) -> float:
    """A number in [0, 1) that depends on nothing but these whole numbers."""
    return (hashed(*numbers) >> 11) * 2.0**-53
