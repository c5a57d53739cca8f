"""Transformer TTS: speech from phonemes by a Transformer, where Tacotron 2 has recurrences.

Training sees all frames at once, since each frame is predicted from the true ones before it; speaking is a step for
each frame. `decoder_layer`, `encoder_layer`, the two pre-nets and `outputs` (mel frames, stop flag and the convolutions
behind them) are the parts, of which a model has 6 + 6 layers; `model` is all of them with one layer of each kind;
`decode_layer` is a step of a decoder layer against its caches; `tacotron_decoder` is the recurrence it replaces, frame
by frame.

Ranks: b batch, i phoneme (j another), t mel frame (s another), c and o width, h heads, e head dimension, f feed-forward
width, m mel channel, z and y pre-net widths, k and r taps; u and v LSTM state, q LSTM gate, a attention width, l
location filter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..claim import Claim, Run
from ..method import Method
from ..references.transformer_tts import reference

if TYPE_CHECKING:
    import numpy as np


def _convolution(out: str, x: str, n: str, row: str, taken: str, given: str, function: str) -> str:
    """A convolution of the weights W<n>; its batch normalization is a scale and a shift."""
    body = f"sum({x}[b,{row}+k-K//2,{taken}] * W{n}[{given},{taken},k], {taken}, k) * S{n}[{given}] + T{n}[{given}]"
    return f"{out}[b,{row},{given}] = {function}({body})\n"


def _norm(out: str, x: str, row: str, n: str) -> str:
    at = f"b,{row}" if row else "b"
    return f"""
M{n}[{at}]       = sum({x}[{at},c], c) / C
V{n}[{at}]       = sum(({x}[{at},c] - M{n}[{at}]) ** 2, c) / C
{out}[{at},c]    = ({x}[{at},c] - M{n}[{at}]) * rsqrt(V{n}[{at}] + 1e-5) * G{n}[c] + B{n}[c]
"""


def _feed(out: str, x: str, row: str, n: str) -> str:
    at = f"b,{row}" if row else "b"
    return f"""
H{n}[{at},f]     = relu(sum({x}[{at},c] * W1{n}[c,f], c) + B1{n}[f])
R{n}[{at},c]     = {x}[{at},c] + sum(H{n}[{at},f] * W2{n}[f,c], f) + B2{n}[c]
{_norm(out, f"R{n}", row, n)}
"""


def _attention(out: str, x: str, other: str, n: str, rows: tuple[str, str, str], condition: str = "") -> str:
    """Multi-head attention with its residual and norm. Rows: of the queries, of what keys come from, of the keys."""
    q, written, k = rows
    scores = f"sum(Q{n}[b,{q},h,e] * K{n}[b,{k},h,e], e) / sqrt(E)"
    return f"""
Q{n}[b,{q},h,e]  = sum({x}[b,{q},c] * WQ{n}[c,h,e], c)
K{n}[b,{written},h,e] = sum({other}[b,{written},c] * WK{n}[c,h,e], c)
L{n}[b,{written},h,e] = sum({other}[b,{written},c] * WV{n}[c,h,e], c)
S{n}[b,h,{q},{k}] = {f"where({condition}, {scores}, -inf)" if condition else scores}
X{n}[b,h,{q}]    = max(S{n}[b,h,{q},{k}], {k})
P{n}[b,h,{q},{k}] = exp(S{n}[b,h,{q},{k}] - X{n}[b,h,{q}])
D{n}[b,h,{q}]    = sum(P{n}[b,h,{q},{k}], {k})
O{n}[b,{q},h,e]  = sum(P{n}[b,h,{q},{k}] * L{n}[b,{k},h,e], {k}) / D{n}[b,h,{q}]
A{n}[b,{q},c]    = {x}[b,{q},c] + sum(O{n}[b,{q},h,e] * WO{n}[h,e,c], h, e)
{_norm(out, f"A{n}", q, n)}
"""


def _cached(out: str, x: str, n: str, row: str, own: bool) -> str:
    """One query against cached keys and values, with the token's own where it has some."""
    new = f"""
KN{n}[b,h,e]     = sum({x}[b,c] * WK{n}[c,h,e], c)
VN{n}[b,h,e]     = sum({x}[b,c] * WV{n}[c,h,e], c)
SN{n}[b,h]       = sum(Q{n}[b,h,e] * KN{n}[b,h,e], e) / sqrt(E)
"""
    return f"""
Q{n}[b,h,e]      = sum({x}[b,c] * WQ{n}[c,h,e], c)
S{n}[b,h,{row}]  = sum(Q{n}[b,h,e] * KC{n}[b,{row},h,e], e) / sqrt(E)
{new if own else ""}
X{n}[b,h]        = {f"max(max(S{n}[b,h,{row}], {row}), SN{n}[b,h])" if own else f"max(S{n}[b,h,{row}], {row})"}
P{n}[b,h,{row}]  = exp(S{n}[b,h,{row}] - X{n}[b,h])
{f"PN{n}[b,h]       = exp(SN{n}[b,h] - X{n}[b,h])" if own else ""}
D{n}[b,h]        = sum(P{n}[b,h,{row}], {row}){f" + PN{n}[b,h]" if own else ""}
U{n}[b,h,e]      = sum(P{n}[b,h,{row}] * VC{n}[b,{row},h,e], {row}){f" + PN{n}[b,h] * VN{n}[b,h,e]" if own else ""}
O{n}[b,h,e]      = U{n}[b,h,e] / D{n}[b,h]
A{n}[b,c]        = {x}[b,c] + sum(O{n}[b,h,e] * WO{n}[h,e,c], h, e)
{_norm(out, f"A{n}", "", n)}
"""


ENCODER_PRENET = f"""
EMB: [PHONES, C]
AE: []
X0[b,i,c]     = EMB[PH[b,i],c]
{_convolution("C1", "X0", "C1", "i", "c", "o", "relu")}{_convolution("C2", "C1", "C2", "i", "c", "o", "relu")}
{_convolution("C3", "C2", "C3", "i", "c", "o", "relu")}
X[b,i,o]      = sum(C3[b,i,c] * WP[c,o], c) + BP[o] + AE * PE[i,o]
"""
ENCODER_LAYER = _attention("XA", "X", "X", "1", ("i", "i", "j")) + _feed("XE", "XA", "i", "4")
DECODER_PRENET = """
AD: []
MELS: [B, T, M]
Z1[b,t,z]     = relu(sum(MELS[b,t-1,m] * WZ1[m,z], m) + BZ1[z])         # the frame before
Z2[b,t,y]     = relu(sum(Z1[b,t,z] * WZ2[z,y], z) + BZ2[y])
D[b,t,c]      = sum(Z2[b,t,y] * WZ3[y,c], y) + BZ3[c] + AD * PD[t,c]
"""
DECODER_LAYER = (
    _attention("DA", "D", "D", "2", ("t", "t", "s"), "s <= t")
    + _attention("DX", "DA", "XE", "3", ("t", "i", "i"))
    + _feed("Y", "DX", "t", "5")
)
OUTPUTS = f"""
BS: []
STOP[b,t]     = sigmoid(sum(Y[b,t,c] * WS[c], c) + BS)
MEL[b,t,m]    = sum(Y[b,t,c] * WM[c,m], c) + BM[m]
{_convolution("N1", "MEL", "N1", "t", "m", "o", "tanh")}{_convolution("N2", "N1", "N2", "t", "c", "o", "tanh")}
{_convolution("N3", "N2", "N3", "t", "c", "o", "tanh")}{_convolution("N4", "N3", "N4", "t", "c", "o", "tanh")}
N5[b,t,m]     = sum(N4[b,t+k-K//2,c] * WN5[m,c,k], c, k) * SN5[m] + TN5[m]
POST[b,t,m]   = MEL[b,t,m] + N5[b,t,m]
"""
DECODE_LAYER = _cached("DA", "D", "2", "t", True) + _cached("DX", "DA", "3", "i", False) + _feed("Y", "DX", "", "5")


def _cell(n: str, gates: str) -> str:
    return f"""
H{n}[b,u,0]    = 0
C{n}[b,u,0]    = 0
G{n}[b,q,u,t]  = {gates} + sum(H{n}[b,v,t] * WH{n}[q,v,u], v) + B{n}[q,u]
C{n}[b,u,t+1]  = sigmoid(G{n}[b,1,u,t]) * C{n}[b,u,t] + sigmoid(G{n}[b,0,u,t]) * tanh(G{n}[b,2,u,t])
H{n}[b,u,t+1]  = sigmoid(G{n}[b,3,u,t]) * tanh(C{n}[b,u,t+1])
"""


TACOTRON = f"""
MELS: [B, T, M]
Z1[b,t,z]     = relu(sum(MELS[b,t-1,m] * WZ1[m,z], m) + BZ1[z])
Z2[b,t,y]     = relu(sum(Z1[b,t,z] * WZ2[z,y], z) + BZ2[y])
KM[b,i,a]     = sum(XE[b,i,c] * WKM[c,a], c)
CX[b,c,0]     = 0                                                      # the context, and the weights that gave it
AW[b,i,0]     = 0
AS[b,i,0]     = 0                                                      # all weights so far
{_cell("A", "sum(Z2[b,t,y] * WYA[q,y,u], y) + sum(CX[b,c,t] * WXA[q,c,u], c)")}
QA[b,a,t]     = sum(HA[b,u,t+1] * WQA[u,a], u)
LC[b,i,l,t]   = sum(AW[b,i+r-R//2,t] * WL1[l,r], r) + sum(AS[b,i+r-R//2,t] * WL2[l,r], r)
LA[b,i,a,t]   = sum(LC[b,i,l,t] * WLA[l,a], l)
EN[b,i,t]     = sum(tanh(QA[b,a,t] + KM[b,i,a] + LA[b,i,a,t]) * VA[a], a)
EM[b,t]       = max(EN[b,i,t], i)
EX[b,i,t]     = exp(EN[b,i,t] - EM[b,t])
ED[b,t]       = sum(EX[b,i,t], i)
AW[b,i,t+1]   = EX[b,i,t] / ED[b,t]
AS[b,i,t+1]   = AS[b,i,t] + AW[b,i,t+1]
CX[b,c,t+1]   = sum(AW[b,i,t+1] * XE[b,i,c], i)
{_cell("D", "sum(HA[b,v,t+1] * WAD[q,v,u], v) + sum(CX[b,c,t+1] * WXD[q,c,u], c)")}
MEL[b,t,m]    = sum(HD[b,u,t+1] * WMD[u,m], u) + sum(CX[b,c,t+1] * WMX[c,m], c) + BM[m]
ALIGN[b,t,i]  = AW[b,i,t+1]
TOTAL[b,i]    = AS[b,i,T]
LASTA[b,u]    = CA[b,u,T]                                              # the cells after the last frame
LASTD[b,u]    = CD[b,u,T]
"""


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """Phonemes."""
    return {"PH": generator.integers(0, sizes["PHONES"], shapes["PH"])} if "PH" in shapes else {}


PAPER = "Li et al. 2019, Neural Speech Synthesis with Transformer Network, arXiv 1809.08895"
TACOTRON_2 = "Shen et al. 2018, Tacotron 2, arXiv 1712.05884"


def _sizes(batch: int) -> dict[str, int]:
    lengths = {"B": batch, "I": 100, "J": 100, "T": 800, "S": 800, "PHONES": 80}
    widths = {"C": 512, "O": 512, "H": 8, "E": 64, "F": 2048, "M": 80, "Z": 256, "Y": 256, "K": 5}
    return {**lengths, **widths, "U": 1024, "V": 1024, "Q": 4, "A": 128, "L": 32, "R": 31}


def _step(*parts: tuple[str, int]) -> tuple[Run, ...]:
    """A training step: forward once and backward at twice its cost."""
    return tuple(Run(variant, "training", times=3 * count) for variant, count in parts)


_TRANSFORMER = _step(
    ("encoder_prenet", 1), ("encoder_layer", 6), ("decoder_prenet", 1), ("decoder_layer", 6), ("outputs", 1)
)
_NOTE = "On a V100, where the paper trains on P100s; backward taken as twice forward; lengths assumed"

METHOD = Method(
    name="transformer_tts",
    title="Transformer TTS: a Transformer from phonemes to mel frames, and the recurrence it replaces",
    question=(
        "How much faster is a training step than with 800 serial steps of a recurrent decoder, and what does the "
        "Transformer gain in speaking, where steps stay serial?"
    ),
    source=f"{PAPER}; {TACOTRON_2}",
    cascades={
        "decoder_layer": DECODER_LAYER,
        "encoder_layer": ENCODER_LAYER,
        "encoder_prenet": ENCODER_PRENET,
        "decoder_prenet": DECODER_PRENET,
        "outputs": OUTPUTS,
        "model": f"{ENCODER_PRENET}{ENCODER_LAYER}{DECODER_PRENET}{DECODER_LAYER}{OUTPUTS}",
        "decode_layer": DECODE_LAYER,
        "tacotron_decoder": TACOTRON,
    },
    sizes=_sizes(16),
    presets={
        "tiny": {
            "B": 2,
            "I": 4,
            "J": 4,
            "T": 6,
            "S": 6,
            "PHONES": 5,
            "C": 8,
            "O": 8,
            "H": 2,
            "E": 4,
            "F": 6,
            "M": 3,
            "Z": 4,
            "Y": 3,
            "K": 3,
            "U": 3,
            "V": 3,
            "Q": 4,
            "A": 4,
            "L": 2,
            "R": 3,
        },
        "training": _sizes(16),
        "speaking": _sizes(1),
    },
    preset_sources={
        "tiny": "our choice, for tests",
        "training": f"{PAPER}: batches of 16, width 512, 8 heads; 100 phonemes, 800 frames and F of 2048 assumed",
        "speaking": f"{PAPER}: one utterance of the same lengths",
    },
    weights=(
        "EMB",
        "AE",
        "AD",
        "WP",
        "BP",
        "WZ1",
        "BZ1",
        "WZ2",
        "BZ2",
        "WZ3",
        "BZ3",
        "WS",
        "BS",
        "WM",
        "BM",
        *(f"{x}{n}" for n in ("C1", "C2", "C3", "N1", "N2", "N3", "N4", "N5") for x in "WST"),
        *(f"{x}{n}" for n in "123" for x in ("WQ", "WK", "WV", "WO", "G", "B")),
        *(f"{x}{n}" for n in "45" for x in ("W1", "B1", "W2", "B2", "G", "B")),
        "WKM",
        "WYA",
        "WXA",
        "WHA",
        "BA",
        "WQA",
        "WL1",
        "WL2",
        "WLA",
        "VA",
        "WAD",
        "WXD",
        "WHD",
        "BD",
        "WMD",
        "WMX",
    ),
    state=("KC2", "VC2", "KC3", "VC3"),
    reference=reference,
    inputs=inputs,
    claims=(
        Claim(
            name="training speedup",
            statement="4.25 times as fast a training step as Tacotron 2 (0.4 s and 1.7 s, 16 samples)",
            value=4.25,
            unit="x",
            source=f"{PAPER}, section on training speed",
            evidence="recalled",
            quantity="latency_s",
            runs=_TRANSFORMER,
            baseline=_step(("encoder_prenet", 1), ("tacotron_decoder", 1), ("outputs", 1)),
            machine="v100",
            note=_NOTE,
        ),
        Claim(
            name="training step",
            statement="0.4 s for a training step of 16 samples",
            value=0.4,
            unit="s",
            source=f"{PAPER}, section on training speed",
            evidence="recalled",
            quantity="latency_s",
            runs=_TRANSFORMER,
            machine="v100",
            note=_NOTE,
        ),
        Claim(
            name="convergence",
            statement="About 3 days instead of 4.5",
            value=1.5,
            unit="x",
            source=f"{PAPER}, section on training speed",
            evidence="recalled",
            not_derivable="how many steps each needs is a matter of accuracy",
        ),
        Claim(
            name="mean opinion",
            statement="4.39 where a human has 4.44",
            value=4.39,
            unit="MOS",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            not_derivable="accuracy",
        ),
    ),
    assumed={
        "lengths": "100 phonemes and 800 frames, about ten seconds",
        "widths": "feed-forward 2048, convolutions of 5 taps (recalled)",
        "padding": "none: all utterances of a batch are as long",
        "Tacotron 2": "its decoder of two LSTMs of 1024 and location-sensitive attention; encoder without its LSTM",
    },
    counted_apart={
        "div": "softmax divides each weight; O2 and O3 divide the sums of values",
        "sub": (
            "LayerNorm: V2, DA, V3, DX, V5, Y subtract the mean in the variance and again in the result; "
            "native_layer_norm keeps x - mean"
        ),
    },
)
