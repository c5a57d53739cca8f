"""What the system says of this computer, and what cannot be measured from inside."""

from __future__ import annotations

import os
import platform
import re
from math import inf
from pathlib import Path

from lightbound._core import host

from .sampling import Loops

SYSFS = Path("/sys/devices/system/cpu")
CACHES = ("l1", "l2", "l3")


def near_s(big: int) -> float:
    """Of a line from one core to another, at most, where both share a cache, as the system says they all do: less than
    half of what memory takes. Any time will do where it does not say so.
    """
    try:
        shared = [(cpu / "cache" / "index3" / "shared_cpu_map").read_text() for cpu in SYSFS.glob("cpu[0-9]*")]
    except OSError:
        return inf
    if len(set(shared)) != 1:
        return inf
    memory = host.Chain(big, True)
    return min(memory.seconds(4_000) for _ in range(4)) / 2


def cache_sizes() -> tuple[dict[str, int], tuple[str, ...]]:
    """Capacities as the system states them, of what one core can use; else from where bandwidth falls."""
    found: dict[str, int] = {}
    for index in sorted((SYSFS / "cpu0" / "cache").glob("index*")) if SYSFS.is_dir() else []:
        try:
            kind, level, size = ((index / name).read_text().strip() for name in ("type", "level", "size"))
        except OSError:
            continue
        match = re.fullmatch(r"(\d+)([KM])", size)
        if kind != "Instruction" and match and f"l{level}" in CACHES:
            found[f"l{level}"] = int(match[1]) * (1024 if match[2] == "K" else 1024**2)
    if "l1" in found:
        return found, ()
    return _measured_caches(), ("The system states no cache sizes: they are where the latency of loads jumps.",)


def _measured_caches() -> dict[str, int]:
    sizes = [2**power * 1024 for power in range(3, 16)]
    times = [host.Chain(size, True).seconds(40_000) for size in sizes]
    jumps = [before for before, now, next_ in zip(sizes, times, times[1:], strict=False) if next_ > 1.6 * now]
    return dict(zip(CACHES, jumps, strict=False)) or {"l1": 32 * 1024}


def beyond_caches(caches: dict[str, int]) -> int:
    """A buffer that no cache holds, and that memory does."""
    wanted = max(128 * 1024**2, 6 * max(caches.values()))
    try:
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") // 4
    except (ValueError, OSError, AttributeError):
        return wanted
    return max(min(wanted, free), 32 * 1024**2)


def apart(loops: Loops) -> tuple[str, ...]:
    """What to say where cores that share a cache were behind different ones now and then."""
    if not loops.far:
        return ()
    part = f"{loops.far / loops.handed:.0%}"
    rest = "those count all the same." if loops.far == loops.handed else "those do not count, where there are others."
    return (
        f"In {part} of the samples of several cores a line took as long from one to another as memory does: they did "
        f"not share a cache then, though the system says that they do; {rest}",
    )


def processor() -> str:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        match = None
    return match[1] if match else platform.processor() or platform.machine()


def unmeasured(cores: int, scaling: float, alone: float) -> tuple[str, ...]:
    notes = ["The clock is that of a chain of additions, one a cycle; it may differ under load of other kinds."]
    try:
        virtual = " hypervisor " in Path("/proc/cpuinfo").read_text().replace("\n", " ")
    except OSError:
        virtual = False
    if virtual:
        notes.append(
            "This is a virtual machine: cycle counters are not used, caches and memory may be shared with others, and "
            "whether two cores are two threads of one is only seen by how rates scale."
        )
    notes.append(
        f"In {alone:.0%} of all repeats the front end was ours alone: figures are of these, if there are enough."
    )
    if cores > 1:
        notes.append(f"All {cores} cores together do {scaling:.2f} times the multiply-adds of one.")
    siblings = SYSFS / "cpu0" / "topology" / "thread_siblings_list"
    if siblings.is_file() and re.search(r"[,-]", siblings.read_text()):
        notes.append("Cores have several threads (SMT): figures of one core are with its other threads idle.")
    return tuple(notes)
