"""The one error a user sees: what is wrong, where, with which value, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LightboundError(Exception):
    """Bad input. The command line prints it and exits with 2; it never carries a traceback to a user.

    `field` names what is wrong (``ranks.M``, ``--set``, a file), `value` is what was given, `problem` says in one
    sentence why it cannot be used, and `remedy` what to write instead.
    """

    def __init__(self, field: str, value: object, problem: str, remedy: str) -> None:
        self.field = field
        self.value = value
        self.problem = problem
        self.remedy = remedy
        shown = "" if value is None else f" = {value!r}" if not isinstance(value, str) else f" = {value}"
        super().__init__(f"{field}{shown}: {problem}. {remedy}")

    def __reduce__(self) -> tuple[type[LightboundError], tuple[str, object, str, str]]:
        """So that one raised in another process arrives as it was."""
        return type(self), (self.field, self.value, self.problem, self.remedy)


def choose_from(names: Iterable[str], given: str) -> str:
    """The remedy for an unknown name: those that begin with it first, or the nearest legal one, then all of them."""
    known = sorted(names)
    begun = [name for name in known if given and name.lower().startswith(given.lower())]
    lower = {name.lower(): name for name in known}
    near = begun or [lower[name] for name in difflib.get_close_matches(given.lower(), lower, n=1, cutoff=0.6)]
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"{hint}Choose from: {', '.join(known) if known else '(none)'}."
