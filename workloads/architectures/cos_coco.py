"""Co-sketch, co-colour (CoS-CoCo): agents send maps and image features apart; the ego fuses the maps, then paints."""

from __future__ import annotations

from typing import Literal, get_args

from lightbound.base.errors import LightboundError, choose_from

from ..architecture import Architecture, Stage, Tensor
from . import _layers as layers

Side = Literal["sender", "ego"]


def build(
    preset: str = "dair_v2x",
    *,
    channel_ratio: int = 1,
    pillars: int | None = None,
    variant: str = "published",
    upsample: Side = "sender",
) -> Architecture:
    """CoS-CoCo at the sizes of a preset.

    channel_ratio: the optional compressor sends one in so many channels of a map. pillars: how many of a frame hold
    points. variant: of the radian-glue block, `published` or `merged`. upsample: where image features are upsampled; on
    the ego a message carries 64 times fewer of them, and the result is the same.
    """
    if upsample not in get_args(Side):
        raise LightboundError("upsample", upsample, "is no side of a link", choose_from(get_args(Side), upsample))
    grid = layers.grid_of(preset, pillars)
    sent = layers.channels_sent(grid, channel_ratio)
    enlarge = layers.upsample(grid)
    at_ego = upsample == "ego"
    image = Tensor("image features", (grid.kept, *(grid.small if at_ego else grid.columns)), "camera")
    received = Stage(enlarge.name, enlarge.parts)
    return Architecture(
        name="cos_coco",
        title="Co-sketch, co-colour: agents fuse maps, then the ego paints all cameras onto the fused one",
        source=layers.SOURCE,
        preset=preset,
        sender=(layers.encode_lidar(grid), layers.encode_camera(grid), *(() if at_ego else (enlarge,))),
        send=layers.compress(grid, channel_ratio, "encode_lidar"),
        receive=(*layers.decompress(grid, channel_ratio), *((received,) if at_ego else ())),
        ego=(
            *layers.fuse(grid, ("decompress",) if channel_ratio > 1 else ()),
            layers.radian_glue("colour", grid, grid.fused, variant, ("shrink", *(("upsample",) if at_ego else ()))),
            layers.heads(grid, ("colour",)),
        ),
        sends=(layers.features(grid, "map", sent), image),
        limits=("The released code colours only where there are exactly two cameras; here any number is coloured.",),
    )
