"""What caches hold of walks that exceed them: against a cache that puts lines out by chance, and as machines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightbound.validate.host.derived import held
from lightbound.validate.host.predict import host_machine
from lightbound.validate.host.residence import crowding, held_part, homes
from lightbound.validate.host.sampling import Figure

LINES = 2048


@pytest.mark.parametrize("crowded", [0.5, 1.25, 1.5, 2.0, 3.0])
def test_a_cache_that_puts_lines_out_by_chance_holds_as_much_of_a_walk(crowded: float) -> None:
    rng = np.random.default_rng(0)
    slots = np.full(LINES, -1)
    place: dict[int, int] = {}
    found = 0
    for walk in range(40):
        for line in range(int(crowded * LINES)):
            if line in place:
                found += walk >= 20
                continue
            slot = int(rng.integers(LINES)) if len(place) == LINES else len(place)
            place.pop(int(slots[slot]), None)
            slots[slot], place[line] = line, slot
    assert found / (20 * int(crowded * LINES)) == pytest.approx(held_part(crowded), abs=0.02)


@given(st.floats(0.05, 0.95))
def test_crowding_is_the_inverse_of_what_is_held(part: float) -> None:
    assert held_part(crowding(part)) == pytest.approx(part, rel=1e-6)


def test_a_walk_around_a_cache_tells_its_room() -> None:
    room, times = 0.8, 1.25
    part = held_part(times / room)
    inside, outside = Figure(200e9, 0.01, "within"), Figure(100e9, 0.01, "outside")
    around = Figure(1 / (part / inside.value + (1 - part) / outside.value), 0.01, "around")
    assert held(around, inside, outside, times).value == pytest.approx(room, rel=1e-6)


@given(st.floats(1e3, 1e10), st.integers(1, 2))
def test_parts_of_a_walk_add_up_and_lie_further_out_the_larger_it_is(held_bytes: float, cores: int) -> None:
    machine = host_machine(cores, "cpu_example")
    found, larger = (homes(machine, size) for size in (held_bytes, 2 * held_bytes))
    assert sum(part for part, _ in found) == pytest.approx(1)

    def levels(parts: list) -> float:  # type: ignore[type-arg]
        return sum(part * len(seen.levels) for part, seen in parts)

    assert levels(larger) >= levels(found) - 1e-9
