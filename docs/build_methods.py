"""Write docs/methods.md and its pictures from the catalogue: what every method needs, how fast it is, what was claimed.

    python docs/build_methods.py            writes the page and the pictures
    python docs/build_methods.py --check    exits 1 if the page is not what would be written

Predictions are those of the default mapping, by the analytical engine, at the first preset of each method.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import lightbound as lb
from lightbound.sim.explain import seconds, size, times
from lightbound.validate.catalogue import Entry, catalogue, jobs_of
from lightbound.validate.claims import VERDICTS, Judged
from lightbound.validate.suites.claims import judged
from lightbound.workloads.passes import pass_of
from lightbound.workloads.registry import method

PAGE = Path(__file__).with_name("methods.md")
PICTURES = PAGE.with_suffix("")
GPU, ARRAY = "h200", "fusemax"
HEAD = f"""# Methods

<!-- Written by docs/build_methods.py from the catalogue: edit the methods, and run it. -->

Every method is a cascade (or several) that is proven, in float64, to compute what an independent PyTorch reference of
its mechanism computes. The figures are of its first variant at its first preset, under the mapping that is found for
it: `lightbound catalogue` makes such a table for any machine. *Over dense* compares with what the method replaces, at
the same sizes, on {GPU.upper()} and on the FuseMax array: nothing here is measured, both times are predicted.

What a method *must keep* is what outlives a pass over a rank: a buffer that is smaller sends it to memory and back.
"""


def page(entries: Sequence[Entry], claims: Sequence[Judged]) -> str:
    """The whole page."""
    by_method: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        by_method.setdefault(entry.method, {})[entry.machine] = entry
    parts = [HEAD, _table(by_method), "## The methods\n"]
    parts += [_section(here, [one for one in claims if one.method == name]) for name, here in by_method.items()]
    return "\n".join(parts)


def _table(by_method: dict[str, dict[str, Entry]]) -> str:
    lines = [
        f"| method | Einsums | multiply-adds | passes | {GPU} | over dense | {ARRAY} | over dense |",
        "|---|---:|---:|---|---:|---:|---:|---:|",
    ]
    for name, here in by_method.items():
        gpu, array = here[GPU], here[ARRAY]
        passes = f"{gpu.passes} over {gpu.passed_rank}" if gpu.passes > 1 else "1"
        cells = [f"[{name}](#{name})", str(gpu.einsums), f"{gpu.macs:.3g}", passes, *_times(gpu), *_times(array)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _times(entry: Entry) -> tuple[str, str]:
    latency = "" if entry.latency_s is None else seconds(entry.latency_s)
    return latency, "" if entry.speedup is None else times(entry.speedup)


def _section(here: dict[str, Entry], claims: Sequence[Judged]) -> str:
    entry = here[GPU]
    one = method(entry.method)
    lines = [f"### {entry.method}\n", f"{one.title}. {one.question}\n", f"Source: {one.source}.\n"]
    variants = ", ".join(f"`{name}`" for name in one.cascades)
    lines.append(f"Variants: {variants}. Here: `{entry.variant}` at {_preset(entry)}; {_needs(entry)}\n")
    lines.append(f"![The graph of {entry.method}, {entry.variant}]({PICTURES.name}/{entry.method}.svg)\n")
    if one.assumed:
        lines.append("Assumed: " + "; ".join(f"{what}: {how}" for what, how in one.assumed.items()) + ".\n")
    if claims:
        counts = Counter(claim.verdict for claim in claims)
        told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
        lines.append(f"Claims: {told}.\n")
        lines += ["| claim | claimed | here | verdict |", "|---|---:|---:|---|"]
        lines += [_claim(claim) for claim in claims if claim.derived is not None]
        if lines[-1].startswith("|---"):
            del lines[-2:]
        else:
            lines.append("")
    return "\n".join(lines)


def _preset(entry: Entry) -> str:
    return f"preset `{entry.preset}`" if entry.preset else "its default sizes"


def _needs(entry: Entry) -> str:
    work = lb.workload(entry.method, entry.preset or None, entry.variant)
    kept = [
        f"{live.tensor} ({live.held} elements{' for each ' + ', '.join(live.per) if live.per else ''}) over {rank}"
        for rank, analysis in pass_of(work.cascade).items()
        for live in analysis.live.values()
        if live.carries
    ]
    told = f"{size(entry.compulsory_bytes)} go in and out at least"
    return f"{told}; must keep {', '.join(kept[:4])}{' and others' if len(kept) > 4 else ''}." if kept else f"{told}."


def _claim(claim: Judged) -> str:
    of = claim.claim
    error = "" if of.exact or claim.error is None else f" ({claim.error:+.0%})"
    recalled = ", recalled" if of.evidence == "recalled" else ""
    return f"| {of.statement} | {of.value:,.5g} {of.unit} | {claim.derived:,.5g}{error} | {claim.verdict}{recalled} |"


def main(check: bool) -> int:
    """Write the page and its pictures, or say whether the page is current."""
    text = page(catalogue((GPU, ARRAY), every_preset=False, events=False), judged())
    if check:
        return 0 if PAGE.read_text(encoding="utf-8") == text else 1
    PICTURES.mkdir(exist_ok=True)
    for name in dict.fromkeys(name for name, _ in jobs_of(None, False)):
        lb.draw(lb.workload(name).cascade, PICTURES / f"{name}.svg")
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main("--check" in sys.argv[1:]))
