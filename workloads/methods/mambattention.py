"""MambAttention: one attention module, first along time and then along frequency, each before a bidirectional Mamba.

The attention's weights serve both axes. A Mamba is a selective state space: projections, a short causal filter, a
recurrence whose decay depends on the input, and a gate; one runs forwards and one backwards, and a linear layer joins
them. `block` is both axes; `attention` and `mamba` are one attention along time and one Mamba, forwards.

Ranks: b samples, t and u steps, f and g frequencies, c and o channels, h heads of width e; of a Mamba i inner channels,
j states, k taps of the filter, r width of the step's projection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..claim import Claim, Run
from ..lines import layer_norm, softmax
from ..method import Method

if TYPE_CHECKING:
    import torch


def _at(axis: str, place: str) -> str:
    """An index of a place along time or along frequency."""
    return f"b,f,{place}" if axis == "t" else f"b,{place},t"


def _attention(axis: str, source: str, result: str) -> str:
    other = {"t": "u", "f": "g"}[axis]
    heads = f"b,f,h,t,{other}" if axis == "t" else f"b,t,h,f,{other}"
    norm = layer_norm(source, f"L{result}", "GN", "BN", "b,f,t", "c")
    scores = heads.rpartition(",")[0]
    return f"""
{norm}
Q{result}[b,f,t,h,e] = sum(L{result}[b,f,t,c] * WQ[c,h,e], c) + CQ[h,e]
K{result}[{_at(axis, other)},h,e] = sum(L{result}[{_at(axis, other)},c] * WK[c,h,e], c) + CK[h,e]
V{result}[{_at(axis, other)},h,e] = sum(L{result}[{_at(axis, other)},c] * WV[c,h,e], c) + CV[h,e]
S{result}[{heads}] = sum(Q{result}[b,f,t,h,e] * K{result}[{_at(axis, other)},h,e], e) / sqrt(E)
{softmax(f"S{result}", f"A{result}", scores, other)}
O{result}[b,f,t,h,e] = sum(A{result}[{heads}] * V{result}[{_at(axis, other)},h,e], {other})
{result}[b,f,t,c] = sum(O{result}[b,f,t,h,e] * WO[h,e,c], h, e) + CO[c] + {source}[b,f,t,c]
"""


def _mamba(axis: str, name: str, source: str, result: str) -> str:
    """A Mamba with its normalization and residual sum; `name` tells its weights and tensors from others'."""
    n = name
    past = _at(axis, f"{axis}+k-(K-1)")
    state, step = f"H{n}[b,{'f' if axis == 't' else 't'},i,j,{axis}]", f"{axis}+1"
    after = state.replace(f",{axis}]", f",{step}]")
    before = state.replace(f",{axis}]", ",0]")
    return f"""
Q{n}[b,f,t]   = sum({source}[b,f,t,c] ** 2, c) / C
N{n}[b,f,t,c] = {source}[b,f,t,c] * rsqrt(Q{n}[b,f,t] + 1e-5) * G{n}[c]
U{n}[b,f,t,i] = sum(N{n}[b,f,t,c] * WU{n}[c,i], c)
Z{n}[b,f,t,i] = sum(N{n}[b,f,t,c] * WZ{n}[c,i], c)
L{n}[b,f,t,i] = silu(sum(U{n}[{past},i] * WC{n}[i,k], k) + CC{n}[i])
R{n}[b,f,t,r] = sum(L{n}[b,f,t,i] * WR{n}[i,r], i)
B{n}[b,f,t,j] = sum(L{n}[b,f,t,i] * WB{n}[i,j], i)
C{n}[b,f,t,j] = sum(L{n}[b,f,t,i] * WS{n}[i,j], i)
T{n}[b,f,t,i] = softplus(sum(R{n}[b,f,t,r] * WT{n}[r,i], r) + CT{n}[i])
D{n}[i,j]     = -exp(AL{n}[i,j])
{before}  = 0
{after} = exp(T{n}[b,f,t,i] * D{n}[i,j]) * {state} + T{n}[b,f,t,i] * L{n}[b,f,t,i] * B{n}[b,f,t,j]
Y{n}[b,f,t,i] = sum({after} * C{n}[b,f,t,j], j) + SK{n}[i] * L{n}[b,f,t,i]
{result}[b,f,t,c] = sum(Y{n}[b,f,t,i] * silu(Z{n}[b,f,t,i]) * WM{n}[i,c], i) + {source}[b,f,t,c]
"""


def _axis(axis: str, source: str, result: str) -> str:
    """Attention along an axis, a Mamba each way, and the layer that joins them."""
    name = axis.upper()
    back = _at(axis, f"{name}-1-{axis}")
    return f"""
{_attention(axis, source, f"X{name}")}
{_mamba(axis, f"{name}1", f"X{name}", f"P{name}")}
FLIP{name}[b,f,t,c] = X{name}[{back},c]
{_mamba(axis, f"{name}2", f"FLIP{name}", f"M{name}")}
{result}[b,f,t,o] = sum(P{name}[b,f,t,c] * WJ{name}[c,o], c) + sum(M{name}[{back},c] * WL{name}[c,o], c) \
+ CJ{name}[o] + X{name}[b,f,t,o]
"""


BLOCK = _axis("t", "X", "MID") + _axis("f", "MID", "OUT")


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """After NikolaiKyhne/MambAttention: sequences along one axis, the recurrence of mamba-ssm step by step."""
    import torch
    from torch.nn.functional import conv1d, layer_norm, pad, scaled_dot_product_attention, silu, softplus

    def attend(x: torch.Tensor) -> torch.Tensor:
        """Over the second last axis of [..., steps, channels]."""
        normal = layer_norm(x, x.shape[-1:], given["GN"], given["BN"])
        q, k, v = ((torch.tensordot(normal, given[f"W{one}"], 1) + given[f"C{one}"]).transpose(-2, -3) for one in "QKV")
        heads = scaled_dot_product_attention(q, k, v).transpose(-2, -3)
        return torch.tensordot(heads, given["WO"], 2) + given["CO"] + x

    def mamba(x: torch.Tensor, n: str) -> torch.Tensor:
        normal = x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5) * given[f"G{n}"]
        u, z = normal @ given[f"WU{n}"], normal @ given[f"WZ{n}"]
        taps = given[f"WC{n}"]
        flat = u.flatten(0, -3).transpose(1, 2)
        filtered = conv1d(pad(flat, (taps.shape[1] - 1, 0)), taps[:, None], given[f"CC{n}"], groups=len(taps))
        u = silu(filtered).transpose(1, 2).reshape(u.shape)
        step = softplus(u @ given[f"WR{n}"] @ given[f"WT{n}"] + given[f"CT{n}"])
        into, out = u @ given[f"WB{n}"], u @ given[f"WS{n}"]
        decay = -given[f"AL{n}"].exp()
        state, seen = torch.zeros(*x.shape[:-2], *decay.shape), []
        for now in range(x.shape[-2]):
            at = step[..., now, :, None]
            state = (at * decay).exp() * state + at * u[..., now, :, None] * into[..., now, None, :]
            seen.append((state * out[..., now, None, :]).sum(-1) + given[f"SK{n}"] * u[..., now, :])
        return (torch.stack(seen, -2) * silu(z)) @ given[f"WM{n}"] + x

    def both_ways(x: torch.Tensor, name: str) -> torch.Tensor:
        x = attend(x)
        there, back = mamba(x, f"{name}1"), mamba(x.flip(-2), f"{name}2").flip(-2)
        join = torch.cat([given[f"WJ{name}"], given[f"WL{name}"]])
        return torch.cat([there, back], -1) @ join + given[f"CJ{name}"] + x

    if variant == "attention":
        return {"O": attend(given["X"])}
    if variant == "mamba":
        return {"O": mamba(given["X"], "T1")}
    along_time = both_ways(given["X"], "T")
    return {"OUT": both_ways(along_time.transpose(1, 2), "F").transpose(1, 2)}


PAPER = "Kuhne et al. 2025, MambAttention, arXiv 2507.00966"
CODE = "NikolaiKyhne/MambAttention at 7096765"
_WIDTH = {"C": 64, "O": 64, "H": 8, "E": 8, "I": 256, "J": 16, "K": 4, "R": 4}


def _sound(batch: int, steps: int, frequencies: int) -> dict[str, int]:
    return {"B": batch, "T": steps, "U": steps, "F": frequencies, "G": frequencies, **_WIDTH}


_OF_MAMBA = ("G", "WU", "WZ", "WC", "CC", "WR", "WB", "WS", "WT", "CT", "AL", "SK", "WM")

METHOD = Method(
    name="mambattention",
    title="MambAttention: shared attention along time and frequency, each before a bidirectional Mamba",
    question="For ten seconds of sound, does attention or the recurrence take longer, and does sharing weights save "
    "anything but parameters?",
    source=f"{PAPER}; {CODE}",
    cascades={"block": BLOCK, "attention": _attention("t", "X", "O"), "mamba": _mamba("t", "T1", "X", "O")},
    sizes=_sound(8, 321, 100),
    presets={
        "train2s": _sound(8, 321, 100),
        "infer10s": _sound(1, 1601, 100),
        "stream4s": _sound(1, 641, 100),
        "tiny": {**_sound(1, 5, 3), "C": 8, "O": 8, "H": 2, "E": 4, "I": 6, "J": 3, "K": 4, "R": 2},
    },
    preset_sources={
        "train2s": f"{CODE}: segments of 32000 samples at 16 kHz, batch 8, 64 channels, 8 heads",
        "infer10s": f"{CODE}, ten seconds of sound",
        "stream4s": f"{CODE}, four seconds of sound",
        "tiny": "our choice, for tests",
    },
    weights=(
        *("GN", "BN", "WQ", "CQ", "WK", "CK", "WV", "CV", "WO", "CO"),
        *(f"{one}{axis}{way}" for axis in "TF" for way in "12" for one in _OF_MAMBA),
        *(f"{one}{axis}" for axis in "TF" for one in ("WJ", "WL", "CJ")),
    ),
    reference=reference,
    claims=(
        Claim(
            name="parameters of a block",
            statement="A block has 294,656 parameters",
            value=294_656,
            unit="parameters",
            source=f"counted in {CODE}",
            evidence="derived",
            quantity="parameters",
            runs=(Run("block", "train2s"),),
            exact=True,
        ),
        Claim(
            name="parameters",
            statement="The network has 2.33 M parameters, as others of 2.05 to 2.34 M",
            value=2.33e6,
            unit="parameters",
            source=f"{PAPER}, table 1",
            evidence="paper",
            not_derivable="the encoder and the decoders around the blocks are not written here",
        ),
        Claim(
            name="quality",
            statement="PESQ of 2.919 out of domain, where Mamba has 2.281",
            value=2.919,
            unit="PESQ",
            source=f"{PAPER}, table 1",
            evidence="paper",
            not_derivable="accuracy",
        ),
        Claim(
            name="sharing",
            statement="Sharing the attention's weights is what makes it generalize",
            value=1,
            unit="cause",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            not_derivable="accuracy",
        ),
    ),
    counted_apart={
        "mac": (
            "QT1, QT2, QF1, QF2 are sums of squares and YT1, YT2, YF1, YF2 of state times C; the reference multiplies "
            "and adds (mul, add)"
        ),
        "add": (
            "sums of squares and of state times C (mac in QT1 and YT1 and theirs); MID and OUT add two products, the "
            "reference multiplies joined halves once"
        ),
        "mul": (
            "squares and state times C (mac in QT1 and YT1 and theirs); attention scales Q and K, SXT and SXF the "
            "scores"
        ),
        **dict.fromkeys(
            ("compare", "select"),
            "softplus has a threshold above which it is the identity, and _safe_softmax guards rows; TT1 and AXT have "
            "neither",
        ),
        "sub": (
            "LayerNorm: VLXT, LXT, VLXF, LXF subtract the mean in the variance and again in the result; "
            "native_layer_norm keeps x - mean"
        ),
    },
)
