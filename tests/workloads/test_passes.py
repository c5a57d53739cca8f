"""Pass analysis: the published examples and taxonomy, and what must not change the count."""

from __future__ import annotations

import pytest

from lightbound.base.errors import LightboundError
from lightbound.base.formula import formula
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.methods import load_method
from lightbound.workloads.passes import pass_of, passes
from lightbound.workloads.registry import workload

FUSEMAX = load_method("fusemax").cascades
ATTENTION = load_method("attention").cascades


def count(text: str, family: str) -> int:
    return passes(Cascade.parse(text), family).count


def test_a_name_a_workload_and_its_cascade_are_analysed_alike() -> None:
    work = workload("attention", variant="1-pass")
    assert passes(work, "m") == passes(work.cascade, "m")
    assert passes("attention", "m").count == passes(workload("attention"), "M").count == 3
    with pytest.raises(LightboundError, match="Did you mean 'attention'"):
        passes("attentio", "m")


# The worked examples of FuseMax, section 3.


def test_a_value_reduced_over_k_and_used_at_every_k_takes_two_passes_and_holds_a_fiber() -> None:
    analysis = passes(Cascade.parse("Y = sum(A[k] * B[k], k)\nZ = sum(Y * A[k], k)"), "k")
    assert analysis.count == 2
    assert dict(analysis.einsum) == {"Y": 1, "Z": 2}
    assert {name: live.held for name, live in analysis.live.items()} == {"A": "K"}


def test_the_same_value_reassociated_takes_one_pass() -> None:
    analysis = passes(Cascade.parse("Y = sum(A[k] * B[k], k)\nX = sum(A[k], k)\nZ = Y * X"), "k")
    assert analysis.count == 1
    assert not analysis.live


def test_the_same_value_by_running_sums_takes_one_pass() -> None:
    text = """
    RY[0] = 0
    RZ[0] = 0
    RY[i+1] = RY[i] + A[i] * B[i]
    RZ[i+1] = RZ[i] * RY[i+1] / RY[i] + RY[i+1] * A[i]
    Z = RZ[I]
    """
    analysis = passes(Cascade.parse(text), "i")
    assert analysis.count == 1
    assert set(analysis.running) == {"RY", "RZ"}


def test_a_full_value_beside_a_fiber_that_was_not_walked_forces_nothing() -> None:
    assert count("Y = sum(A[k] * B[k], k)\nZ = sum(Y * C[k], k)", "k") == 1


# The expected results and the taxonomy of attention.


@pytest.mark.parametrize(
    ("implementations", "text", "expected"),
    [
        ("FuseMax, 3-pass cascade", FUSEMAX["3-pass"], 3),
        ("FuseMax, 2-pass cascade", FUSEMAX["2-pass"], 2),
        ("FuseMax, 1-pass cascade", FUSEMAX["1-pass"], 1),
        ("PyTorch, TensorFlow, FLAT, E.T.", ATTENTION["3-pass"], 3),
        ("softmax with deferred division", ATTENTION["deferred-division"], 2),
        ("FlashAttention-2", ATTENTION["1-pass"], 1),
    ],
)
def test_the_cascades_that_ship_have_the_published_number_of_passes(
    implementations: str, text: str, expected: int
) -> None:
    assert count(text, "m") == expected, implementations


UNSTABLE = """
QK[p,m] = sum(Q[p,e] * K[m,e], e)
SN[p,m] = exp(QK[p,m])
SD[p]   = sum(SN[p,m], m)
A[p,m]  = SN[p,m] / SD[p]
AV[p,f] = sum(A[p,m] * V[m,f], m)
"""
UNSTABLE_DEFERRED = """
QK[p,m]  = sum(Q[p,e] * K[m,e], e)
SN[p,m]  = exp(QK[p,m])
SD[p]    = sum(SN[p,m], m)
SNV[p,f] = sum(SN[p,m] * V[m,f], m)
AV[p,f]  = SNV[p,f] / SD[p]
"""
# TileFlow; Choi et al., IISWC 2022: a maximum of each tile, put right by the global one in a second walk
LOCAL_MAXIMUM = """
QK[p,m1,m0] = sum(Q[p,e] * K[m1*M0+m0,e], e)
LM[p,m1]    = max(QK[p,m1,m0], m0)
N[p,m1,m0]  = exp(QK[p,m1,m0] - LM[p,m1])
LD[p,m1]    = sum(N[p,m1,m0], m0)
GM[p]       = max(LM[p,m1], m1)
C[p,m1]     = exp(LM[p,m1] - GM[p])
SD[p]       = sum(LD[p,m1] * C[p,m1], m1)
AV[p,f]     = sum(N[p,m1,m0] * C[p,m1] / SD[p] * V[m1*M0+m0,f], m1, m0)
"""
# FlashAttention: the output is divided at every step, so that it is a softmax of what was seen so far
FLASH_ATTENTION = """
RM[p,0]     = -inf
RL[p,0]     = 0
O[p,f,0]    = 0
S[p,m1,m0]  = sum(Q[p,e] * K[m1*M0+m0,e], e)
LM[p,m1]    = max(S[p,m1,m0], m0)
N[p,m1,m0]  = exp(S[p,m1,m0] - LM[p,m1])
LL[p,m1]    = sum(N[p,m1,m0], m0)
NV[p,f,m1]  = sum(N[p,m1,m0] * V[m1*M0+m0,f], m0)
RM[p,m1+1]  = max(RM[p,m1], LM[p,m1])
RL[p,m1+1]  = exp(RM[p,m1] - RM[p,m1+1]) * RL[p,m1] + exp(LM[p,m1] - RM[p,m1+1]) * LL[p,m1]
OLD[p,f,m1] = RL[p,m1] * exp(RM[p,m1] - RM[p,m1+1]) * O[p,f,m1]
O[p,f,m1+1] = (OLD[p,f,m1] + exp(LM[p,m1] - RM[p,m1+1]) * NV[p,f,m1]) / RL[p,m1+1]
AV[p,f]     = O[p,f,M1] * 1
"""
# Rabe and Staats: sums over chunks of keys under a running maximum, divided once at the end
RABE_STAATS = """
RM[p,0]    = -inf
RW[p,0]    = 0
RV[p,f,0]  = 0
S[p,m1,m0] = sum(Q[p,e] * K[m1*M0+m0,e], e)
CM[p,m1]   = max(S[p,m1,m0], m0)
RM[p,m1+1] = max(RM[p,m1], CM[p,m1])
W[p,m1,m0] = exp(S[p,m1,m0] - RM[p,m1+1])
RW[p,m1+1] = RW[p,m1] * exp(RM[p,m1] - RM[p,m1+1]) + sum(W[p,m1,m0], m0)
RV[p,f,m1+1] = RV[p,f,m1] * exp(RM[p,m1] - RM[p,m1+1]) + sum(W[p,m1,m0] * V[m1*M0+m0,f], m0)
AV[p,f]    = RV[p,f,M1] / RW[p,M1]
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(UNSTABLE, 2, id="unstable"),
        pytest.param(UNSTABLE_DEFERRED, 1, id="unstable, deferred division"),
        pytest.param(LOCAL_MAXIMUM, 2, id="TileFlow and Choi et al."),
        pytest.param(FLASH_ATTENTION, 1, id="FlashAttention"),
        pytest.param(RABE_STAATS, 1, id="Rabe and Staats"),
    ],
)
def test_other_published_forms_of_attention_have_their_number_of_passes(text: str, expected: int) -> None:
    assert count(text, "m") == expected


def test_no_cascade_of_attention_walks_its_queries_or_head_dimensions_twice() -> None:
    for text in (*FUSEMAX.values(), *ATTENTION.values()):
        for family, analysis in pass_of(Cascade.parse(text)).items():
            assert family == "m" or analysis.count == 1


def test_three_passes_hold_scores_and_numerators_over_all_keys() -> None:
    analysis = passes(Cascade.parse(FUSEMAX["3-pass"]), "m")
    assert dict(analysis.einsum) == {"QK": 1, "GM": 1, "SN": 2, "SD": 2, "A": 3, "AV": 3}
    assert [(force.einsum, force.through, force.again) for force in analysis.forced] == [
        ("SN", "GM", ("QK",)),
        ("A", "SD", ("SN",)),
    ]
    assert {name: (live.held, live.per) for name, live in analysis.live.items()} == {
        "QK": ("M", ("b", "h", "p")),
        "SN": ("M", ("b", "h", "p")),
    }
    assert analysis.live["QK"].whole == "B*H*M*P"


def test_one_pass_holds_running_values_that_do_not_grow_with_the_keys() -> None:
    analysis = passes(Cascade.parse(FUSEMAX["1-pass"]), "m")
    assert not analysis.live
    assert dict(analysis.running) == {"RM": "1", "RD": "1", "RNV": "F"}
    assert set(analysis.running_per) == {"b", "h", "p"}


def test_two_passes_hold_the_local_numerators_and_a_summary_of_tiles() -> None:
    analysis = passes(Cascade.parse(FUSEMAX["2-pass"]), "m")
    assert {name: (live.held, live.carries) for name, live in analysis.live.items()} == {
        "SLN": ("M", True),
        "CF": ("M1", False),
    }
    assert analysis.forced[0].einsum == "A"


def test_every_footprint_is_a_formula_of_the_cascade_s_own_sizes() -> None:
    for text in (*FUSEMAX.values(), *ATTENTION.values()):
        cascade = Cascade.parse(text)
        sizes = {"B": 2, "H": 3, "E": 4, "F": 5, "P": 6, "M": 8}
        sized = cascade.with_sizes(**sizes, **({"M0": 4} if "M0" in cascade.missing_sizes else {}))
        for analysis in pass_of(cascade).values():
            for live in analysis.live.values():
                assert formula(live.whole)(sized.sizes) == _elements(sized, live.tensor)
                assert formula(live.held)(sized.sizes) <= formula(live.whole)(sized.sizes)


def _elements(cascade: Cascade, tensor: str) -> int:
    product = 1
    for extent in cascade.shape(tensor):
        product *= extent
    return product


# Beyond attention.


def test_layer_normalisation_from_a_mean_and_then_a_variance_takes_three_passes() -> None:
    text = """
    S[n] = sum(X[n,d], d) / D
    C[n,d] = X[n,d] - S[n]
    W[n] = sum(C[n,d] ** 2, d) / D
    Y[n,d] = C[n,d] * rsqrt(W[n])
    """
    analysis = passes(Cascade.parse(text), "d")
    assert analysis.count == 3
    assert {name: live.held for name, live in analysis.live.items()} == {"X": "D", "C": "D"}


def test_layer_normalisation_from_a_sum_and_a_sum_of_squares_takes_two_passes() -> None:
    text = """
    S[n] = sum(X[n,d], d) / D
    Q[n] = sum(X[n,d] ** 2, d) / D
    R[n] = rsqrt(Q[n] - S[n] ** 2)
    Y[n,d] = (X[n,d] - S[n]) * R[n]
    """
    analysis = passes(Cascade.parse(text), "d")
    assert analysis.count == 2
    assert {name: live.held for name, live in analysis.live.items()} == {"X": "D"}


def test_running_moments_need_two_passes_as_well_since_every_element_is_normalised_by_all() -> None:
    text = """
    S[n,0] = 0
    Q[n,0] = 0
    S[n,d+1] = S[n,d] + X[n,d]
    Q[n,d+1] = Q[n,d] + X[n,d] ** 2
    Y[n,d] = (X[n,d] - S[n,D] / D) * rsqrt(Q[n,D] / D - (S[n,D] / D) ** 2)
    """
    assert count(text, "d") == 2


def test_a_normalisation_that_is_reduced_again_can_be_deferred_to_one_pass() -> None:
    text = """
    Q[n] = sum(X[n,d] ** 2, d) / D
    Z[n,k] = sum(X[n,d] * W[d,k], d)
    Y[n,k] = Z[n,k] * rsqrt(Q[n])
    """
    assert count(text, "d") == 1


def test_chains_of_products_take_one_pass_over_every_rank() -> None:
    text = """
    T[m,k] = sum(A[m,j] * B[j,k], j)
    U[m,n] = sum(T[m,k] * C[k,n], k)
    Z[m,p] = sum(U[m,n] * D[n,p], n)
    """
    assert {family: found.count for family, found in pass_of(Cascade.parse(text)).items()} == {
        "m": 1, "j": 1, "k": 1, "n": 1, "p": 1,
    }  # fmt: skip


def test_a_scan_is_known_at_every_prefix() -> None:
    assert count("Y[t] = scan(sum, X[t], t)\nZ[t] = X[t] / Y[t]", "t") == 1


def test_the_end_of_a_scan_is_known_only_after_the_walk() -> None:
    assert count("Y[t] = scan(sum, X[t], t)\nZ[t] = X[t] / Y[T-1]", "t") == 2


def test_a_scan_read_from_its_end_is_known_only_after_the_walk() -> None:
    assert count("Y[t] = scan(sum, X[t], t)\nZ[t] = X[t] * Y[T-1-t]", "t") == 2


def test_the_start_of_a_walk_is_known_at_once() -> None:
    assert count("Y[t] = exp(X[t])\nZ[t] = X[t] * Y[0]", "t") == 1


def test_a_recurrence_takes_one_pass_and_its_last_state_beside_its_input_a_second() -> None:
    text = "S[0,d] = 0\nS[t+1,d] = S[t,d] * A[t] + X[t,d]\nO[t,d] = S[t+1,d] * C[t]"
    assert count(text, "t") == 1
    assert count(text + "\nZ[t,d] = X[t,d] * S[T,d]", "t") == 2


def test_a_memory_that_is_read_and_rewritten_at_each_step_is_walked_twice_within_a_step() -> None:
    text = "M[0,n] = 0\nR[t] = sum(M[t,n] * K[t,n], n)\nM[t+1,n] = M[t,n] + K[t,n] * R[t]"
    analysis = pass_of(Cascade.parse(text))
    assert analysis["n"].count == 2
    assert analysis["t"].count == 1


def test_a_recurrence_that_starts_from_a_whole_walk_begins_a_pass() -> None:
    text = "G = max(X[t], t)\nS[0] = G * 1\nS[t+1] = S[t] + X[t]\nO = S[T] * 1"
    assert count(text, "t") == 2


def test_a_recurrence_over_tiles_that_waits_for_a_whole_walk_waits_once() -> None:
    text = """
    G          = max(S[m1*M0+m0], m1, m0)
    R[0]       = 1
    X[m1,m0]   = S[m1*M0+m0] * R[m1]
    L[m1]      = sum(X[m1,m0], m0)
    R[m1+1]    = R[m1] * G + L[m1]
    """
    assert dict(passes(Cascade.parse(text), "m").einsum) == {"G": 1, "X": 2, "L": 2, "R": 2}


def test_the_largest_keys_are_gathered_in_a_second_pass() -> None:
    text = """
    S[p,m] = sum(Q[p,e] * K[m,e], e)
    I[p,k] = topk(S[p,m], m)
    G[p,k,e] = K[I[p,k],e]
    """
    analysis = passes(Cascade.parse(text), "m")
    assert dict(analysis.einsum) == {"S": 1, "I": 1, "G": 2}
    assert set(analysis.live) == {"K"}


def test_what_no_walk_has_seen_is_gathered_in_the_first_pass() -> None:
    text = "K: [M, E]\nS[p,m] = sum(Q[p,e] * L[m,e], e)\nI[p,k] = topk(S[p,m], m)\nG[p,k,e] = K[I[p,k],e]"
    assert count(text, "m") == 1


def test_a_dimension_that_is_declared_with_the_family_s_size_is_walked_by_a_gather() -> None:
    text = "X: [M, E]\nG[p,e] = X[I[p],e]\nS[m] = A[m] * 2"
    analysis = passes(Cascade.parse(text), "m")
    assert analysis.count == 1


def test_a_maximum_inside_a_sum_over_the_same_rank_is_a_pass_of_its_own() -> None:
    assert count("Z[p] = sum(exp(S[p,m] - max(S[p,m], m)), m)", "m") == 2


def test_a_normalisation_in_one_line_counts_like_the_same_in_two() -> None:
    assert count("G = sum(X[m], m)\nY[m] = X[m] / G", "m") == 2
    assert count("Z[p,f] = sum(N[p,m] * V[m,f], m) / sum(N[p,m], m)", "m") == 1


def test_what_a_line_reads_is_read_in_the_pass_that_uses_it() -> None:
    text = "G[p] = max(S[p,m], m)\nN[p,m] = exp(S[p,m] * 2 - G[p])"
    assert set(passes(Cascade.parse(text), "m").live) == {"S"}


def test_a_division_after_the_sum_in_one_line_needs_no_second_walk() -> None:
    assert count("D = sum(N[m], m)\nO[f] = sum(N[m] * V[m,f], m) / D", "m") == 1
    assert count("D = sum(N[m], m)\nO[f] = sum(N[m] / D * V[m,f], m)", "m") == 2


def test_a_tensor_that_must_be_reduced_over_another_rank_first_is_held_over_both() -> None:
    analysis = passes(Cascade.parse("S[m] = sum(X[m,e], e)\nG = max(S[m], m)\nY[m,e] = X[m,e] * G"), "m")
    assert analysis.live["X"].held == "M*E"
    assert analysis.live["X"].per == ()


def test_a_convolution_is_walked_once_and_its_normalisation_a_second_time() -> None:
    text = "C[t] = sum(X[t+k] * W[k], k)\nG = max(C[t], t)\nY[t] = C[t] / G"
    analysis = pass_of(Cascade.parse(text))
    assert analysis["t"].count == 2
    assert analysis["k"].count == 1


# Words and errors.


def test_the_explanation_names_einsum_tensor_and_footprint_of_every_pass() -> None:
    words = passes(Cascade.parse(FUSEMAX["3-pass"]), "m").explain()
    assert "3 passes over m" in words
    assert "pass 2: SN, SD" in words
    assert "Pass 2 begins at SN: it needs GM" in words
    assert "So QK must be walked again (or recomputed from K)" in words
    assert "at least M elements for each b, h, p" in words


def test_the_explanation_of_one_pass_says_that_no_buffer_grows() -> None:
    words = passes(Cascade.parse(FUSEMAX["1-pass"]), "m").explain()
    assert "1 pass over m, partitioned as m1, m0" in words
    assert "no buffer has to grow with M" in words
    assert "RM 1, RD 1, RNV F elements for each b, h, p" in words


@pytest.mark.parametrize("name", ["m", "M", "m1", "M0"])
def test_a_family_may_be_named_by_any_of_its_ranks_or_sizes(name: str) -> None:
    assert passes(Cascade.parse(FUSEMAX["1-pass"]), name).family == "m"


def test_a_family_that_does_not_occur_is_refused_with_those_that_do() -> None:
    with pytest.raises(LightboundError, match=r"rank family = n: does not occur.*Choose from: b, e, f, h, m, p"):
        passes(Cascade.parse(FUSEMAX["3-pass"]), "n")
