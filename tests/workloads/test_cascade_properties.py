"""Random cascades: text round-trips, numbers and counts equal those of an interpreter that does one point at a time."""

from __future__ import annotations

import itertools
import math
import operator
from collections import Counter
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.workloads.cascade import Cascade
from lightbound.workloads.counts import footprint, operations, points, total_operations
from lightbound.workloads.einsum import Einsum
from lightbound.workloads.expression import Access, Affine, Apply, Expr, Number, RankValue, Reduce, Scan, Symbol

RANKS = ("a", "b", "c", "d")
SIZES = {"A": 2, "B": 3, "C": 2, "D": 3}

# ---- random cascades, as text. A tensor is named after its ranks, so that every use has the same dimensions.


@st.composite
def expressions(draw: st.DrawFn, ranks: tuple[str, ...], written: tuple[str, ...], depth: int) -> str:
    """An expression over some of the ranks; `written` tensors may be read, such as ``Z1_ab``."""
    if depth == 0:
        return draw(leaves(ranks, written))
    inner = expressions(ranks, written, depth - 1)
    unused = [rank for rank in RANKS if rank not in ranks]
    kinds = ["infix", "unary", "function", "where", "leaf"] + ["reduce", "scan"] * bool(unused and ranks)
    match draw(st.sampled_from(kinds)):
        case "infix":
            left, right = draw(inner), draw(inner)
            return f"({left}) {draw(st.sampled_from(['+', '-', '*']))} ({right})"
        case "unary":
            return draw(st.sampled_from(["-({})", "({}) ** 2", "({}) / 3", "({}) / A"])).format(draw(inner))
        case "function":
            name = draw(st.sampled_from(["tanh", "sigmoid", "abs", "max", "min"]))
            return f"{name}({draw(inner)}, {draw(inner)} + 0.5)" if name in ("max", "min") else f"{name}({draw(inner)})"
        case "where":
            relation = draw(st.sampled_from(["<", "<=", "==", "!="]))
            return f"where({draw(inner)} {relation} {draw(inner)}, {draw(inner)}, {draw(inner)})"
        case "reduce":
            rank = draw(st.sampled_from(unused))
            body = draw(expressions((*ranks, rank), written, depth - 1))
            return f"{draw(st.sampled_from(['sum', 'max', 'min', 'prod']))}(({body}) + X_{rank}[{rank}], {rank})"
        case "scan":
            rank = draw(st.sampled_from(ranks))
            op = draw(st.sampled_from(["sum", "max", "min", "prod"]))
            return f"scan({op}, ({draw(inner)}) * X_{rank}[{rank}], {rank})"
        case _:
            return draw(leaves(ranks, written))


@st.composite
def leaves(draw: st.DrawFn, ranks: tuple[str, ...], written: tuple[str, ...]) -> str:
    own = tuple(draw(st.lists(st.sampled_from(ranks), unique=True, max_size=2))) if ranks else ()
    readable = [tensor for tensor in written if set(tensor.split("_")[1]) <= set(ranks)]
    choices = ["2", "0.5", "A", "sqrt(B)", "-1"]
    if own:
        name = "X_" + "".join(own)
        choices += [f"{name}[{','.join(own)}]"] * 3 + [own[0], f"{own[0]} * 2 - 1"]
        choices += [f"{name}[{','.join((f'{own[0]} - 1', *own[1:]))}]"]
    choices += [f"{tensor}[{','.join(tensor.split('_')[1])}]" for tensor in readable]
    return draw(st.sampled_from(choices))


@st.composite
def cascades(draw: st.DrawFn) -> Cascade:
    lines: list[str] = []
    written: tuple[str, ...] = ()
    for number in range(draw(st.integers(1, 4))):
        ranks = tuple(draw(st.lists(st.sampled_from(RANKS), unique=True, min_size=1, max_size=2)))
        body = draw(expressions(ranks, written, draw(st.integers(1, 3))))
        every = " + ".join(f"X_{rank}[{rank}]" for rank in ranks)  # so that each rank of the left is on the right
        name = f"Z{number}_{''.join(ranks)}"
        lines.append(f"{name}[{','.join(ranks)}] = {body} + {every}")
        written = (*written, name)
    return sized("\n".join(lines))


def sized(text: str) -> Cascade:
    """A cascade with A to D as parameters, so that any of them may be named, whether or not the rank is used."""
    cascade = Cascade.parse("".join(f"{symbol}: size\n" for symbol in SIZES) + text)
    return cascade.with_sizes(**SIZES)


# ---- the interpreter

_INFIX: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv, "pow": operator.pow,
    "neg": operator.neg, "lt": operator.lt, "le": operator.le, "eq": operator.eq, "ne": operator.ne,
    "max": max, "min": min, "tanh": math.tanh, "abs": abs, "where": lambda c, a, b: a if c else b,
    "sigmoid": lambda x: 0.5 * (1 + math.tanh(x / 2)),
}  # fmt: skip
_FOLD: dict[str, Callable[[Any, Any], Any]] = {"sum": operator.add, "prod": operator.mul, "max": max, "min": min}
_KIND = {"sum": "add", "prod": "mul", "max": "max", "min": "min"}


class Interpreter:
    """Computes one element at a time, and remembers which operation it did for which coordinates."""

    def __init__(self, cascade: Cascade, inputs: dict[str, np.ndarray]) -> None:
        self.cascade, self.tensors = cascade, dict(inputs)
        self.done: dict[str, set[tuple]] = {}

    def run(self) -> None:
        for einsum in self.cascade.einsums:
            self.done[einsum.name] = set()
            ranks = einsum.output.ranks
            array = self.tensors[einsum.name] = np.empty(tuple(self.cascade.size(rank) for rank in ranks))
            for point in itertools.product(*(range(self.cascade.size(rank)) for rank in ranks)):
                at = dict(zip(ranks, point, strict=True))
                array[point] = self.value(einsum, einsum.expr, at, ())[0]

    def value(self, einsum: Einsum, expr: Expr, at: dict[str, int], path: tuple) -> tuple[float, frozenset[str]]:
        """The value at a point, and the ranks it turned out to depend on."""
        match expr:
            case Number(value=value):
                return value, frozenset()
            case Symbol(text=text):
                return float(self.cascade.value(text)), frozenset()
            case RankValue(index=index):
                return self.index(index, at), frozenset(index.ranks)
            case Access(tensor=tensor, indices=indices):
                array, place = self.tensors[tensor], [self.index(index, at) for index in indices]
                inside = all(0 <= i < n for i, n in zip(place, array.shape, strict=True))
                return (array[tuple(place)] if inside else 0.0), frozenset(expr.ranks)
            case Apply(op=op, args=args):
                parts = [self.value(einsum, arg, at, (*path, i)) for i, arg in enumerate(args)]
                used = frozenset().union(*(ranks for _, ranks in parts))
                self.note(einsum, expr, at, used, path)
                return _INFIX[op](*(value for value, _ in parts)), used
            case Reduce(op=op, body=body, ranks=ranks):
                return self.fold(einsum, expr, op, body, at, path, ranks, self.grid(ranks))
            case Scan(op=op, body=body, rank=rank):
                return self.fold(einsum, expr, op, body, at, path, (), [(i,) for i in range(at[rank] + 1)], (rank,))
            case _:  # positions, scatters and opaque operators are not drawn here
                raise AssertionError("not generated")

    def fold(
        self, einsum: Einsum, expr: Expr, op: str, body: Expr, at: dict[str, int], path: tuple,
        gone: tuple[str, ...], points: list[tuple[int, ...]], over: tuple[str, ...] = (),
    ) -> tuple[float, frozenset[str]]:  # fmt: skip
        total, used = None, frozenset()
        for point in points:
            inner = at | dict(zip(gone or over, point, strict=True))
            value, used = self.value(einsum, body, inner, (*path, 0))
            self.note(einsum, expr, inner, used, path)
            total = value if total is None else _FOLD[op](total, value)
        assert total is not None
        return total, used - frozenset(gone)

    def grid(self, ranks: tuple[str, ...]) -> list[tuple[int, ...]]:
        return list(itertools.product(*(range(self.cascade.size(rank)) for rank in ranks)))

    def index(self, index: Any, at: dict[str, int]) -> int:
        assert isinstance(index, Affine)
        value = self.cascade.value
        return value(index.offset) + sum(value(factor) * at[rank] for factor, rank in index.terms)

    def note(self, einsum: Einsum, expr: Expr, at: dict[str, int], used: frozenset[str], path: tuple) -> None:
        self.done[einsum.name].add((path, expr, tuple((rank, at[rank]) for rank in sorted(used))))

    def counts(self) -> dict[str, Counter]:
        """Operations done, by the rules of the documentation, worked out from single visits."""
        found: dict[str, Counter] = {}
        for name, visits in self.done.items():
            counter = found[name] = Counter()
            summed = {(*path, 0) for path, expr, _ in visits if isinstance(expr, Reduce) and expr.op == "sum"}
            while (
                more := {(*p, 0) for p, e, _ in visits if p in summed and isinstance(e, Apply) and e.op == "neg"}
                - summed
            ):
                summed |= more
            for path, expr, _ in visits:
                if _free(expr):
                    continue
                if isinstance(expr, Reduce | Scan):
                    counter["mac" if isinstance(expr, Reduce) and _sums_products(expr) else _KIND[expr.op]] += 1
                elif isinstance(expr, Apply) and expr.op != "neg" and not (path in summed and _is_product(expr)):
                    counter[_kind(expr)] += 1
        return found


def _leaves(expr: Expr) -> set[type]:
    match expr:
        case Apply(args=args):
            return set().union(*(_leaves(arg) for arg in args)) | ({Apply} if expr.op in _COSTLY else set())
        case Reduce(body=body) | Scan(body=body):
            return _leaves(body) | {Reduce}
        case _:
            return {type(expr)}


_COSTLY = {"tanh", "sigmoid", "abs", "max", "min", "where", "pow", "div"}


def _free(expr: Expr) -> bool:
    """Constants, and whole-number arithmetic or comparison of ranks."""
    leaves = _leaves(expr)
    return Access not in leaves and (RankValue not in leaves or not leaves & {Apply, Reduce})


def _is_product(expr: Apply) -> bool:
    return not _free(expr) and (expr.op == "mul" or (expr.op == "pow" and not _free(expr.args[0])))


def _sums_products(expr: Reduce) -> bool:
    body = expr.body
    while isinstance(body, Apply) and body.op == "neg":
        body = body.args[0]
    return expr.op == "sum" and isinstance(body, Apply) and _is_product(body)


def _kind(expr: Apply) -> str:
    if expr.op == "div" or expr.op == "pow":
        return "mul"  # the generator divides by constants and squares, nothing else
    return {"where": "select", "lt": "compare", "le": "compare", "eq": "compare", "ne": "compare"}.get(expr.op, expr.op)


def random_inputs(cascade: Cascade, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {tensor: random.uniform(-1, 1, cascade.shape(tensor)) for tensor in cascade.inputs}


# ---- properties


@settings(max_examples=150, deadline=None)
@given(cascades())
def test_printing_a_cascade_and_parsing_it_gives_an_equal_one(cascade: Cascade) -> None:
    again = Cascade.parse(cascade.text, cascade.sizes)
    assert again == cascade and hash(again) == hash(cascade)
    assert again.text == cascade.text


@settings(max_examples=60, deadline=None)
@given(cascades(), st.integers(0, 2**32 - 1))
def test_numbers_and_counts_equal_those_of_one_point_at_a_time(cascade: Cascade, seed: int) -> None:
    inputs = random_inputs(cascade, seed)
    interpreter = Interpreter(cascade, inputs)
    interpreter.run()
    found = cascade.evaluate(inputs, keep="all")
    for tensor, array in interpreter.tensors.items():
        assert np.allclose(found[tensor], array, rtol=1e-9, atol=1e-9)
    assert {name: dict(kinds) for name, kinds in interpreter.counts().items()} == operations(cascade)
    total = sum((Counter(kinds) for kinds in interpreter.counts().values()), Counter())
    assert total_operations(cascade) == dict(total)
    for tensor, array in interpreter.tensors.items():
        assert footprint(cascade, tensor) == array.size


@settings(max_examples=60, deadline=None)
@given(cascades(), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_the_order_of_independent_einsums_changes_nothing(cascade: Cascade, seed: int, random: Any) -> None:
    names = list(nx.lexicographical_topological_sort(cascade.graph, key=lambda _: random.random()))
    shuffled = Cascade(
        "shuffled", tuple(cascade.einsum(name) for name in names), parameters=cascade.parameters, sizes=cascade.sizes
    )
    assert set(shuffled.outputs) == set(cascade.outputs) and set(shuffled.inputs) == set(cascade.inputs)
    assert operations(shuffled) == operations(cascade)
    inputs = random_inputs(cascade, seed)
    before, after = cascade.evaluate(inputs, keep="all"), shuffled.evaluate(inputs, keep="all")
    for tensor, array in before.items():
        assert np.array_equal(after[tensor], array, equal_nan=True)


@given(st.lists(st.integers(1, 6), min_size=4, max_size=4))
def test_an_iteration_space_has_as_many_points_as_its_coordinates_combine_to(sizes: list[int]) -> None:
    cascade = Cascade.parse("Z[a,b,c,d] = X[a,b,c,d] * 2", dict(zip("ABCD", sizes, strict=True)))
    assert points(cascade, RANKS) == len(list(itertools.product(*(range(size) for size in sizes))))


@st.composite
def index_texts(draw: st.DrawFn, depth: int = 3) -> str:
    """An index as a user may write it: sums and multiples of two ranks, with sizes among the factors."""
    if depth == 0:
        return draw(st.sampled_from(["a", "b", "A", "B", "C", "2", "3"]))
    inner = index_texts(depth - 1)
    match draw(st.sampled_from(["add", "sub", "multiply", "negate", "quotient", "leaf"])):
        case "add":
            return f"{draw(inner)} + {draw(inner)}"
        case "sub":
            return f"{draw(inner)} - ({draw(inner)})"
        case "multiply":
            factor = draw(st.sampled_from(["2", "C", "-3", "(C - 1)", "A*B", "0"]))
            return draw(st.sampled_from(["({0})*{1}", "{1}*({0})"])).format(draw(inner), factor)
        case "negate":
            return f"-({draw(inner)})"
        case "quotient":
            return draw(st.sampled_from(["B//2", "(B*C - 1)//C", "7//2"]))
        case _:
            return draw(index_texts(0))


@settings(max_examples=300, deadline=None)
@given(index_texts())
def test_an_index_points_where_its_arithmetic_says_however_it_is_written(text: str) -> None:
    cascade = sized(f"Z[a,b] = X[{text}] + Y[a,b]")
    assert Cascade.parse(cascade.text, SIZES) == cascade
    index = cascade.einsums[0].reads[0].indices[0]
    assert isinstance(index, Affine)
    for a, b in itertools.product(range(SIZES["A"]), range(SIZES["B"])):
        position = cascade.value(index.offset)
        position += sum(cascade.value(factor) * {"a": a, "b": b}[rank] for factor, rank in index.terms)
        assert position == eval(text, {}, SIZES | {"a": a, "b": b})
