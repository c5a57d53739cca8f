"""A setting in a user's words (architecture, agents, link, machine, compression), made into a scenario.

What an architecture computes is a table of workloads; what they take on a machine is asked of `simulate`. The table is
handed in: nothing here knows a method.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, overload

from lightbound.base.errors import LightboundError, choose_from

from ..radio.csma import CsmaLink
from ..radio.link import Link, link
from ..radio.propagation import link_packet_error
from .scenario import Agent, Scenario, Stage, Stages, phased

if TYPE_CHECKING:
    from lightbound.archs.machine import Machine
    from lightbound.workloads.architecture import Architecture, StageRuns
    from lightbound.workloads.registry import Workload

FUSED = 5  # Einsums in a group at most, where fusing is tried: a longer search gains little on these layers
MUCH = 12.0  # times the compulsory traffic from which it is tried, where that binds
WORD_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}


@dataclass(frozen=True)
class Setting:
    """What a user asks about. Times in seconds.

    architecture: a name or a table (``workloads.cooperation``). agents: all of them, the one that fuses included.
    link: a name, a file or a link; rate and link_options are its options. machine: on which every agent computes;
    without one, computation takes the times sender_s (before the message), fuser_s (once a frame) and
    fuser_each_s (for each message), zero by default; where given they replace what the machine would take. compression:
    by what the message is divided. dtype: of what is sent. payload_bytes: of a message, in place of architecture, dtype
    and compression. cameras, lidar, pillars: of every
    agent. preset: the grid. hz: captures a second. phases: ``synchronised``,
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
    pillars: int | None = None
    preset: str = "dair_v2x"
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
    from lightbound.workloads.architecture import Agent as Sensors

    message = table(setting).message(Sensors(setting.lidar, setting.cameras))
    return max(1, message.bytes(WORD_BYTES[setting.dtype], setting.compression))


@overload
def table(setting: Setting) -> Architecture: ...
@overload
def table(setting: Setting, channel_ratio: float) -> Architecture | None: ...
def table(setting: Setting, channel_ratio: float = 1) -> Architecture | None:
    """The architecture's table, with a coder that divides channels by a ratio; None where none of that ratio is."""
    from lightbound.workloads.architecture import architecture

    if not isinstance(setting.architecture, str):
        return setting.architecture if channel_ratio == 1 else None
    channels = architecture(setting.architecture, setting.preset).sends[0].shape[0]
    if channel_ratio != int(channel_ratio) or channels % int(channel_ratio):
        return None
    return architecture(setting.architecture, setting.preset, channel_ratio=int(channel_ratio), pillars=setting.pillars)


def scenario(setting: Setting, seed: int = 0) -> Scenario:
    """The scenario that a setting means. Raises LightboundError for values that make none."""
    _check(setting)
    chosen = resolve_link(setting)
    before, alone, after, notes = _computation(setting)
    spent = sum(stage.seconds + (setting.agents - 1) * stage.each_s for stage in after)
    window = max(0.0, setting.deadline_s - spent) if setting.window_s is None else setting.window_s
    payload = message_bytes(setting)
    agents = tuple(
        Agent(
            "ego" if not number else f"agent {number}",
            before if setting.everyone or number else alone,
            after if setting.everyone or not number else (),
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
    if not (isfinite(setting.compression) and setting.compression >= 1):
        refuse("compression", "is not a number of at least 1", "Write 64 to send a 64th.")
    if not (isfinite(setting.hz) and 0 < setting.hz <= 1000):
        refuse("hz", "is not a rate of captures", "Write 10.")
    if not 1 <= setting.frames <= 1_000_000:
        refuse("frames", "is not a number from 1 to a million", "Write 100.")
    if not 0 <= setting.deadline_s < inf:
        refuse("deadline_s", "is not a time", "Write 0.1.")
    if setting.units not in ("one", "two"):
        refuse("units", "is not known", choose_from(("one", "two"), str(setting.units)))
    for name in ("sender_s", "fuser_s", "fuser_each_s", "window_s"):
        value = getattr(setting, name)
        if value is not None and not 0 <= value < inf:
            refuse(name, "is not a time of at least 0", "Write seconds.")


def _loss(setting: Setting, chosen: Link, payload: int) -> float:
    if setting.distance_m is None:
        return setting.loss
    if not isinstance(chosen, CsmaLink):
        problem = f"says nothing of loss on {chosen.name}, which has no error model"
        raise LightboundError("distance", setting.distance_m, problem, "Give the loss itself.")
    packet = min(payload, chosen.fragment_bytes)
    faded = link_packet_error(chosen, setting.distance_m, packet, setting.environment, setting.shadowing_db)
    return 1 - (1 - setting.loss) * (1 - faded)


def _computation(setting: Setting) -> tuple[Stages, Stages, Stages, tuple[str, ...]]:
    """Stages before a message, the same of an agent that sends none, those of fusion; and what they leave out."""
    notes: list[str] = []
    given = (setting.sender_s, setting.fuser_s, setting.fuser_each_s)
    before: Stages = ()
    alone: Stages = ()
    after: Stages = ()
    if setting.machine is not None:
        before, alone, after = _on_machine(setting, notes)
    elif given == (None, None, None):
        notes.append("computation takes no time: name a machine, or give times")
    if setting.sender_s is not None:
        before = alone = (Stage("encode", setting.sender_s),)
    if setting.fuser_s is not None or setting.fuser_each_s is not None:
        after = (Stage("fuse", setting.fuser_s or 0.0, each_s=setting.fuser_each_s or 0.0),)
    return before, alone, after, tuple(notes)


def _on_machine(setting: Setting, notes: list[str]) -> tuple[Stages, Stages, Stages]:
    from lightbound.workloads.architecture import Agent as Sensors

    chosen, sensors = table(setting), Sensors(setting.lidar, setting.cameras)
    if setting.payload_bytes is None and setting.compression != 1:
        coded = table(setting, channel_ratio=setting.compression)
        if coded is None:
            notes.append(f"compressing {setting.compression:g} times takes no time: no coder of that ratio is known")
        else:
            chosen = coded
            if len(chosen.sends) > 1:
                notes.append("a coder is known of maps alone: the rest is compressed as much, in no time")
    notes.append(
        f"times are predicted, every layer as a kernel of its own, where fusing up to {FUSED} of them moves no less"
    )
    machine = _machine(setting)
    before = alone = ()
    if setting.sender_s is None:
        before, alone = (
            tuple(_stage(one, _seconds(one, machine), setting) for one in chosen.sender_stages(sensors, sends=sends))
            for sends in (True, False)
        )
    if setting.fuser_s is not None or setting.fuser_each_s is not None:
        return before, alone, ()
    once = {one.name: _seconds(one, machine) for one in chosen.ego_stages([sensors])}
    after = []
    for one in chosen.ego_stages([sensors, sensors]):
        both, single = _seconds(one, machine), once.get(one.name, 0.0)
        after.append(replace(_stage(one, single, setting), each_s=max(0.0, both - single)))
    return before, alone, tuple(after)


def _machine(setting: Setting) -> Machine:
    from lightbound.archs.library import machine

    assert setting.machine is not None
    return machine(setting.machine) if isinstance(setting.machine, str) else setting.machine


def _stage(runs: StageRuns, took: float, setting: Setting) -> Stage:
    second = setting.units == "two" and runs.name in ("encode_camera", "upsample")
    unit = "camera accelerator" if second else "accelerator"
    return Stage(runs.name.replace("_", " "), took, unit, after=tuple(name.replace("_", " ") for name in runs.after))


def _seconds(runs: StageRuns, machine: Machine) -> float:
    return sum(run.times * run_s(run.workload, machine) for run in runs.runs)


_taken: dict[tuple[Any, ...], tuple[float, Machine]] = {}  # it keeps the machines that its keys name alive


def run_s(work: Workload, machine: Machine) -> float:
    """Seconds of one run of a workload on a machine, as `simulate` predicts them: every Einsum as a kernel of its own,
    and only where that moves much more than it must, with groups of a few fused."""
    from ..search import best_mapping
    from ..simulate import predict

    key = (work.name, work.variant, tuple(work.sizes.items()), work.word_bytes, id(machine))
    if key not in _taken:
        found = predict(work, machine, best_mapping(work, machine, machine, longest=1))
        outermost = next(iter(found.traffic_bytes))
        much = found.traffic_bytes[outermost] > MUCH * found.compulsory_bytes
        if much and found.bottleneck == outermost:
            fused = predict(work, machine, best_mapping(work, machine, machine, longest=FUSED))
            found = min(found, fused, key=lambda one: one.latency_s)
        _taken[key] = float(found.latency_s), machine
    return _taken[key][0]
