"""What must not change a pass count: the order of the lines, names, an outer rank, a split rank, one more line."""

from __future__ import annotations

import random
import re

from hypothesis import given
from hypothesis import strategies as st

from lightbound.workloads.cascade import Cascade
from lightbound.workloads.passes import PassAnalysis, passes

Lines = list[str]
_TENSOR = re.compile(r"\b[A-Z]\w*(?=\[)")


def indices(ranks: tuple[str, ...]) -> str:
    return f"[{','.join(ranks)}]"


@st.composite
def cascades(draw: st.DrawFn, extra: int = 0) -> Lines:
    """Cascades over m and p: products, sums and maxima of inputs and earlier tensors, in one line each."""
    ranks: dict[str, tuple[str, ...]] = {"A": ("m",), "B": ("p", "m"), "C": ("p",)}
    lines = ["T0[m] = A[m] * 1"]
    ranks["T0"] = ("m",)
    for number in range(1, draw(st.integers(1, 7)) + extra + 1):
        left, right = draw(st.sampled_from(sorted(ranks))), draw(st.sampled_from(sorted(ranks)))
        both = tuple(rank for rank in ("p", "m") if rank in (*ranks[left], *ranks[right]))
        reduced = draw(st.sets(st.sampled_from(both))) if both else set()
        kept = tuple(rank for rank in both if rank not in reduced)
        if not kept and len(both) > 1:
            kept = both[:1]
        value = f"{left}{indices(ranks[left])} {draw(st.sampled_from('*-'))} {right}{indices(ranks[right])}"
        if len(kept) < len(both):
            gone = ", ".join(rank for rank in both if rank not in kept)
            value = f"{draw(st.sampled_from(['sum', 'max']))}({value}, {gone})"
        if not kept:
            continue
        ranks[f"T{number}"] = kept
        lines.append(f"T{number}{indices(kept)} = {value}")
    return lines


def analysis(lines: Lines) -> PassAnalysis:
    return passes(Cascade.parse("\n".join(lines)), "m")


def shuffled(lines: Lines, seed: int) -> Lines:
    """The lines in another order in which each is still written before it is read."""
    choice = random.Random(seed)
    waiting, written, order = list(lines), {"A", "B", "C"}, []
    while waiting:
        ready = [line for line in waiting if set(_TENSOR.findall(line.split("=")[1])) <= written]
        line = choice.choice(ready)
        order.append(line)
        waiting.remove(line)
        written.add(_TENSOR.findall(line)[0])
    return order


@given(cascades(), st.integers(0, 1000))
def test_reordering_independent_lines_changes_nothing(lines: Lines, seed: int) -> None:
    before, after = analysis(lines), analysis(shuffled(lines, seed))
    assert before.count == after.count
    assert dict(before.einsum) == dict(after.einsum)
    assert dict(before.live) == dict(after.live)
    assert set(before.forces) == set(after.forces)


@given(cascades(extra=1))
def test_one_more_line_never_lowers_the_count(lines: Lines) -> None:
    counts = [analysis(lines[:length]).count for length in range(1, len(lines) + 1)]
    assert counts == sorted(counts)


@given(cascades(), st.integers(0, 1000))
def test_renaming_tensors_changes_nothing_but_names(lines: Lines, seed: int) -> None:
    text = "\n".join(lines)
    names = sorted(set(_TENSOR.findall(text)))
    fresh = [f"N{number}" for number in range(len(names))]
    random.Random(seed).shuffle(fresh)
    renamed = dict(zip(names, fresh, strict=True))
    before, after = analysis(lines), analysis(_TENSOR.sub(lambda found: renamed[found[0]], text).split("\n"))
    assert {renamed[name]: number for name, number in before.einsum.items()} == dict(after.einsum)
    assert {renamed[name]: live.held for name, live in before.live.items()} == {
        name: live.held for name, live in after.live.items()
    }
    assert len(before.forced) == len(after.forced)


@given(cascades())
def test_an_outer_rank_on_every_tensor_changes_no_pass_and_is_held_one_coordinate_at_a_time(lines: Lines) -> None:
    before, after = analysis(lines), analysis([line.replace("[", "[b,") for line in lines])
    assert dict(before.einsum) == dict(after.einsum)
    assert {name: live.held for name, live in before.live.items()} == {
        name: live.held for name, live in after.live.items()
    }


@given(cascades())
def test_splitting_the_rank_in_two_without_using_the_tiles_changes_nothing(lines: Lines) -> None:
    split = [re.sub(r"\bm\b", "m1,m0", line) for line in lines]
    split = [re.sub(r"\b([ABC])\[([^]]*?)m1,m0\]", r"\1[\2m1*M0+m0]", line) for line in split]
    before, after = analysis(lines), analysis(split)
    assert dict(before.einsum) == dict(after.einsum)
    assert {name: live.held for name, live in before.live.items()} == {
        name: live.held for name, live in after.live.items()
    }


@given(cascades())
def test_no_einsum_runs_in_an_earlier_pass_than_what_it_reads(lines: Lines) -> None:
    cascade = Cascade.parse("\n".join(lines))
    numbers = passes(cascade, "m").einsum
    for einsum in cascade.einsums:
        for access in einsum.reads:
            assert numbers.get(access.tensor, 1) <= numbers[einsum.name]


@given(cascades())
def test_every_pass_after_the_first_has_a_reason_and_something_that_lives_until_it(lines: Lines) -> None:
    found = analysis(lines)
    assert [force.pass_number for force in found.forced] == list(range(2, found.count + 1))
    for force in found.forced:
        assert force.again
        assert found.einsum[force.einsum] >= force.pass_number
    assert bool(found.live) or found.count == 1
    assert found.explain().count("begins at") == found.count - 1
