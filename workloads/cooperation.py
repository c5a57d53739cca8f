"""Architectures of cooperative perception as tables: which workloads run before and after the link, and what is sent.

A part names a workload of the registry at a preset, and how often it runs. What the parts cost on a machine, and what a
link makes of the messages, is for others to say; nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod

from lightbound.base.errors import LightboundError, choose_from

from .registry import Workload, workload


@dataclass(frozen=True)
class Part:
    """`count` runs of a workload at a preset; `sizes` replace those of the preset."""

    workload: str
    preset: str
    count: int = 1
    sizes: Mapping[str, int] = field(default_factory=dict)

    def load(self, word_bytes: int = 2) -> Workload:
        """The workload itself."""
        return workload(self.workload, self.preset, word_bytes=word_bytes, **self.sizes)


Parts = tuple[Part, ...]


@dataclass(frozen=True)
class Architecture:
    """Who computes what. Each agent has a LiDAR, cameras, or both.

    lidar, camera: encoders, once an agent and once a camera. paint: before the link, once a camera. each: at the fuser,
    for the map of every agent that has one. fuse: at the fuser, once; parts with a rank N count agents by it. colour:
    at the fuser, once for every camera of every agent. heads: at the fuser, once. map_shape, image_shape: what an
    agent sends of its LiDAR (or painted map) and of each camera. pairs: maps and cameras must be equally many.
    compress, decompress: of a map, where its channels are divided by a whole number; their rank C or K is what is left.
    """

    name: str
    title: str
    source: str
    lidar: Parts
    camera: Parts
    paint: Parts
    each: Parts
    fuse: Parts
    colour: Parts
    heads: Parts
    map_shape: tuple[int, ...]
    image_shape: tuple[int, ...] | None
    pairs: bool = False
    compress: Parts = ()
    decompress: Parts = ()

    def message_values(self, lidar: bool = True, cameras: int = 1) -> int:
        """Numbers that an agent sends for a frame."""
        if self.pairs and (not lidar or cameras != 1):
            problem = "paints one camera onto each LiDAR's map"
            raise LightboundError(f"sensors of {self.name}", (lidar, cameras), problem, "Give every agent one of each.")
        if not lidar and not cameras:
            raise LightboundError(f"sensors of {self.name}", None, "are none", "Give a LiDAR, a camera or both.")
        sent = prod(self.map_shape) if lidar else 0
        return sent + (cameras * prod(self.image_shape) if self.image_shape else 0)

    def before(self, lidar: bool = True, cameras: int = 1, points: int = 10_000) -> dict[str, Parts]:
        """Parts of an agent before it sends, by step. points: pillars that are not empty."""
        own = tuple(replace(part, sizes={**part.sizes, "P": points}) if "pillar" in part.workload else part
                    for part in self.lidar)  # fmt: skip
        steps = {"lidar": own if lidar else (), "camera": _times(self.camera, cameras)}
        return {**steps, "paint": _times(self.paint, cameras if lidar else 0)}

    def after(self, maps: int, cameras: int) -> dict[str, Parts]:
        """Parts of the fuser once it has the maps and images of all agents, itself among them, by step."""
        fused = tuple(replace(part, sizes={**part.sizes, "N": maps}) if part.workload == "pyramid_level" else part
                      for part in self.fuse)  # fmt: skip
        steps = {"maps": _times(self.each, maps), "fuse": fused}
        return {**steps, "colour": _times(self.colour, cameras), "heads": self.heads}

    def compressor(self, ratio: float) -> tuple[Parts, Parts] | None:
        """Parts that compress a map at the sender and decompress it at the fuser; None where the ratio does not divide
        the channels, so that some other code does it, whose cost is not known here."""
        channels = self.map_shape[0]
        if ratio == 1 or ratio != int(ratio) or channels % int(ratio):
            return ((), ()) if ratio == 1 else None
        left = channels // int(ratio)
        return (
            tuple(replace(part, sizes={**part.sizes, "C": left}) for part in self.compress),
            tuple(replace(part, sizes={**part.sizes, "K": left}) for part in self.decompress),
        )


def _times(parts: Parts, count: int) -> Parts:
    return tuple(replace(part, count=part.count * count) for part in parts) if count else ()


_SOURCE = "Li et al. 2025, arXiv 2501.16803; shapes of LantaoLi/RG-Attn at 092628c, DAIR-V2X"
_LIDAR = (
    Part("pillar_encoder", "dair_v2x"),
    Part("residual_basic_strided", "dair_v2x"),
    Part("residual_basic", "dair_v2x", 2),
)
_CAMERA = (
    Part("image_stem", "dair_v2x"),
    Part("residual_bottleneck_strided", "resnet101_layer1"),
    Part("residual_bottleneck", "resnet101_layer1", 2),
    Part("residual_bottleneck_strided", "resnet101_layer2"),
    Part("residual_bottleneck", "resnet101_layer2", 3),
    Part("residual_bottleneck_strided", "resnet101_layer3"),
    Part("residual_bottleneck", "resnet101_layer3", 22),
    Part("pointwise_convolution", "dair_v2x"),
    Part("bilinear_upsample", "dair_v2x"),
)
_PYRAMID = (
    Part("residual_bottleneck", "pyramid_0", 3),
    Part("residual_bottleneck_strided", "pyramid_1"),
    Part("residual_bottleneck", "pyramid_1", 4),
    Part("residual_bottleneck_strided", "pyramid_2"),
    Part("residual_bottleneck", "pyramid_2", 7),
)
_FUSE = (
    *(Part("pyramid_level", f"dair_v2x_{level}") for level in range(3)),
    Part("pyramid_merge", "dair_v2x"),
    Part("double_convolution", "dair_v2x"),
)
_HEADS = (Part("anchor_heads", "dair_v2x"),)
_COMPRESS = (Part("convolution", "compress"),)
_DECOMPRESS = (Part("double_convolution", "decompress"),)
_MAP, _IMAGE = (64, 128, 256), (8, 144, 256)

_ARCHITECTURES = {
    one.name: one
    for one in (
        Architecture(
            name="ptp",
            title="Paint to puzzle: every agent paints its camera onto its own map, and maps are fused once",
            source=_SOURCE,
            lidar=_LIDAR,
            camera=_CAMERA,
            paint=(Part("rg_attn", "dair_v2x_ptp"),),
            each=_PYRAMID,
            fuse=_FUSE,
            colour=(),
            heads=_HEADS,
            map_shape=_MAP,
            image_shape=None,
            pairs=True,
            compress=_COMPRESS,
            decompress=_DECOMPRESS,
        ),
        Architecture(
            name="cos_coco",
            title="Co-sketching and co-colouring: LiDAR maps are fused first, then every camera paints the fused map",
            source=_SOURCE,
            lidar=_LIDAR,
            camera=_CAMERA,
            paint=(),
            each=_PYRAMID,
            fuse=_FUSE,
            colour=(Part("rg_attn", "dair_v2x_cos_coco"),),
            heads=_HEADS,
            map_shape=_MAP,
            image_shape=_IMAGE,
            compress=_COMPRESS,
            decompress=_DECOMPRESS,
        ),
    )
}


def architecture_names() -> tuple[str, ...]:
    """The architectures there are."""
    return tuple(sorted(_ARCHITECTURES))


def architecture(name: str) -> Architecture:
    """An architecture by its name."""
    key = name.lower().replace("-", "_")
    if key not in _ARCHITECTURES:
        raise LightboundError("architecture", name, "is not known", choose_from(_ARCHITECTURES, name))
    return _ARCHITECTURES[key]
