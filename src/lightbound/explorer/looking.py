"""What a state comes to: a prediction, and a ladder where there is a mask. A search for a mapping runs beside the page.

Answers are kept, so that going back is free. A mapping that has to be found takes seconds where it was never found
before; everything else is quick.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillSearching
from dataclasses import dataclass, replace
from functools import lru_cache

from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.cli import given, kernel
from lightbound.cli.answer import Answer
from lightbound.cli.bounding import ladder_answer, shape, with_mask
from lightbound.cli.simulating import answer
from lightbound.sim.simulate import simulate
from lightbound.workloads.registry import Workload

from .python_code import python_code
from .state import State

PATIENCE_S = 0.2  # after which the page says that it searches
SEARCHES = 2  # side by side
KEPT = 256


@dataclass(frozen=True)
class Chosen:
    """The workload and the machine that a state names."""

    work: Workload
    machine: Machine


@dataclass(frozen=True)
class Seen:
    """What the page shows of a state. `prediction` is None while a mapping is searched; `problem` says what is wrong
    with what was chosen, as the command line does; `no_ladder` why there are no bounds.
    """

    prediction: Answer | None = None
    ladder: Answer | None = None
    no_ladder: str = ""
    python: str = ""
    problem: str = ""

    @property
    def searching(self) -> bool:
        """Whether more will come."""
        return self.prediction is None and not self.problem


@lru_cache(KEPT)
def chosen(state: State) -> Chosen:
    """The workload and machine of a state; LightboundError as the command line's."""
    options = [state.sizes] if state.sizes else []
    work = given.workload(state.workload, state.preset or None, None, options)
    if state.mask:
        work = with_mask(work, kernel.mask_options(work, state.mask_given()))
    work = kernel.causal(work) if state.causal else work
    return Chosen(work, given.machine(state.machine, state.set_machine()))


def with_named_mapping(state: State) -> State:
    """The state with a mapping that has a name and runs, its own if it does: that is quick, where a search is not.

    Without one the mapping is left to the search.
    """
    try:
        work, machine = chosen(state).work, chosen(state).machine
    except LightboundError:
        return state
    names = [name for name in (state.mapping, *work.method.mappings) if name]
    return replace(state, mapping=next((name for name in names if _runs(work, machine, name)), ""))


def _runs(work: Workload, machine: Machine, mapping: str) -> bool:
    try:
        simulate(work, machine, mapping)
    except LightboundError:
        return False
    return True


class Looker:
    """Looks at states, each once."""

    def __init__(self) -> None:
        self._searches = ThreadPoolExecutor(SEARCHES, thread_name_prefix="search")
        self._found: dict[State, Future[Answer]] = {}

    def look(self, state: State, patience_s: float = PATIENCE_S) -> Seen:
        """What is known of a state after at most so many seconds, or a little more."""
        ladder, no_ladder, python = None, "", ""
        try:
            one = chosen(state)
            python = python_code(state, one.work)
            ladder, no_ladder = _ladder(state)
            if state not in self._found:
                while len(self._found) >= KEPT:
                    self._found.pop(next(iter(self._found)))
                self._found[state] = self._searches.submit(_prediction, state)
            return Seen(self._found[state].result(patience_s), ladder, no_ladder, python)
        except StillSearching:
            return Seen(None, ladder, no_ladder, python)
        except LightboundError as error:
            return Seen(problem=str(error))


@lru_cache(KEPT)
def _ladder(state: State) -> tuple[Answer | None, str]:
    """The ladder of a workload with a mask, or why there is none."""
    one = chosen(state)
    if one.work.mask is None:
        return None, ""
    q_tile, kv_tile = shape("--q-tile", state.q_tile or None), shape("--kv-tile", state.kv_tile or None)
    tiles = {"q_tile": q_tile, "kv_tile": kv_tile, "backend": None if state.q_tile or state.kv_tile else "any"}
    try:
        return ladder_answer(one.work, one.machine, tiles, None, None), ""
    except LightboundError as error:
        return None, str(error)


def _prediction(state: State) -> Answer:
    one = chosen(state)
    mapping = given.mapping(state.mapping or None)
    meant = kernel.mapping_of(one.work, one.machine, mapping, state.tiles or None, {})
    return answer(one.work, one.machine, meant, "analytical", True)
