"""HPNet: forecasts of trajectories that read their own earlier forecasts.

New: the network predicts at every past step, and an attention lets the embedding of one step's prediction read those of
earlier steps of the same agent and mode. With attention over agents and over modes it factorizes the grid of agents,
steps and modes into three sparse attentions on edges of graphs, which run twice: to propose and to refine.

Ranks: i nodes that receive, j nodes that are read, t edges (DST and SRC say between which), h heads, e head dimension,
d width, f hidden units, c features of an edge's geometry, k features made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..claim import Claim
from ..method import Method

if TYPE_CHECKING:
    import numpy as np
    import torch


def _norm(given: str, made: str, rank: str) -> str:
    return f"""
M{made}[{rank}] = sum({given}[{rank},d], d) / D
V{made}[{rank}] = sum(({given}[{rank},d] - M{made}[{rank}]) ** 2, d) / D
{made}[{rank},d] = ({given}[{rank},d] - M{made}[{rank}]) * rsqrt(V{made}[{rank}] + 1e-5) * G{made}[d] + B{made}[d]
"""


def _attention(*, cross: bool = False, edges: bool = True, released: bool = False) -> str:
    """One attention on the edges of a graph. `released`: projections edge by edge, as the code has them."""
    source, rank = ("NS", "j") if cross else ("ND", "i")
    text = _norm("XD", "ND", "i") + (_norm("XS", "NS", "j") if cross else "")
    if released:
        text += f"""
QE[t,h,e] = sum(ND[DST[t],d] * WQ[h,e,d], d) + BQ[h,e]
KE[t,h,e] = sum({source}[SRC[t],d] * WK[h,e,d], d) + BK[h,e]
VE[t,h,e] = sum({source}[SRC[t],d] * WV[h,e,d], d) + BV[h,e]
"""
    else:
        text += f"""
Q[i,h,e] = sum(ND[i,d] * WQ[h,e,d], d) + BQ[h,e]
K[{rank},h,e] = sum({source}[{rank},d] * WK[h,e,d], d) + BK[h,e]
V[{rank},h,e] = sum({source}[{rank},d] * WV[h,e,d], d) + BV[h,e]
QE[t,h,e] = Q[DST[t],h,e]
KE[t,h,e] = K[SRC[t],h,e]
VE[t,h,e] = V[SRC[t],h,e]
"""
    keys, values = "KE[t,h,e]", "VE[t,h,e]"
    if edges:
        text += (
            _norm("XE", "NE", "t")
            + """
EK[t,h,e] = sum(NE[t,d] * WEK[h,e,d], d) + BEK[h,e]
EV[t,h,e] = sum(NE[t,d] * WEV[h,e,d], d) + BEV[h,e]
"""
        )
        keys, values = f"({keys} + EK[t,h,e])", f"({values} + EV[t,h,e])"
    return (
        text
        + f"""
LG[t,h] = sum(QE[t,h,e] * {keys}, e) / sqrt(E)
GM[i,h] = scatter(max, LG[t,h], DST[t], t)         # softmax over the edges into a node
SN[t,h] = exp(LG[t,h] - GM[DST[t],h])
SD[i,h] = scatter(sum, SN[t,h], DST[t], t)
A[t,h]  = SN[t,h] / SD[DST[t],h]
O[i,h,e] = scatter(sum, A[t,h] * {values}, DST[t], t)  # nothing for a node without edges
X1[i,h*E+e] = XD[i,h*E+e] + O[i,h,e]
"""
        + _norm("X1", "NF", "i")
        + """
HF[i,f] = relu(sum(NF[i,d] * W1[f,d], d) + B1[f])
Y[i,d]  = X1[i,d] + sum(HF[i,f] * W2[d,f], f) + B2[d]
"""
    )


EDGES = (
    """
E1[t,d] = sum(GEO[t,c] * WG[d,c], c) + BG[d]
"""
    + _norm("E1", "NG", "t")
    + """
E2[t,k] = sum(relu(NG[t,d]) * WH[k,d], d) + BH[k]
"""
)


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """After XiaolongTang23/HPNet: messages along edges, the softmax over all edges but those of other nodes."""
    import torch
    from torch.nn.functional import layer_norm, linear

    def normed(x: torch.Tensor, name: str) -> torch.Tensor:
        return layer_norm(x, x.shape[-1:], given[f"G{name}"], given[f"B{name}"], 1e-5)

    if variant == "edge_features":
        first = normed(linear(given["GEO"], given["WG"], given["BG"]), "NG")
        return {"E2": linear(first.relu(), given["WH"], given["BH"])}

    def heads(x: torch.Tensor, name: str) -> torch.Tensor:
        return torch.einsum("nd,hed->nhe", x, given[f"W{name}"]) + given[f"B{name}"]

    x = given["XD"]
    receiving = normed(x, "ND")
    read = normed(given["XS"], "NS") if "XS" in given else receiving
    into, out_of = given["DST"].long(), given["SRC"].long()
    queries, keys, values = heads(receiving, "Q")[into], heads(read, "K")[out_of], heads(read, "V")[out_of]
    if "XE" in given:
        features = normed(given["XE"], "NE")
        keys, values = keys + heads(features, "EK"), values + heads(features, "EV")
    scores = torch.einsum("the,the->th", queries, keys) / keys.shape[-1] ** 0.5
    others = into != torch.arange(len(x))[:, None]
    weights = scores.masked_fill(others[..., None], -torch.inf).softmax(1).nan_to_num()  # a node may have no edges
    x = x + torch.einsum("nth,the->nhe", weights, values).flatten(1)
    hidden = linear(normed(x, "NF"), given["W1"], given["B1"]).relu()
    return {"Y": x + linear(hidden, given["W2"], given["B2"])}


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """Edges in any order; the first node receives none, as the first step of a history."""
    if "DST" not in shapes:
        return {}
    edges, nodes = sizes["T"], sizes["I"]
    read = sizes.get("J", nodes) if "XS" in shapes else nodes
    return {"DST": generator.integers(1, nodes, edges), "SRC": generator.integers(0, read, edges)}


PAPER = "Tang et al. 2024, HPNet, arXiv 2404.06351"
CODE = "XiaolongTang23/HPNet"
_WIDE = {"H": 8, "E": 16, "D": 128, "F": 512, "C": 4, "K": 128}


def _scene(
    agents: int, steps: int, modes: int = 6, lanes: int = 64, lane_nodes: int = 128
) -> dict[str, dict[str, int]]:
    """Nodes and edges of each attention of a scene in which every agent sees all others, and `lanes` lane segments."""
    nodes = agents * steps * modes
    return {
        kind: {**_WIDE, "I": nodes, "J": read, "T": edges}
        for kind, read, edges in (
            ("agent", nodes, nodes * (agents - 1)),
            ("history", nodes, agents * modes * steps * (steps - 1) // 2),
            ("mode", nodes, nodes * (modes - 1)),
            ("lane", lane_nodes, nodes * lanes),
            ("time", agents * steps, agents * modes * steps * (steps + 1) // 2),
        )
    }


_SCENES = {
    "argoverse_n16": _scene(16, 20), "argoverse_n64": _scene(64, 20), "interaction_n16": _scene(16, 10),
}  # fmt: skip

METHOD = Method(
    name="hpnet",
    title="HPNet: attention on graphs of agents, modes and earlier predictions",
    question="How is time split among five attentions on edges, and what do hoisted projections and a cache save?",
    source=f"{PAPER}; {CODE}",
    cascades={
        "attention": _attention(),
        "cross_attention": _attention(cross=True),
        "without_edges": _attention(edges=False),
        "released": _attention(released=True),
        "edge_features": EDGES,
    },
    sizes=_SCENES["argoverse_n16"]["agent"],
    presets={
        **{f"{scene}_{kind}": sizes for scene, kinds in _SCENES.items() for kind, sizes in kinds.items()},
        "tiny": {"H": 2, "E": 4, "D": 8, "F": 6, "C": 3, "K": 8, "I": 5, "J": 4, "T": 9},
    },
    preset_sources={
        **{f"{scene}_{kind}": f"{CODE}: 20 steps of Argoverse or 10 of INTERACTION, 6 modes, 8 heads of 16; how many "
           "agents and lanes there are is assumed, and that all agents see each other"
           for scene, kinds in _SCENES.items() for kind in kinds},
        "tiny": "our choice, for tests",
    },
    weights=("GND", "BND", "GNS", "BNS", "GNE", "BNE", "GNF", "BNF", "WQ", "BQ", "WK", "BK", "WV", "BV", "WEK", "BEK",
             "WEV", "BEV", "W1", "B1", "W2", "B2", "WG", "BG", "GNG", "BNG", "WH", "BH"),
    reference=reference,
    inputs=inputs,
    claims=(
        Claim("training time", "30 minutes an epoch on Argoverse with 8 RTX 4090, 2 scenes each", 1800, "s",
              f"{CODE}, README", "code", not_derivable="scenes differ in agents and lanes, and reading them is no "
              "part of a cascade"),
        Claim("Argoverse", "a brier-minFDE of 1.7375 on the test set", 1.7375, "m", f"{CODE}, README", "code",
              not_derivable="accuracy"),
        Claim("INTERACTION", "a minJointFDE of 0.8231 on the test set", 0.8231, "m", f"{CODE}, README", "code",
              not_derivable="accuracy"),
    ),
    assumed={"scene": "16 or 64 agents, 128 lane segments of which each agent sees 64"},
    counted_apart={
        "mac": "the reference sums values over all pairs of node and edge; O scatters an edge's (mul, add)",
        "mul": "O multiplies an edge's values by weights before it scatters them; the reference's einsum has mac",
        **dict.fromkeys(("div", "exp", "max"),
            "softmax of the reference over all pairs of node and edge; GM, SN and A once an edge"
        ),
        **dict.fromkeys(("compare", "select"),
            "the reference masks edges of other nodes and nodes without edges; the cascade scatters by index"
        ),
        "sub": (
            "softmax subtracts for all pairs of node and edge, SN once an edge; LayerNorm: VND, ND, VNE, NE, VNF, NF "
            "subtract the mean in the variance and again in the result; native_layer_norm keeps x - mean"
        ),
    },
)  # fmt: skip
