"""Attention AT and iAT: adversarial training in which the perturbation is added to the scores of attention.

A text classifier (bidirectional LSTM, additive attention, logistic output) is trained on its loss and on its loss under
the worst small change of its attention scores, R = eps G / |G| with G the gradient of the loss. G has a closed form
that needs no pass through the encoder. iAT admits only changes along differences between the scores of words.

`forward` is the classifier, `training` one step of it with all gradients, `at_training` and `iat_training` the steps
that need no more than one encoder pass in each direction. The released code runs the whole model three times forward
and three times backward: three runs of `training`.

Ranks: b batch, t word (k another, x step back in time), g embedding, u and v LSTM state (each direction), q LSTM gate,
a attention width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..claim import Claim, Run
from ..method import Method

if TYPE_CHECKING:
    import numpy as np
    import torch


def _direction(y: str, words: str) -> str:
    """An LSTM over the words of `words`; H is its state after each step."""
    return f"""
XI{y}[b,t,q,u]   = sum({words} * WI{y}[q,g,u], g) + BI{y}[q,u]
H{y}[b,u,0]      = 0
C{y}[b,u,0]      = 0
IG{y}[b,u,t]     = sigmoid(XI{y}[b,t,0,u] + sum(H{y}[b,v,t] * WH{y}[0,v,u], v))
FG{y}[b,u,t]     = sigmoid(XI{y}[b,t,1,u] + sum(H{y}[b,v,t] * WH{y}[1,v,u], v))
CG{y}[b,u,t]     = tanh(XI{y}[b,t,2,u] + sum(H{y}[b,v,t] * WH{y}[2,v,u], v))
OG{y}[b,u,t]     = sigmoid(XI{y}[b,t,3,u] + sum(H{y}[b,v,t] * WH{y}[3,v,u], v))
C{y}[b,u,t+1]    = FG{y}[b,u,t] * C{y}[b,u,t] + IG{y}[b,u,t] * CG{y}[b,u,t]
TC{y}[b,u,t]     = tanh(C{y}[b,u,t+1])
H{y}[b,u,t+1]    = OG{y}[b,u,t] * TC{y}[b,u,t]
"""


ENCODER = f"""
EMB: [WORDS, G]
X[b,t,g]       = EMB[TOK[b,t],g]
BACK[b,t]      = LEN[b] - 1 - t                                           # from the last word to the first
AFTER[b,t]     = LEN[b] - t                                               # the backward state that has read word t
{_direction("F", "X[b,t,g]")}{_direction("R", "X[b,BACK[b,t],g]")}
UA[b,t,a]      = tanh(sum(HF[b,u,t+1] * W1F[u,a], u) + sum(HR[b,u,AFTER[b,t]] * W1R[u,a], u) + B1[a])
ATT[b,t]       = sum(UA[b,t,a] * W2[a], a)
"""


def head(s: str, perturbation: str = "") -> str:
    """Softmax of scores and what follows, under the suffix `s`: what a perturbation makes necessary again."""
    return f"""
L{s}[b,t]      = where(t < LEN[b], ATT[b,t]{perturbation}, -inf)
M{s}[b]        = max(L{s}[b,t], t)
E{s}[b,t]      = exp(L{s}[b,t] - M{s}[b])
N{s}[b]        = sum(E{s}[b,t], t)
P{s}[b,t]      = E{s}[b,t] / N{s}[b]
CF{s}[b,u]     = sum(P{s}[b,t] * HF[b,u,t+1], t)
CR{s}[b,u]     = sum(P{s}[b,t] * HR[b,u,AFTER[b,t]], t)
Z{s}[b]        = sum(CF{s}[b,u] * WOF[u], u) + sum(CR{s}[b,u] * WOR[u], u) + BO
"""


VALUES = """
V[b,t]         = sum(HF[b,u,t+1] * WOF[u], u) + sum(HR[b,u,AFTER[b,t]] * WOR[u], u)
"""


def gradient(s: str, loss: str) -> str:
    """Gradient of a loss by the scores of head `s`, from its derivative by the logit: no encoder in it."""
    return f"""
DZ{s}[b]       = {loss}
MV{s}[b]       = sum(P{s}[b,t] * V[b,t], t)
GS{s}[b,t]     = DZ{s}[b] * P{s}[b,t] * (V[b,t] - MV{s}[b])
"""


def worst(s: str, interpretable: bool) -> str:
    """The perturbation R along the gradient of head `s`; along differences of scores where `interpretable`."""
    if not interpretable:
        return f"""
NG[b]          = sum(GS{s}[b,t] ** 2, t)
R[b,t]         = EPS * GS{s}[b,t] * rsqrt(NG[b])
"""
    return f"""
DF[b,t,k]      = where(t < LEN[b] and k < LEN[b], ATT[b,t] - ATT[b,k], 0)
ND[b,t]        = sum(DF[b,t,k] ** 2, k)
DN[b,t,k]      = DF[b,t,k] * rsqrt(ND[b,t] + 1e-12)
GW[b,t,k]      = GS{s}[b,t] * DN[b,t,k]                                   # gradient of the weight of a difference
NG[b]          = sum(GW[b,t,k] ** 2, t, k)
R[b,t]         = EPS * sum(GW[b,t,k] * DN[b,t,k], k) * rsqrt(NG[b])
"""


def _through_time(y: str, state: str) -> str:
    """Backward through an LSTM. `state` is the gradient of its states by what reads them, at step T-1-x."""
    return f"""
DB{y}[b,u,0]   = 0
DC{y}[b,u,0]   = 0
DH{y}[b,u,x]   = {state} + DB{y}[b,u,x]
DD{y}[b,u,x]   = DC{y}[b,u,x] + DH{y}[b,u,x] * OG{y}[b,u,T-1-x] * (1 - TC{y}[b,u,T-1-x] ** 2)
DI{y}[b,u,x]   = DD{y}[b,u,x] * CG{y}[b,u,T-1-x] * IG{y}[b,u,T-1-x] * (1 - IG{y}[b,u,T-1-x])
DF{y}[b,u,x]   = DD{y}[b,u,x] * C{y}[b,u,T-1-x] * FG{y}[b,u,T-1-x] * (1 - FG{y}[b,u,T-1-x])
DG{y}[b,u,x]   = DD{y}[b,u,x] * IG{y}[b,u,T-1-x] * (1 - CG{y}[b,u,T-1-x] ** 2)
DO{y}[b,u,x]   = DH{y}[b,u,x] * TC{y}[b,u,T-1-x] * OG{y}[b,u,T-1-x] * (1 - OG{y}[b,u,T-1-x])
DC{y}[b,u,x+1] = DD{y}[b,u,x] * FG{y}[b,u,T-1-x]
DB{y}[b,u,x+1] = (
    sum(DI{y}[b,v,x] * WH{y}[0,u,v], v) + sum(DF{y}[b,v,x] * WH{y}[1,u,v], v)
    + sum(DG{y}[b,v,x] * WH{y}[2,u,v], v) + sum(DO{y}[b,v,x] * WH{y}[3,u,v], v))
DQ{y}[b,q,u,x] = where(q == 0, DI{y}[b,u,x], where(q == 1, DF{y}[b,u,x], where(q == 2, DG{y}[b,u,x], DO{y}[b,u,x])))
GWH{y}[q,v,u]  = sum(DQ{y}[b,q,u,x] * H{y}[b,v,T-1-x], b, x)
GBI{y}[q,u]    = sum(DQ{y}[b,q,u,x], b, x)
GH0{y}[b,u]    = DB{y}[b,u,X]                                            # and of the state that the LSTM starts with
GC0{y}[b,u]    = DC{y}[b,u,X]
"""


def backward(*heads: str) -> str:
    """Gradients of all weights from those of the scores of the heads, which share one pass through the encoder."""
    scores = " + ".join(f"GS{s}[b,t]" for s in heads)
    values = " + ".join(f"DZ{s}[b] * P{s}[b,t]" for s in heads)
    return f"""
GA[b,t]        = {scores}
GV[b,t]        = {values}
GBO            = {" + ".join(f"sum(DZ{s}[b], b)" for s in heads)}
GWOF[u]        = sum(GV[b,t] * HF[b,u,t+1], b, t)
GWOR[u]        = sum(GV[b,t] * HR[b,u,AFTER[b,t]], b, t)
GW2[a]         = sum(GA[b,t] * UA[b,t,a], b, t)
GU[b,t,a]      = GA[b,t] * W2[a] * (1 - UA[b,t,a] ** 2)
GB1[a]         = sum(GU[b,t,a], b, t)
GW1F[u,a]      = sum(GU[b,t,a] * HF[b,u,t+1], b, t)
GW1R[u,a]      = sum(GU[b,t,a] * HR[b,u,AFTER[b,t]], b, t)
GHF[b,t,u]     = GV[b,t] * WOF[u] + sum(GU[b,t,a] * W1F[u,a], a)
GHR[b,t,u]     = GV[b,t] * WOR[u] + sum(GU[b,t,a] * W1R[u,a], a)
WORD[b,x]      = LEN[b] - T + x                                           # what the backward direction read at T-1-x
{_through_time("F", "GHF[b,T-1-x,u]")}{_through_time("R", "GHR[b,WORD[b,x],u]")}
GWIF[q,g,u]    = sum(DQF[b,q,u,x] * X[b,T-1-x,g], b, x)
GWIR[q,g,u]    = sum(DQR[b,q,u,x] * X[b,WORD[b,x],g], b, x)
"""


SCALARS = "BO: []\nEPS: []\nLAMBDA: []\n"
LABELLED = "(sigmoid(Z0[b]) - LABEL[b]) / B"
_ADVERSARIAL = "LAMBDA * (sigmoid(Z1[b]) - LABEL[b]) / B"

FORWARD = f"""BO: []
{ENCODER}{head("0")}
Y[b]           = sigmoid(Z0[b])
LASTF[b,u]     = CF[b,u,LEN[b]]                                           # the cells after the last word
LASTR[b,u]     = CR[b,u,LEN[b]]
"""
TRAINING = f"BO: []\n{ENCODER}{head('0')}{VALUES}{gradient('0', LABELLED)}{backward('0')}"


def _adversarial(interpretable: bool) -> str:
    clean = f"{head('0')}{VALUES}{gradient('0', LABELLED)}{worst('0', interpretable)}"
    return f"{SCALARS}{ENCODER}{clean}{head('1', ' + R[b,t]')}{gradient('1', _ADVERSARIAL)}{backward('0', '1')}"


def step(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """PyTorch's LSTM on packed sequences, losses as their papers state them, gradients by autograd."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, kl_div, logsigmoid
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    state, words = sizes["U"], sizes["T"]
    names = ["WIF", "WHF", "BIF", "WIR", "WHR", "BIR", "W1F", "W1R", "B1", "W2", "WOF", "WOR", "BO"]
    w = {name: given[name].clone().requires_grad_() for name in names}
    lengths = given["LEN"].long()
    lstm = torch.nn.LSTM(sizes["G"], state, batch_first=True, bidirectional=True, dtype=torch.float64)
    rows = [("F", "_l0"), ("R", "_l0_reverse")]
    zero = torch.zeros(4 * state, dtype=torch.float64)
    parameters = {f"bias_hh{end}": zero for _, end in rows}
    for y, end in rows:
        parameters[f"weight_ih{end}"] = w["WI" + y].transpose(1, 2).flatten(0, 1)
        parameters[f"weight_hh{end}"] = w["WH" + y].transpose(1, 2).flatten(0, 1)
        parameters[f"bias_ih{end}"] = w["BI" + y].flatten()
    packed = pack_padded_sequence(given["EMB"][given["TOK"].long()], lengths, True, False)
    start = [torch.zeros(2, len(lengths), state, dtype=torch.float64, requires_grad=True) for _ in "HC"]
    run = torch.func.functional_call(lstm, parameters, (packed, tuple(start)))
    hidden = pad_packed_sequence(run[0], True, 0.0, words)[0]
    scores = torch.tanh(hidden @ torch.cat([w["W1F"], w["W1R"]]) + w["B1"]) @ w["W2"]
    real = torch.arange(words) < lengths[:, None]

    def logit(change: torch.Tensor | float, scores: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        weights = (scores + change).masked_fill(~real, -torch.inf).softmax(1)
        return torch.einsum("bt,btd,d->b", weights, hidden, torch.cat([w["WOF"], w["WOR"]])) + w["BO"]

    z = logit(0.0, scores, hidden)
    if variant == "forward":
        return {"Y": torch.sigmoid(z), "LASTF": run[1][1][0], "LASTR": run[1][1][1]}
    loss = binary_cross_entropy_with_logits(z, given["LABEL"])

    def divergence(target: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Of the clean prediction from another one, averaged over the batch."""
        p, q = (torch.stack([logsigmoid(one), logsigmoid(-one)]) for one in (target.detach(), z))
        return kl_div(q, p, reduction="sum", log_target=True) / len(z)

    def other(z: torch.Tensor) -> torch.Tensor:
        return divergence(logit(0.0, scores, hidden), z) if "vat" in variant else (
            binary_cross_entropy_with_logits(z, given["LABEL"]))  # fmt: skip

    if variant != "training":
        frozen = scores.detach(), hidden.detach()
        change = torch.zeros_like(scores)
        if "vat" in variant:
            noise = given["NOISE"].masked_fill(~real, 0)
            change = given["XI"] * noise / noise.norm(dim=1, keepdim=True)
        both = real[:, :, None] & real[:, None]
        ways = ((frozen[0][:, :, None] - frozen[0][:, None]) * both).detach()
        ways = ways * torch.rsqrt(ways.square().sum(2, keepdim=True) + 1e-12)
        if variant.startswith("i"):
            weights = torch.zeros_like(ways).requires_grad_()
            found = torch.autograd.grad(other(logit(change + (weights * ways).sum(2), *frozen)), weights)[0]
            found = (found / found.flatten(1).norm(dim=1)[:, None, None] * ways).sum(2)
        else:
            change = change.requires_grad_()
            found = torch.autograd.grad(other(logit(change, *frozen)), change)[0]
            found = found / found.norm(dim=1, keepdim=True)
        loss = loss + given["LAMBDA"] * other(logit(given["EPS"] * found, scores, hidden))
    *gradients, h0, c0 = torch.autograd.grad(loss, [*w.values(), *start])
    starts = {f"G{which}0{y}": one[i] for which, one in (("H", h0), ("C", c0)) for i, y in enumerate("FR")}
    return {**starts, **{"G" + name: found for name, found in zip(names, gradients, strict=True)}}


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """Words, lengths of at least two words, labels, and the sizes of perturbations."""
    batch, words = shapes["TOK"]
    return {
        "TOK": generator.integers(0, sizes["WORDS"], (batch, words)),
        "LEN": generator.integers(2, words + 1, batch),
        "LABEL": generator.integers(0, 2, batch).astype(float),
        "EPS": 0.7,
        "LAMBDA": 1.3,
        "XI": 0.9,
    }


CODE = "shunk031/attention-meets-perturbation"
PAPER = "Kitada and Iyatomi 2021, Attention Meets Perturbations, arXiv 2009.12064"


def lengths(batch: int, words: int) -> dict[str, int]:
    """Sizes of the classifier in its released configuration, for one data set."""
    return {
        "B": batch,
        "T": words,
        "K": words,
        "X": words,
        "G": 300,
        "U": 128,
        "V": 128,
        "Q": 4,
        "A": 128,
        "WORDS": 20000,
    }


PRESETS = {
    "tiny": {"B": 3, "T": 5, "K": 5, "X": 5, "G": 3, "U": 2, "V": 2, "Q": 4, "A": 2, "WORDS": 7},
    "sst": lengths(32, 20),
    "imdb": lengths(32, 180),
    "newsgroups": lengths(32, 500),
}
PRESET_SOURCES = {
    "tiny": "our choice, for tests",
    "sst": f"{CODE}: batch 32, embeddings of 300, LSTM of 128 in each direction; 20 words on average assumed",
    "imdb": f"{CODE}: the same; 180 words on average assumed",
    "newsgroups": f"{CODE}: the same at the longest text, 500 words",
}
WEIGHTS = (
    "EMB", "WIF", "WHF", "BIF", "WIR", "WHR", "BIR", "W1F", "W1R", "B1", "W2", "WOF", "WOR", "BO",
)  # fmt: skip
ASSUMED = {
    "lengths": "average words of a data set, padded to one length; a vocabulary of 20,000",
    "embeddings": "not trained",
    "loss": "classes weigh the same",
}

METHOD = Method(
    name="attention_at",
    title="Attention AT and iAT: adversarial training on the scores of attention",
    question=(
        "How much slower than a plain step is an adversarial one, as released and at its least, as texts grow, when it "
        "only perturbs one score a word?"
    ),
    source=f"{PAPER}; {CODE}",
    cascades={
        "at_training": _adversarial(interpretable=False),
        "iat_training": _adversarial(interpretable=True),
        "training": TRAINING,
        "forward": FORWARD,
    },
    sizes=PRESETS["imdb"],
    presets=PRESETS,
    preset_sources=PRESET_SOURCES,
    weights=WEIGHTS,
    reference=step,
    inputs=inputs,
    dense=Run("training"),
    claims=(
        Claim(
            name="prediction",
            statement="Best on 9 of 10 data sets of classification, question answering and inference",
            value=9,
            unit="data sets",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            not_derivable="accuracy",
        ),
        Claim(
            name="robustness",
            statement="Depends much less on the size of the perturbation than perturbed embeddings do",
            value=1,
            unit="rank",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            not_derivable="accuracy",
        ),
    ),
    assumed={**ASSUMED, "differences": "as the paper has them; the code takes them between texts of a batch"},
    counted_apart={
        "trace": "the LSTM of the reference runs on pack_padded_sequence, whose lengths are values",
    },
)
