"""Random systems of programs for the tests of the event engines: small, with ties, zeros and every kind of resource."""

from __future__ import annotations

from math import inf

from hypothesis import strategies as st

from lightbound.sim.program import KINDS, Program, Resource, System, Task, When, Worker

AMOUNTS = st.one_of(st.integers(0, 4).map(float), st.floats(0, 9, allow_subnormal=False), st.just(1 / 3))
CACHES = st.sampled_from([0.0, 3.0, 8.0])
RATES = st.sampled_from([1.0, 1.0, 0.5, 3.0, 0.7])


@st.composite
def conditions(draw: st.DrawFn) -> tuple[When, ...]:
    made = []
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        if draw(st.integers(0, 3)) == 0:  # of the whole loop
            made.append(draw(st.sampled_from([When(0, 0, 1), When(0, -1, 0), When(0, -2, 0), When(0, 1, -1)])))
            continue
        period = draw(st.integers(1, 4))
        first = draw(st.integers(0, period - 1))
        made.append(When(period, first, draw(st.integers(first + 1, period))))
    return tuple(made)


@st.composite
def tasks(draw: st.DrawFn, resources: tuple[Resource, ...], count: int, looped: bool) -> tuple[Task, ...]:
    made = []
    for number in range(count):
        resource = draw(st.sampled_from(resources))
        near = [(f"t{other}", draw(st.integers(0, 2))) for other in range(number) if draw(st.booleans())]
        back = [
            (f"t{other}", draw(st.integers(1, 3))) for other in range(number, count) if draw(st.integers(0, 4)) == 0
        ]
        cap = draw(st.sampled_from([inf, 0.25, 1.0])) if resource.kind == "bandwidth" else inf
        made.append(
            Task(
                name=f"t{number}",
                resource=resource.name,
                demand=draw(AMOUNTS),
                after=(*near, *back) if looped else (),
                when=draw(conditions()) if looped else (),
                ahead=draw(st.booleans()),
                cap=cap,
                priority=draw(st.integers(0, 1)),
                key=draw(st.sampled_from([None, 0, 1])) if looped and resource.kind == "bandwidth" else None,
                turn=draw(st.integers(1, 3)),
                round=draw(st.sampled_from([0, 0, 2])),
                more=draw(st.sampled_from([0.0, 0.0, 1.0, 2.5])) if looped and resource.kind != "delay" else 0.0,
            )
        )
    return tuple(made)


@st.composite
def systems(draw: st.DrawFn) -> System:
    """A system that always comes to an end."""
    resources = tuple(
        Resource(f"r{number}", draw(st.sampled_from(KINDS)), draw(RATES), draw(st.booleans()), draw(CACHES))
        for number in range(draw(st.integers(1, 4)))
    )
    programs = tuple(
        Program(
            name=f"p{number}",
            body=draw(tasks(resources, draw(st.integers(0, 5)), looped=True)),
            prologue=draw(tasks(resources, draw(st.sampled_from([0, 0, 1, 2])), looped=False)),
            epilogue=draw(tasks(resources, draw(st.sampled_from([0, 0, 1])), looped=False)),
            depth=draw(st.sampled_from([None, 1, 2, 3])),
            jitter=draw(st.sampled_from([0.0, 0.1, 1.0])),
            stagger=draw(st.sampled_from([0.0, 0.0, 2.5])),
        )
        for number in range(draw(st.integers(1, 2)))
    )
    instances = draw(st.integers(1, 3))
    trips = [tuple(draw(st.lists(st.integers(0, 6), max_size=3))) for _ in range(draw(st.integers(0, 5)))]
    workers = tuple(
        Worker(
            draw(st.sampled_from(programs)).name,
            each,
            draw(st.one_of(st.none(), st.integers(0, instances - 1))),
            tuple(draw(st.integers(0, 4)) for _ in each) if draw(st.booleans()) else (),
            (draw(st.integers(0, 1)), draw(st.integers(0, 1))),
        )
        for each in trips
    )
    return System(resources, programs, workers, instances, draw(st.integers(1, 2)))
