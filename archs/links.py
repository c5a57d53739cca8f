"""The links that ship with lightbound, ``data/links``, and links from files: how agents send bytes to each other.

A file states what a standard states, with its source, in quantities with units; it is read here into plain numbers in
SI units. What follows from them (airtimes, contention, loss) is for ``lightbound.sim.radio``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from lightbound.base.document import read_yaml
from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.schema import check, fault

from .units import BANDWIDTH, COUNT, SIZE, TIME, Dimension, UnitError, parse_quantity

DATA = Path(__file__).with_name("data") / "links"
_NOT_NEGATIVE = Dimension("an amount of data", "B", "24 B", zero=True, whole=True)
_SHARE = Dimension("a plain number", "", "0.8", zero=True)


def bits_per_second(text: object, where: str = "rate") -> float:
    """``27 Mb/s`` or ``27Mbps`` in bits per second. Raises LightboundError naming `where`."""
    try:
        return 8 * float(_parse(text, BANDWIDTH))
    except UnitError as error:
        raise LightboundError(where, text, error.problem, "Write a rate such as 27Mbps or 1 Gb/s.") from error


def quantity(text: object, kind: Literal["time", "size"], where: str) -> float:
    """``100 ms`` in seconds or ``1500 B`` in bytes. Raises LightboundError naming `where`."""
    dimension = TIME if kind == "time" else _NOT_NEGATIVE
    try:
        return _parse(text, dimension)
    except UnitError as error:
        raise LightboundError(where, text, error.problem, error.remedy) from error


def _parse(given: object, dimension: Dimension) -> float:
    if isinstance(given, int | float) and not isinstance(given, bool) and not dimension.unit:
        value: float = given
    elif isinstance(given, str):
        value = parse_quantity(re.sub(r"(?<=\d)\s*([kKMGT]?)bps$", _bits, given.strip()), dimension)
    else:
        raise UnitError("is not a number with a unit", dimension.advice)
    wrong = dimension.fault(value)
    if wrong:
        raise UnitError(wrong, dimension.advice)
    return value


def _bits(match: re.Match[str]) -> str:
    return f" {match[1].replace('K', 'k')}b/s"


def _stated(dimension: Dimension, times: float = 1) -> BeforeValidator:
    """Reads ``{value: 13 us, source: ...}``, or what stands in place of it, into a number."""

    def read(given: object) -> object:
        if isinstance(given, Mapping):
            if set(given) != {"value", "source"} or not str(given["source"]).strip():
                raise fault(dict(given), "is not a value with a source", "Write {value: ..., source: ...}.")
            given = given["value"]
        try:
            value = _parse(given, dimension)
        except UnitError as error:
            raise fault(given, error.problem, error.remedy) from error
        return value if times == 1 else times * value

    return BeforeValidator(read)


Seconds = Annotated[float, _stated(TIME)]
Bytes = Annotated[int, _stated(SIZE)]
AnyBytes = Annotated[int, _stated(_NOT_NEGATIVE)]
BitsPerSecond = Annotated[float, _stated(BANDWIDTH, times=8)]
Count = Annotated[int, _stated(COUNT)]
Whole = Annotated[int, _stated(Dimension("a whole number", "", "0", zero=True, whole=True))]
Share = Annotated[float, _stated(_SHARE)]


class Block(BaseModel):
    """Part of a link's file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RateStep(Block):
    """One data rate, with its modulation and code."""

    rate: BitsPerSecond
    modulation: Literal["bpsk", "qpsk", "16qam", "64qam", "256qam"]
    code: Literal["1/2", "2/3", "3/4", "5/6"]


class AccessCategory(Block):
    """Contention windows, and slots that the medium must be idle for after SIFS."""

    cw_min: int = Field(ge=0)
    cw_max: int = Field(ge=0)
    aifs_slots: int = Field(ge=1)


class Radio(Block):
    """What decides how strong a signal arrives over which noise."""

    source: str = Field(min_length=1)
    frequency_ghz: float = Field(gt=0)
    bandwidth_mhz: float = Field(gt=0)
    power_dbm: float
    antenna_dbi: float
    noise_figure_db: float


class LinkFile(Block):
    """What every file of a link has."""

    name: str
    title: str
    source: str = Field(min_length=1)
    rates: tuple[RateStep, ...] = ()


class IdealFile(LinkFile):
    """``kind: ideal``: a rate."""

    kind: Literal["ideal"]
    rate: BitsPerSecond
    latency: Seconds


class WiredFile(LinkFile):
    """``kind: wired``: a port with its frame format and its shaper."""

    kind: Literal["wired"]
    rate: BitsPerSecond
    mtu: Bytes
    header: AnyBytes
    gap: AnyBytes
    ip_header: AnyBytes
    udp_header: AnyBytes
    tcp_header: AnyBytes
    udp_payload: Bytes
    burst: AnyBytes
    latency: Seconds


class CsmaFile(LinkFile):
    """``kind: csma``: OFDM with listening before talking."""

    kind: Literal["csma"]
    rate: BitsPerSecond
    basic_rates: tuple[BitsPerSecond, ...] = Field(min_length=1)
    slot: Seconds
    sifs: Seconds
    symbol: Seconds
    preamble: Seconds
    legacy_preamble: Seconds | None = None
    ack: Bytes
    header: AnyBytes
    fragment: Bytes
    fragment_limit: Bytes
    ack_timeout: Seconds
    retry_limit: int = Field(ge=0)
    midamble_every: int = Field(ge=0)
    access: str
    access_categories: dict[str, AccessCategory] = Field(min_length=1)
    error_model: Literal["nist"] | None = None
    radio: Radio


class SidelinkFile(LinkFile):
    """``kind: lte`` or ``nr``: slots that agents reserve for themselves."""

    kind: Literal["lte", "nr"]
    slot: Seconds
    blocks: Count
    control_blocks: Whole = 0
    subchannels: Count
    mcs: Whole
    symbols: Count = 12
    feedback_symbols: Whole = 0
    reference_elements: Count = 12
    control_elements: Whole = 0
    second_stage_bits: Whole = 0
    beta: Share = 2.5
    repetitions: Count
    reservation_period: Seconds
    counter_min: Count
    counter_max: Count
    keep_probability: Share
    candidate_share: Share
    processing: Seconds
    selection_window: Seconds


AnyLinkFile = IdealFile | WiredFile | CsmaFile | SidelinkFile
_MODELS: dict[str, type[IdealFile | WiredFile | CsmaFile | SidelinkFile]] = {
    "ideal": IdealFile,
    "wired": WiredFile,
    "csma": CsmaFile,
    "lte": SidelinkFile,
    "nr": SidelinkFile,
}


def link_names() -> tuple[str, ...]:
    """The names of the links that ship with lightbound, in alphabetical order."""
    return tuple(sorted(path.stem for path in DATA.glob("*.yaml")))


def link_file(name_or_path: str | Path) -> AnyLinkFile:
    """What is stated of a link, by its name or by the path of a YAML file, in SI units.

    Raises LightboundError with file, field and remedy.
    """
    text = str(name_or_path)
    path = DATA / f"{text}.yaml"
    if not (re.fullmatch(r"[\w.]+", text) and path.is_file()):
        path = Path(text)
        if path.suffix not in (".yaml", ".yml"):
            raise LightboundError(
                "link", text, "is neither a link of the library nor a YAML file", choose_from(link_names(), text)
            )
    try:
        changed = path.stat().st_mtime_ns
    except (OSError, ValueError):
        changed = 0  # reading it will say what is wrong
    return _read(path, changed)


@lru_cache(maxsize=64)
def _read(path: Path, changed: int) -> AnyLinkFile:
    """A file as it stood when it was last changed."""
    document: Any = read_yaml(path, "link file")
    if not isinstance(document, dict):
        raise LightboundError(
            "link file", str(path), "is not a mapping of fields", "Begin it with 'name:' and 'kind:'."
        )
    kind = document.get("kind")
    if kind not in _MODELS:
        raise LightboundError(f"{path.name}: kind", kind, "is no kind of link", choose_from(_MODELS, str(kind)))
    return check(_MODELS[kind], document, path.name)
