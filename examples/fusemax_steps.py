"""From FLAT to FuseMax in three steps: what each step makes faster, and what stops it from being faster still.

FLAT (3 passes over the keys) and FuseMax (1 pass) are two ways to run attention on a spatial array. Between them lie
three steps: another cascade, another array, another order of work. This example simulates all of them for four models
and six lengths, says why each is as slow as it is, and draws out/fusemax_steps.png.

Change MODELS, LENGTHS or STEPS and run it again; `lightbound show fusemax` lists what there is to change.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

import lightbound as lb
from lightbound.sim.explain import seconds

MODELS = {"bert": "BERT", "trxl": "TrXL", "t5": "T5", "xlm": "XLM"}
LENGTHS = [2**exponent for exponent in range(10, 21, 2)]
BATCH = 64
EXPLAINED = ("bert", 2**18)  # the point whose explanations are printed
DRAWN = (("bert", 2**14), ("bert", 2**18))  # the points whose time is drawn by what it waits for
PICTURE = Path("out/fusemax_steps.png")


@dataclass(frozen=True)
class Step:
    """A machine, a mapping of attention on it, and the machine that does the encoder layer's other products."""

    title: str
    machine: str
    mapping: str
    linear: str
    change: str


FLAT = Step("FLAT", "flat", "flat", "flat", "three passes over the keys, fused: scores stay on chip while they fit")
STEPS = (
    Step("unfused", "flat", "unfused", "flat", "three passes over the keys, one phase after the other"),
    FLAT,
    Step("+Cascade", "flat_serial_exp", "cascade", "flat", "one pass over the keys on FLAT's arrays"),
    Step("+Architecture", "fusemax", "architecture", "fusemax", "the 2D array does the softmax too, tile by tile"),
    Step("+Binding (FuseMax)", "fusemax", "binding", "fusemax", "tiles interleaved: both arrays stay busy"),
)
LAST = STEPS[-1]


@cache
def attention(step: Step, model: str, tokens: int) -> lb.Prediction:
    workload = lb.workload("fusemax", preset=model, B=BATCH, M=tokens, P=tokens)
    return lb.simulate(workload, lb.machine(step.machine), step.mapping)


@cache
def layer_s(step: Step, model: str, tokens: int) -> float:
    """Seconds of a whole encoder layer: attention and the six matrix products around it."""
    products = lb.workload("encoder_linear", preset=model, R=BATCH * tokens)
    return attention(step, model, tokens).latency_s + lb.simulate(products, step.linear, "linear").latency_s


def speedup(step: Step, model: str, tokens: int) -> float:
    return attention(FLAT, model, tokens).latency_s / attention(step, model, tokens).latency_s


def layer_speedup(model: str, tokens: int) -> float:
    return layer_s(FLAT, model, tokens) / layer_s(LAST, model, tokens)


def thousands(tokens: int) -> str:
    return f"{tokens // 1024}K" if tokens < 2**20 else f"{tokens // 2**20}M"


def results() -> Table:
    """A row for each model and length: FLAT's latency, the speedup of the others, and what each waits for."""
    others = [step for step in STEPS if step is not FLAT]
    table = Table(
        title=f"Attention, batch {BATCH}: latency of FLAT, speedup over FLAT, what each waits for",
        caption="1d: the 1D array. drain: results leave the 2D array late. dram: memory.\n"
        "layer: FuseMax over FLAT on a whole encoder layer, products included.",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("model")
    table.add_column("tokens", justify="right")
    table.add_column("FLAT", justify="right")
    for step in others:
        table.add_column(step.title.replace(" ", "\n").replace("Architecture", "Archi-\ntecture"))
    table.add_column("layer", justify="right")
    for model, title in MODELS.items():
        for tokens in LENGTHS:
            flat = attention(FLAT, model, tokens)
            cells = [f"{seconds(flat.latency_s)} {flat.bottleneck:<4}"]
            for step in others:
                waits = attention(step, model, tokens).bottleneck.removeprefix("2d ")
                cells.append(f"{speedup(step, model, tokens):.2f}x {waits}")
            cells.append(f"{layer_speedup(model, tokens):.2f}x")
            table.add_row(title, thousands(tokens), *cells, end_section=tokens == LENGTHS[-1])
    return table


def reasons(console: Console) -> None:
    """The explanation of one point for each step: headline, passes, the largest Einsums, and traffic."""
    model, tokens = EXPLAINED
    console.print(f"\n[bold]Why: {MODELS[model]} at {thousands(tokens)} tokens[/bold]")
    for step in STEPS:
        console.print(f"\n[bold]{step.title}[/bold]: {step.change}.", highlight=False)
        lines = attention(step, model, tokens).explain().splitlines()
        telling = ("Longest", "Group", "m is walked", "Traffic")
        shown = [line for line in lines if line.startswith(telling)]
        for line in (lines[0].partition(": ")[2], *shown):
            console.print(f"  {line}", highlight=False, soft_wrap=True)


def summary() -> str:
    points = [(model, tokens) for model in MODELS for tokens in LENGTHS]
    alone = fmean(speedup(LAST, *point) for point in points)
    layers = fmean(layer_speedup(*point) for point in points)
    return (
        f"Over these {len(points)} points FuseMax is {alone:.2f} times as fast as FLAT on attention and {layers:.2f} "
        "times on whole encoder layers, on average. `lightbound validate fusemax` sets all of this beside the "
        "published figures."
    )


RESOURCES = {  # what time is spent waiting for: name in the picture, colour, hatch; no two share grey and hatch
    "1d": ("1D array", "#9ecae1", ""),
    "2d": ("2D array", "#1f5a96", ""),
    "2d drain": ("2D array drains", "#ffffff", "////"),
    "dram": ("memory (DRAM)", "#fdd0a2", "...."),
}
LINES = (("o", ":"), ("s", "--"), ("^", "-."), ("D", "-"))


def draw(path: Path) -> None:
    """Four panels: speedups by length above, time by what it waits for below. Told apart by marks, not by colour."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure, ((left, right), below) = pyplot.subplots(2, 2, figsize=(11, 8), height_ratios=(1.15, 1))
        model = DRAWN[0][0]
        others = [step for step in STEPS if step is not FLAT]
        attention_lines = {step.title: [speedup(step, model, n) for n in LENGTHS] for step in others}
        draw_lines(left, attention_lines, f"Attention: each step ({MODELS[model]})", labelled=True)
        layers = {MODELS[name]: [layer_speedup(name, n) for n in LENGTHS] for name in MODELS}
        draw_lines(right, layers, "Whole encoder layer: FuseMax", labelled=False)
        for axes, (name, tokens) in zip(below, DRAWN, strict=True):
            draw_bars(axes, name, tokens)
        handles, labels = below[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="lower center", ncols=len(RESOURCES), frameon=False, title="time spent waiting for"
        )
        figure.suptitle("From FLAT to FuseMax: how much faster, and what each step waits for", fontweight="bold")
        figure.tight_layout(rect=(0, 0.07, 1, 1), h_pad=2, w_pad=3)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150, metadata={"Description": alt_text()})
        pyplot.close(figure)


def draw_lines(axes: Any, lines: dict[str, list[float]], title: str, labelled: bool) -> None:
    """Speedup by length; each line with its name at its end, or in a legend where the ends would meet."""
    axes.axhline(1, color="0.6", linewidth=1)
    ends = spread([values[-1] for values in lines.values()], 0.075 * max(map(max, lines.values())))
    for (name, values), (marker, style), end in zip(lines.items(), LINES, ends, strict=False):
        axes.plot(LENGTHS, values, marker=marker, linestyle=style, color="#1f5a96", markerfacecolor="w", label=name)
        if labelled:
            place = (LENGTHS[-1], end)
            axes.annotate(name.replace(" ", "\n"), place, (8, 0), textcoords="offset points", va="center")
    if not labelled:
        axes.legend(loc="upper left", frameon=False)
    axes.set_xscale("log", base=2)
    axes.set_xticks(LENGTHS, [thousands(n) for n in LENGTHS])
    axes.set_ylim(bottom=0)
    axes.set(title=title, xlabel="sequence length (tokens)", ylabel="speedup over FLAT (times)")
    axes.margins(x=0.04)


def spread(heights: list[float], gap: float) -> list[float]:
    """Heights for labels that keep a gap between them, in the order of the values."""
    placed = list(heights)
    order = sorted(range(len(placed)), key=lambda index: placed[index])
    for lower, upper in pairwise(order):
        placed[upper] = max(placed[upper], placed[lower] + gap)
    return placed


def draw_bars(axes: Any, model: str, tokens: int) -> None:
    titles = [step.title.replace(" ", "\n") for step in STEPS]
    predictions = [attention(step, model, tokens) for step in STEPS]
    start = [0.0] * len(STEPS)
    for resource, (label, grey, hatch) in RESOURCES.items():
        parts = [prediction.decomposition_s.get(resource, 0.0) for prediction in predictions]
        axes.barh(titles, parts, left=start, color=grey, hatch=hatch, edgecolor="black", linewidth=0.8, label=label)
        start = [before + part for before, part in zip(start, parts, strict=True)]
    for title, end, prediction in zip(titles, start, predictions, strict=True):
        times = start[titles.index(FLAT.title)] / end
        axes.annotate(
            f"{seconds(prediction.latency_s)}, {times:.2f}x",
            (end, title),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
        )
    axes.invert_yaxis()
    axes.margins(x=0.3)
    axes.set(
        title=f"Latency of attention ({MODELS[model]}, {thousands(tokens)} tokens)",
        xlabel="latency (s)",
    )


def alt_text() -> str:
    """The picture in words, with the numbers that it shows."""
    model = DRAWN[0][0]
    first, last = LENGTHS[0], LENGTHS[-1]
    lines = ", ".join(
        f"{step.title} {speedup(step, model, first):.2f} and {speedup(step, model, last):.2f}"
        for step in STEPS
        if step is not FLAT
    )
    layers = ", ".join(
        f"{title} {layer_speedup(name, first):.2f} and {layer_speedup(name, last):.2f}"
        for name, title in MODELS.items()
    )
    bars = "; ".join(
        f"at {thousands(tokens)} tokens "
        + ", ".join(f"{step.title} {bar_words(attention(step, name, tokens))}" for step in STEPS)
        for name, tokens in DRAWN
    )
    return (
        f"Four panels. Above left, speedup of attention over FLAT for {MODELS[model]}, at {thousands(first)} and "
        f"{thousands(last)} tokens: {lines}. Above right, speedup of FuseMax over FLAT for an encoder layer, at the "
        f"same lengths: {layers}. Below, latency of attention by what it waits for: {bars}."
    )


def bar_words(prediction: lb.Prediction) -> str:
    parts = sorted(prediction.decomposition_s.items(), key=lambda part: part[1], reverse=True)
    shares = " and ".join(f"{value / prediction.latency_s:.0%} {RESOURCES[name][0]}" for name, value in parts)
    return f"{seconds(prediction.latency_s)} ({shares})"


def main() -> None:
    console = Console()
    console.print(results())
    reasons(console)
    console.print(f"\n{summary()}", highlight=False)
    try:
        draw(PICTURE)
    except ModuleNotFoundError:
        console.print("No picture: it needs matplotlib (pip install 'lightbound[plot]').", highlight=False)
        return
    console.print(f"\nPicture: {PICTURE}\n{alt_text()}", highlight=False)


if __name__ == "__main__":
    main()
