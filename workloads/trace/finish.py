"""The end of a trace: what nobody needs is left out, ranks are named, and the cascade is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lightbound.base.errors import LightboundError

from ..einsum import Einsum
from ..expression import Access, Expr, Symbol, accesses, size_symbol, walk
from .builder import Builder, Line
from .naming import Naming
from .traced import Result, TracedCascade
from .values import Value, read

_SIZE = re.compile(r"R\d+_")


def finish(
    build: Builder, name: str, outputs: Mapping[str, Value], shapes: Mapping[str, tuple[int, ...]],
    sources: Mapping[str, str], constants: Mapping[str, Any], kinds: Mapping[str, str],
) -> TracedCascade:  # fmt: skip
    """The cascade of everything the outputs need, in the order in which it was traced."""
    exprs = {label: read(build.ranks, value) for label, value in outputs.items()}
    lines = _needed(build.lines, exprs)
    if not lines:
        raise LightboundError("trace", name, "computes nothing", "Trace a module with at least one operator.")
    used = {access.tensor for line in lines for access in (*accesses(line.expr), line.output)}
    used |= {access.tensor for expr in exprs.values() for access in accesses(expr)}
    declared = {tensor: dims for tensor, dims in build.declared.items() if tensor in used}
    read_somewhere = {access.tensor for line in lines for access in accesses(line.expr)}
    declared = {tensor: dims for tensor, dims in declared.items() if tensor in read_somewhere}
    naming, sizes = _naming(build, lines, declared, outputs, exprs)
    einsums: list[Einsum] = []
    initial: list[Einsum] = []
    for line in lines:
        made = naming.einsum(line.name, line.output, line.expr)
        (initial if line.first else einsums).append(made)
    results = {
        label: Result(naming.expr(exprs[label]), naming.dims(outputs[label].dims), shapes[label]) for label in outputs
    }
    stored = {tensor: tuple(naming.formula(size) for size in dims) for tensor, dims in declared.items()}
    over = {size_symbol(rank) for einsum in (*einsums, *initial) for rank in einsum.ranks}
    over |= {str(size) for dims in stored.values() for size in dims}
    return TracedCascade(
        name=name,
        einsums=tuple(einsums),
        initial=tuple(initial),
        sizes=sizes,
        declared=stored,
        parameters=tuple(symbol for symbol in sizes if symbol not in over),  # strides of what was read in part
        origins={line.name: line.origin for line in lines if not line.first},
        sources={
            tensor: sources.get(tensor, "random" if tensor.startswith("Random") else "constant") for tensor in declared
        },
        kinds=dict(kinds),
        results=results,
        lengths={naming.rank(rank): build.ranks.size(rank) for rank in naming.known},
        input_order=tuple(tensor for tensor, source in sources.items() if source.startswith("input:")),
        constants={tensor: value for tensor, value in constants.items() if tensor in declared},
    )


def _needed(lines: list[Line], outputs: Mapping[str, Expr]) -> list[Line]:
    writers: dict[str, list[Line]] = {}
    for line in lines:
        writers.setdefault(line.name, []).append(line)
    waiting = [access.tensor for expr in outputs.values() for access in accesses(expr)]
    needed: set[str] = set()
    while waiting:
        tensor = waiting.pop()
        if tensor in needed or tensor not in writers:
            continue
        needed.add(tensor)
        waiting.extend(access.tensor for line in writers[tensor] for access in accesses(line.expr))
    return [line for line in lines if line.name in needed]


def _naming(
    build: Builder, lines: list[Line], declared: Mapping[str, Any], outputs: Mapping[str, Value],
    exprs: Mapping[str, Expr],
) -> tuple[Naming, dict[str, int]]:  # fmt: skip
    order: dict[str, None] = {}
    for dims in declared.values():
        order.update(dict.fromkeys(rank.lower() for size in dims for rank in _SIZE.findall(str(size))))
    for line in lines:
        for expr in (line.output, line.expr):
            order.update(dict.fromkeys(_mentioned(expr)))
    inside = {build.ranks.find(rank) for rank in order}
    for label, value in outputs.items():
        order.update(dict.fromkeys(_mentioned(exprs[label])))
        order.update(dict.fromkeys(value.atoms))
    names = build.ranks.names(order, {line.name for line in lines} | set(declared))
    sizes = {size_symbol(names[rank]): build.ranks.size(rank) for rank in names if rank in inside}
    return Naming(build.ranks, names), sizes


def _mentioned(expr: Expr) -> list[str]:
    from ..expression import RankValue, free_ranks, reduced_ranks

    found: list[str] = [*free_ranks(expr), *reduced_ranks(expr)]
    for node in walk(expr):
        if isinstance(node, Symbol):
            found += [word.lower() for word in _SIZE.findall(node.text)]
        elif isinstance(node, RankValue):
            found += _of_index(node.index)
        elif isinstance(node, Access):
            for index in node.indices:
                found += _of_index(index)
    return found


def _of_index(index: Any) -> list[str]:
    from ..expression import Affine

    if not isinstance(index, Affine):
        return list(index.ranks)
    texts = [str(coefficient) for coefficient, _ in index.terms] + [str(index.offset)]
    return [*index.ranks, *(word.lower() for text in texts for word in _SIZE.findall(text))]
