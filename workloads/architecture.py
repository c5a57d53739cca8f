"""An architecture of cooperative perception as data: which stage runs where, on which workloads, and what is sent.

An agent turns what its sensors see into features (the stages of `sender`), sends some of them, and one agent, the ego,
fuses what it has and what arrives (the stages of `ego`). A stage is a list of workloads with sizes and a number of
times; what a stage takes is for a machine and `simulate` to say. Nothing here knows a link, a machine or an
architecture by name: those that ship are the files of `architectures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log2, prod
from typing import Any, Literal

from lightbound.base.errors import LightboundError, choose_from

from .counts import total_operations
from .registry import Workload, workload

Each = Literal["frame", "lidar", "camera", "message"]
"""What a part is done for: each frame once, each map of a LiDAR, each camera, each map that was received."""


@dataclass(frozen=True)
class Agent:
    """What an agent of a frame has: a LiDAR or none, and how many cameras."""

    lidar: bool = True
    cameras: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.cameras, bool) or not isinstance(self.cameras, int) or self.cameras < 0:
            raise LightboundError("cameras", self.cameras, "is no number of cameras", "Write 0, 1, 2...")
        if not self.lidar and not self.cameras:
            raise LightboundError("agent", None, "has no sensor", "Give it a LiDAR or a camera.")


@dataclass(frozen=True)
class Part:
    """A workload that a stage runs, `times` times for each of what it is done for.

    `count_rank` names a size that takes that number instead: one workload over all maps together, not one for each.
    """

    method: str
    sizes: Mapping[str, int]
    times: int = 1
    each: Each = "frame"
    variant: str | None = None
    count_rank: str | None = None


@dataclass(frozen=True)
class Stage:
    """A step of the pipeline. `after` are the stages of the same side that it waits for; none waits for the capture, or
    on the ego for the maps.
    """

    name: str
    parts: tuple[Part, ...]
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tensor:
    """Features that may be sent: the dimensions of one, and what there is one of."""

    name: str
    shape: tuple[int, ...]
    each: Literal["lidar", "camera"]

    @property
    def values(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Run:
    """A workload at its sizes, and how often it runs one after the other."""

    workload: Workload
    times: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all runs together."""
        return self.times * int(total_operations(self.workload.cascade).get("mac", 0))


@dataclass(frozen=True)
class StageRuns:
    """A stage for given agents: what it runs, in order, and the stages that it waits for."""

    name: str
    runs: tuple[Run, ...]
    after: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the stage in one frame."""
        return sum(run.macs for run in self.runs)


@dataclass(frozen=True)
class Message:
    """What one agent sends in a frame: its tensors, each with how many there are of it."""

    tensors: tuple[tuple[Tensor, int], ...]

    @property
    def values(self) -> int:
        """Numbers in it, before they are coded."""
        return sum(tensor.values * count for tensor, count in self.tensors)

    def bytes(self, word_bytes: float = 4, compression: float = 1, metadata_bytes: int = 0) -> int:
        """Bytes of it: `word_bytes` a number, divided by `compression`, and pose, time and identity on top."""
        if not word_bytes > 0:
            raise LightboundError("word_bytes", word_bytes, "is no size of a number", "Write 4, 2 or 1.")
        if not compression >= 1:
            raise LightboundError("compression", compression, "is no compression", "Write 1 for none, or more.")
        return ceil(self.values * word_bytes / compression) + metadata_bytes

    def volume(self, word_bytes: float = 4, compression: float = 1) -> float:
        """The logarithm to base two of its bytes, as the field states communication volume."""
        return log2(self.bytes(word_bytes, compression))


@dataclass(frozen=True)
class Architecture:
    """How several agents perceive together, on one grid.

    `sender` stages run on every agent, the ego included, and `send` stages after them on those that send. On the ego,
    `receive` stages come first, for what was received, then `ego` stages. `sends` are the tensors of a message, and
    `needs_lidar` says that an agent without a LiDAR cannot take part.
    """

    name: str
    title: str
    source: str
    preset: str
    sender: tuple[Stage, ...]
    send: tuple[Stage, ...]
    receive: tuple[Stage, ...]
    ego: tuple[Stage, ...]
    sends: tuple[Tensor, ...]
    needs_lidar: bool = False
    limits: tuple[str, ...] = field(default=())
    """What the released code does not do, in sentences."""

    def sender_stages(self, agent: Agent, word_bytes: int = 2, *, sends: bool = True) -> tuple[StageRuns, ...]:
        """What an agent does for itself in a frame, and for its message unless it sends none. Stages without work for
        its sensors are left out.
        """
        self._check((agent,))
        counts = {"frame": 1, "lidar": int(agent.lidar), "camera": agent.cameras, "message": 0}
        return _with_work((*self.sender, *(self.send if sends else ())), counts, word_bytes)

    def ego_stages(self, agents: Sequence[Agent], word_bytes: int = 2) -> tuple[StageRuns, ...]:
        """What the ego, the first of the agents, does with its own features and those of all others."""
        self._check(agents)
        maps = sum(agent.lidar for agent in agents)
        if not maps:
            raise LightboundError("agents", len(agents), "have no LiDAR among them", "Give one agent a LiDAR.")
        counts = {
            "frame": 1,
            "lidar": maps,
            "camera": sum(agent.cameras for agent in agents),
            "message": sum(agent.lidar for agent in agents[1:]),
        }
        return _with_work((*self.receive, *self.ego), counts, word_bytes)

    def message(self, agent: Agent) -> Message:
        """What an agent that is not the ego sends in a frame."""
        self._check((agent,))
        counts = {"lidar": int(agent.lidar), "camera": agent.cameras}
        return Message(tuple((tensor, counts[tensor.each]) for tensor in self.sends if counts[tensor.each]))

    def macs(self, agents: Sequence[Agent]) -> int:
        """Multiply-accumulates of all agents together in a frame."""
        own = (stage for i, agent in enumerate(agents) for stage in self.sender_stages(agent, sends=i > 0))
        return sum(stage.macs for stage in (*own, *self.ego_stages(agents)))

    def _check(self, agents: Sequence[Agent]) -> None:
        if not agents:
            raise LightboundError("agents", 0, "are none", "Give at least the ego.")
        if self.needs_lidar and not all(agent.lidar for agent in agents):
            remedy = "Give every agent a LiDAR, or choose an architecture that fuses on one map (cos_coco)."
            raise LightboundError("agents", "one without LiDAR", f"cannot take part in {self.name}", remedy)


def _with_work(stages: Sequence[Stage], counts: Mapping[str, int], word_bytes: int) -> tuple[StageRuns, ...]:
    made: list[StageRuns] = []
    waits: dict[str, tuple[str, ...]] = {}  # what stands for a stage: itself, or what it would have waited for
    for stage in stages:
        after = tuple(dict.fromkeys(name for before in stage.after for name in waits[before]))
        runs = tuple(_run(part, counts[part.each], word_bytes) for part in stage.parts if counts[part.each])
        waits[stage.name] = (stage.name,) if runs else after
        if runs:
            made.append(StageRuns(stage.name, runs, after))
    return tuple(made)


def _run(part: Part, count: int, word_bytes: int) -> Run:
    sizes: dict[str, Any] = dict(part.sizes)
    if part.count_rank is not None:
        sizes[part.count_rank] = count
        count = 1
    found = workload(part.method, variant=part.variant, word_bytes=word_bytes, **sizes)
    return Run(found, part.times * count)


def architecture_names() -> list[str]:
    """The names that `architecture` takes."""
    from .architectures import architecture_names as names

    return names()


def architecture(name: str, preset: str = "dair_v2x", **options: Any) -> Architecture:
    """An architecture by name, at the sizes of a preset. LightboundError for a name, preset or option unknown."""
    from .architectures import load_architecture

    if name not in architecture_names():
        raise LightboundError("architecture", name, "does not exist", choose_from(architecture_names(), name))
    return load_architecture(name)(preset, **options)
