"""ModuleFormer: both sublayers are mixtures of experts, and attention breaks a stick instead of taking a softmax.

Each token picks K attention experts, whose query and output projections are their own and whose keys and values are
shared, and L feed-forward experts. The weight of a key is its sigmoid times what all later keys have left of a stick,
counted backwards from the query; nothing is normalized. `scan` takes what is left by prefix sums; `blocked` goes
through the keys in tiles from the newest, with one running value a row, as a fused kernel would; `released` multiplies
by a triangular matrix, as the code does, with N^3 operations. `dense` is a layer of a dense model, to compare with.

Ranks: b batch, n token and key (r1 tiles of r0, from the newest), i query, k attention expert of a token among x, l
feed-forward expert among y, g width of the gate, c width, h heads of an expert, e head dimension, f expert's hidden
width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..claim import Claim, Run
from ..method import Method

if TYPE_CHECKING:
    import torch


def _norm(out: str, x: str, gain: str, shift: str) -> str:
    return f"""
MU{out}[b,n]      = sum({x}[b,n,c], c) / C
VR{out}[b,n]      = sum(({x}[b,n,c] - MU{out}[b,n]) ** 2, c) / C
{out}[b,n,c]      = ({x}[b,n,c] - MU{out}[b,n]) * rsqrt(VR{out}[b,n] + 1e-5) * {gain}[c] + {shift}[c]
"""


_BEFORE = f"""
WIN: [X, C, H, E]
WOUT: [X, H, E, C]
{_norm("XN", "T", "GA", "BA")}
GH[b,n,g]       = gelu(sum(XN[b,n,c] * WG1[c,g], c))                     # the gate of attention
GL[b,n,x]       = sum(GH[b,n,g] * WG2[g,x], g)
GM[b,n]         = max(GL[b,n,x], x)
GE[b,n,x]       = exp(GL[b,n,x] - GM[b,n])
GS[b,n]         = sum(GE[b,n,x], x)
GP[b,n,x]       = GE[b,n,x] / GS[b,n]
TI[b,n,k]       = topk(GP[b,n,x], x)
TG[b,n,k]       = GP[b,n,TI[b,n,k]]                                      # not normalized again
Q[b,n,k,h,e]    = sum(XN[b,n,c] * WIN[TI[b,n,k],c,h,e], c)
K[b,n,h,e]      = sum(XN[b,n,c] * WK[c,h,e], c) + BK[h,e]
V[b,n,h,e]      = sum(XN[b,n,c] * WV[c,h,e], c) + BV[h,e]
"""
_SCORES = """
LG[b,k,h,i,n]   = sum(Q[b,i,k,h,e] * K[b,n,h,e], e) / sqrt(E)
SG[b,k,h,i,n]   = sigmoid(LG[b,k,h,i,n])
LB[b,k,h,i,n]   = where(n <= i, 0 - softplus(LG[b,k,h,i,n]), 0)          # log of what a key leaves of the stick
"""
_SCAN = f"""{_SCORES}
LS[b,k,h,i,n]   = scan(sum, LB[b,k,h,i,n], n)
LT[b,k,h,i]     = sum(LB[b,k,h,i,n], n)
AT[b,k,h,i,n]   = where(n <= i, SG[b,k,h,i,n] * exp(LT[b,k,h,i] - LS[b,k,h,i,n]), 0)
O[b,i,k,h,e]    = sum(AT[b,k,h,i,n] * V[b,n,h,e], n)
"""
_RELEASED = f"""{_SCORES}
TRI[m,n]        = where(m > n, 1, 0)
RC[b,k,h,i,n]   = sum(LB[b,k,h,i,m] * TRI[m,n], m)
AT[b,k,h,i,n]   = where(n <= i, SG[b,k,h,i,n] * exp(RC[b,k,h,i,n]), 0)
O[b,i,k,h,e]    = sum(AT[b,k,h,i,n] * V[b,n,h,e], n)
"""
_BLOCKED = """
LG[b,k,h,i,r1,r0] = sum(Q[b,i,k,h,e] * K[b,N-1-r1*R0-r0,h,e], e) / sqrt(E)
SG[b,k,h,i,r1,r0] = sigmoid(LG[b,k,h,i,r1,r0])
LB[b,k,h,i,r1,r0] = where(N - 1 - r1 * R0 - r0 <= i, 0 - softplus(LG[b,k,h,i,r1,r0]), 0)
LS[b,k,h,i,r1,r0] = scan(sum, LB[b,k,h,i,r1,r0], r0)
LT[b,k,h,i,0]     = 0
LT[b,k,h,i,r1+1]  = LT[b,k,h,i,r1] + sum(LB[b,k,h,i,r1,r0], r0)          # of all keys so far
AT[b,k,h,i,r1,r0] = where(
    N - 1 - r1 * R0 - r0 <= i,
    SG[b,k,h,i,r1,r0] * exp(LT[b,k,h,i,r1] + LS[b,k,h,i,r1,r0] - LB[b,k,h,i,r1,r0]), 0)
RO[b,i,k,h,e,0]   = 0
RO[b,i,k,h,e,r1+1] = RO[b,i,k,h,e,r1] + sum(AT[b,k,h,i,r1,r0] * V[b,N-1-r1*R0-r0,h,e], r0)
O[b,i,k,h,e]      = RO[b,i,k,h,e,R1]
"""
_AFTER = f"""
YE[b,n,k,c]     = sum(O[b,n,k,h,e] * WOUT[TI[b,n,k],h,e,c], h, e)
A[b,n,c]        = T[b,n,c] + sum(YE[b,n,k,c] * TG[b,n,k], k)
{_norm("AN", "A", "GF", "BF")}
FH[b,n,g]       = gelu(sum(AN[b,n,c] * WF1[c,g], c))                     # the gate of the feed-forward experts
FL[b,n,y]       = sum(FH[b,n,g] * WF2[g,y], g)
FM[b,n]         = max(FL[b,n,y], y)
FE[b,n,y]       = exp(FL[b,n,y] - FM[b,n])
FS[b,n]         = sum(FE[b,n,y], y)
FP[b,n,y]       = FE[b,n,y] / FS[b,n]
FI[b,n,l]       = topk(FP[b,n,y], y)
FG[b,n,l]       = FP[b,n,FI[b,n,l]]
FX[b,n,l,f]     = gelu(sum(AN[b,n,c] * W1[FI[b,n,l],c,f], c))
FY[b,n,l,c]     = sum(FX[b,n,l,f] * W2[FI[b,n,l],f,c], f)
Z[b,n,c]        = A[b,n,c] + sum(FY[b,n,l,c] * FG[b,n,l], l)
"""
_EXPERTS = "W1: [Y, C, F]\nW2: [Y, F, C]\n"
DENSE = f"""
{_norm("XN", "T", "GA", "BA")}
Q[b,n,h,e]      = sum(XN[b,n,c] * WQ[c,h,e], c)
K[b,n,h,e]      = sum(XN[b,n,c] * WK[c,h,e], c) + BK[h,e]
V[b,n,h,e]      = sum(XN[b,n,c] * WV[c,h,e], c) + BV[h,e]
S[b,h,i,n]      = where(n <= i, sum(Q[b,i,h,e] * K[b,n,h,e], e) / sqrt(E), -inf)
SM[b,h,i]       = max(S[b,h,i,n], n)
P[b,h,i,n]      = exp(S[b,h,i,n] - SM[b,h,i])
SD[b,h,i]       = sum(P[b,h,i,n], n)
O[b,i,h,e]      = sum(P[b,h,i,n] * V[b,n,h,e], n) / SD[b,h,i]
A[b,n,c]        = T[b,n,c] + sum(O[b,n,h,e] * WO[h,e,c], h, e)
{_norm("AN", "T", "GF", "BF")}
FX[b,n,f]       = gelu(sum(AN[b,n,c] * WD1[c,f], c))
Z[b,n,c]        = A[b,n,c] + sum(FX[b,n,f] * WD2[f,c], f)                # attention and feed-forward side by side
"""


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """Token by token and expert by expert; the stick is broken key by key."""
    import torch
    from torch.nn.functional import gelu, layer_norm, scaled_dot_product_attention

    g = given

    def norm(x: torch.Tensor, gain: str, shift: str) -> torch.Tensor:
        return layer_norm(x, x.shape[-1:], g[gain], g[shift])

    def chosen(x: torch.Tensor, first: str, second: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        gates, experts = (gelu(x @ g[first]) @ g[second]).softmax(-1).topk(count)
        return gates, experts

    t = g["T"]
    xn = norm(t, "GA", "BA")
    k, v = (torch.einsum("bnc,che->bnhe", xn, g["W" + which]) + g["B" + which] for which in "KV")
    if variant == "dense":
        q = torch.einsum("bnc,che->bhne", xn, g["WQ"])
        mixed = scaled_dot_product_attention(q, k.transpose(1, 2), v.transpose(1, 2), is_causal=True)
        hidden = gelu(norm(t, "GF", "BF") @ g["WD1"])
        return {"Z": t + torch.einsum("bhne,hec->bnc", mixed, g["WO"]) + hidden @ g["WD2"]}
    gates, experts = chosen(xn, "WG1", "WG2", sizes["K"])
    rows = []
    for b, row in enumerate(xn):
        for i, x in enumerate(row):
            y = t[b, i]
            into, out_of = (g[name][experts[b, i]] for name in ("WIN", "WOUT"))
            for gate, w_in, w_out in zip(gates[b, i], into, out_of, strict=True):
                q = torch.einsum("c,che->he", x, w_in)
                stick, mixed = torch.ones(sizes["H"], dtype=x.dtype), torch.zeros_like(q)
                for j in range(i, -1, -1):
                    broken = torch.sigmoid((q * k[b, j]).sum(-1) / sizes["E"] ** 0.5)
                    mixed = mixed + (stick * broken)[:, None] * v[b, j]
                    stick = stick * (1 - broken)
                y = y + gate * torch.einsum("he,hec->c", mixed, w_out)
            rows.append(y)
    a = torch.stack(rows).view_as(t)
    an = norm(a, "GF", "BF")
    gates, experts = chosen(an, "WF1", "WF2", sizes["L"])
    z = a.clone()
    for expert, (w1, w2) in enumerate(zip(g["W1"], g["W2"], strict=True)):
        weight = (gates * (experts == expert)).sum(-1, keepdim=True)
        z = z + weight * (gelu(an @ w1) @ w2)
    return {"Z": z}


PAPER = "Shen et al. 2023, ModuleFormer, arXiv 2306.04640"
CODE = "IBM/ModuleFormer"


def _sizes(batch: int, tokens: int, experts: int, chosen: int, inner: int) -> dict[str, int]:
    lengths = {"B": batch, "N": tokens, "I": tokens, "M": tokens, "R1": tokens // 128, "R0": 128}
    routes = {"X": experts, "K": chosen, "Y": 32, "L": chosen, "G": 256}
    return {**lengths, **routes, "C": 1024, "H": 8, "E": inner // 8, "F": 2048}


def _pythia(width: int, heads: int) -> dict[str, int]:
    return {"B": 32, "N": 1024, "I": 1024, "C": width, "H": heads, "E": width // heads, "F": 4 * width}


def _throughput(name: str, preset: str, layers: int, ratio: float, dense: str, dense_layers: int) -> Claim:
    return Claim(
        name=name,
        statement=f"Tokens per second of {name}",
        value=ratio,
        unit="x",
        source=f"{CODE}, table of the README (quotient of both throughputs)",
        evidence="code",
        quantity="latency_s",
        runs=(Run("released", preset, times=layers),),
        baseline=(Run("dense", dense, times=dense_layers),),
        machine="a100",
        note="Device, batch and length are not given: an A100 and 32 sequences of 1024 are assumed (recalled)",
    )


METHOD = Method(
    name="moduleformer",
    title="ModuleFormer: experts of attention and feed-forward, and attention that breaks a stick",
    question=(
        "Do experts of attention run at the speed of active parameters once routing and the scan are charged, how "
        "much does the cubic prefix sum cost, and how much of the experts does a step read?"
    ),
    source=f"{PAPER}; {CODE}",
    cascades={
        "scan": f"{_EXPERTS}{_BEFORE}{_SCAN}{_AFTER}",
        "blocked": f"{_EXPERTS}{_BEFORE}{_BLOCKED}{_AFTER}",
        "released": f"{_EXPERTS}{_BEFORE}{_RELEASED}{_AFTER}",
        "dense": DENSE,
    },
    sizes=_sizes(32, 1024, 16, 2, 1024),
    presets={
        "tiny": {
            "B": 2,
            "N": 6,
            "I": 6,
            "M": 6,
            "R1": 2,
            "R0": 3,
            "X": 4,
            "K": 2,
            "Y": 5,
            "L": 2,
            "G": 3,
            "C": 8,
            "H": 2,
            "E": 4,
            "F": 5,
        },
        "molm_350m_4b": _sizes(32, 1024, 16, 2, 1024),
        "molm_700m_4b": _sizes(32, 1024, 16, 4, 1024),
        "molm_700m_8b": _sizes(32, 1024, 16, 2, 1024),
        "config_default": _sizes(8, 1024, 32, 2, 512),
        "pythia_1_4b": _pythia(2048, 16),
        "pythia_2_8b": _pythia(2560, 32),
    },
    preset_sources={
        "tiny": "our choice, for tests",
        "molm_350m_4b": f"{CODE}: 24 layers, 2 of 16 and 2 of 32 experts; inner width 1024 from its parameters",
        "molm_700m_4b": f"{CODE}: 24 layers, 4 of 16 and 4 of 32 experts",
        "molm_700m_8b": f"{CODE}: 48 layers, 2 of 16 and 2 of 32 experts",
        "config_default": f"{CODE}, default configuration: 32 attention experts of 512; 1024 tokens at once",
        "pythia_1_4b": "Biderman et al. 2023, arXiv 2304.01373: 24 layers of width 2048, 16 heads (variant dense)",
        "pythia_2_8b": "Biderman et al. 2023, arXiv 2304.01373: 32 layers of width 2560, 32 heads (variant dense)",
    },
    weights=(
        "GA",
        "BA",
        "WG1",
        "WG2",
        "WIN",
        "WK",
        "BK",
        "WV",
        "BV",
        "WOUT",
        "GF",
        "BF",
        "WF1",
        "WF2",
        "W1",
        "W2",
        "WQ",
        "WO",
        "WD1",
        "WD2",
    ),
    reference=reference,
    dense=Run("dense"),
    claims=(
        _throughput("MoLM-350M-4B over Pythia 1.4B", "molm_350m_4b", 24, 71017 / 35559, "pythia_1_4b", 24),
        _throughput("MoLM-700M-4B over Pythia 2.8B", "molm_700m_4b", 24, 39931 / 15522, "pythia_2_8b", 32),
        Claim(
            name="parameters of the 4B models",
            statement="4 billion parameters in all",
            value=4e9,
            unit="parameters",
            source=f"{CODE}, README",
            evidence="code",
            quantity="parameters",
            runs=(Run("scan", "molm_350m_4b", times=24),),
            exact=True,
            note="24 layers; embeddings are not in it",
        ),
        Claim(
            name="parameters of the 8B model",
            statement="8 billion parameters in all",
            value=8e9,
            unit="parameters",
            source=f"{CODE}, README",
            evidence="code",
            quantity="parameters",
            runs=(Run("scan", "molm_700m_8b", times=48),),
            exact=True,
            note="48 layers; embeddings are not in it",
        ),
        Claim(
            name="memory",
            statement="27 GB (MoLM-350M-4B) beside 42 GB (Pythia 1.4B)",
            value=27e9,
            unit="B",
            source=f"{CODE}, README",
            evidence="code",
            not_derivable="what the program holds beside weights, and the batch, are not given",
        ),
        Claim(
            name="quality",
            statement="The quality of dense models of twice its latency",
            value=2,
            unit="x",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            not_derivable="accuracy",
        ),
    ),
    assumed={
        "timing": "32 sequences of 1024 tokens; recalled",
        "history": "none; the released configuration carries 512 tokens over",
        "balance": "the balancing loss, two sums over tokens, is left out",
    },
    counted_apart={
        "mac": (
            "the reference runs all Y experts of the network (FX, FY: the L chosen); LG, O, A, Z are sums of products "
            "that it adds key by key (mul, add)"
        ),
        "gelu": "the reference runs all Y experts of the network, FX the L chosen",
        "compare": "the reference compares each choice with each expert; FX gathers by index",
        "sigmoid": "SG is of all pairs of tokens; the reference stops at a token's own",
        **dict.fromkeys(
            ("softplus", "exp"),
            "LB and AT take the stick's rest as the exponential of a sum of logarithms; the reference multiplies it up",
        ),
        "select": "LB and AT mask later keys; the reference never visits them",
        **dict.fromkeys(
            ("add", "mul"),
            "the reference adds products key by key and expert by expert (mac in LG, O, A, Z), and multiplies the "
            "stick's rest up (LS, LT add logarithms)",
        ),
        "sub": (
            "LB and AT subtract for all pairs, the reference once a visited key; LayerNorm: VRXN, XN, VRAN, AN "
            "subtract the mean in the variance and again in the result; native_layer_norm keeps x - mean"
        ),
    },
)
