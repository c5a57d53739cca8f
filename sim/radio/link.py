"""A link by name: the numbers of its file with the options of a user, checked, as the model that answers for it."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightbound.base.errors import LightboundError, choose_from

from .csma import CsmaLink
from .sidelink import Sidelink
from .wired import IdealLink, WiredLink

if TYPE_CHECKING:
    from lightbound.archs.links import AnyLinkFile, CsmaFile, SidelinkFile, WiredFile

Link = IdealLink | WiredLink | CsmaLink | Sidelink


def link(name_or_path: str | Path, /, **options: Any) -> Link:
    """A link by its name or the path of a YAML file, with options of that kind of link.

    All but the sidelinks: rate (``"27 Mbps"``). Radio with contention: access (an access category), broadcast,
    fragment (``"1500 B"``), header, symbol (``"8 us"``), retry_limit (None: for ever), ack_rate. Wired: protocol
    (``"tcp"`` or ``"udp"``), burst, mtu, udp_payload, gap, latency. Sidelinks: mcs, blocks, subchannels, repetitions,
    keep_probability, reservation_period, selection_window, feedback_symbols, reference_elements, beta.

    Raises LightboundError for an unknown link or option and for a value that the link does not have.
    """
    from lightbound.archs.links import CsmaFile, IdealFile, WiredFile, link_file

    file = link_file(name_or_path)
    given = {name: value for name, value in options.items() if value is not None or name == "retry_limit"}
    if isinstance(file, IdealFile):
        rate, latency = _rate(file, given), _quantity(file, given, "latency", "time")
        made: Link = IdealLink(file.name, rate, latency)
    elif isinstance(file, WiredFile):
        made = _wired(file, given)
    elif isinstance(file, CsmaFile):
        made = _csma(file, given)
    else:
        made = _sidelink(file, given)
    if given:
        raise LightboundError(f"link {file.name}", next(iter(given)), "is no option of it", _offered(file))
    return made


def _offered(file: AnyLinkFile) -> str:
    names = {
        "ideal": "rate, latency",
        "wired": "rate, protocol, burst, mtu, udp_payload, gap, latency",
        "csma": "rate, ack_rate, access, broadcast, fragment, header, symbol, retry_limit",
    }
    sidelink = (
        "mcs, blocks, subchannels, repetitions, keep_probability, reservation_period, selection_window, "
        "feedback_symbols, reference_elements, beta"
    )
    return f"Choose from: {names.get(file.kind, sidelink)}."


def _rate(file: Any, given: dict[str, Any]) -> float:
    """The rate meant; one of the file's, where it lists any."""
    from lightbound.archs.links import bits_per_second

    if "rate" not in given:
        return file.rate
    said = given.pop("rate")
    rate = float(said) if isinstance(said, int | float) else bits_per_second(said, f"rate of {file.name}")
    steps = [step.rate for step in file.rates]
    if steps and not any(abs(rate - step) < 1e-6 * step for step in steps):
        remedy = f"Choose from: {', '.join(f'{step / 1e6:g} Mbps' for step in steps)}."
        raise LightboundError(f"rate of {file.name}", said, "is none of its rates", remedy)
    return rate


def _quantity(file: Any, given: dict[str, Any], name: str, kind: Any) -> Any:
    from lightbound.archs.links import quantity

    said = given.pop(name, None)
    if said is None:
        return getattr(file, name)
    value = quantity(said, kind, f"{name} of {file.name}") if isinstance(said, str) else said
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < inf:
        raise LightboundError(
            f"{name} of {file.name}", said, "is not a quantity of at least 0", "Write it with a unit."
        )
    return value


def _wired(file: WiredFile, given: dict[str, Any]) -> WiredLink:
    protocol = given.pop("protocol", "udp")
    made = WiredLink(
        name=file.name,
        rate_bps=_rate(file, given),
        mtu_bytes=_quantity(file, given, "mtu", "size"),
        header_bytes=file.header,
        gap_bytes=_quantity(file, given, "gap", "size"),
        ip_header_bytes=file.ip_header,
        udp_header_bytes=file.udp_header,
        tcp_header_bytes=file.tcp_header,
        udp_payload_bytes=_quantity(file, given, "udp_payload", "size"),
        burst_bytes=_quantity(file, given, "burst", "size"),
        latency_s=_quantity(file, given, "latency", "time"),
        protocol=protocol,
    )
    if made.segment_bytes()[0] < 1:
        raise LightboundError(f"mtu of {file.name}", made.mtu_bytes, "leaves no room for payload", "Make it larger.")
    return made


def _csma(file: CsmaFile, given: dict[str, Any]) -> CsmaLink:
    from lightbound.archs.links import bits_per_second

    rate = _rate(file, given)
    step = next(step for step in file.rates if abs(step.rate - rate) < 1e-6 * rate)
    access = given.pop("access", file.access)
    if access not in file.access_categories:
        remedy = choose_from(file.access_categories, str(access))
        raise LightboundError(f"access of {file.name}", access, "is no access category of it", remedy)
    category = file.access_categories[access]
    fragment = _quantity(file, given, "fragment", "size")
    if not 1 <= fragment <= file.fragment_limit:
        problem = f"is not between 1 and {file.fragment_limit} bytes"
        raise LightboundError(f"fragment of {file.name}", fragment, problem, "A longer message is cut by itself.")
    basic = [basic for basic in file.basic_rates if basic <= rate * (1 + 1e-9)]
    ack_rate = given.pop("ack_rate", None)
    if isinstance(ack_rate, str):
        ack_rate = bits_per_second(ack_rate, f"ack_rate of {file.name}")
    retry = given.pop("retry_limit", file.retry_limit)
    return CsmaLink(
        name=file.name,
        rate_bps=rate,
        ack_rate_bps=ack_rate or max(basic, default=min(file.basic_rates)),
        lowest_rate_bps=min(file.basic_rates),
        modulation=step.modulation,
        code=step.code,
        slot_s=file.slot,
        sifs_s=file.sifs,
        symbol_s=_quantity(file, given, "symbol", "time"),
        preamble_s=file.preamble,
        ack_preamble_s=file.preamble if file.legacy_preamble is None else file.legacy_preamble,
        ack_bytes=file.ack,
        header_bytes=_quantity(file, given, "header", "size"),
        fragment_bytes=int(fragment),
        cw_min=category.cw_min,
        cw_max=category.cw_max,
        aifs_slots=category.aifs_slots,
        ack_timeout_s=file.ack_timeout,
        retry_limit=inf if retry is None else retry,
        midamble_every=file.midamble_every,
        broadcast=bool(given.pop("broadcast", False)),
        error_model=file.error_model,
        frequency_ghz=file.radio.frequency_ghz,
        bandwidth_hz=file.radio.bandwidth_mhz * 1e6,
        power_dbm=file.radio.power_dbm,
        antenna_dbi=file.radio.antenna_dbi,
        noise_figure_db=file.radio.noise_figure_db,
    )


def _sidelink(file: SidelinkFile, given: dict[str, Any]) -> Sidelink:
    fields = {}
    for name in ("mcs", "blocks", "subchannels", "repetitions", "keep_probability", "feedback_symbols",
                 "reference_elements", "beta"):  # fmt: skip
        value = given.pop(name, getattr(file, name))
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise LightboundError(f"{name} of {file.name}", value, "is not a number of at least 0", "Correct it.")
        fields[name] = value
    given.pop("broadcast", None)  # a sidelink always is
    return Sidelink(
        name=file.name,
        generation=file.kind,
        slot_s=file.slot,
        control_blocks=file.control_blocks,
        symbols=file.symbols,
        control_elements=file.control_elements,
        second_stage_bits=file.second_stage_bits,
        reservation_period_s=_quantity(file, given, "reservation_period", "time"),
        counter_min=file.counter_min,
        counter_max=file.counter_max,
        candidate_share=file.candidate_share,
        processing_s=file.processing,
        selection_window_s=_quantity(file, given, "selection_window", "time"),
        **fields,
    )
