"""A Transformer for speech and the recurrent decoder it replaces, layer by layer as PyTorch modules compute them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """PyTorch's attention, norms, convolutions and LSTM cells."""
    import torch
    from torch.nn.functional import conv1d, layer_norm, pad, relu, scaled_dot_product_attention

    g = given

    def convolved(x: torch.Tensor, n: str, function: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        y = conv1d(x.transpose(1, 2), g["W" + n], padding=sizes["K"] // 2).transpose(1, 2)
        return function(y * g["S" + n] + g["T" + n])

    def norm(x: torch.Tensor, n: str) -> torch.Tensor:
        return layer_norm(x, x.shape[-1:], g["G" + n], g["B" + n])

    def heads(x: torch.Tensor, name: str) -> torch.Tensor:
        return torch.einsum("bnc,che->bhne", x, g[name])

    def attended(x: torch.Tensor, k: torch.Tensor, v: torch.Tensor, n: str, causal: bool = False) -> torch.Tensor:
        mixed = scaled_dot_product_attention(heads(x, "WQ" + n), k, v, is_causal=causal)
        return norm(x + torch.einsum("bhne,hec->bnc", mixed, g["WO" + n]), n)

    def attention(x: torch.Tensor, other: torch.Tensor, n: str, causal: bool = False) -> torch.Tensor:
        return attended(x, heads(other, "WK" + n), heads(other, "WV" + n), n, causal)

    def feed(x: torch.Tensor, n: str) -> torch.Tensor:
        return norm(x + relu(x @ g["W1" + n] + g["B1" + n]) @ g["W2" + n] + g["B2" + n], n)

    def before(mels: torch.Tensor) -> torch.Tensor:
        """Two layers on the frame before."""
        shifted = pad(mels, (0, 0, 1, 0))[:, :-1]
        return relu(relu(shifted @ g["WZ1"] + g["BZ1"]) @ g["WZ2"] + g["BZ2"])

    def encoder_prenet() -> torch.Tensor:
        x = g["EMB"][g["PH"].long()]
        for n in ("C1", "C2", "C3"):
            x = convolved(x, n, relu)
        return x @ g["WP"] + g["BP"] + g["AE"] * g["PE"]

    def encoder_layer(x: torch.Tensor) -> torch.Tensor:
        return feed(attention(x, x, "1"), "4")

    def decoder_prenet() -> torch.Tensor:
        return before(g["MELS"]) @ g["WZ3"] + g["BZ3"] + g["AD"] * g["PD"]

    def decoder_layer(d: torch.Tensor, encoded: torch.Tensor) -> torch.Tensor:
        return feed(attention(attention(d, d, "2", True), encoded, "3"), "5")

    def outputs(y: torch.Tensor) -> dict[str, torch.Tensor]:
        mel = y @ g["WM"] + g["BM"]
        x = mel
        for n in ("N1", "N2", "N3", "N4"):
            x = convolved(x, n, torch.tanh)
        return {"STOP": torch.sigmoid(y @ g["WS"] + g["BS"]), "POST": mel + convolved(x, "N5", lambda one: one)}

    def decode_layer() -> torch.Tensor:
        x = g["D"][:, None]
        keys, values = (torch.cat([g[f"{w}C2"].transpose(1, 2), heads(x, f"W{w}2")], 2) for w in "KV")
        x = attended(x, keys, values, "2")
        x = attended(x, g["KC3"].transpose(1, 2), g["VC3"].transpose(1, 2), "3")
        return feed(x, "5")[:, 0]

    def cell(x: torch.Tensor, state: list[torch.Tensor], n: str) -> list[torch.Tensor]:
        """Gates in PyTorch's order: input, forget, cell, output."""
        gates = x + torch.einsum("bv,qvu->bqu", state[0], g["WH" + n]) + g["B" + n]
        i, f, c, o = gates.unbind(1)
        memory = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(c)
        return [torch.sigmoid(o) * torch.tanh(memory), memory]

    def tacotron() -> dict[str, torch.Tensor]:
        encoded, frames = g["XE"], before(g["MELS"])
        batch, phones, width = encoded.shape
        zero = torch.zeros(batch, sizes["U"], dtype=encoded.dtype)
        first, second = [zero, zero], [zero, zero]
        context = torch.zeros(batch, width, dtype=encoded.dtype)
        weights = total = torch.zeros(batch, phones, dtype=encoded.dtype)
        filters = torch.stack([g["WL1"], g["WL2"]], 1)
        mels, aligned = [], []
        for frame in frames.unbind(1):
            given_a = torch.einsum("by,qyu->bqu", frame, g["WYA"]) + torch.einsum("bc,qcu->bqu", context, g["WXA"])
            first = cell(given_a, first, "A")
            location = conv1d(torch.stack([weights, total], 1), filters, padding=sizes["R"] // 2).transpose(1, 2)
            mixed = (first[0] @ g["WQA"])[:, None] + encoded @ g["WKM"] + location @ g["WLA"]
            weights = (torch.tanh(mixed) @ g["VA"]).softmax(1)
            total = total + weights
            context = torch.einsum("bi,bic->bc", weights, encoded)
            given_d = torch.einsum("bv,qvu->bqu", first[0], g["WAD"]) + torch.einsum("bc,qcu->bqu", context, g["WXD"])
            second = cell(given_d, second, "D")
            mels.append(second[0] @ g["WMD"] + context @ g["WMX"] + g["BM"])
            aligned.append(weights)
        cells = {"LASTA": first[1], "LASTD": second[1]}
        return {"MEL": torch.stack(mels, 1), "ALIGN": torch.stack(aligned, 1), "TOTAL": total, **cells}

    if variant == "model":
        return outputs(decoder_layer(decoder_prenet(), encoder_layer(encoder_prenet())))
    if variant == "outputs":
        return outputs(g["Y"])
    if variant == "tacotron_decoder":
        return tacotron()
    if variant == "encoder_prenet":
        return {"X": encoder_prenet()}
    if variant == "encoder_layer":
        return {"XE": encoder_layer(g["X"])}
    if variant == "decoder_prenet":
        return {"D": decoder_prenet()}
    return {"Y": decode_layer() if variant == "decode_layer" else decoder_layer(g["D"], g["XE"])}
