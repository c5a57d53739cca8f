"""The one error a user sees: what is wrong, where, with which value, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


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
    """The remedy for an unknown name: what is meant most likely first, then all legal names."""
    known = sorted(names)
    meant = [repr(name) for name in _meant(known, given)]
    hint = f"Did you mean {' or '.join(filter(None, (', '.join(meant[:-1]), meant[-1])))}? " if meant else ""
    return f"{hint}Choose from: {', '.join(known) if known else '(none)'}."


def _meant(known: Sequence[str], given: str) -> list[str]:
    """The name of which a letter or so is wrong; or those that begin so, however long; or one that looks alike."""
    lower = {name.lower(): name for name in known}

    def near(cutoff: float) -> list[str]:
        return [lower[name] for name in difflib.get_close_matches(given.lower(), lower, n=1, cutoff=cutoff)]

    return near(0.9) or [name for name in known if given and name.lower().startswith(given.lower())] or near(0.6)
