"""The ``v2x`` command and its options. It hands over to ``cooperating``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .bound_command import app
from .commands import Format, Report
from .delivering import check_delivery, deliver
from .output import note


@app.command()
def v2x(
    architecture: Annotated[
        str, typer.Option("--architecture", metavar="NAME", help="Who computes what: ptp or cos_coco.")
    ] = "ptp",
    agents: Annotated[int, typer.Option("--agents", metavar="N", help="Agents, the one that fuses included.")] = 2,
    link: Annotated[
        str, typer.Option("--link", metavar="LINK", help="802.11p, 802.11bd, lte_v2x, nr_v2x, ethernet, ideal, a file.")
    ] = "802.11p",
    rate: Annotated[str | None, typer.Option("--rate", metavar="RATE", help="Of the link: 27Mbps.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="Of the link: access=vi, mcs=27, fragment='1398 B'."),
    ] = None,
    machine: Annotated[
        str | None, typer.Option("--machine", metavar="MACHINE", help="On which every agent computes.")
    ] = None,
    units: Annotated[
        str, typer.Option("--units", metavar="N", help="Accelerators of an agent: one, or two that work side by side.")
    ] = "one",
    sender_time: Annotated[
        str | None, typer.Option("--sender-time", metavar="TIME", help="From capture to message: 30ms.")
    ] = None,
    fuser_time: Annotated[
        str | None, typer.Option("--fuser-time", metavar="TIME", help="Of fusion, once a frame.")
    ] = None,
    fuser_time_each: Annotated[
        str | None, typer.Option("--fuser-time-each", metavar="TIME", help="Of fusion, for each message.")
    ] = None,
    compression: Annotated[
        float, typer.Option("--compression", metavar="RATIO", help="By what messages are divided.")
    ] = 1.0,
    dtype: Annotated[
        str, typer.Option("--dtype", metavar="TYPE", help="Of what is sent: fp32, fp16, bf16, int8.")
    ] = "fp32",
    message: Annotated[
        int | None, typer.Option("--bytes", metavar="N", help="Of a message, instead of the architecture's.")
    ] = None,
    cameras: Annotated[int, typer.Option("--cameras", metavar="N", help="Of each agent.")] = 1,
    lidar: Annotated[bool, typer.Option("--lidar/--no-lidar", help="Whether agents have one.")] = True,
    hz: Annotated[float, typer.Option("--hz", metavar="HZ", help="Captures a second.")] = 10.0,
    frames: Annotated[int, typer.Option("--frames", metavar="N", help="Captures of each agent.")] = 100,
    deadline: Annotated[str, typer.Option("--deadline", metavar="TIME", help="From capture to output.")] = "100ms",
    fusion: Annotated[
        str, typer.Option("--fusion", metavar="POLICY", help="wait_all, window, newest or drop_old.")
    ] = "wait_all",
    window: Annotated[
        str | None, typer.Option("--window", metavar="TIME", help="How long fusion waits; by default, as it can.")
    ] = None,
    oldest: Annotated[int, typer.Option("--oldest", metavar="FRAMES", help="For drop_old.")] = 1,
    queue: Annotated[str, typer.Option("--queue", metavar="POLICY", help="fifo, or replace.")] = "fifo",
    phases: Annotated[
        str, typer.Option("--phases", metavar="KIND", help="synchronised, planned, even or random.")
    ] = "synchronised",
    everyone: Annotated[bool, typer.Option("--everyone", help="All agents broadcast, and all fuse.")] = False,
    loss: Annotated[float, typer.Option("--loss", metavar="P", help="Chance that a packet fades.")] = 0.0,
    distance: Annotated[
        float | None, typer.Option("--distance", metavar="M", help="Between agents; sets the loss of 802.11p.")
    ] = None,
    environment: Annotated[
        str, typer.Option("--environment", metavar="NAME", help="highway, urban, nlos or winner_b1.")
    ] = "highway",
    shadowing: Annotated[float, typer.Option("--shadowing", metavar="DB", help="Log-normal, with --distance.")] = 0.0,
    replications: Annotated[
        int, typer.Option("--replications", metavar="N", help="Runs with other draws, on all cores.")
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of all draws.")] = 0,
    sweep: Annotated[
        str | None,
        typer.Option("--sweep", metavar="NAME=VALUES", help="agents=1..10, compression=1,8,64, rate=6Mbps,27Mbps."),
    ] = None,
    limits: Annotated[
        bool, typer.Option("--limits", help="Most agents, least compression and rate for the deadline.")
    ] = False,
    trace: Annotated[
        Path | None,
        typer.Option("--trace", metavar="FILE", help="A timeline for the Perfetto UI (.json), or drawn (.svg)."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw to a .png, .svg or .pdf file.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain/--no-explain", help="Say which part to improve.")] = True,
    report: Report = None,
    form: Format = "table",
) -> None:
    """How well agents share features over a link.

    Latency from capture to output, age of information, missed deadlines, deliveries, how busy the channel is, and
    which part to improve; with --sweep, over agents, compression or rate; with --limits, how far the setting reaches.
    """
    from .cooperating import Asked, answer, link_options, time

    check_delivery(form, report)
    setting = {
        "rate": rate,
        "link_options": link_options(option or ()),
        "machine": machine,
        "units": units,
        "sender_s": time("--sender-time", sender_time),
        "fuser_s": time("--fuser-time", fuser_time),
        "fuser_each_s": time("--fuser-time-each", fuser_time_each),
        "compression": compression,
        "dtype": dtype,
        "payload_bytes": message,
        "cameras": cameras,
        "lidar": lidar,
        "hz": hz,
        "frames": frames,
        "deadline_s": time("--deadline", deadline),
        "fusion": fusion,
        "window_s": time("--window", window),
        "oldest_frames": oldest,
        "queueing": queue,
        "phases": phases,
        "everyone": everyone,
        "loss": loss,
        "distance_m": distance,
        "environment": environment,
        "shadowing_db": shadowing,
    }
    asked = Asked(replications, seed, sweep, limits, trace, plot, explain)
    deliver(answer(architecture, agents, link, setting, asked), form, report, f"{agents} agents over {link}")
    for written, said in ((plot, "Drawn to"), (trace, "Timeline written to")):
        if written is not None:
            note(f"{said} {written}")
