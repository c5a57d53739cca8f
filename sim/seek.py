"""The best candidate of a run of Einsums at its best tiles, found a step at a time.

The candidate that may be best is looked at first, ever more closely: its floor, then the work of its units, then what
it moves, then all that instances share, and only then is it evaluated. Whoever asks can stop in between, since what is
left has a floor.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import inf
from typing import Any, TypeVar

import numpy as np

from lightbound.archs.machine import Machine
from lightbound.base.formula import Number, where

from .tries import Objective, Trial, Tried, Tries, fitting

TIE = 1e-12  # two values that agree this far are one
EVALUATED = 3  # looks after which a candidate is evaluated
Option = TypeVar("Option", bound=tuple[Any, ...])
Choice = tuple[float, float, Tried, int]  # value, tie, candidate, and the point of its tiles


def least(options: list[Option]) -> Option | None:
    """The option whose value, its first part, is least; of several that agree, the one whose second part is least."""
    if not options:
        return None
    close = min(option[0] for option in options) * (1 + TIE)
    return min((option for option in options if option[0] <= close), key=lambda option: option[1])


class Seek:
    """The search for one objective on a machine with room as in `room`. `found`: the best so far, if any."""

    def __init__(self, tries: Tries, room: Machine, objective: Objective) -> None:
        self.tries, self.room = tries, room
        self.objective: Objective = objective
        self.found: Choice | None = None
        self.floor = _at_least(*tries.floor, objective)
        self._looks: dict[int, int] | None = None
        self._waiting: list[tuple[float, float, int]] = []
        self._open: dict[int, np.ndarray] = {}

    @property
    def is_done(self) -> bool:
        """Whether nothing is left that may be better than what is found."""
        return self._looks is not None and not self._waiting

    def go_on(self) -> None:
        """Look once more at the candidate that may be best; `floor` is what the best one is at least after that."""
        if self._looks is None:
            self._waiting = [(*_at_least(*floor, self.objective), number) for number, floor in self.tries.floors()]
            self._looks = {number: EVALUATED if self.tries.is_known(number) else 0 for _, _, number in self._waiting}
            heapify(self._waiting)
        elif self._waiting:
            value, tie, number = heappop(self._waiting)
            while self._look(number, self._looks, value, tie):
                pass  # what is known so far takes nothing from it: it is still the one that may be best
        while self._waiting and self.found is not None and not _may_beat(self.found, *self._waiting[0][:2]):
            heappop(self._waiting)
        options = [option[:2] for option in (self.found, *self._waiting[:1]) if option is not None]
        self.floor = least(options) or (inf, inf)

    def _look(self, number: int, looks: dict[int, int], value: float, tie: float) -> bool:
        """Look at a candidate that is this at least; whether it is no more than that after it."""
        if looks[number] == EVALUATED:
            choice = _best_of(self.tries[number], self.room, self.objective)
            if choice is not None:
                self.found = choice if self.found is None else least([self.found, choice])
            return False
        trial, may = self._room_for(number)
        if trial is None or not may.any():
            return False
        values, ties = _at_least(*trial.at_least(looks[number]), self.objective)
        if self.found is not None:
            may = may & _may_beat(self.found, values, ties)
            if not may.any():
                return False
        looks[number] += 1
        less = values[may].min()
        next_ = float(less), float(ties[may & (values <= less * (1 + TIE))].min())
        if next_[0] <= value * (1 + TIE) and next_[1] <= tie * (1 + TIE):
            return True
        heappush(self._waiting, (*next_, number))
        return False

    def _room_for(self, number: int) -> tuple[Trial | None, np.ndarray]:
        """A candidate, and at which tiles there is room for it but for none that is no worse there."""
        if number not in self._open:
            self._open[number] = np.zeros(1, dtype=bool)
            if self.tries.may_gain(number, self.room):
                better = [other for other in self.tries.outdoing(number) if self.tries.may_gain(other, self.room)]
                closed = sum((self.tries.trial(other).fits(self.room) for other in better), np.zeros(1, dtype=bool))
                if not closed.all():
                    self._open[number] = self.tries.trial(number).fits(self.room) & ~closed
        may = self._open[number]
        return (self.tries.trial(number) if may.any() else None), may


def seek(tries: Tries, room: Machine, objective: Objective) -> Seek:
    """The search among these candidates, as far as whoever asked for it before went."""
    key = room, objective
    if key not in tries.sought:
        tries.sought[key] = Seek(tries, room, objective)
    return tries.sought[key]


def _at_least(seconds: Number, moved: Number, objective: Objective) -> tuple[Number, Number]:
    """What an objective's value and its tie are at least, where seconds and bytes are at least these."""
    if objective == "energy":
        return where(moved < inf, 0.0, inf), moved
    return (seconds, moved) if objective == "latency" else (moved, seconds)


def _may_beat(best: Choice, value: Number, tie: Number) -> Number:
    """Whether something whose value and tie are at least these may be better."""
    less, same = value * (1 + TIE) < best[0], value <= best[0] * (1 + TIE)
    return less | (same & (tie * (1 + TIE) < best[1]))


def _best_of(one: Tried, machine: Machine, objective: Objective) -> Choice | None:
    """The best tiles of a candidate that fit the machine."""
    value = np.where(fitting(one.need_bytes, machine), one.objective(objective), inf)
    close = np.flatnonzero(value <= value.min() * (1 + TIE))
    if value[close[0]] == inf:
        return None
    tie = one.objective("latency" if objective == "traffic" else "traffic")
    point = int(close[np.argmin(tie[close])])
    return float(value[point]), float(tie[point]), one, point
