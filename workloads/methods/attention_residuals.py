"""Attention Residuals: each layer takes softmax attention over the outputs of earlier layers, not their sum.

The query of a layer is a learned vector and keys are normalized values, so that in the block form all layers of one
block can look at the finished blocks at once (`phase_1`), and each then only merges in the partial sum of its own block
(`phase_2`). `two_phase` is one block with its layers, `layer` one layer that looks at all sources itself (the naive
schedule), `standard` the same layers with plain residuals, `residual` the plain sum alone. A layer here is a gated
feed-forward network, as large as its share of a model's active parameters. `phase_2` and `residual` end in
the mean square that the layer's own normalization takes: the layer's input is the layer's traffic, in both.

Ranks: t token, d width, j finished block (with the embedding), i layer of the block, f width inside a layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..claim import Claim, Run
from ..method import Method

if TYPE_CHECKING:
    import numpy as np
    import torch

PHASE_1 = """
RK[j,t]     = rsqrt(sum(BR[j,t,d] ** 2, d) / D + 1e-6)
GQ[i,d]     = GK[i,d] * WQ[i,d]                                       # the gain of the keys belongs to the query
LG[i,j,t]   = sum(BR[j,t,d] * GQ[i,d], d) * RK[j,t]
M1[i,t]     = max(LG[i,j,t], j)
E1[i,j,t]   = exp(LG[i,j,t] - M1[i,t])
L1[i,t]     = sum(E1[i,j,t], j)
O1[i,t,d]   = sum(E1[i,j,t] * BR[j,t,d], j)
"""

TWO_PHASE = f"""{PHASE_1}
PS[t,d,0]   = 0                                                       # partial sum of the block
RP[i,t]     = rsqrt(sum(PS[t,d,i] ** 2, d) / D + 1e-6)
M2[i,t]     = where(i > 0, sum(PS[t,d,i] * GQ[i,d], d) * RP[i,t], -inf)
MM[i,t]     = max(M1[i,t], M2[i,t])
A1[i,t]     = exp(M1[i,t] - MM[i,t])
A2[i,t]     = exp(M2[i,t] - MM[i,t])
AL[i,t]     = A1[i,t] * L1[i,t] + A2[i,t]
HI[i,t,d]   = (A1[i,t] * O1[i,t,d] + A2[i,t] * PS[t,d,i]) / AL[i,t]
F1[i,t,f]   = silu(sum(HI[i,t,d] * W1[i,d,f], d))
F2[i,t,f]   = sum(HI[i,t,d] * W2[i,d,f], d)
FF[i,t,f]   = F1[i,t,f] * F2[i,t,f]
PS[t,d,i+1] = PS[t,d,i] + sum(FF[i,t,f] * W3[i,f,d], f)
Y[t,d]      = PS[t,d,I]                                               # the block's representation
"""

PHASE_2 = """
PN[t,d]     = PO[t,d] + FO[t,d]                                       # the output of the layer before joins the sum
RP[t]       = rsqrt(sum(PN[t,d] ** 2, d) / D + 1e-6)
GQ[d]       = GK[d] * WQ[d]
M2[t]       = sum(PN[t,d] * GQ[d], d) * RP[t]
MM[t]       = max(M1[t], M2[t])
A1[t]       = exp(M1[t] - MM[t])
A2[t]       = exp(M2[t] - MM[t])
HI[t,d]     = (A1[t] * O1[t,d] + A2[t] * PN[t,d]) / (A1[t] * L1[t] + A2[t])
SH[t]       = sum(HI[t,d] ** 2, d) / D
Y[t,d]      = PN[t,d]
"""

LAYER = """
RK[j,t]     = rsqrt(sum(BR[j,t,d] ** 2, d) / D + 1e-6)
RP[t]       = rsqrt(sum(PO[t,d] ** 2, d) / D + 1e-6)
GQ[d]       = GK[d] * WQ[d]
LG[j,t]     = sum(BR[j,t,d] * GQ[d], d) * RK[j,t]
M2[t]       = sum(PO[t,d] * GQ[d], d) * RP[t]
MM[t]       = max(max(LG[j,t], j), M2[t])
E1[j,t]     = exp(LG[j,t] - MM[t])
E2[t]       = exp(M2[t] - MM[t])
L1[t]       = sum(E1[j,t], j) + E2[t]
O1[t,d]     = sum(E1[j,t] * BR[j,t,d], j) + E2[t] * PO[t,d]
HI[t,d]     = O1[t,d] / L1[t]
F1[t,f]     = silu(sum(HI[t,d] * W1[d,f], d))
F2[t,f]     = sum(HI[t,d] * W2[d,f], d)
FF[t,f]     = F1[t,f] * F2[t,f]
Y[t,d]      = PO[t,d] + sum(FF[t,f] * W3[f,d], f)
"""

STANDARD = """
PS[t,d,0]   = X[t,d]
F1[i,t,f]   = silu(sum(PS[t,d,i] * W1[i,d,f], d))
F2[i,t,f]   = sum(PS[t,d,i] * W2[i,d,f], d)
FF[i,t,f]   = F1[i,t,f] * F2[i,t,f]
PS[t,d,i+1] = PS[t,d,i] + sum(FF[i,t,f] * W3[i,f,d], f)
Y[t,d]      = PS[t,d,I]
"""

RESIDUAL = """
PN[t,d]     = PO[t,d] + FO[t,d]
SH[t]       = sum(PN[t,d] ** 2, d) / D
Y[t,d]      = PN[t,d]
"""


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """Stack the sources, normalize them for keys, softmax over them, at every layer anew."""
    import torch
    from torch.nn.functional import rms_norm, silu

    def attend(sources: list[torch.Tensor], gain: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
        values = torch.stack(sources)
        keys = rms_norm(values, values.shape[-1:], gain, 1e-6)
        return torch.einsum("j...,j...d->...d", (keys @ query).softmax(0), values)

    def feed(h: torch.Tensor, i: int | None = None) -> torch.Tensor:
        w1, w2, w3 = (given[name] if i is None else given[name][i] for name in ("W1", "W2", "W3"))
        return (silu(h @ w1) * (h @ w2)) @ w3

    if variant == "residual":
        y = given["PO"] + given["FO"]
        return {"Y": y, "SH": y.square().mean(-1)}
    if variant == "standard":
        y = given["X"]
        for i in range(sizes["I"]):
            y = y + feed(y, i)
        return {"Y": y}
    gain, query = given["GK"], given["WQ"]
    if variant == "phase_2":
        y = given["PO"] + given["FO"]
        own = rms_norm(y, y.shape[-1:], gain, 1e-6) @ query
        weight = torch.sigmoid(own - given["M1"] - given["L1"].log())[:, None]
        before = given["O1"] / given["L1"][:, None]
        return {"Y": y, "SH": (before + weight * (y - before)).square().mean(-1)}
    blocks = list(given["BR"])
    if variant == "layer":
        return {"Y": given["PO"] + feed(attend([*blocks, given["PO"]], gain, query))}
    if variant == "phase_1":
        logits = torch.stack(
            [rms_norm(given["BR"], (sizes["D"],), gain[i], 1e-6) @ query[i] for i in range(sizes["I"])]
        )
        peak = logits.amax(1)
        weights = torch.exp(logits - peak[:, None])
        return {"G1": peak, "L1": weights.sum(1), "O1": torch.einsum("ijt,jtd->itd", weights, given["BR"])}
    y = torch.zeros_like(blocks[0])
    for i in range(sizes["I"]):
        y = y + feed(attend([*blocks, *([y] if i else [])], gain[i], query[i]), i)
    return {"Y": y}


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """A denominator is at least the one that its largest term gives."""
    return {"L1": 1 + generator.random(shapes["L1"])} if "L1" in shapes else {}


PAPER = "Kimi Team 2026, Attention Residuals, arXiv 2603.15031"
_KIMI = {"T": 4096, "D": 2304, "J": 9, "I": 6, "F": 8192}
_TYPICAL = {"T": 131072, "D": 7168, "J": 8, "I": 16, "F": 18432}
_TRAFFIC = "Taken at the last block, each source read once; the paper averages over depth and reads keys and values"


def _traffic(name: str, statement: str, ratio: float, *runs: Run) -> Claim:
    return Claim(
        name=name,
        statement=f"{statement}, where plain residuals move 3 d",
        value=ratio,
        unit="x of plain residuals",
        source=f"{PAPER}, table 1",
        evidence="paper",
        quantity="traffic_bytes",
        runs=runs,
        baseline=(Run("residual", "table1_typical", times=16),),
        inverted=True,
        tolerance=0.01,
        note=_TRAFFIC,
    )


METHOD = Method(
    name="attention_residuals",
    title="Attention Residuals: softmax attention over depth, in blocks and two phases",
    question=(
        "What does attention over depth add to a step, naive or in two phases, is it hidden by the layers, and how "
        "many blocks keep the overhead of inference under 2 %?"
    ),
    source=f"{PAPER}; MoonshotAI/Attention-Residuals",
    cascades={
        "two_phase": TWO_PHASE,
        "phase_1": f"{PHASE_1}G1[i,t]     = M1[i,t]\n",
        "phase_2": PHASE_2,
        "layer": LAYER,
        "standard": STANDARD,
        "residual": RESIDUAL,
    },
    sizes=_KIMI,
    presets={
        "tiny": {"T": 6, "D": 8, "J": 3, "I": 4, "F": 5},
        "kimi_linear_48b": _KIMI,
        "table1_typical": _TYPICAL,
        "scaling_528m": {"T": 8192, "D": 1264, "J": 8, "I": 4, "F": 3360},
    },
    preset_sources={
        "tiny": "our choice, for tests",
        "kimi_linear_48b": (
            f"{PAPER}: 54 layers in 9 blocks, width 2304, 4096 tokens; F gives a layer its 54th of 3 billion active "
            "parameters (assumed: 8038, rounded up to 8192)"
        ),
        "table1_typical": f"{PAPER}, table 1 and section 4.2: 128 layers in 8 blocks; width 7168 from its 15 GB",
        "scaling_528m": f"{PAPER}, scaling sweep: 34 layers in 8 blocks, width 1264; F assumed, 6 experts of 560",
    },
    weights=("WQ", "GK", "W1", "W2", "W3"),
    state=("BR",),
    reference=reference,
    inputs=inputs,
    dense=Run("standard"),
    claims=(
        _traffic(
            "traffic of the block form",
            "Two phases over blocks move 5.5 d bytes a layer",
            5.5 / 3,
            Run("phase_1", "table1_typical"),
            Run("phase_2", "table1_typical", times=16),
        ),
        _traffic(
            "traffic of the full form",
            "Two phases over all layers move 24 d bytes a layer",
            24 / 3,
            Run("phase_1", "table1_typical", sizes={"J": 112}),
            Run("phase_1", "table1_typical", sizes={"J": 15, "I": 1}, times=16),
        ),
        Claim(
            name="prefill memory",
            statement="Representations of 8 blocks for 128K tokens take 15 GB",
            value=15e9,
            unit="B",
            source=f"{PAPER}, section 4.2",
            evidence="paper",
            quantity="state_bytes",
            runs=(Run("phase_1", "table1_typical"),),
            exact=True,
        ),
        Claim(
            name="prefill memory on 8 devices",
            statement="Split over 8 devices along tokens, 1.9 GB each",
            value=1.9e9,
            unit="B",
            source=f"{PAPER}, section 4.2",
            evidence="paper",
            quantity="state_bytes",
            runs=(Run("phase_1", "table1_typical", times=1 / 8),),
            exact=True,
        ),
        Claim(
            name="overhead of inference",
            statement="Less than 2 % latency, in two phases, typical workloads",
            value=1.02,
            unit="x of plain residuals",
            source=f"{PAPER}, section 4.2",
            evidence="paper",
            quantity="latency_s",
            runs=tuple(Run("two_phase", "kimi_linear_48b", sizes={"J": blocks}) for blocks in range(1, 10)),
            baseline=(Run("standard", "kimi_linear_48b", times=9),),
            inverted=True,
            tolerance=0.02,
            machine="h200",
            note="Dense layers of as many active parameters, at 4096 tokens; the machine is not named. The layers, a "
            "recurrence over depth, are one group here, whose units read intermediates from the L2 without tiles of "
            "them nearby: both sides are bound by the L2, and reads of two phases add to it",
        ),
        Claim(
            name="overhead of training",
            statement="Less than 4 % end to end under pipeline parallelism",
            value=1.04,
            unit="x of plain residuals",
            source=f"{PAPER}, section 4.1",
            evidence="paper",
            not_derivable="what stages of a pipeline send each other, and when, is no cascade of one machine",
        ),
        Claim(
            name="third-party kernel",
            statement="Forward and backward, 32 identity layers in blocks of 8, 16,384 tokens of width 2048: 183.9 ms",
            value=0.1839,
            unit="s",
            source="flash-attention-residuals, benchmark log, A100",
            evidence="third party",
            not_derivable="the backward schedule, with what it keeps and recomputes, is not published as a table",
        ),
        Claim(
            name="compute advantage",
            statement="The loss of 1.25 times the training compute",
            value=1.25,
            unit="x",
            source=f"{PAPER}, section 5.1",
            evidence="paper",
            not_derivable="accuracy",
        ),
    ),
    assumed={
        "layers": "a gated feed-forward network stands for attention and experts alike",
        "epsilon": "1e-6 in every normalization",
    },
    counted_apart={
        "mac": (
            "RK and RP are sums of squares (rms_norm: pow, mean); M2 covers layer 0, which has no partial sum; HI "
            "merges the partial sum by mul and add where einsum has mac"
        ),
        "add": "rms_norm adds squares (mac in RK and RP) of all sources at every layer anew",
        "mul": "rms_norm squares and scales all sources at every layer anew; LG and M2 scale a logit instead",
        "rsqrt": "RK is once a source, RP once a layer; rms_norm once a source and layer",
        "div": "HI divides the merged sums; softmax each weight",
        **dict.fromkeys(
            ("exp", "sub", "max"),
            "A1, A2 and MM merge the softmax of the sources with that of the partial sum; the reference has one "
            "softmax",
        ),
        "select": "M2 masks layer 0; the reference leaves the partial sum out of its list",
    },
)
