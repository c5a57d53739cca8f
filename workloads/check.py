"""Whether the lines of a cascade fit together: writers, numbers of indices, order, known sizes.

Each function raises a LightboundError that shows the line at fault; none returns anything.
"""

from __future__ import annotations

from lightbound.base.errors import LightboundError, choose_from

from .einsum import Einsum
from .expression import CONSTANTS, Affine, size_symbol
from .schedule import CyclicError
from .source import error_in
from .structure import Structure, coefficients_used, stepped_ranks, symbols_used


def check(structure: Structure, name: str) -> None:
    """Raise the first thing wrong between the lines of a cascade; `name` is what the error calls it."""
    _check_writers(structure, name)
    _check_arity(structure, name)
    _check_iterates(structure, name)
    _check_symbols(structure, name)
    _check_order(structure, name)
    _check_extents(structure, name)


def fault(name: str, line: Einsum, token: str, problem: str, remedy: str) -> LightboundError:
    return error_in(name, line.line, line.text, token, problem, remedy)


def _check_writers(structure: Structure, name: str) -> None:
    written: dict[object, Einsum] = {}
    for line in (*structure.initial, *structure.einsums):
        starts = tuple(place for place, index in enumerate(line.output.indices) if index == Affine())
        key = (line.name, starts)
        if first := written.get(key):
            remedy = f"Rename one of them, or write both in one line (the other is line {first.line})."
            raise fault(name, line, line.name, "is written by two lines", remedy)
        written[key] = line


def _check_arity(structure: Structure, name: str) -> None:
    arity = {tensor: (len(dimensions), "its declaration") for tensor, dimensions in structure.declared.items()}
    for line in structure.lines:
        for access in (*line.reads, line.output):
            count, where = arity.setdefault(access.tensor, (len(access.indices), f"line {line.line}"))
            if len(access.indices) != count:
                problem = f"has {len(access.indices)} indices here and {count} in {where}"
                raise fault(name, line, access.tensor, problem, "Use one number of indices for one tensor.")
    for tensor in structure.declared:
        if tensor not in structure.accesses:
            known = choose_from(structure.accesses, tensor)
            raise LightboundError(name, tensor, "is declared, but no line uses it", f"Drop the line. {known}")


def _check_iterates(structure: Structure, name: str) -> None:
    for line in structure.initial:
        starts = {place for place, index in enumerate(line.output.indices) if index == Affine()}
        writer = structure.writers.get(line.name)
        steps = {
            place
            for place, index in enumerate(writer.output.indices if writer else ())
            if isinstance(index, Affine) and index.shift is not None and index.shift[1] == 1
        }
        if writer is None or not starts <= steps:
            problem = "has a first value, but no line goes on from it"
            remedy = f"Write `{line.name}[..., m1+1] = ...` with the next iterate where the 0 stands."
            raise fault(name, line, line.name, problem, remedy)
    for einsum in structure.einsums:
        for rank in stepped_ranks(einsum.output):
            if not any(_starts(structure, first, einsum, rank) for first in structure.initial):
                problem = f"goes on along {rank}, but has no first value"
                remedy = f"Add a line `{einsum.name}[..., 0] = ...` with 0 where {rank}+1 stands."
                raise fault(name, einsum, einsum.name, problem, remedy)
        for access in einsum.reads:
            for index in access.indices:
                shift = index.shift if isinstance(index, Affine) else None
                if shift and shift[1] > 1 and shift[0] in structure.iterative.get(access.tensor, ()):
                    problem = f"is read at {shift[0]}+{shift[1]}, which no step has written yet"
                    remedy = f"Read it at {shift[0]} (the iterate before) or {shift[0]}+1 (this one)."
                    raise fault(name, einsum, access.tensor, problem, remedy)
    for einsum in structure.einsums:
        for access in einsum.reads:
            if access.tensor == einsum.name and einsum.name not in structure.iterative:
                problem = "is read by the line that writes it"
                step = f"{einsum.name}[..., t+1] = ... {einsum.name}[..., t] ..."
                remedy = f"Write the next iterate, `{step}`, and a first value at 0."
                raise fault(name, einsum, einsum.name, problem, remedy)


def _starts(structure: Structure, first: Einsum, einsum: Einsum, rank: str) -> bool:
    places = (place for place, index in enumerate(einsum.output.indices) if rank in index.ranks)
    return first.name == einsum.name and all(first.output.indices[place] == Affine() for place in places)


def _check_symbols(structure: Structure, name: str) -> None:
    known = {*structure.symbols, *CONSTANTS}
    rank_sizes = {size_symbol(rank) for rank in structure.ranks}
    for line in structure.lines:
        for symbol in symbols_used(line):
            if symbol not in known:
                remedy = f"{choose_from(structure.symbols, symbol)} Or declare it: `{symbol}: size`."
                raise fault(name, line, symbol, "is the size of no rank", remedy)
        for access in (*line.reads, line.output):
            if not access.indices and access.tensor in rank_sizes:
                problem = f"is both a tensor without indices and the size of rank {access.tensor.lower()}"
                raise fault(name, line, access.tensor, problem, "Rename one of them.")
    for tensor, dimensions in structure.declared.items():
        for symbol in coefficients_used(Affine((), size) for size in dimensions):
            if symbol not in known:
                remedy = f"{choose_from(structure.symbols, symbol)} Or declare it: `{symbol}: size`."
                raise LightboundError(f"{name}, declaration of {tensor}", symbol, "is the size of no rank", remedy)


def _check_order(structure: Structure, name: str) -> None:
    position = {einsum.name: number for number, einsum in enumerate(structure.einsums)}
    forward = [dependency for dependency in structure.dependencies if not dependency.back]
    for dependency in forward:
        producer, consumer = dependency.producer, dependency.consumer
        if position[producer.name] < position[consumer.name]:
            continue
        reader = next(
            line for line in structure.lines if line.name == consumer.name and dependency.access in line.reads
        )
        if path := _path([(d.producer.name, d.consumer.name) for d in forward], consumer.name, producer.name):
            problem = f"is needed to compute itself: {' -> '.join((*path, consumer.name))}"
            remedy = "Break the cycle; a recurrence writes the next iterate: `T[t+1] = ... T[t] ...`."
        else:
            problem = f"is read before line {producer.line} writes it"
            remedy = f"Move that line above line {reader.line}."
        raise fault(name, reader, dependency.access.tensor, problem, remedy)
    try:
        _ = structure.steps
    except CyclicError as error:
        line = error.einsums[-1]
        remedy = "Each Einsum of a recurrence must keep its rank, and read at this step or an earlier one."
        problem = f"cannot be stepped: {error} need each other's values along a whole rank"
        raise fault(name, line, line.name, problem, remedy) from error


def _path(edges: list[tuple[str, str]], start: str, goal: str) -> tuple[str, ...] | None:
    """A way from one Einsum to another along the dependencies, as names."""
    after: dict[str, list[str]] = {}
    for producer, consumer in edges:
        after.setdefault(producer, []).append(consumer)
    trails: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    while trails:
        trail = trails.pop(0)
        if trail[-1] == goal:
            return trail
        for following in after.get(trail[-1], ()):
            if following not in seen:
                seen.add(following)
                trails.append((*trail, following))
    return None


def _check_extents(structure: Structure, name: str) -> None:
    for tensor in structure.inputs:
        if tensor in structure.declared:
            continue
        seen = structure.accesses[tensor]
        for place in range(len(seen[0].indices)):
            if not any(isinstance(access.indices[place], Affine) for access in seen):
                line = next(line for line in structure.lines if seen[0] in line.reads)
                problem = f"is only gathered from in dimension {place}, so its length is unknown"
                remedy = f"Declare its dimensions: `{tensor}: [{', '.join(['N'] * len(seen[0].indices))}]`."
                raise fault(name, line, tensor, problem, remedy)
