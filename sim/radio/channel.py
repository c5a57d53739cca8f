"""The medium of a link, to be run by events."""

from __future__ import annotations

from .contention import CsmaChannel
from .csma import CsmaLink
from .link import Link
from .medium import Loss, Medium
from .port import IdealChannel, WiredPort
from .reservation import SidelinkChannel
from .wired import IdealLink, WiredLink


def channel(link: Link, stations: int, seed: int = 0, loss: Loss | None = None, record: bool = False) -> Medium:
    """A medium that `stations` share; `record` keeps what is on the air, for a timeline."""
    if isinstance(link, CsmaLink):
        return CsmaChannel(link, stations, seed, loss, record)
    if isinstance(link, WiredLink):
        return WiredPort(link, stations, seed, loss, record)
    if isinstance(link, IdealLink):
        return IdealChannel(link, stations, seed, loss, record)
    return SidelinkChannel(link, stations, seed, loss, record)
