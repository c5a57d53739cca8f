"""Your own machine: is the softmax, the array, the buffer or the memory the bound, and what would help?

Change own_machine.yaml, WORK or CHANGES, and run it again. A change is any field of the file by its path, in the words
of the file; whatever formula uses it follows.

How to read what it prints: a resource that is busy all the time binds, and only what relieves it helps, until the next
one binds. Here it is the softmax, and no faster memory and no larger buffer makes a difference to the time; a larger
buffer saves energy, since keys are fetched less often.
"""

from __future__ import annotations

from pathlib import Path

import lightbound as lb
from lightbound.sim.explain import joules, seconds

FILE = Path(__file__).with_name("own_machine.yaml")
WORK = lb.workload("attention", variant="1-pass", H=8, E=64, F=64, M=4096, P=4096)
CHANGES = {
    "as it is": {},
    "twice the memory bandwidth": {"dram.bandwidth": "102.4 GB/s"},
    "twice the buffer": {"buffer": "2 MiB"},
    "an exponential in one cycle": {"softmax.cost.exp": 1, "softmax.cost.sub+exp": 1},
    "four times the softmax lanes": {"softmax.shape.lanes": "4*lanes"},
    "both of the last two": {"softmax.cost.exp": 1, "softmax.cost.sub+exp": 1, "softmax.shape.lanes": "4*lanes"},
    "twice the lanes of everything": {"lanes": 128},
}


def main() -> None:
    before = lb.simulate(WORK, lb.machine(FILE))
    print(before.explain())
    for sentence in lb.machine(FILE).lacks:
        print(f"Note: {sentence}")

    print(f"\n{'what if':30s} {'latency':>9s} {'speedup':>8s} {'energy':>9s}  busy, the first one binds")
    for title, changes in CHANGES.items():
        p = lb.simulate(WORK, lb.machine(FILE, **changes))
        assert p.energy_j is not None
        busy = sorted(((busy_s / p.latency_s, name) for name, busy_s in p.busy_s.items()), reverse=True)
        resources = ", ".join(f"{name} {share:.0%}" for share, name in busy)
        speedup = before.latency_s / p.latency_s
        print(f"{title:30s} {seconds(p.latency_s):>9s} {speedup:7.2f}x {joules(p.energy_j):>9s}  {resources}")


if __name__ == "__main__":
    main()
