"""The answer of ``lightbound trace``: what a module computes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightbound.base.errors import LightboundError
from lightbound.base.place import check_place, writing
from lightbound.workloads.counts import compulsory_traffic, operations, total_operations
from lightbound.workloads.passes import passes as walks
from lightbound.workloads.trace.factory import trace_factory
from lightbound.workloads.trace.traced import TracedCascade

from . import given
from .answer import Answer, Block, Table, Text
from .progress import progress

FAMILIES = 6
"""Rows of the table of passes: the longest ranks."""


def answer(spec: str, train: bool, set_: Iterable[str], out: Path | None) -> Answer:
    """Trace a factory; write the cascade to a file where one is given."""
    if out is not None:
        if out.suffix not in (".einsum", ".txt"):
            raise LightboundError("--out", str(out), "is not a file of Einsums", "Name it FILE.einsum or FILE.txt.")
        check_place("--out", out)
    with progress(f"Tracing {spec}"):
        traced = trace_factory(spec, train, given.sizes(set_))
        passes = {family: walks(traced, family).count for family in _longest(traced)}
    if out is not None:
        with writing("--out", out):
            out.write_text(f"# {traced.name}, traced\n{traced.sized_text}", encoding="utf-8")
    data = _data(traced, passes)
    blocks: list[Block] = [_head(traced, train), _kinds(traced), _operators(traced), _passes(traced, passes)]
    blocks.append(_opaque(traced))
    return Answer(blocks, data, data["einsums"])


def _head(traced: TracedCascade, train: bool) -> Block:
    weights = sum(
        _elements(traced, name) for name, source in traced.sources.items() if traced.kinds.get(source) == "parameter"
    )
    lines = [
        f"{len(traced.einsums):,} Einsums{' of a training step' if train else ''}, {len(traced.inputs):,} inputs, "
        f"{weights:,} parameters, {traced.product_flops:,} floating-point operations in products (2 for each mac)",
        "Sizes: " + " ".join(f"{symbol}={size}" for symbol, size in traced.sizes.items()),
    ]
    return Text("\n".join(lines), title=f"Traced {traced.name}")


def _elements(traced: TracedCascade, name: str) -> int:
    count = 1
    for size in traced.shape(name):
        count *= int(size)
    return count


def _kinds(traced: TracedCascade) -> Block:
    total = total_operations(traced)
    whole = sum(total.values())
    rows = [
        (kind, f"{count:,}", f"{count / whole:.2%}") for kind, count in sorted(total.items(), key=lambda one: -one[1])
    ]
    return Table(
        ("kind", "operations", "share"), rows, title="Operations by kind", right=frozenset({"operations", "share"})
    )


def _by_operator(traced: TracedCascade) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    counts = operations(traced)
    for name, origin in traced.origins.items():
        word = origin.operator.removeprefix("aten.").partition(".")[0] or "lightbound.scan"
        row = found.setdefault(f"{word} (backward)" if origin.backward else word, {"einsums": 0, "mac": 0, "other": 0})
        row["einsums"] += 1
        for kind, count in counts[name].items():
            row["mac" if kind == "mac" else "other"] += int(count)
    return dict(sorted(found.items(), key=lambda one: -one[1]["mac"] - one[1]["other"]))


def _operators(traced: TracedCascade) -> Block:
    rows = [
        (
            name,
            str(row["einsums"]),
            f"{row['mac']:,}" if row["mac"] else "",
            f"{row['other']:,}" if row["other"] else "",
        )
        for name, row in _by_operator(traced).items()
    ]
    columns = ("operator", "Einsums", "mac", "other operations")
    return Table(columns, rows, title="By ATen operator", right=frozenset(columns[1:]))


def _passes(traced: TracedCascade, passes: dict[str, int]) -> Block:
    rows = [(family, f"{traced.sizes[family.upper()]:,}", str(count)) for family, count in passes.items()]
    title = "Passes over the longest ranks"
    return Table(("rank", "size", "passes"), rows, title=title, right=frozenset({"size", "passes"}))


def _longest(traced: TracedCascade) -> list[str]:
    families = [family for family in traced.families if family.upper() in traced.sizes]
    return sorted(families, key=lambda family: -int(traced.sizes[family.upper()]))[
        : FAMILIES if len(traced.einsums) < 500 else 1
    ]


def _opaque(traced: TracedCascade) -> Block:
    if not traced.opaque:
        return Text("No operator is opaque: every line says what it computes.")
    names = ", ".join(f"{traced.origins[name].operator} ({name})" for name in traced.opaque)
    share = f"{traced.opaque_share:.2%} of operations, {traced.opaque_bytes_share:.2%} of elements moved"
    return Text(f"{names}\n{share}", title="Opaque operators")


def _data(traced: TracedCascade, passes: dict[str, int]) -> dict[str, Any]:
    counts = operations(traced)
    return {
        "name": traced.name,
        "sizes": dict(traced.sizes),
        "total_operations": total_operations(traced),
        "product_flops": traced.product_flops,
        "operators": _by_operator(traced),
        "passes": passes,
        "compulsory_traffic_words": int(sum(compulsory_traffic(traced, 1).values())),
        "opaque": {
            "einsums": {name: traced.origins[name].operator for name in traced.opaque},
            "share_of_operations": traced.opaque_share,
            "share_of_elements_moved": traced.opaque_bytes_share,
        },
        "inputs": dict(traced.sources),
        "einsums": [
            {
                "einsum": einsum.name,
                "operator": traced.origins[einsum.name].operator,
                "module": traced.origins[einsum.name].module,
                "backward": traced.origins[einsum.name].backward,
                "moves_only": traced.origins[einsum.name].moves,
                "operations": counts[einsum.name],
            }
            for einsum in traced.einsums
        ],
        "cascade": traced.text,
    }
