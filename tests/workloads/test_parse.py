"""The language, construct by construct, and every way a line can be wrong."""

from __future__ import annotations

import math

import pytest

from lightbound.base.errors import LightboundError
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.einsum import Einsum
from lightbound.workloads.expression import (
    Access,
    Affine,
    Apply,
    Gather,
    Number,
    RankValue,
    Reduce,
    Scan,
    Symbol,
    TopK,
)
from lightbound.workloads.parse import parse


def line(text: str) -> Einsum:
    """The last Einsum of a text."""
    return parse(text).einsums[-1]


def rank(name: str) -> Affine:
    return Affine(((1, name),))


def fails(text: str) -> str:
    """The message of a text that is not a cascade."""
    with pytest.raises(LightboundError) as caught:
        Cascade.parse(text)
    return str(caught.value)


def test_a_product_and_a_reduction_are_read_as_written() -> None:
    einsum = line("S[p,m] = sum(Q[p,e] * K[m,e], e) / sqrt(E)")
    product = Apply("mul", (Access("Q", (rank("p"), rank("e"))), Access("K", (rank("m"), rank("e")))))
    assert einsum.output == Access("S", (rank("p"), rank("m")))
    assert einsum.expr == Apply("div", (Reduce("sum", product, ("e",)), Symbol("sqrt(E)")))
    assert (einsum.ranks, einsum.reduced) == (("p", "m", "e"), ("e",))
    assert [access.tensor for access in einsum.reads] == ["Q", "K"]


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("X[m1*M0+m0]", Affine((("M0", "m1"), (1, "m0")))),
        ("X[m0 + M0*m1]", Affine(((1, "m0"), ("M0", "m1")))),
        ("X[m1*2*M0 + m0]", Affine((("2 * M0", "m1"), (1, "m0")))),
        ("X[2*(m1 + m0) - 3]", Affine(((2, "m1"), (2, "m0")), -3)),
        ("X[m1*2 + m0 - 1]", Affine(((2, "m1"), (1, "m0")), -1)),
        ("X[M0 - 1 - m0 + 0*m1] + Y[m1]", Affine(((-1, "m0"),), "M0 - 1")),
        ("X[m1 + m0 + 6//2]", Affine(((1, "m1"), (1, "m0")), 3)),
        ("X[m0 - m1 + M0//2]", Affine(((1, "m0"), (-1, "m1")), "M0 // 2")),
    ],
)
def test_an_index_is_a_whole_number_sum_of_ranks_and_sizes(text: str, index: Affine) -> None:
    assert line(f"Z[m1,m0] = {text}").reads[0].indices == (index,)


def test_an_index_that_counts_through_ranks_says_in_which_order() -> None:
    indices = line("Z[m2,m1,m0] = X[m0 + m1*M0 + m2*M0*M1] + Y[m2*M1 + m0, m1]").reads
    assert isinstance(split := indices[0].indices[0], Affine) and split.radix == ("m2", "m1", "m0")
    assert isinstance(other := indices[1].indices[0], Affine) and other.radix is None


def test_a_rank_at_the_end_reduces_and_a_value_at_the_end_compares() -> None:
    assert line("G[p] = max(S[p,m], m)").expr == Reduce("max", Access("S", (rank("p"), rank("m"))), ("m",))
    assert line("G[p] = max(A[p], B[p])").expr == Apply("max", (Access("A", (rank("p"),)), Access("B", (rank("p"),))))
    assert line("G = min(S[p,m], p, m)").expr == Reduce("min", Access("S", (rank("p"), rank("m"))), ("p", "m"))
    assert line("G[p] = max(A[p], 0)").expr == Apply("max", (Access("A", (rank("p"),)), Number(0)))


def test_a_scan_keeps_its_rank() -> None:
    einsum = line("Y[t,d] = scan(sum, X[t,d], t)")
    assert einsum.expr == Scan("sum", Access("X", (rank("t"), rank("d"))), "t")
    assert (einsum.reduced, einsum.scanned) == ((), ("t",))


def test_the_largest_are_counted_by_a_new_rank() -> None:
    einsum = line("I[p,k] = topk(S[p,m], m)")
    assert einsum.expr == TopK(Access("S", (rank("p"), rank("m"))), "m", "k")
    assert (einsum.ranks, einsum.reduced) == (("p", "k", "m"), ("m",))


def test_a_gather_reads_the_index_tensor_and_has_its_ranks() -> None:
    einsum = line("G[p,k,e] = X[I[p,k], e]")
    index = Access("I", (rank("p"), rank("k")))
    assert einsum.expr == Access("X", (Gather(index), rank("e")))
    assert einsum.reads == (einsum.expr, index)
    assert einsum.reads[0].ranks == ("p", "k", "e")


def test_conditions_compare_indices_sizes_and_tensors() -> None:
    masked = line("Z[p,m] = where(p - W < m <= p and not D[p] == D[m], S[p,m], -inf)\nW: size").expr
    assert isinstance(masked, Apply) and masked.op == "where"
    assert masked.args[2] == Number(-math.inf)
    assert isinstance(both := masked.args[0], Apply) and both.op == "and"
    assert isinstance(band := both.args[0], Apply) and band.op == "and"
    assert band.args[0] == Apply("lt", (RankValue(Affine(((1, "p"),), "-W")), RankValue(rank("m"))))


def test_constants_fold_and_sizes_stay_symbols() -> None:
    assert line("Z[p] = X[p] * (1 + 2**3) ").expr == Apply("mul", (Access("X", (rank("p"),)), Number(9.0)))
    assert line("Z[p] = -(2 * pi) * X[p]").expr == Apply("mul", (Number(-2 * math.pi), Access("X", (rank("p"),))))
    assert line("Z[p] = X[p] / (2 * P)").expr == Apply("div", (Access("X", (rank("p"),)), Symbol("2 * P")))


def test_index_arithmetic_in_values_is_collected() -> None:
    decay = line("D[i,j] = exp(-(i - j) * 2)").expr
    assert decay == Apply("exp", (RankValue(Affine(((-2, "i"), (2, "j")))),))


def test_a_bare_name_on_the_left_is_a_scalar() -> None:
    program = parse("Y = sum(A[k] * B[k], k)\nZ[k] = Y * A[k]")
    assert program.einsums[0].output == Access("Y", ())
    assert program.einsums[1].reads[0] == Access("Y", ())


def test_a_declared_scalar_is_an_input() -> None:
    assert Cascade.parse("ALPHA: []\nZ[p] = ALPHA * X[p]").inputs == ("ALPHA", "X")


def test_lines_may_continue_inside_brackets_and_carry_comments() -> None:
    cascade = Cascade.parse("""
        # scores
        S[p,m] = sum(   # over the embedding
            Q[p,e] * K[m,e],
            e)
        G[p] = max(S[p,m], m)
    """)
    assert [einsum.line for einsum in cascade.einsums] == [3, 6]


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        (
            "S[p,q] = sum(Q[p,e], e)",
            ["= q:", "unknown on the right", "Ranks on the right: p.\n  1 | S[p,q]", "\n    |     ^"],
        ),
        ("S[p] = Q[p,e]", ["= e:", "neither on the left nor reduced", "sum(..., e)"]),
        ("S[p] = sum(Q[p,e], e) * W[e]", ["= e:", "neither on the left nor reduced"]),
        ("S[p,e] = sum(Q[p,e], e)", ["= e:", "also reduced on the right"]),
        ("S[p] = sum(Q[p,e], m)", ["= m:", "is reduced", "Ranks there: p, e"]),
        ("S[p] = sum(Q[p,e], e, e)", ["is reduced twice"]),
        ("S[p] = sum(Q[p])", ["names no rank to reduce"]),
        ("S[p] = max(Q[p])", ["names nothing to compare with"]),
        ("S[p] = max()", ["names nothing to compare with"]),
        ("S[p] = exp(Q[p], Q[p])", ["wrong number of arguments", "exp(value)"]),
        ("S[p] = where(Q[p], 1)", ["wrong number of arguments"]),
        ("S[p,p] = Q[p]", ["on the left twice"]),
        ("S[2*p] = Q[p]", ["cannot be an index on the left"]),
        ("S[p+2] = Q[p]", ["cannot be an index on the left"]),
        ("S[3] = Q[3]", ["cannot be an index on the left"]),
        ("S[I[p]] = Q[p]", ["writes through an index tensor"]),
        ("S[p] = Q[p*p]", ["p * p", "is not an index"]),
        ("S[p] = Q[p/2]", ["is not an index"]),
        ("S[p] = Q[1.5]", ["is not an index"]),
        ("S[p] = Q[p:]", ["is not an index"]),
        ("S[p] = Q[I[p]+1]", ["is not an index"]),
        ("S[p] = Q[exp]", ["word of the language"]),
        ("S[p] = Q[Pp]", ["is not a size"]),
        ("s[p] = Q[p]", ["= s:", "is not a tensor name"]),
        ("S[p] = q[p]", ["= q:", "is not a tensor name"]),
        ("S[p] = soft(Q[p])", ["= soft:", "not a function of the language", "softplus"]),
        ("S[p] = exq(Q[p])", ["Did you mean 'exp'?"]),
        ("S[p] = scan(mean, Q[p], p)", ["cannot be scanned", "sum, max, min, prod"]),
        ("S[p] = scan(sum, Q[p], m)", ["is scanned"]),
        ("S[p] = exp(topk(Q[p,m], m))", ["a line of its own"]),
        ("I[p] = topk(Q[p,m], m)", ["exactly one new rank"]),
        ("I[p,k] = topk(Q[p,m], j)", ["is searched"]),
        ("S[p] = Q[p] in Q[p]", ["is not a comparison"]),
        ("S[p] = Q[p] is None", ["is not part of the language"]),
        ("S[p] = Q[p] @ Q[p]", ["is not part of the language"]),
        ("S[p] = 'text'", ["is not part of the language"]),
        ("S[p] = True", ["is not part of the language"]),
        ("S[p] = 1/0 + Q[p]", ["has no value"]),
        ("S[p] = 10**400 * Q[p]", ["has no value"]),
        ("S[p] = (inf - inf) * Q[p]", ["is not a number"]),
        ("S[p] += Q[p]", ["is not a line of a cascade"]),
        ("S[p] = T[p] = Q[p]", ["is not a line of a cascade"]),
        ("Q[p]", ["is not a line of a cascade"]),
        ("S[p], T[p] = Q[p]", ["cannot be written to"]),
        ("X: [t]\nS[t] = X[t]", ["has a rank in it"]),
        ("X: int\nS[t] = X[t]", ["is not a declaration"]),
        ("X: [T]\nX: [T]\nS[t] = X[t]", ["is declared twice"]),
        ("x: size\nS[t] = X[t]", ["is not a size"]),
        ("# nothing", ["has no Einsum"]),
        ("S[p = Q[p]", ["cannot be read", "'[' was never closed"]),
        ("S[p] = Q[p]]", ["cannot be read", "unmatched ']'"]),
        ("S[p] = Q[p] ? 2", ["cannot be read"]),
        ("S[p] = Q[p] × 2", ["cannot be read", "invalid character"]),
        ("S[ñ] = Q[ñ]", ["is not a rank"]),
        ("S[p] = Q[p]\x00", ["cannot be read"]),
        ("A[p] = Q[p]\n  S[p] = Q[p]", ["unexpected indent"]),
        ("S[p] = " + "(" * 500 + "Q[p]" + ")" * 500, ["cannot be read"]),
        ("S[p] = " + "-" * 5000 + "Q[p]", ["nested too deeply"]),
        ("S[p] = Q[p]" + " + Q[p]" * 5000, ["nested too deeply"]),
    ],
)
def test_what_is_not_the_language_is_refused_with_a_remedy(text: str, needs: list[str]) -> None:
    message = fails(text)
    for need in needs:
        assert need in message


@pytest.mark.parametrize(
    "text",
    [
        "S[p] = __import__('os').system('true')",
        "S[p] = Q.__class__[p]",
        "S[p] = (lambda: Q[p])()",
        "S[p] = [Q[p] for p in range(3)]",
        "S[p] = (X := Q[p])",
        "S[p] = f'{Q[p]}'",
        "S[p] = eval('1')",
        "S[p] = exp(*Q[p])",
        "S[p] = exp(x=Q[p])",
        "S.x = Q[p]",
        "import os",
        "def f(): pass",
        "S[p] = Q[__import__('os')]",
        "S[p] = Q[(lambda: p)()]",
        "S[p] = await Q[p]",
    ],
)
def test_python_beyond_the_language_is_refused_and_never_run(text: str) -> None:
    message = fails(text)
    assert "line 1" in message


def test_the_caret_stands_under_the_column_even_after_wide_characters() -> None:
    message = fails("A[p] = X[p]\nS[p] = Q[p] + foo(X[p])  # größer")
    excerpt = message.splitlines()[1:]
    assert excerpt[0] == "  2 | S[p] = Q[p] + foo(X[p])  # größer"
    assert excerpt[0][excerpt[1].index("^") :].startswith("foo(")


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(LightboundError, match="is not text"):
        parse(b"S[p] = Q[p]")  # type: ignore[arg-type]
