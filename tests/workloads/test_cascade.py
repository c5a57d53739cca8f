"""The cascade as a graph: who reads whom, what is iterative, and what lines can get wrong between them."""

from __future__ import annotations

import pickle
import subprocess
import sys

import networkx as nx
import pytest

from lightbound.base.errors import LightboundError
from lightbound.workloads.cascade import Cascade

ONE_PASS = """
BQK[h,m1,m0,p] = sum(Q[h,p,e] * K[h,m1*M0+m0,e], e)
LM[h,m1,p] = max(BQK[h,m1,m0,p], m0)
RM[h,0,p] = -inf
RM[h,m1+1,p] = max(RM[h,m1,p], LM[h,m1,p])
SLN[h,m1,m0,p] = exp(BQK[h,m1,m0,p] - RM[h,m1+1,p])
SLD[h,m1,p] = sum(SLN[h,m1,m0,p], m0)
SLNV[h,f,m1,p] = sum(SLN[h,m1,m0,p] * V[h,m1*M0+m0,f], m0)
PRM[h,m1,p] = exp(RM[h,m1,p] - RM[h,m1+1,p])
SPD[h,m1,p] = RD[h,m1,p] * PRM[h,m1,p]
RD[h,0,p] = 0
RD[h,m1+1,p] = SLD[h,m1,p] + SPD[h,m1,p]
SPNV[h,f,m1,p] = RNV[h,f,m1,p] * PRM[h,m1,p]
RNV[h,f,0,p] = 0
RNV[h,f,m1+1,p] = SLNV[h,f,m1,p] + SPNV[h,f,m1,p]
AV[h,p,f] = RNV[h,f,M1,p] / RD[h,M1,p]
"""


@pytest.fixture(scope="module")
def one_pass() -> Cascade:
    return Cascade.parse(ONE_PASS, name="one_pass")


def fails(text: str) -> str:
    with pytest.raises(LightboundError) as caught:
        Cascade.parse(text)
    return str(caught.value)


def test_tensors_are_inputs_intermediates_or_outputs(one_pass: Cascade) -> None:
    assert one_pass.inputs == ("Q", "K", "V")
    assert one_pass.outputs == ("AV",)
    assert one_pass.intermediates == (
        "BQK", "LM", "RM", "SLN", "SLD", "SLNV", "PRM", "SPD", "RD", "SPNV", "RNV",
    )  # fmt: skip
    assert set(one_pass.tensors) == {*one_pass.inputs, *one_pass.intermediates, *one_pass.outputs}


def test_ranks_come_in_order_of_use_and_families_join_partitions(one_pass: Cascade) -> None:
    assert one_pass.ranks == ("h", "m1", "m0", "p", "e", "f")
    assert one_pass.families == {"h": ("h",), "m": ("m1", "m0"), "p": ("p",), "e": ("e",), "f": ("f",)}
    assert [(each.total, each.parts) for each in one_pass.partitions] == [("M", ("M1", "M0"))]


def test_tensors_written_at_the_next_iterate_are_iterative(one_pass: Cascade) -> None:
    assert one_pass.iterative == dict.fromkeys(("RM", "RD", "RNV"), frozenset({"m1"}))
    assert [first.name for first in one_pass.initial] == ["RM", "RD", "RNV"]


def test_the_graph_is_acyclic_because_reads_of_the_iterate_before_are_no_edges(one_pass: Cascade) -> None:
    graph = one_pass.graph
    assert nx.is_directed_acyclic_graph(graph)
    assert set(graph) == {einsum.name for einsum in one_pass.einsums}
    assert graph.edges["RM", "SLN"]["tensor"] == "RM"  # reads m1+1: this step
    assert ("RM", "PRM") in graph.edges  # reads both
    assert ("RD", "SPD") not in graph.edges  # reads m1: the step before
    assert ("RNV", "AV") in graph.edges  # reads M1: the last
    assert list(nx.topological_sort(graph))[-1] == "AV"


def test_a_read_of_the_iterate_before_may_stand_above_the_line_that_writes_it() -> None:
    cascade = Cascade.parse("""
        S[0,d] = 0
        Y[t] = sum(Q[t,d] * S[t,d], d)
        S[t+1,d] = S[t,d] + K[t,d]
    """)
    assert cascade.outputs == ("Y",)
    assert list(cascade.graph.edges) == []


def test_the_result_of_a_recurrence_nobody_else_reads_is_an_output() -> None:
    cascade = Cascade.parse("S[0] = 0\nP[t] = A[t] * S[t]\nS[t+1] = P[t] + X[t]")
    assert cascade.outputs == ("S",)
    assert cascade.intermediates == ("P",)


def test_inputs_of_first_values_are_inputs() -> None:
    cascade = Cascade.parse("S[0,d] = START[d]\nS[t+1,d] = S[t,d] + X[t,d]")
    assert cascade.inputs == ("START", "X")


def test_einsums_readers_writers_and_accesses_are_found_by_name(one_pass: Cascade) -> None:
    assert one_pass.einsum("LM").ranks == ("h", "m1", "p", "m0")
    assert one_pass.writer("LM") is one_pass.einsum("LM")
    assert one_pass.writer("K") is None
    assert [einsum.name for einsum in one_pass.readers("BQK")] == ["LM", "SLN"]
    assert one_pass.readers("AV") == ()
    assert len(one_pass.accesses("RM")) == 3  # 0, m1+1, m1
    with pytest.raises(LightboundError, match="Did you mean 'SLNV'"):
        one_pass.einsum("SLMV")


def test_dependencies_say_which_reads_reach_back(one_pass: Cascade) -> None:
    back = {(edge.producer.name, edge.consumer.name) for edge in one_pass.dependencies if edge.back}
    assert back == {("RM", "RM"), ("RM", "PRM"), ("RD", "SPD"), ("RNV", "SPNV")}


def test_equal_lines_make_equal_cascades_whatever_they_are_called_and_wherever_they_stand() -> None:
    first = Cascade.parse("Y[p] = sum(A[p,k], k)", {"P": 3}, name="one")
    second = Cascade.parse("\n\n  # a comment\n  Y[p] = sum( A[p, k], k )", {"P": 3}, name="two")
    assert first == second and hash(first) == hash(second)
    assert first != first.with_sizes(P=4) and first != Cascade.parse("Y[p] = max(A[p,k], k)", {"P": 3})
    assert first != "Y[p] = sum(A[p,k], k)"


def test_a_cascade_travels_to_other_processes(one_pass: Cascade) -> None:
    sized = one_pass.with_sizes(H=2, P=4, E=3, F=5, M=64, M0=8)
    assert sized.shape("K") == (2, 64, 3)
    copy = pickle.loads(pickle.dumps(sized))
    assert copy == sized and copy.shape("RM") == (2, 9, 4)


def test_its_representation_is_one_line(one_pass: Cascade) -> None:
    assert repr(one_pass.with_sizes(P=4)) == "Cascade('one_pass', 12 Einsums, sizes={'P': 4})"


def test_reading_and_sizing_a_cascade_loads_neither_networkx_nor_torch() -> None:
    program = (
        "import sys; from lightbound.workloads.cascade import Cascade; Cascade.parse('Y[p] = X[p]', {'P': 3});"
        "print([name for name in ('networkx', 'torch', 'matplotlib', 'pint') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("A[p] = X[p]\nA[p] = Y[p]", ["line 2 = A", "written by two lines", "line 1"]),
        ("A[0] = 0\nA[0] = 1\nA[t+1] = A[t]", ["line 2 = A", "written by two lines"]),
        ("A[p] = X[p]\nB[p,m] = X[p,m]", ["line 2 = X", "has 2 indices here and 1 in line 1"]),
        ("X: [P]\nB[p,m] = X[p,m]", ["line 2 = X", "has 2 indices here and 1 in its declaration"]),
        ("XX: [P]\nB[p] = X[p]", ["XX", "is declared, but no line uses it", "Did you mean 'X'"]),
        ("A[p] = B[p]\nB[p] = A[p]", ["= B", "needed to compute itself: A -> B -> A"]),
        ("A[p] = A[p] + X[p]", ["= A", "read by the line that writes it", "A[..., t+1]"]),
        ("A[p] = B[p]\nB[p] = X[p]", ["line 1 = B", "read before line 2 writes it", "Move that line above"]),
        ("B[t+1] = B[t] + X[t]", ["= B", "has no first value", "B[..., 0]"]),
        ("B[0] = 0\nC[t] = X[t]", ["= B", "no line goes on from it"]),
        ("B[0,t] = 0\nB[p,t+1] = B[p,t]", ["= B", "no line goes on from it"]),
        ("B[0] = 0\nC[t] = B[t+2]\nB[t+1] = B[t] + X[t]", ["= B", "no step has written yet"]),
        ("B[0] = 0\nB[t+1] = B[t] + sum(B[u], u) * X[t]", ["needed to compute itself"]),
        ("B[0] = 0\nC[t] = B[T] * X[t]\nB[t+1] = B[t] + C[t]", ["needed to compute itself", "C -> B -> C"]),
        ("B[0] = 0\nC[t] = scan(sum, B[t], t)\nB[t+1] = B[t] + C[t]", ["cannot be stepped", "C and B need"]),
        ("Y[p] = X[p] / EE", ["= EE", "is the size of no rank", "`EE: size`"]),
        ("Y[p] = X[p*PP]", ["= PP", "is the size of no rank"]),
        ("X: [2*PP]\nY[p] = X[p]", ["PP", "is the size of no rank"]),
        ("P = sum(X[p], p)", ["= P", "both a tensor without indices and the size of rank p"]),
        ("G[p,e] = X[I[p], e]", ["= X", "only gathered from in dimension 0", "`X: [N, N]`"]),
    ],
)
def test_lines_that_do_not_fit_together_are_refused_with_a_remedy(text: str, needs: list[str]) -> None:
    message = fails(text)
    for need in needs:
        assert need in message
