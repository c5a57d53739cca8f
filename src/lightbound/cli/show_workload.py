"""A workload in blocks: its cascade, sizes, operations, compulsory traffic, passes, presets and named mappings."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd
from typing import Any

from lightbound.sim.explain import size
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.counts import compulsory_traffic, operations, total_operations
from lightbound.workloads.passes import PassAnalysis, pass_of
from lightbound.workloads.registry import Method, Workload

from .answer import Block, Table, Text
from .listing import source

_SHOWN_TILE = 256


def describe(work: Workload) -> tuple[list[Block], dict[str, Any]]:
    """The blocks to read and the data of a workload."""
    method, cascade = work.method, work.cascade
    sized, assumed = _with_free_tiles(cascade)
    analyses = pass_of(cascade)
    complete = not sized.missing_sizes
    blocks = [_head(work), Text(method.cascades[work.variant].strip(), f"Cascade ({work.variant})", verbatim=True)]
    blocks.append(_sizes(cascade))
    if complete:
        blocks += [_operations(sized, assumed), _traffic(sized, work.word_bytes)]
    else:
        needed = ", ".join(sized.missing_sizes)
        blocks.append(Text(f"Operations and traffic need sizes for {needed}: --set {sized.missing_sizes[0]}=..."))
    blocks += _passes(analyses)
    if method.presets:
        blocks.append(_presets(method))
    if method.mappings:
        blocks.append(_mappings(method))
    return blocks, _data(work, sized if complete else None, assumed, analyses)


def _with_free_tiles(cascade: Cascade) -> tuple[Cascade, dict[str, int]]:
    """The cascade with a tile size for each that only a mapping would choose, so that it can be counted."""
    assumed: dict[str, int] = {}
    for partition in cascade.partitions:
        free = [symbol for symbol in partition.parts[1:] if symbol in cascade.missing_sizes]
        if partition.total in cascade.sizes and len(free) == 1:
            assumed[free[0]] = gcd(cascade.sizes[partition.total], _SHOWN_TILE)
    return cascade.with_sizes(**assumed), assumed


def _head(work: Workload) -> Block:
    method = work.method
    lines = [method.title, method.question, f"Source: {method.source}"]
    if len(method.cascades) > 1:
        lines.append(f"Variants: {', '.join(method.cascades)} (shown: {work.variant})")
    return Text("\n".join(line for line in lines if line), title=f"Workload {work.name}")


def _sizes(cascade: Cascade) -> Block:
    rows = []
    for rank in cascade.ranks:
        value = cascade.sizes.get(rank.upper())
        family = next((name for name, ranks in cascade.families.items() if rank in ranks), rank)
        rows.append((rank, "" if family == rank else family, f"{value:,}" if value is not None else "free"))
    return Table(("rank", "part of", "size"), rows, title="Ranks", right=frozenset({"size"}))


def _operations(cascade: Cascade, assumed: Mapping[str, int]) -> Block:
    found = operations(cascade)
    kinds = list(total_operations(cascade))
    rows = [(name, *(_count(found[name].get(kind)) for kind in kinds)) for name in found]
    rows.append(("total", *(_count(value) for value in total_operations(cascade).values())))
    at = "".join(f", with {symbol} = {value} (free: a mapping chooses it)" for symbol, value in assumed.items())
    return Table(("Einsum", *kinds), rows, title=f"Operations by kind{at}", right=frozenset(kinds))


def _traffic(cascade: Cascade, word_bytes: int) -> Block:
    found = compulsory_traffic(cascade, word_bytes)
    rows = [
        (name, "read" if name in cascade.inputs else "written", _shape(cascade, name), size(value))
        for name, value in found.items()
    ]
    rows.append(("total", "", "", size(sum(found.values()))))
    title = f"Compulsory traffic (words of {word_bytes} bytes)"
    return Table(("tensor", "once", "shape", "traffic"), rows, title=title, right=frozenset({"traffic"}))


def _shape(cascade: Cascade, tensor: str) -> str:
    return " x ".join(str(length) for length in cascade.shape(tensor))


def _passes(analyses: Mapping[str, PassAnalysis]) -> list[Block]:
    """A row for every rank family, and words for those where something is walked twice or carried along."""
    rows = [
        (
            family,
            ", ".join(found.ranks),
            str(found.count),
            ", ".join(f"{force.einsum} needs {force.through}" for force in found.forced),
            ", ".join(f"{live.tensor} ({live.held})" for live in found.live.values()),
        )
        for family, found in analyses.items()
    ]
    columns = ("family", "ranks", "passes", "because", "must live across (elements)")
    blocks: list[Block] = [Table(columns, rows, title="Passes", right=frozenset({"passes"}))]
    told = [found.explain() for found in analyses.values() if found.count > 1 or found.running]
    return [*blocks, *(Text(text) for text in told)]


def _presets(method: Method) -> Block:
    rows = [
        (name, " ".join(f"{symbol}={value}" for symbol, value in sizes.items()), method.preset_sources.get(name, ""))
        for name, sizes in method.presets.items()
    ]
    return Table(("preset", "sizes", "source"), rows, title="Presets")


def _mappings(method: Method) -> Block:
    rows = [(name, source(made)) for name, made in method.mappings.items()]
    return Table(("mapping", "source"), rows, title=f"Mappings (lightbound show {method.name}:NAME)")


def _count(value: Any) -> str:
    """Operations, rounded where there are many: exact counts are in the JSON."""
    if not value:
        return ""
    return f"{value:,}" if value < 100_000 else f"{value:.3g}".replace("e+", "e")


def _data(
    work: Workload, sized: Cascade | None, assumed: Mapping[str, int], analyses: Mapping[str, PassAnalysis]
) -> dict[str, Any]:
    method, cascade = work.method, work.cascade
    return {
        "name": work.name,
        "title": method.title,
        "question": method.question,
        "source": method.source,
        "preset": work.preset,
        "variant": work.variant,
        "variants": list(method.cascades),
        "cascade": method.cascades[work.variant].strip(),
        "ranks": {rank: cascade.sizes.get(rank.upper()) for rank in cascade.ranks},
        "sizes": work.sizes,
        "missing_sizes": list(cascade.missing_sizes),
        "sizes_assumed_for_counts": dict(assumed),
        "operations": operations(sized) if sized else None,
        "total_operations": total_operations(sized) if sized else None,
        "compulsory_traffic_bytes": compulsory_traffic(sized, work.word_bytes) if sized else None,
        "passes": {
            family: {
                "count": found.count,
                "ranks": list(found.ranks),
                "einsums": dict(found.einsum),
                "live": {name: live.held for name, live in found.live.items()},
                "explanation": found.explain(),
            }
            for family, found in analyses.items()
        },
        "presets": {name: dict(sizes) for name, sizes in method.presets.items()},
        "mappings": {name: source(made) for name, made in method.mappings.items()},
    }
