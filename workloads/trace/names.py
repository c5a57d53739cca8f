"""What lines, inputs and ranks of a trace are called: after the module tree and what operators do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from .builder import Builder

_ROLE = {
    "mm": "", "addmm": "", "bmm": "Product", "baddbmm": "Product", "convolution": "", "embedding": "", "mul": "Product",
    "add": "Sum", "sub": "Difference", "div": "Quotient", "to_copy": "Cast", "clone": "Copy", "cat": "Joined",
    "stack": "Stacked", "native_layer_norm": "", "where": "Where",
}  # fmt: skip


def line_name(build: Builder, role: str) -> str:
    """``L0_attn_q_proj`` for the product of that module, ``L0_attn_Softmax`` for another operator in it."""
    path = short_path(build.place)
    word = _ROLE.get(role, role)
    word = "".join(part.capitalize() if part.islower() else part for part in word.split("_"))
    joined = f"{path}_{word}" if path and word else path or word or "Product"
    return f"D_{joined}" if build.backward else joined


def short_path(place: str) -> str:
    """A module's path as the start of a name: ``model.layers.0.mlp.up_proj`` is ``Layers0_mlp_up_proj``."""
    parts = [part for part in place.split(".") if part]
    while len(parts) > 1 and parts[0] in ("model", "transformer", "encoder", "backbone", "base_model"):
        if parts[0] == "encoder" and "decoder" in place:
            break
        parts = parts[1:]
    joined = "_".join(parts)
    return re.sub(r"_(\d+)(?=_|$)", r"\1", joined)


def rank_hints(shape: tuple[int, ...], integer: bool) -> list[str]:
    """Letters for the dimensions of an input: tokens b, s; sequences b, s, d; images b, c, y, x."""
    known = {0: "", 1: "n" if not integer else "s", 2: "bs" if integer else "bd", 3: "bsd", 4: "bcyx", 5: "bczyx"}
    return list(known.get(len(shape), "")) or ["n"] * len(shape)


def parameter_hints(owner: torch.nn.Module | None, path: str, shape: tuple[int, ...]) -> list[str]:
    """Letters for the dimensions of a parameter, by the kind of module that owns it."""
    import torch

    if isinstance(owner, torch.nn.Embedding) and len(shape) == 2:
        return ["v", "d"]
    if isinstance(owner, torch.nn.modules.conv._ConvNd) and len(shape) > 2:
        return ["o", "c", *("r", "k", "l")[: len(shape) - 2]]
    role = role_of(path)
    if len(shape) == 2:
        return [role, "n"]
    if len(shape) == 1:
        return [role if isinstance(owner, torch.nn.Linear) else "d"]
    return [role if place == len(shape) - 2 else "n" for place in range(len(shape))]


def role_of(path: str) -> str:
    """The last word of the path of a parameter's module: ``up`` of ``layers.0.mlp.up_proj.weight``."""
    parts = [part for part in path.split(".")[:-1] if not part.isdigit()]
    word = re.sub(r"(_proj|_linear)$|\d+", "", parts[-1]) if parts else "o"
    word = re.sub(r"[^a-z_]", "", word.lower()).strip("_")
    return word if 0 < len(word) <= 6 else "o"
