"""Flux Attention: a small network looks at a prompt and sends whole layers to full or to sparse attention.

Each layer's router pools the normalized queries of the first and last tokens, runs a few narrow layers, and chooses for
all heads at once, so that no head waits for another; the choice is kept while decoding. Sparse attention is a block of
sinks and the nearest blocks. `full` and `sparse` are the two branches of a layer with its projections, grouped queries,
normalized queries and keys, and rotary angles; `router` what chooses; `linear` the products of a layer without its
attention; `decode` one token against a cache, of all keys or of the blocks that sparse attention keeps. `1-pass` is the
attention alone, whose mask the option `kind` chooses.

Ranks: b requests, n tokens (m those that are looked at), d width, g heads of keys with r heads of queries each, x half
a head (E whole), f values; i blocks of s queries, j blocks of t keys; u pooled tokens; v, w, y, z widths of the router,
c its two answers, k the hidden layer of the feed-forward network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightbound.base.errors import LightboundError, choose_from

from ..claim import Claim, Run
from ..lines import softmax
from ..mappings.attention import MAPPINGS
from ..masks import BlockSparse, Causal
from ..masks.mask import Mask
from ..method import Method
from .attention import METHOD as ATTENTION

if TYPE_CHECKING:
    import torch

KINDS = ("full", "sparse")


def _projected(name: str, heads: str) -> str:
    """Queries or keys of all tokens in halves, normalized over a head and turned by the angle of their token."""
    return f"""
{name}1[b,n,{heads},x] = sum(H[b,n,d] * W{name}1[d,{heads},x], d)
{name}2[b,n,{heads},x] = sum(H[b,n,d] * W{name}2[d,{heads},x], d)
M{name}[b,n,{heads}] = (sum({name}1[b,n,{heads},x] ** 2, x) + sum({name}2[b,n,{heads},x] ** 2, x)) / E
N{name}1[b,n,{heads},x] = {name}1[b,n,{heads},x] * rsqrt(M{name}[b,n,{heads}] + 1e-6) * G{name}1[x]
N{name}2[b,n,{heads},x] = {name}2[b,n,{heads},x] * rsqrt(M{name}[b,n,{heads}] + 1e-6) * G{name}2[x]
R{name}1[b,n,{heads},x] = N{name}1[b,n,{heads},x] * CO[n,x] - N{name}2[b,n,{heads},x] * SI[n,x]
R{name}2[b,n,{heads},x] = N{name}2[b,n,{heads},x] * CO[n,x] + N{name}1[b,n,{heads},x] * SI[n,x]
"""


_INPUT = f"""
E: size
{_projected("Q", "g,r")}
{_projected("K", "g")}
V[b,n,g,f]  = sum(H[b,n,d] * WV[d,g,f], d)
"""

FULL = f"""{_INPUT}
U[b,g,r,n,m] = sum(RQ1[b,n,g,r,x] * RK1[b,m,g,x], x) + sum(RQ2[b,n,g,r,x] * RK2[b,m,g,x], x)
S[b,g,r,n,m] = where(m <= n, U[b,g,r,n,m] / sqrt(E), -inf)
{softmax("S", "A", "b,g,r,n", "m")}
O[b,n,g,r,f] = sum(A[b,g,r,n,m] * V[b,m,g,f], m)
Y[b,n,d]     = sum(O[b,n,g,r,f] * WO[g,r,f,d], g, r, f)
"""


def _scores(key: str) -> str:
    halves = (f"sum(RQ{half}[b,i*T+s,g,r,x] * RK{half}[b,{key},g,x], x)" for half in (1, 2))
    return f"({' + '.join(halves)}) / sqrt(E)"


SPARSE = f"""{_INPUT}
L[b,g,r,i,s,j,t] = where(i+j-J+1 >= 1 and (j-J+1)*T + t <= s, {_scores("i*T+j*T+t-(J-1)*T")}, -inf)
K0[b,g,r,i,s,t]  = where(t <= i*T + s, {_scores("t")}, -inf)      # the first block is the sink
G[b,g,r,i,s]     = max(max(L[b,g,r,i,s,j,t], j, t), max(K0[b,g,r,i,s,t], t))
NL[b,g,r,i,s,j,t] = exp(L[b,g,r,i,s,j,t] - G[b,g,r,i,s])
N0[b,g,r,i,s,t]  = exp(K0[b,g,r,i,s,t] - G[b,g,r,i,s])
D[b,g,r,i,s]     = sum(NL[b,g,r,i,s,j,t], j, t) + sum(N0[b,g,r,i,s,t], t)
VL[b,g,r,i,s,f]  = sum(NL[b,g,r,i,s,j,t] * V[b,i*T+j*T+t-(J-1)*T,g,f], j, t)
V0[b,g,r,i,s,f]  = sum(N0[b,g,r,i,s,t] * V[b,t,g,f], t)
O[b,i,s,g,r,f]   = (VL[b,g,r,i,s,f] + V0[b,g,r,i,s,f]) / D[b,g,r,i,s]
Y[b,i,s,d]       = sum(O[b,i,s,g,r,f] * WO[g,r,f,d], g, r, f)
"""

ROUTER = """
N: size
NQ: [B, N, H, E]
P[b,e]  = (sum(NQ[b,u,h,e], u, h) + sum(NQ[b,N-1-u,h,e], u, h)) / (2*U*H)
R1[b,v] = silu(sum(P[b,e] * W1[e,v], e) + C1[v])
R2[b,w] = sum(R1[b,v] * W2[v,w], v) + C2[w]
R3[b,y] = silu(sum(R2[b,w] * W3[w,y], w) + C3[y])
R4[b,z] = silu(sum(R3[b,y] * W4[y,z], y) + C4[z])
LG[b,c] = sum(R4[b,z] * W5[z,c], z) + C5[c]
Z[b,o]  = topk(LG[b,c], c)                                        # 1 is full attention
"""

LINEAR = """
Q[b,n,g,r,e] = sum(H[b,n,d] * WQ[d,g,r,e], d)
K[b,n,g,e]   = sum(H[b,n,d] * WK[d,g,e], d)
V[b,n,g,e]   = sum(H[b,n,d] * WV[d,g,e], d)
Y[b,n,d]     = sum(O[b,n,g,r,e] * WO[g,r,e,d], g, r, e)
A[b,n,k]     = silu(sum(Y[b,n,d] * WG[d,k], d)) * sum(Y[b,n,d] * WU[d,k], d)
OUT[b,n,d]   = sum(A[b,n,k] * WD[k,d], k) + Y[b,n,d]
"""

DECODE = f"""
S[b,g,r,m]   = sum(Q[b,g,r,e] * KC[b,m,g,e], e) / sqrt(E)
{softmax("S", "A", "b,g,r", "m")}
O[b,g,r,f]   = sum(A[b,g,r,m] * VC[b,m,g,f], m)
"""


def mask(tokens: int = 32768, kind: str = "full", block: int = 128, sink: int = 1, local: int = 16) -> Mask:
    """Causal attention, of all keys or of `sink` first and `local` nearest blocks of keys."""
    if kind not in KINDS:
        raise LightboundError("kind", kind, "is no branch of a layer", choose_from(KINDS, kind))
    if kind == "full":
        return Causal(tokens)
    blocks = -(-tokens // block)
    pairs = [(i, j) for i in range(blocks) for j in {*range(min(sink, i + 1)), *range(max(0, i - local + 1), i + 1)}]
    return BlockSparse(tokens, block, pairs) & Causal(tokens)


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """After qqtang-code/FluxAttention: Qwen3's attention with a causal or a streaming mask, and its router."""
    import torch
    from torch.nn.functional import linear, scaled_dot_product_attention, silu

    match variant:
        case "1-pass":
            shape = (sizes["P"], sizes["M"])
            causal = torch.ones(shape, dtype=torch.bool)  # the mask counts pairs; the lines compute all of them
            return {"O": scaled_dot_product_attention(given["Q"], given["K"], given["V"], causal)}
        case "decode":
            q = given["Q"].flatten(1, 2)[:, :, None]
            k, v = (given[name].transpose(1, 2) for name in ("KC", "VC"))
            heads = scaled_dot_product_attention(q, k, v, enable_gqa=True)
            return {"O": heads[:, :, 0].reshape(*given["Q"].shape[:3], -1)}
        case "router":
            first, last = given["NQ"][:, : sizes["U"]], given["NQ"][:, -sizes["U"] :]
            hidden = torch.cat([first, last], 1).mean((1, 2))
            for number, rectified in enumerate((True, False, True, True, False), start=1):
                hidden = linear(hidden, given[f"W{number}"].T, given[f"C{number}"])
                hidden = silu(hidden) if rectified else hidden
            return {"Z": hidden.argmax(-1, keepdim=True).double()}
        case "linear":
            h = given["H"]
            found = {name: torch.tensordot(h, given[f"W{name}"], 1) for name in "QKV"}
            y = torch.tensordot(given["O"], given["WO"], 3)
            return {**found, "OUT": (silu(y @ given["WG"]) * (y @ given["WU"])) @ given["WD"] + y}
        case _:
            pass

    def projected(name: str) -> torch.Tensor:
        """Heads as [b, heads, n, e], normalized and turned."""
        weight = torch.cat([given[f"W{name}1"], given[f"W{name}2"]], -1).flatten(1, -2)
        x = torch.tensordot(given["H"], weight, 1)
        x = (
            x
            * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
            * torch.cat([given[f"G{name}1"], given[f"G{name}2"]])
        )
        low, high = x.chunk(2, -1)
        angle = [torch.cat([given[one]] * 2, -1)[:, None] for one in ("CO", "SI")]
        return (x * angle[0] + torch.cat([-high, low], -1) * angle[1]).transpose(1, 2)

    q, k = projected("Q"), projected("K")
    v = torch.tensordot(given["H"], given["WV"], 1).transpose(1, 2)
    at = torch.arange(sizes["N"])
    seen = at <= at[:, None]
    if variant == "sparse":
        block = at // sizes["T"]
        seen &= (block < 1) | (block[:, None] - block < sizes["J"])
    heads = scaled_dot_product_attention(q, k, v, seen, enable_gqa=True).transpose(1, 2).flatten(2)
    y = heads @ given["WO"].flatten(0, 2)
    return {"Y": y if variant == "full" else y.reshape(len(y), -1, sizes["T"], y.shape[-1])}


PAPER = "Flux Attention 2026, arXiv 2604.07394"
CODE = "qqtang-code/FluxAttention at 031f22f"
_ROUTER = {"U": 100, "V": 1024, "W": 256, "Y": 512, "Z": 128, "C": 2, "O": 1}


def _model(tokens: int, width: int, hidden: int, batch: int = 1) -> dict[str, Any]:
    return {
        "B": batch,
        "N": tokens,
        "D": width,
        "G": 8,
        "R": 4,
        "H": 32,
        "X": 64,
        "E": 128,
        "F": 128,
        "K": hidden,
        "I": tokens // 128,
        "S": 128,
        "J": 16,
        "T": 128,
        "tokens": tokens,
        **_ROUTER,
    }


def _prefill(tokens: int, full: int, sparse: int) -> tuple[Run, ...]:
    size = {"tokens": tokens, "B": 1, "H": 32, "E": 128, "F": 128}
    return (
        Run("1-pass", sizes={**size, "kind": "full"}, times=full, mapping="flash_sync"),
        Run("1-pass", sizes={**size, "kind": "sparse"}, times=sparse, mapping="flash_sync"),
        Run("linear", "qwen3_8b_128k", sizes={"N": tokens}, times=full + sparse),
        Run("router", "qwen3_8b_128k", sizes={"N": tokens}, times=full + sparse if sparse else 0),
    )


def _decode(full: int, sparse: int) -> tuple[Run, ...]:
    return (
        Run("decode", "llama31_8b_256k", times=full),
        Run("decode", "llama31_8b_256k", sizes={"M": 17 * 128}, times=sparse),
        Run("linear", "llama31_8b_256k", sizes={"N": 1}, times=full + sparse),
    )


METHOD = Method(
    name="flux_attention",
    title="Flux Attention: each layer routed to full or to sparse attention by the prompt",
    question="From which length on, and with how many sparse layers, is a prompt faster, and does the router show?",
    source=f"{PAPER}; {CODE}",
    cascades={
        "full": FULL,
        "sparse": SPARSE,
        "router": ROUTER,
        "linear": LINEAR,
        "decode": DECODE,
        "1-pass": ATTENTION.cascades["1-pass"],
    },
    sizes={symbol: size for symbol, size in _model(32768, 4096, 12288).items() if symbol != "tokens"} | {"M": 32768},
    presets={
        "qwen3_8b_128k": {**_model(131072, 4096, 12288), "M": 131072},
        "qwen3_4b_64k": {**_model(65536, 2560, 9728), "M": 65536},
        "llama31_8b_256k": {**_model(262144, 4096, 14336), "M": 262144},
        "tiny": {
            "B": 2,
            "N": 12,
            "M": 12,
            "D": 6,
            "G": 2,
            "R": 2,
            "H": 4,
            "X": 2,
            "E": 4,
            "F": 3,
            "K": 5,
            "I": 4,
            "S": 3,
            "J": 2,
            "T": 3,
            "U": 4,
            "V": 6,
            "W": 4,
            "Y": 5,
            "Z": 3,
            "C": 2,
            "O": 1,
            "M0": 4,
            "tokens": 12,
        },
    },
    preset_sources={
        "qwen3_8b_128k": f"{CODE}: Qwen3-8B, 36 layers, 32 heads on 8 of 128, blocks of 128, a sink and 16 local ones",
        "qwen3_4b_64k": f"{CODE}: Qwen3-4B, 36 layers of width 2560",
        "llama31_8b_256k": f"{CODE}: Llama-3.1-8B, 32 layers, at the longest prompt of the paper",
        "tiny": "our choice, for tests",
    },
    mappings=MAPPINGS,
    interchangeable=False,
    mask=mask,
    mask_ranks=("p", "m"),
    options={"tokens": 32768, "kind": "full", "block": 128, "sink": 1, "local": 16},
    weights=(
        *("WQ1", "WQ2", "GQ1", "GQ2", "WK1", "WK2", "GK1", "GK2", "WQ", "WK", "WV", "WO", "WG", "WU", "WD"),
        *(f"{kind}{number}" for number in range(1, 6) for kind in "WC"),
    ),
    state=("KC", "VC"),
    reference=reference,
    dense=Run("full"),
    claims=(
        Claim(
            name="parameters of a router",
            statement="A router has 592,002 parameters",
            value=592_002,
            unit="parameters",
            source=f"counted in {CODE}",
            evidence="derived",
            quantity="parameters",
            runs=(Run("router", "qwen3_8b_128k", sizes={"E": 128}),),
            exact=True,
        ),
        Claim(
            name="prefill",
            statement="Up to 2.8 times as fast a prefill on A800",
            value=2.8,
            unit="x",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            quantity="latency_s",
            runs=_prefill(262144, 11, 25),
            baseline=_prefill(262144, 36, 0),
            machine="a800",
            note="assumed, since the abstract does not say: Qwen3-8B, 256K tokens, 11 of 36 layers full",
        ),
        Claim(
            name="decode",
            statement="Up to 2.0 times as fast a decode on A800",
            value=2.0,
            unit="x",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            quantity="latency_s",
            runs=_decode(10, 22),
            baseline=_decode(32, 0),
            machine="a800",
            note="assumed, since the abstract does not say: Llama-3.1-8B, 256K tokens cached, 10 of 32 layers full, "
            "one request",
        ),
        Claim(
            name="router",
            statement="The router takes 0.20 ms a layer",
            value=0.20e-3,
            unit="s",
            source=f"{PAPER}, as a review quotes it",
            evidence="third party",
            quantity="latency_s",
            runs=(Run("router", "qwen3_8b_128k", sizes={"N": 8192}),),
            machine="a800",
            note="what is measured holds five launches and a copy to the host, which no cascade has",
        ),
        Claim(
            name="training",
            statement="The routers of an 8B model are trained in 12 hours on 8 A800",
            value=12 * 3600,
            unit="s",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            not_derivable="a training run: tokens, parallelism and checkpoints are not published",
        ),
    ),
    assumed={"lengths": "the paper's longest prompts are taken to be 256K tokens; its figure could not be read"},
    counted_apart={
        "mac": "MQ and MK are sums of squares; the reference's norm squares (mul) and takes the mean (add)",
        "add": (
            "the reference's mean adds squares (mac in MQ and MK), and turns halves with one add (RQ1, RK1: sub); "
            "attention adds its mask where U adds two halves"
        ),
        "rsqrt": "NQ1, NQ2, NK1, NK2 take it for each half; the reference once a head",
        "sub": "RQ1 and RK1 subtract; the reference adds the negated half",
        "compare": (
            "scaled_dot_product_attention guards rows that are masked as a whole (_safe_softmax); no line does"
        ),
        "select": "the mask becomes numbers (N x N), beside the guard of _safe_softmax; S selects scores",
    },
)
