"""ns-3 beside lightbound: the same stations of 802.11p in both, in one go.

ns-3 comes from its wheel (`pip install ns3` into an environment of its own, 48 MB; Python 3.11 and ns3 3.44.post0 were
tried). This compiles `ns3_stations.cc` against it once, runs both models on saturated and on synchronised senders, and
prints what each says. Figures of ns-3 are simulated time: they do not depend on the machine, nor on what else it does.

    python -m venv ns3 && ns3/bin/pip install ns3
    python benchmarks/ns3_peer.py ns3 --quick

ns-3 takes symbols of 4 us in a channel of 10 MHz where the standard has 8 us; ours is told the same here.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from os import cpu_count
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from lightbound.sim.radio.contention import saturated_throughput_bps
from lightbound.sim.radio.csma import CsmaLink
from lightbound.sim.radio.link import link
from lightbound.validate.radio_answers import completion_ms

SATURATED = [(rate, senders) for rate in (6, 27) for senders in (1, 2, 5, 10, 20, 50)]
FRAMES = [
    (1, 50_000, 27),
    (2, 50_000, 27),
    (3, 40_000, 27),
    (4, 20_000, 27),
    (8, 15_000, 27),
    (2, 10_000, 6),
    (4, 10_000, 6),
]
SECONDS, MESSAGES, SEEDS = 6, 100, (1, 2, 3, 4, 5)
MODULES = ("wifi", "propagation", "mobility", "spectrum", "energy", "antenna", "bridge", "traffic-control", "internet",
           "network", "stats", "core")  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("environment", type=Path, help="virtual environment with ns3 in it")
    arguments.add_argument("--quick", action="store_true", help="three seeds, and at most ten senders")
    given = arguments.parse_args()
    seeds = SEEDS[:3] if given.quick else SEEDS
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(installed(given.environment), Path(folder))
        table = Table("case", "ns-3", "lightbound", "difference", title="802.11p, ns-3 beside lightbound")
        with ThreadPoolExecutor(cpu_count()) as pool:
            for rate, senders in SATURATED:
                if senders <= 10 or not given.quick:
                    compare_saturation(table, pool, program, rate, senders, seeds)
            for senders, size, rate in FRAMES:
                compare_frames(table, pool, program, senders, size, rate, seeds)
        Console(width=110).print(table)


def installed(environment: Path) -> Path:
    """The folder of ns-3 in a virtual environment."""
    found = sorted(environment.glob("lib/python*/site-packages/ns3"))
    if not found:
        sys.exit(f"error: no ns3 in {environment}: make it with `python -m venv {environment}` and install ns3 there.")
    return found[0]


def compiled(ns3: Path, folder: Path) -> Path:
    """The stations as a program."""
    libraries = next(path for path in (ns3 / "lib64", ns3 / "lib") if path.is_dir())
    names = [path.name for module in MODULES for path in libraries.glob(f"libns3*-{module}*.so") if _is(path, module)]
    program = folder / "ns3_stations"
    source = Path(__file__).with_name("ns3_stations.cc")
    subprocess.run(
        ["g++", "-std=c++20", "-O1", f"-I{ns3 / 'include'}", str(source), "-o", str(program), f"-L{libraries}",
         f"-Wl,-rpath,{libraries}", "-Wl,--no-as-needed", "-Wl,--unresolved-symbols=ignore-in-shared-libs",
         *(f"-l:{name}" for name in names)],
        check=True,
    )  # fmt: skip
    return program


def _is(path: Path, module: str) -> bool:
    return path.name.partition(".so")[0].endswith((f"-{module}", f"-{module}-default"))


def ours(rate: int) -> CsmaLink:
    """Our link as ns-3 has it."""
    made = link("802.11p", rate=f"{rate} Mbps", symbol="4 us", retry_limit=None)
    assert isinstance(made, CsmaLink)
    return replace(made, fragment_bytes=1500, header_bytes=36)


def peer(pool: ThreadPoolExecutor, command: list[str], seeds: tuple[int, ...]) -> list[list[float]]:
    """What ns-3 prints for each seed."""

    def one(seed: int) -> list[float]:
        done = subprocess.run([*command, str(seed)], check=True, capture_output=True, text=True)
        return [float(line) for line in done.stdout.splitlines()]

    return list(pool.map(one, seeds))


def compare_saturation(
    table: Table, pool: ThreadPoolExecutor, program: Path, rate: int, senders: int, seeds: tuple[int, ...]
) -> None:
    """Goodput at the receiver where every sender always has something to send."""
    made = ours(rate)
    command = [str(program), "saturation", str(senders), str(rate), _ack(rate), "0", str(SECONDS)]
    theirs = np.mean([found[0] for found in peer(pool, command, seeds)]) / 1e6
    own = np.mean([saturated_throughput_bps(made, senders, SECONDS, seed) for seed in seeds]) / 1e6
    row(table, f"{senders} saturated at {rate} Mb/s, goodput in Mb/s", float(theirs), float(own))


def compare_frames(
    table: Table, pool: ThreadPoolExecutor, program: Path, senders: int, size: int, rate: int, seeds: tuple[int, ...]
) -> None:
    """Time of whole messages where all senders hand over theirs at one instant every 100 ms."""
    command = [str(program), "frames", str(senders), str(rate), _ack(rate), str(size), str(MESSAGES)]
    theirs = 1e3 * np.concatenate(peer(pool, command, seeds))
    own = completion_ms(ours(rate), senders, size, 0.1)
    what = f"{senders} x {size} B at {rate} Mb/s, "
    row(table, what + "mean in ms", float(theirs.mean()), float(own.mean()))
    row(table, what + "p95 in ms", float(np.quantile(theirs, 0.95)), float(np.quantile(own, 0.95)))


def _ack(rate: int) -> str:
    return str(max(basic for basic in (3, 6, 12) if basic <= rate))


def row(table: Table, what: str, theirs: float, own: float) -> None:
    table.add_row(what, f"{theirs:.3f}", f"{own:.3f}", f"{own / theirs - 1:+.2%}")


if __name__ == "__main__":
    main()
