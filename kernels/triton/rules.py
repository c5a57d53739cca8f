"""What a case has to be for a kernel to compute it: rules that a kernel lists, and that stand before all it does.

A rule raises LightboundError, which names the size or the option, its value, and what to give instead.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod
from typing import Any

from lightbound.base.errors import LightboundError, choose_from

from .kernel import Case

Rule = Callable[[Case], None]
Fault = tuple[str, str]  # what is wrong with a value, and what to give instead
Allowed = Callable[[Any], Fault | None]

SECOND_AXIS = 65535  # blocks along the second or the third axis of a grid, at most: a limit of CUDA
AXES = 3  # of a grid of tokens, at most


def ranks(*names: str) -> Rule:
    """The case has these sizes and no others, each a whole number from 1 on."""

    def rule(case: Case) -> None:
        for name in names:
            if name not in case.sizes:
                raise LightboundError(f"sizes.{name}", None, "is missing", f"Give {', '.join(names)}.")
            _raise(f"sizes.{name}", case.sizes[name], at_least(1)(case.sizes[name]))
        for name, size in case.sizes.items():
            if name not in names:
                problem = f"is no size of {case.kernel}"
                raise LightboundError(f"sizes.{name}", size, problem, choose_from(names, name))

    return rule


def divides(part: str, whole: str) -> Rule:
    """One size divides another."""

    def rule(case: Case) -> None:
        size, of = case.sizes[part], case.sizes[whole]
        if of % size:
            raise LightboundError(f"sizes.{part}", size, f"does not divide {whole}, which is {of}", "Give a divisor.")

    return rule


def powers_of_two(*names: str, least: int = 1) -> Rule:
    """Sizes are powers of two, no less than the least: a tile holds all of them, or a matrix instruction wants more."""

    def rule(case: Case) -> None:
        for name in names:
            _raise(f"sizes.{name}", case.sizes[name], power_of_two(least)(case.sizes[name]))

    return rule


def fit_second_axis(*names: str) -> Rule:
    """The product of sizes is no more than what the second or third axis of a grid takes, where blocks stand by it."""

    def rule(case: Case) -> None:
        size = prod(case.sizes[name] for name in names)
        if size > SECOND_AXIS:
            problem = f"is more than {SECOND_AXIS}, the most blocks that CUDA starts along this axis of {case.kernel}"
            raise LightboundError(" * ".join(f"sizes.{name}" for name in names), size, problem, "Take several calls.")

    return rule


def options(needed: str = "", **known: Allowed) -> Rule:
    """The case has no other options than these, with values that are allowed, and all that are `needed`."""

    def rule(case: Case) -> None:
        for name in needed.split():
            if name not in case.options:
                raise LightboundError(f"options.{name}", None, "is missing", f"Give {', '.join(needed.split())}.")
        for name, allowed in known.items():
            if name in case.options:
                _raise(f"options.{name}", case.options[name], allowed(case.options[name]))
        for name, value in case.options.items():
            if name not in known:
                problem = f"is no option of {case.kernel}"
                raise LightboundError(f"options.{name}", value, problem, choose_from(known, name))

    return rule


def together(name: str, other: str, value: Any) -> Rule:
    """An option is given where another one has a value, and only there."""

    def rule(case: Case) -> None:
        if (case.options.get(other) == value) != (name in case.options):
            problem = f"says nothing without {other}={value}" if name in case.options else "is missing"
            remedy = f"Leave it out, or give {other}={value}." if name in case.options else f"{other}={value} needs it."
            raise LightboundError(f"options.{name}", case.options.get(name), problem, remedy)

    return rule


def alike(first: str, *others: str) -> Rule:
    """Options that are lists have a value for each axis of the first."""

    def rule(case: Case) -> None:
        count = len(case.options[first])
        for name in others:
            if name in case.options and len(case.options[name]) != count:
                problem, remedy = f"does not have the {count} axes of {first}", "Give one value an axis."
                raise LightboundError(f"options.{name}", case.options[name], problem, remedy)

    return rule


def ascending(*names: str) -> Rule:
    """Of options that are lists, each value is no more than that of the next option on the same axis."""

    def rule(case: Case) -> None:
        given = [name for name in names if name in case.options]
        for name, larger in pairwise(given):
            limits = case.options[larger]
            if any(value > limit for value, limit in zip(case.options[name], limits, strict=True)):
                problem = f"is more than {larger} on an axis, which is {limits}"
                raise LightboundError(f"options.{name}", case.options[name], problem, f"Give no more than {larger}.")

    return rule


def multiple(name: str, of: str) -> Rule:
    """An option is a multiple of another one, 0 included."""

    def rule(case: Case) -> None:
        value, unit = case.options.get(name, 0), case.options[of]
        if value % unit:
            raise LightboundError(f"options.{name}", value, f"is no multiple of {of}, which is {unit}", "Give one.")

    return rule


def one_of(*values: Any) -> Allowed:
    """One of some values."""

    def allowed(value: Any) -> Fault | None:
        if value in values:
            return None
        return "is not what this kernel computes", choose_from(map(str, values), str(value))

    return allowed


def at_least(least: int) -> Allowed:
    """A whole number, no less than the least."""

    def allowed(value: Any) -> Fault | None:
        if isinstance(value, int) and value >= least:
            return None
        return f"is no whole number from {least} on", f"Give {least} or more."

    return allowed


def power_of_two(least: int = 1) -> Allowed:
    """A power of two, no less than the least."""

    def allowed(value: Any) -> Fault | None:
        if isinstance(value, int) and value >= least and value & (value - 1) == 0:
            return None
        return f"is no power of two from {least} on", f"Give one, such as {max(least, 64)}."

    return allowed


def share() -> Allowed:
    """A number above 0, and at most 1."""

    def allowed(value: Any) -> Fault | None:
        good = isinstance(value, int | float) and 0 < value <= 1
        return None if good else ("is no share", "Give a number above 0, and at most 1.")

    return allowed


def axes(each: Allowed) -> Allowed:
    """A list of one to three values, one an axis, each allowed."""

    def allowed(value: Any) -> Fault | None:
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= AXES:
            return f"is no list of one to {AXES} numbers", "Give one number an axis."
        return next((fault for one in value if (fault := each(one)) is not None), None)

    return allowed


def _raise(field: str, value: Any, fault: Fault | None) -> None:
    if fault is not None:
        raise LightboundError(field, value, *fault)
