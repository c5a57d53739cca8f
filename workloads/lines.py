"""Lines that many cascades share, written once: normalizations with a learned gain and shift, and softmax."""

from __future__ import annotations


def layer_norm(source: str, result: str, gain: str, shift: str, ranks: str, over: str) -> str:
    """Layer normalization of a tensor over its last rank: ``layer_norm("X", "N", "G1", "B1", "b,n", "d")``.

    Its mean and variance are named after the result: MN and VN.
    """
    size = over.upper()
    return (
        f"M{result}[{ranks}] = sum({source}[{ranks},{over}], {over}) / {size}\n"
        f"V{result}[{ranks}] = sum(({source}[{ranks},{over}] - M{result}[{ranks}]) ** 2, {over}) / {size}\n"
        f"{result}[{ranks},{over}] = ({source}[{ranks},{over}] - M{result}[{ranks}])"
        f" * rsqrt(V{result}[{ranks}] + 1e-5) * {gain}[{over}] + {shift}[{over}]\n"
    )


def softmax(scores: str, result: str, ranks: str, over: str) -> str:
    """Softmax over the last rank: ``softmax("S", "A", "b,h,p", "m")``.

    The maximum, numerator and denominator are named after the result: GA, NA and DA.
    """
    return (
        f"G{result}[{ranks}] = max({scores}[{ranks},{over}], {over})\n"
        f"N{result}[{ranks},{over}] = exp({scores}[{ranks},{over}] - G{result}[{ranks}])\n"
        f"D{result}[{ranks}] = sum(N{result}[{ranks},{over}], {over})\n"
        f"{result}[{ranks},{over}] = N{result}[{ranks},{over}] / D{result}[{ranks}]\n"
    )
