"""Paint-to-puzzle (PTP): every agent paints its cameras onto its own map, sends that, and the ego fuses the maps."""

from __future__ import annotations

from ..architecture import Architecture
from . import _layers as layers


def build(
    preset: str = "dair_v2x", *, channel_ratio: int = 1, pillars: int | None = None, variant: str = "published"
) -> Architecture:
    """PTP at the sizes of a preset.

    channel_ratio: the optional compressor sends one in so many channels. pillars: how many of a frame hold points.
    variant: of the radian-glue block, `published` or `merged`.
    """
    grid = layers.grid_of(preset, pillars)
    sent = layers.channels_sent(grid, channel_ratio)
    painted = ("encode_lidar", "upsample")
    return Architecture(
        name="ptp",
        title="Paint-to-puzzle: cameras are painted before agents fuse",
        source=layers.SOURCE,
        preset=preset,
        sender=(
            layers.encode_lidar(grid),
            layers.encode_camera(grid),
            layers.upsample(grid),
            layers.radian_glue("paint", grid, grid.bev, variant, painted),
        ),
        send=layers.compress(grid, channel_ratio, "paint"),
        receive=layers.decompress(grid, channel_ratio),
        ego=(
            *layers.fuse(grid, ("decompress",) if channel_ratio > 1 else ()),
            layers.heads(grid, ("shrink",)),
        ),
        sends=(layers.features(grid, "painted map", sent),),
        needs_lidar=True,
        limits=("The released code needs as many cameras as maps; here an agent paints each of its cameras, or none.",),
    )
