"""How many tasks a second the event engines run on one core, beside the bars they are held to.

Figures of one machine at one moment: no test reads them.

Run it with `python benchmarks/event.py`.
"""

from __future__ import annotations

from time import process_time

from rich.console import Console
from rich.table import Table

from lightbound.sim import event, event_simpy
from lightbound.sim.program import Program, Resource, System, Task, Worker

TASKS_PER_S = 15e6
SPEEDUP = 100


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


if __name__ == "__main__":
    main()
