"""The layers that PTP and CoS-CoCo have alike, as stages: encoders, pyramid, shrink header, heads, channel compressor.

Grids are those of LantaoLi/RG-Attn at 092628c (DAIR-V2X) and of yifanlu0227/HEAL (OPV2V); the image backbone is
ResNet-101 without its last layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lightbound.base.errors import LightboundError, choose_from

from ..architecture import Part, Stage, Tensor

SOURCE = "Li et al. 2025, RG-Attn, arXiv 2501.16803, and LantaoLi/RG-Attn at 092628c"
_KERNEL = {"U": 3, "V": 3}


@dataclass(frozen=True)
class Grid:
    """Sizes of an architecture: cells of the canvas of pillars, pixels of an image (rows, columns), channels.

    bev: channels of an agent's map; fused: of the fused map; kept: of an image's features; base: first width of the
    image backbone; groups: of the pyramid's convolutions; pillars: how many hold points in a frame.
    """

    canvas: tuple[int, int]
    image: tuple[int, int]
    bev: int = 64
    fused: int = 256
    kept: int = 8
    base: int = 64
    heads: int = 8
    groups: int = 32
    pillars: int = 10000
    points: int = 32

    @property
    def map(self) -> tuple[int, int]:
        """Cells of a map of features."""
        return self.canvas[0] // 2, self.canvas[1] // 2

    @property
    def small(self) -> tuple[int, int]:
        """Rows and columns of an image's features as the backbone gives them."""
        return self.image[0] // 16, self.image[1] // 16

    @property
    def columns(self) -> tuple[int, int]:
        """Rows and columns of an image's features after upsampling; one column for each radian."""
        return self.small[0] * 8, self.small[1] * 8


GRIDS: Mapping[str, Grid] = {
    "dair_v2x": Grid((256, 512), (288, 512)),
    "opv2v": Grid((512, 512), (384, 512)),
    "tiny": Grid((16, 32), (32, 64), bev=16, fused=32, kept=4, base=4, heads=2, groups=4, pillars=20, points=4),
}


def grid_of(preset: str, pillars: int | None) -> Grid:
    """The sizes of a preset, with another number of pillars where one is given."""
    if preset not in GRIDS:
        raise LightboundError("preset", preset, "does not exist", choose_from(GRIDS, preset))
    if pillars is not None and pillars < 1:
        raise LightboundError("pillars", pillars, "are no pillars", "Write how many of a frame hold points.")
    return GRIDS[preset] if pillars is None else replace(GRIDS[preset], pillars=pillars)


def channels_sent(grid: Grid, channel_ratio: int) -> int:
    """Channels of a map as it is sent, one in `channel_ratio` of those that it has."""
    if channel_ratio < 1 or grid.bev % channel_ratio:
        remedy = f"Choose a divisor of the {grid.bev} channels of a map; 1 sends all of them."
        raise LightboundError("channel_ratio", channel_ratio, "does not divide the channels", remedy)
    return grid.bev // channel_ratio


def encode_lidar(grid: Grid) -> Stage:
    """Points to pillars to a map, through a backbone of three residual blocks."""
    (rows, columns), (y, x), c = grid.canvas, grid.map, grid.bev
    block = {"C": c, "M": c, "Y": y, "X": x, **_KERNEL}
    pillars = {"P": grid.pillars, "N": grid.points, "R": 4, "S": 3, "C": c, "Y": rows, "X": columns}
    return Stage(
        "encode_lidar",
        (
            Part("pillar_encoder", pillars, each="lidar"),
            Part("residual_basic_strided", {**block, "K": c, "S": 2, "P": rows, "Q": columns}, each="lidar"),
            Part("residual_basic", block, 2, each="lidar"),
        ),
    )


def encode_camera(grid: Grid) -> Stage:
    """An image through ResNet-101 up to its third layer, then cut to few channels."""
    (rows, columns), width = grid.image, grid.base
    stem = {"P": rows // 2, "Q": columns // 2, "Y": rows // 4, "X": columns // 4}
    parts = [Part("image_stem", {"K": 3, "C": width, "U": 7, "V": 7, "S": 3, "T": 3, **stem}, each="camera")]
    p, q, wide = rows // 4, columns // 4, width
    for layer, blocks in enumerate((3, 4, 23)):
        narrow, stride = width << layer, 2 if layer else 1
        y, x = p // stride, q // stride
        block = {"G": 1, "M": narrow, "R": narrow, "C": 4 * narrow, "Y": y, "X": x, **_KERNEL}
        parts.append(
            Part(
                "residual_bottleneck_strided",
                {**block, "K": wide, "S": stride, "P": p, "Q": q},
                each="camera",
            )
        )
        parts.append(Part("residual_bottleneck", block, blocks - 1, each="camera"))
        p, q, wide = y, x, 4 * narrow
    parts.append(Part("pointwise_convolution", {"K": wide, "C": grid.kept, "Y": p, "X": q}, each="camera"))
    return Stage("encode_camera", tuple(parts))


def upsample(grid: Grid) -> Stage:
    """An image's features to one column for each radian."""
    (r, s), (j, w) = grid.small, grid.columns
    sizes = {"D": grid.kept, "B": 2, "F": 2, "R": r, "S": s, "J": j, "W": w}
    return Stage("upsample", (Part("bilinear_upsample", sizes, each="camera"),), ("encode_camera",))


def radian_glue(name: str, grid: Grid, channels: int, variant: str, after: tuple[str, ...]) -> Stage:
    """Every camera painted onto a map of so many channels, one after the other."""
    (y, x), (j, w) = grid.map, grid.columns
    sizes = {
        "W": w, "I": y, "J": j, "D": grid.kept, "Q": 4, "Y": y, "X": x,
        "A": channels, "H": grid.heads, "E": channels // grid.heads,
    }  # fmt: skip
    if variant == "published":  # whose projections go through as many channels once more
        sizes["C"] = channels
    return Stage(name, (Part("rg_attn", sizes, each="camera", variant=variant),), after)


def compress(grid: Grid, channel_ratio: int, after: str) -> tuple[Stage, ...]:
    """The sender's side of the channel compressor, where there is one."""
    if channel_ratio == 1:
        return ()
    sizes = {"K": grid.bev, "C": channels_sent(grid, channel_ratio), "Y": grid.map[0], "X": grid.map[1], **_KERNEL}
    return (Stage("compress", (Part("convolution", sizes, each="lidar"),), (after,)),)


def decompress(grid: Grid, channel_ratio: int) -> tuple[Stage, ...]:
    """The receiver's side of the channel compressor, for each map that arrives."""
    if channel_ratio == 1:
        return ()
    c = grid.bev
    sizes = {"K": channels_sent(grid, channel_ratio), "M": c, "C": c, "Y": grid.map[0], "X": grid.map[1], **_KERNEL}
    return (Stage("decompress", (Part("double_convolution", sizes, each="message"),)),)


def fuse(grid: Grid, after: tuple[str, ...]) -> tuple[Stage, ...]:
    """The pyramid of each map, its levels joined over agents, brought together and shrunk to the fused map."""
    (rows, columns), c = grid.map, grid.bev
    blocks: list[Part] = []
    levels: list[Part] = []
    for level, count in enumerate((3, 5, 8)):
        y, x, wide = rows >> level, columns >> level, c << level
        per_group = 2 * wide // grid.groups
        block = {"G": grid.groups, "M": per_group, "R": per_group, "C": wide, "Y": y, "X": x, **_KERNEL}
        if level:
            halved = {**block, "K": wide // 2, "S": 2, "P": 2 * y, "Q": 2 * x}
            blocks.append(Part("residual_bottleneck_strided", halved, each="lidar"))
        blocks.append(Part("residual_bottleneck", block, count - bool(level), each="lidar"))
        joined = {"Q": 4, "C": wide, "Y": y, "X": x}
        levels.append(Part("pyramid_level", joined, each="lidar", count_rank="N"))
    merge = {
        "K": c, "L": 2 * c, "M": 4 * c, "C": 2 * c, "Y": rows, "X": columns, "R0": 2, "S0": 2, "T0": 4, "U0": 4,
        "R1": rows // 2, "S1": columns // 2, "T1": rows // 4, "U1": columns // 4,
    }  # fmt: skip
    shrink = {"K": 6 * c, "M": grid.fused, "C": grid.fused, "Y": rows, "X": columns, **_KERNEL}
    return (
        Stage("pyramid", tuple(blocks), after),
        Stage("fuse", (*levels, Part("pyramid_merge", merge)), ("pyramid",)),
        Stage("shrink", (Part("double_convolution", shrink),), ("fuse",)),
    )


def heads(grid: Grid, after: tuple[str, ...]) -> Stage:
    """Classes, boxes and directions of six anchors a cell."""
    sizes = {"C": grid.fused, "O": 6, "B": 42, "D": 12, "Y": grid.map[0], "X": grid.map[1]}
    return Stage("heads", (Part("anchor_heads", sizes),), after)


def features(grid: Grid, name: str, channels: int) -> Tensor:
    """A map of features as it is sent."""
    return Tensor(name, (channels, *grid.map), "lidar")
