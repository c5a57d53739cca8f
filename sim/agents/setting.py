"""A setting in a user's words (architecture, agents, link, machine, compression), made into a scenario.

What an architecture computes is a table of workloads; what they take on a machine is asked of `simulate`. The table is
handed in: nothing here knows a method.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

from lightbound.base.errors import LightboundError, choose_from

from ..radio.csma import CsmaLink
from ..radio.link import Link, link
from ..radio.propagation import link_packet_error
from .scenario import Agent, Scenario, Stage, Stages, phased

if TYPE_CHECKING:
    from lightbound.archs.machine import Machine
    from lightbound.workloads.cooperation import Architecture, Parts

WORD_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}


@dataclass(frozen=True)
class Setting:
    """What a user asks about. Times in seconds.

    architecture: a name or a table (``workloads.cooperation``). agents: all of them, the one that fuses included.
    link: a name, a file or a link; rate and link_options are its options. machine: on which every agent computes;
    without one, computation takes the times sender_s (before the message), fuser_s (once a frame) and
    fuser_each_s (for each message), zero by default; where given they replace what the machine would take. compression:
    by what the message is divided. dtype: of what is sent. payload_bytes: of a message, in place of architecture, dtype
    and compression. cameras, lidar, points: of every agent. hz: captures a second. phases: ``synchronised``,
    ``planned``, ``even`` or ``random``. fusion, window_s, oldest_frames, queueing, loss, frames, deadline_s,
    everyone: as in ``Scenario``; window_s is by default what the deadline leaves before fusion. distance_m,
    environment, shadowing_db: loss by distance, on links with an error model. skew: of the clocks, spread from minus
    to plus this. units: accelerators of an agent: ``one``, or ``two``, the second for cameras.
    """

    architecture: str | Architecture
    agents: int = 2
    link: str | Link = "802.11p"
    rate: str | float | None = None
    link_options: tuple[tuple[str, Any], ...] = ()
    machine: str | Machine | None = None
    sender_s: float | None = None
    fuser_s: float | None = None
    fuser_each_s: float | None = None
    compression: float = 1.0
    dtype: str = "fp32"
    payload_bytes: int | None = None
    cameras: int = 1
    lidar: bool = True
    points: int = 10_000
    hz: float = 10.0
    frames: int = 100
    phases: str = "synchronised"
    fusion: str = "wait_all"
    window_s: float | None = None
    oldest_frames: int = 1
    queueing: str = "fifo"
    loss: float = 0.0
    distance_m: float | None = None
    environment: str = "highway"
    shadowing_db: float = 0.0
    skew: float = 0.0
    deadline_s: float = 0.1
    everyone: bool = False
    units: str = "one"
    notes: tuple[str, ...] = field(default=(), repr=False)

    def with_(self, **changes: Any) -> Setting:
        """The setting with other values. Raises LightboundError for a field that it does not have."""
        known = [one.name for one in fields(self)]
        for name in changes:
            if name not in known:
                raise LightboundError("setting", name, "is not a field of it", choose_from(known, name))
        return replace(self, **changes)


def resolve_link(setting: Setting) -> Link:
    """The link that a setting means."""
    if not isinstance(setting.link, str):
        return setting.link
    options = dict(setting.link_options)
    if setting.rate is not None:
        options["rate"] = setting.rate
    found = link(setting.link, **options)
    if setting.everyone and isinstance(found, CsmaLink):
        found = replace(found, broadcast=True)
    return found


def message_bytes(setting: Setting) -> int:
    """Bytes of one agent's message."""
    if setting.payload_bytes is not None:
        return setting.payload_bytes
    if setting.dtype not in WORD_BYTES:
        raise LightboundError("dtype", setting.dtype, "is not known", choose_from(WORD_BYTES, str(setting.dtype)))
    values = table(setting).message_values(setting.lidar, setting.cameras)
    return max(1, round(values * WORD_BYTES[setting.dtype] / setting.compression))


def table(setting: Setting) -> Architecture:
    """The architecture's table."""
    if isinstance(setting.architecture, str):
        from lightbound.workloads.cooperation import architecture

        return architecture(setting.architecture)
    return setting.architecture


def scenario(setting: Setting, seed: int = 0) -> Scenario:
    """The scenario that a setting means. Raises LightboundError for values that make none."""
    _check(setting)
    chosen = resolve_link(setting)
    before, after, each, notes = _computation(setting)
    fused = setting.agents - 1
    spent = _longest(after) + fused * _longest(each)
    window = max(0.0, setting.deadline_s - spent) if setting.window_s is None else setting.window_s
    payload = message_bytes(setting)
    agents = tuple(
        Agent(
            "ego" if not number else f"agent {number}",
            before,
            after if setting.everyone or not number else (),
            each if setting.everyone or not number else (),
            payload if setting.everyone or number else 0,
            skew=setting.skew * (2 * number / (setting.agents - 1) - 1) if setting.agents > 1 else 0.0,
        )
        for number in range(setting.agents)
    )
    made = Scenario(
        agents=agents,
        link=chosen,
        period_s=1 / setting.hz,
        frames=setting.frames,
        everyone=setting.everyone,
        fusion=setting.fusion,  # pyright: ignore[reportArgumentType]  # checked by the scenario
        window_s=window,
        oldest_frames=setting.oldest_frames,
        queueing=setting.queueing,  # pyright: ignore[reportArgumentType]
        loss=_loss(setting, chosen, payload),
        deadline_s=setting.deadline_s,
        notes=(*setting.notes, *notes),
    )
    return phased(made, setting.phases, seed)  # pyright: ignore[reportArgumentType]


def _check(setting: Setting) -> None:
    def refuse(name: str, problem: str, remedy: str) -> None:
        raise LightboundError(name, getattr(setting, name), problem, remedy)

    if not isinstance(setting.agents, int) or not 1 <= setting.agents <= 1000:
        refuse("agents", "is not a whole number from 1 to 1000", "Count the one that fuses too.")
    if not (isfinite(setting.compression) and setting.compression > 0):
        refuse("compression", "is not a positive number", "Write 64 to send a 64th.")
    if not (isfinite(setting.hz) and 0 < setting.hz <= 1000):
        refuse("hz", "is not a rate of captures", "Write 10.")
    if not 1 <= setting.frames <= 1_000_000:
        refuse("frames", "is not a number from 1 to a million", "Write 100.")
    if not 0 <= setting.deadline_s < inf:
        refuse("deadline_s", "is not a time", "Write 0.1.")
    if setting.units not in ("one", "two"):
        refuse("units", "is not known", choose_from(("one", "two"), str(setting.units)))
    if setting.cameras < 0 or setting.points < 1:
        refuse("cameras" if setting.cameras < 0 else "points", "is too small", "Write 1 camera and 10000 points.")
    for name in ("sender_s", "fuser_s", "fuser_each_s", "window_s"):
        value = getattr(setting, name)
        if value is not None and not 0 <= value < inf:
            refuse(name, "is not a time of at least 0", "Write seconds.")


def _loss(setting: Setting, chosen: Link, payload: int) -> float:
    if setting.distance_m is None:
        return setting.loss
    if not isinstance(chosen, CsmaLink):
        problem = f"says nothing of loss on {chosen.name}, which has no error model"
        raise LightboundError("distance_m", setting.distance_m, problem, "Give the loss itself.")
    packet = min(payload, chosen.fragment_bytes)
    faded = link_packet_error(chosen, setting.distance_m, packet, setting.environment, setting.shadowing_db)
    return 1 - (1 - setting.loss) * (1 - faded)


def _longest(stages: Stages) -> float:
    return sum(max(stage.seconds for stage in step) for step in stages)


def _computation(setting: Setting) -> tuple[Stages, Stages, Stages, tuple[str, ...]]:
    """Stages before the message, of fusion, and of fusion for each message; and what they leave out."""
    notes: list[str] = []
    before: Stages = ()
    after: Stages = ()
    each: Stages = ()
    if setting.machine is not None:
        before, after, each = _on_machine(setting, notes)
    elif setting.sender_s is setting.fuser_s is setting.fuser_each_s is None:
        notes.append("computation takes no time: name a machine, or give times")
    if setting.sender_s is not None:
        before = ((Stage("encode", setting.sender_s),),)
    if setting.fuser_s is not None:
        after = ((Stage("fuse", setting.fuser_s),),)
    if setting.fuser_each_s is not None:
        each = ((Stage("fuse a message", setting.fuser_each_s),),)
    return before, after, each, tuple(notes)


def _on_machine(setting: Setting, notes: list[str]) -> tuple[Stages, Stages, Stages]:
    chosen, machine = table(setting), setting.machine
    maps, cameras = int(setting.lidar), setting.cameras
    steps = {
        name: _time(parts, machine) for name, parts in chosen.before(setting.lidar, cameras, setting.points).items()
    }
    second = "camera accelerator" if setting.units == "two" else "accelerator"
    sensors = tuple(
        Stage(name, steps[name], unit) for name, unit in (("lidar", "accelerator"), ("camera", second)) if steps[name]
    )
    before: Stages = (sensors,) if sensors else ()
    before += ((Stage("paint", steps["paint"]),),) if steps["paint"] else ()
    own, all_ = (chosen.after(n * maps, n * cameras) for n in (1, max(2, setting.agents)))
    per = max(1, max(2, setting.agents) - 1)
    once, whole = ({name: _time(parts, machine) for name, parts in group.items()} for group in (own, all_))
    after: Stages = tuple((Stage(name, seconds),) for name, seconds in once.items() if seconds)
    each: Stages = tuple(
        (Stage(f"{name} of a message", (whole[name] - seconds) / per),)
        for name, seconds in once.items()
        if whole[name] > seconds
    )
    coder = chosen.compressor(setting.compression) if setting.payload_bytes is None and maps else ((), ())
    if coder is None:
        notes.append(f"compressing {setting.compression:g} times takes no time: no coder of that ratio is known")
    else:
        coded, decoded = (_time(parts, machine) for parts in coder)
        before += ((Stage("compress", coded),),) if coded else ()
        each = (*(((Stage("decompress", decoded),),) if decoded else ()), *each)
    return before, after, each


def _time(parts: Parts, machine: str | Machine | None) -> float:
    return sum(part.count * _part_s(part.workload, part.preset, tuple(part.sizes.items()), machine) for part in parts)


@lru_cache(maxsize=1024)
def _part_s(name: str, preset: str, sizes: tuple[tuple[str, int], ...], machine: str | Machine | None) -> float:
    """Seconds of one run of a part on a machine, with the mapping that `simulate` finds."""
    from lightbound.archs.library import machine as find
    from lightbound.workloads.registry import workload

    from ..simulate import simulate

    hardware = find(machine) if isinstance(machine, str) else machine
    assert hardware is not None
    return float(simulate(workload(name, preset, **dict(sizes)), hardware).latency_s)
