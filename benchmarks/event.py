"""How many tasks a second the event engines run on one core, beside the bars they are held to, and how long a long
prediction takes with all instances followed and with some.

Figures of one machine at one moment: no test reads them.

Run it with `python benchmarks/event.py`.
"""

from __future__ import annotations

from time import perf_counter, process_time

from rich.console import Console
from rich.table import Table

import lightbound as lb
from lightbound.sim import event, event_simpy
from lightbound.sim.following import Follow, some_of
from lightbound.sim.masked_events import masked_systems
from lightbound.sim.masked_prediction import counted, kernel
from lightbound.sim.program import Program, Resource, System, Task, Worker

TASKS_PER_S = 15e6
SPEEDUP = 100
PREDICTION_S = 2.0


def tiles(trips: int, instances: int = 1) -> System:
    """Two contexts an instance that share a matrix unit, a special function unit and lanes, one tile after the other:
    load, product, exponentials, sums, product.
    """
    resources = (
        Resource("memory", "bandwidth", 8.0 * instances, shared=True),
        Resource("matrix", "sharing"),
        Resource("special", "sharing"),
        Resource("lanes", "sharing"),
    )
    body = (
        Task("load", "memory", 700.0, after=(("second", 2),)),
        Task("first", "matrix", 500.0, after=(("load", 0), ("second", 1))),
        Task("exponential", "special", 510.0, after=(("first", 0),)),
        Task("sum", "lanes", 370.0, after=(("exponential", 0),)),
        Task("second", "matrix", 520.0, after=(("sum", 0),)),
    )
    workers = tuple(Worker("tiles", (trips, trips)) for _ in range(instances))
    return System(resources, (Program("tiles", body, jitter=0.1, stagger=1000.0),), workers, instances)


def queues(trips: int) -> System:
    """One array of two units with a buffer in front: first come, first served."""
    resources = (Resource("memory", "bandwidth"), Resource("array", "fifo"), Resource("row", "fifo"))
    body = (
        Task("load", "memory", 90.0, after=(("product", 2),)),
        Task("product", "array", 100.0, after=(("load", 0),)),
        Task("maximum", "row", 60.0, after=(("product", 0),)),
        Task("values", "array", 110.0, after=(("maximum", 0),)),
        Task("sums", "row", 70.0, after=(("values", 0),)),
    )
    return System(resources, (Program("queues", body, depth=3),), (Worker("queues", (trips,)),))


def rate(engine: object, system: System) -> tuple[float, float]:
    """Tasks per second of processor time, and the simulated time."""
    begin = process_time()
    run = engine.run_system(system)  # type: ignore[attr-defined]
    return run.tasks / (process_time() - begin), run.makespan


def prediction(follow: Follow) -> tuple[float, float, int, str]:
    """HunyuanVideo's neighbourhood attention on an H200: seconds of a prediction, and what it says, with the tasks that
    it runs and the instances that it follows.
    """
    work, machine = lb.workload("gna", "hunyuan_video"), lb.machine("h200")
    begin = perf_counter()
    found = lb.simulate(work, machine, engine="event", follow=follow)
    seconds = perf_counter() - begin
    chosen = kernel(work, machine, None, strict=True)
    assert chosen is not None
    count = counted(chosen[0], machine, chosen[1])
    (system,) = masked_systems(chosen[0], machine, chosen[1], count, "counted")
    run = event.run_system(some_of(system, follow))
    return seconds, float(found.latency_s), run.tasks, f"{run.system.instances} of {system.instances}"


def main() -> None:
    table = Table(title="Event engines, one core")
    for title in ("program", "native, M tasks/s", "bar", "SimPy, M tasks/s", "native / SimPy", "bar"):
        table.add_column(title, justify="left" if title == "program" else "right")
    for name, large, small in (
        ("attention tiles, 1 instance", tiles(600_000), tiles(2_000)),
        ("attention tiles, 132 instances", tiles(5_000, 132), tiles(20, 132)),
        ("queues of one array", queues(1_000_000), queues(4_000)),
    ):
        native = max(rate(event, large)[0] for _ in range(3))
        reference, time = rate(event_simpy, small)
        assert rate(event, small)[1] == time, "the engines disagree"
        table.add_row(
            name,
            f"{native / 1e6:.1f}",
            f"{TASKS_PER_S / 1e6:.0f}",
            f"{reference / 1e6:.3f}",
            f"{native / reference:.0f}",
            str(SPEEDUP),
        )
    Console().print(table)
    long = Table(title="HunyuanVideo's neighbourhood attention on an H200, engine='event'")
    for title in ("follow", "instances", "M tasks", "seconds", "bar", "latency, ms"):
        long.add_column(title, justify="left" if title == "follow" else "right")
    for follow in ("auto", "all"):
        seconds, latency, tasks, instances = min(prediction(follow) for _ in range(2))
        bar = f"{PREDICTION_S:.0f}" if follow == "auto" else ""
        long.add_row(follow, instances, f"{tasks / 1e6:.1f}", f"{seconds:.2f}", bar, f"{1e3 * latency:.3f}")
    Console().print(long)


if __name__ == "__main__":
    main()
