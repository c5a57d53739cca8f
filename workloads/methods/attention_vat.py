"""Attention VAT and iVAT: virtual adversarial training, whose perturbation of attention scores needs no labels.

The same classifier as in `attention_at`. The worst small change is the one that moves the prediction most: the gradient
of the divergence between the clean prediction and that under a random change of size XI, by one power iteration. The
step then adds that divergence under the change found. iVAT admits only changes along differences between scores.

`vat_training` and `ivat_training` are the steps with one encoder pass in each direction and three passes of what comes
behind the scores; `training` is a plain step, `forward` the classifier. A naive schedule runs the model three times.

Ranks: b batch, t word (k another, x step back in time), g embedding, u and v LSTM state (each direction), q LSTM gate,
a attention width.
"""

from __future__ import annotations

from ..claim import Claim, Run
from ..method import Method
from .attention_at import (
    ASSUMED,
    CODE,
    ENCODER,
    FORWARD,
    LABELLED,
    PRESET_SOURCES,
    PRESETS,
    SCALARS,
    TRAINING,
    VALUES,
    WEIGHTS,
    backward,
    gradient,
    head,
    inputs,
    step,
    worst,
)

_RANDOM = """
NO[b,t]        = where(t < LEN[b], NOISE[b,t], 0)
NN[b]          = sum(NO[b,t] ** 2, t)
RX[b,t]        = XI * NO[b,t] * rsqrt(NN[b])
"""
_MOVED = "(sigmoid(ZX[b]) - sigmoid(Z0[b])) / B"
_VIRTUAL = "LAMBDA * (sigmoid(Z1[b]) - sigmoid(Z0[b])) / B"


def _virtual(interpretable: bool) -> str:
    clean = f"{head('0')}{VALUES}{gradient('0', LABELLED)}"
    probe = f"{_RANDOM}{head('X', ' + RX[b,t]')}{gradient('X', _MOVED)}{worst('X', interpretable)}"
    changed = f"{head('1', ' + R[b,t]')}{gradient('1', _VIRTUAL)}"
    return f"XI: []\n{SCALARS}{ENCODER}{clean}{probe}{changed}{backward('0', '1')}"


PAPER = "Kitada and Iyatomi 2021, Virtual Adversarial Training of Attention, arXiv 2104.08763"

METHOD = Method(
    name="attention_vat",
    title="Attention VAT and iVAT: virtual adversarial training on the scores of attention",
    question=(
        "How much slower than a plain step is a virtual adversarial one, naive and at its least, as texts grow, if it "
        "only perturbs one score a word?"
    ),
    source=f"{PAPER} (no code found); the classifier of {CODE}; Miyato et al. 2017, arXiv 1704.03976",
    cascades={
        "vat_training": _virtual(interpretable=False),
        "ivat_training": _virtual(interpretable=True),
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
            statement="Better than its baselines on 6 data sets, also with text that has no labels",
            value=6,
            unit="data sets",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            not_derivable="accuracy",
        ),
    ),
    assumed={
        **ASSUMED,
        "perturbation": "one power iteration, the standard recipe; every text of a batch is labelled and used for both",
    },
    counted_apart={
        "trace": "the LSTM of the reference runs on pack_padded_sequence, whose lengths are values",
    },
)
