"""The commands and their options, as ``--help`` shows them. Each hands over to the module that answers it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lightbound import __version__

from .delivering import check_delivery, deliver
from .output import check_format, note, publish

EXAMPLES = """\b
Examples:
  lightbound list workloads
  lightbound show fusemax:binding
  lightbound simulate fusemax --preset bert --machine fusemax --mapping binding
  lightbound simulate my_attention.txt --machine fusemax --set M=64K,P=64K
  lightbound size fusemax --machine fusemax --level global_buffer --plot ski_slope.png
  lightbound validate fusemax"""

app = typer.Typer(
    name="lightbound",
    help="How fast can a method run on a machine, what stops it, and how large must the buffers be?",
    epilog=EXAMPLES,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

Workload = Annotated[
    str,
    typer.Argument(
        metavar="WORKLOAD", help="A name, or a file: Einsum lines (.txt, .einsum) or .yaml.", show_default=False
    ),
]
MachineName = Annotated[
    str, typer.Option("--machine", metavar="MACHINE", help="A name, or a .yaml file.", show_default=False)
]
Preset = Annotated[str | None, typer.Option("--preset", metavar="NAME", help="Named sizes of the workload.")]
Variant = Annotated[str | None, typer.Option("--variant", metavar="NAME", help="Which cascade of the workload.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="M=64K,...", help="Sizes of ranks, over those of the preset: 4096, 64K, 2**20."),
]
SetMachine = Annotated[
    list[str] | None,
    typer.Option(
        "--set-machine", metavar="FIELD=VALUE", help='A field of the machine: "global_buffer=8 MiB", pe_dim=128.'
    ),
]
MappingName = Annotated[
    str | None,
    typer.Option(
        "--mapping", metavar="NAME", help="A mapping of the workload, or a .yaml file; a good one is found by default."
    ),
]
MaskOption = Annotated[
    list[str] | None,
    typer.Option("--mask", metavar="NAME=VALUE", help="An option of the workload's mask: window=18,24,24."),
]
Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Write a page with plots (.html), tables (.md) or rows (.csv)."),
]
Format = Annotated[str, typer.Option("--format", metavar="FORMAT", help="table, json or csv.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lightbound {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _alone(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list")
def list_(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[workloads|machines|mappings|suites|links|architectures]", show_default=False),
    ] = None,
    form: Format = "table",
) -> None:
    """What there is: workloads, machines, mappings, suites; links and architectures of vehicles."""
    from .listing import answer

    check_format(form)
    publish(answer(kind), form)


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A workload, a machine, WORKLOAD:MAPPING, or a file.", show_default=False),
    ],
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="workload or machine, where a name is both.")
    ] = None,
    preset: Preset = None,
    variant: Variant = None,
    set_: Set = None,
    machine: Annotated[
        str | None, typer.Option("--machine", metavar="MACHINE", help="For a mapping that depends on the machine.")
    ] = None,
    set_machine: SetMachine = None,
    form: Format = "table",
) -> None:
    """Everything about a workload, machine or mapping.

    A workload: its cascade, ranks, operations by kind, compulsory traffic and passes. A machine: its levels, units,
    peak rates, and where each number is from. A mapping: YAML that simulate takes back as --mapping FILE.yaml.
    """
    from .showing import answer

    check_format(form)
    publish(answer(name, kind, preset, variant, set_ or (), machine, set_machine or ()), form)


@app.command()
def simulate(
    workload: Workload,
    machine: MachineName,
    preset: Preset = None,
    variant: Variant = None,
    mapping: MappingName = None,
    set_: Set = None,
    set_machine: SetMachine = None,
    mask: MaskOption = None,
    causal: Annotated[bool, typer.Option("--causal", help="No query looks ahead.")] = False,
    backward: Annotated[
        bool, typer.Option("--backward", help="The gradients, where the workload has a method for them.")
    ] = False,
    dtype: Annotated[str, typer.Option("--dtype", metavar="TYPE", help="Of all numbers: bf16 or fp16.")] = "bf16",
    tiles: Annotated[
        str | None, typer.Option("--tiles", metavar="QxK", help="Queries and keys of a tile, for attention mappings.")
    ] = None,
    stages: Annotated[int | None, typer.Option("--stages", metavar="N", help="STAGES of the mapping.")] = None,
    warps: Annotated[int | None, typer.Option("--warps", metavar="N", help="WARPS of the mapping.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="A param or tile size of the mapping (show lists them)."),
    ] = None,
    engine: Annotated[
        str,
        typer.Option("--engine", metavar="ENGINE", help="analytical: closed forms; event: every task of every worker."),
    ] = "analytical",
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the event engine's random numbers.")] = 0,
    fill: Annotated[
        str, typer.Option("--fill", metavar="FILL", help="Pipeline fill of the event engine: counted or amortised.")
    ] = "counted",
    trace: Annotated[
        Path | None,
        typer.Option("--trace", metavar="FILE", help="The run of events for the Perfetto UI (.json), or drawn (.svg)."),
    ] = None,
    follow: Annotated[
        str,
        typer.Option("--follow", metavar="N", help="How many instances the event engine follows: a number, all, auto."),
    ] = "auto",
    what_if: Annotated[
        list[str] | None,
        typer.Option("--what-if", metavar="NAME=VALUE", help="And with another machine: exp=2x, dram=inf; or all."),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain/--no-explain", help="Say in words why it takes so long.")] = True,
    report: Report = None,
    form: Format = "table",
) -> None:
    """Predict a workload on a machine: latency, and why.

    Also traffic by level and tensor, utilization by unit, energy, and what each buffer holds.
    """
    from . import given, kernel
    from .bounding import with_mask
    from .simulating import answer

    check_delivery(form, report)
    work = given.workload(workload, preset, variant, set_ or (), kernel.word_bytes(dtype))
    work = with_mask(work, kernel.mask_options(work, mask or ()))
    work = kernel.backward(work) if backward else work
    work = kernel.causal(work) if causal else work
    hardware = given.machine(machine, set_machine or ())
    values = kernel.values(param or (), stages, warps)
    meant = kernel.mapping_of(work, hardware, given.mapping(mapping), tiles, values)
    found = answer(work, hardware, meant, engine, explain, seed, fill, trace, what_if or (), follow)
    deliver(found, form, report, f"{work.name} on {hardware.name}")


@app.command()
def size(
    workload: Workload,
    machine: MachineName,
    level: Annotated[
        str | None,
        typer.Option("--level", metavar="LEVEL", help="The level to size; by default the one next to the outermost."),
    ] = None,
    preset: Preset = None,
    variant: Variant = None,
    mapping: MappingName = None,
    set_: Set = None,
    set_machine: SetMachine = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the frontier to a .png, .svg or .pdf file.")
    ] = None,
    report: Report = None,
    form: Format = "table",
) -> None:
    """How large a buffer must be.

    Capacity against traffic and latency over the best mappings, the smallest capacity that reaches compulsory
    traffic, and whether that grows with a rank.
    """
    from . import given
    from .sizing import answer

    check_delivery(form, report)
    work = given.workload(workload, preset, variant, set_ or ())
    hardware = given.machine(machine, set_machine or ())
    found = answer(work, hardware, level, given.mapping(mapping), plot)
    deliver(found, form, report, f"Buffers for {work.name} on {hardware.name}")
    if plot is not None:
        note(f"Drawn to {plot}")


@app.command()
def validate(
    suites: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SUITE]...",
            help="Suites to run; by default all but those that measure this machine or take minutes.",
        ),
    ] = None,
    cases: Annotated[
        Path | None, typer.Option("--cases", metavar="FILE", help="Score a suite on your own reference.")
    ] = None,
    machine: Annotated[
        str | None,
        typer.Option("--machine", metavar="MACHINE", help="Predict records on this one, such as a probed GPU."),
    ] = None,
    report: Report = None,
    form: Format = "table",
) -> None:
    """Score the simulator on published figures.

    Exits with 1 where a suite misses one of its bars, and with 0 where all pass.
    """
    from .validating import answer

    check_delivery(form, report)
    found, passed = answer(suites or (), cases, machine)
    deliver(found, form, report, "Validation")
    if not passed:
        raise typer.Exit(1)
