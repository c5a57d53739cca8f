"""Titans: a memory whose state is the weights of a small network, trained by gradient descent while it reads.

A token writes by one step of descent on |M(k) - v|^2, with its own learning rate, momentum and decay; all gradients of
a chunk are taken at the weights of its start, so that a chunk is a few matrix products. Tokens read with the weights of
their own moment, by the dual form: no gradient of a token is ever stored. The network is M(x) = x + W1 gelu(W2 x).

`lmm` is the memory on queries, keys and values; `chunk_start` reads with the weights of the chunk's start instead, at
half the cost; `lmm_layer` has projections, convolutions and gates around it; `mag` gates windowed attention by the
memory; `mal` puts windowed attention behind it; `mac` gives attention, segment by segment, what the memory recalls as
context; `attention` is a layer of causal attention, to compare with.

Ranks: b batch, n token (n1 chunks or segments of n0, j source in one), d width, f hidden width of the memory, k tap of
a convolution, h heads, e head dimension, w distance in a window, s persistent token, p and m query and key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..claim import Claim, Run
from ..method import Method
from ..references.titans import reference

if TYPE_CHECKING:
    import numpy as np

_COEFFICIENTS = """
BE[b,n1,0]      = 1                                            # decay since the start of the chunk
BE[b,n1,n0+1]   = BE[b,n1,n0] * (1 - AL[b,n1*N0+n0])
HH[b,n1,0]      = 1                                            # momentum since then
HH[b,n1,n0+1]   = HH[b,n1,n0] * ET[b,n1*N0+n0]
GG[b,n1,0]      = 0                                            # what the momentum of the start has added by now
GG[b,n1,n0+1]   = GG[b,n1,n0] * (1 - AL[b,n1*N0+n0]) + HH[b,n1,n0+1]
PP[b,n1,j,0]    = 0                                            # weight of token j's gradient in the momentum
PP[b,n1,j,n0+1] = where(n0 == j, TH[b,n1*N0+j], PP[b,n1,j,n0] * ET[b,n1*N0+n0])
AA[b,n1,j,0]    = 0                                            # and in the weights
AA[b,n1,j,n0+1] = AA[b,n1,j,n0] * (1 - AL[b,n1*N0+n0]) + PP[b,n1,j,n0+1]
BL[b,n1]        = BE[b,n1,N0]                                  # at the end of the chunk
GL[b,n1]        = GG[b,n1,N0]
HL[b,n1]        = HH[b,n1,N0]
AE[b,n1,j]      = AA[b,n1,j,N0]
PE[b,n1,j]      = PP[b,n1,j,N0]
"""
_WRITE = """
M1[b,d,f,0]     = W1[b,d,f]                                          # at first learned, then its own
M2[b,d,f,0]     = W2[b,d,f]
S1[b,d,f,0]     = 0
S2[b,d,f,0]     = 0
U[b,n1,n0,f]    = sum(K[b,n1*N0+n0,d] * M2[b,d,f,n1], d)
Z[b,n1,n0,f]    = gelu(U[b,n1,n0,f])
R[b,n1,n0,d]    = 2 * (K[b,n1*N0+n0,d] + sum(Z[b,n1,n0,f] * M1[b,d,f,n1], f) - V[b,n1*N0+n0,d])
DZ[b,n1,n0,f]   = sum(R[b,n1,n0,d] * M1[b,d,f,n1], d)
DU[b,n1,n0,f]   = DZ[b,n1,n0,f] * (
    0.5 * (1 + erf(U[b,n1,n0,f] / sqrt(2))) + U[b,n1,n0,f] * exp(-0.5 * U[b,n1,n0,f] ** 2) / sqrt(2 * pi))
RA[b,n1,n0,d]   = R[b,n1,n0,d] * AE[b,n1,n0]
RP[b,n1,n0,d]   = R[b,n1,n0,d] * PE[b,n1,n0]
KA[b,n1,n0,d]   = K[b,n1*N0+n0,d] * AE[b,n1,n0]
KP[b,n1,n0,d]   = K[b,n1*N0+n0,d] * PE[b,n1,n0]
M1[b,d,f,n1+1]  = M1[b,d,f,n1] * BL[b,n1] + S1[b,d,f,n1] * GL[b,n1] - sum(RA[b,n1,n0,d] * Z[b,n1,n0,f], n0)
M2[b,d,f,n1+1]  = M2[b,d,f,n1] * BL[b,n1] + S2[b,d,f,n1] * GL[b,n1] - sum(KA[b,n1,n0,d] * DU[b,n1,n0,f], n0)
S1[b,d,f,n1+1]  = S1[b,d,f,n1] * HL[b,n1] - sum(RP[b,n1,n0,d] * Z[b,n1,n0,f], n0)
S2[b,d,f,n1+1]  = S2[b,d,f,n1] * HL[b,n1] - sum(KP[b,n1,n0,d] * DU[b,n1,n0,f], n0)
"""
_READ = """
BN[b,n1,n0]     = BE[b,n1,n0+1]                                # at every token
GN[b,n1,n0]     = GG[b,n1,n0+1]
AN[b,n1,n0,j]   = AA[b,n1,j,n0+1]
QK[b,n1,n0,j]   = sum(Q[b,n1*N0+n0,d] * K[b,n1*N0+j,d], d)
AQ[b,n1,n0,j]   = QK[b,n1,n0,j] * AN[b,n1,n0,j]              # zero for sources that are still to come
UQ[b,n1,n0,f]   = (
    sum(Q[b,n1*N0+n0,d] * M2[b,d,f,n1], d) * BN[b,n1,n0]
    + sum(Q[b,n1*N0+n0,d] * S2[b,d,f,n1], d) * GN[b,n1,n0] - sum(AQ[b,n1,n0,j] * DU[b,n1,j,f], j))
ZQ[b,n1,n0,f]   = gelu(UQ[b,n1,n0,f])
ZZ[b,n1,n0,j]   = sum(ZQ[b,n1,n0,f] * Z[b,n1,j,f], f)
AZ[b,n1,n0,j]   = ZZ[b,n1,n0,j] * AN[b,n1,n0,j]
Y[b,n1*N0+n0,d] = (
    Q[b,n1*N0+n0,d] + sum(ZQ[b,n1,n0,f] * M1[b,d,f,n1], f) * BN[b,n1,n0]
    + sum(ZQ[b,n1,n0,f] * S1[b,d,f,n1], f) * GN[b,n1,n0] - sum(AZ[b,n1,n0,j] * R[b,n1,j,d], j))
"""
_READ_START = """
ZQ[b,n1,n0,f]   = gelu(sum(Q[b,n1*N0+n0,d] * M2[b,d,f,n1], d))
Y[b,n1*N0+n0,d] = Q[b,n1*N0+n0,d] + sum(ZQ[b,n1,n0,f] * M1[b,d,f,n1], f)
"""
_MEMORY = f"{_COEFFICIENTS}{_WRITE}{_READ}"
_STATE = "".join(f"{x}N[b,d,f]     = {x}[b,d,f,N1]\n" for x in ("M1", "M2", "S1", "S2"))


def _convolved(x: str) -> str:
    return f"""
{x}0[b,n,d] = sum(XN[b,n,c] * W{x}[c,d], c)
{x}C[b,n,d] = silu(sum({x}0[b,n-k,d] * C{x}[k,d], k))
"""


_NORM = """
MX[b,n]   = sum(X[b,n,c] ** 2, c) / C
XN[b,n,c] = X[b,n,c] * rsqrt(MX[b,n] + 1e-6) * GX[c]
"""
_INPUTS = f"""
{_convolved("Q")}{_convolved("K")}{_convolved("V")}
NQ[b,n]   = sum(QC[b,n,d] ** 2, d)
NK[b,n]   = sum(KC[b,n,d] ** 2, d)
Q[b,n,d]  = QC[b,n,d] * rsqrt(NQ[b,n] + 1e-6)
K[b,n,d]  = KC[b,n,d] * rsqrt(NK[b,n] + 1e-6)
V[b,n,d]  = VC[b,n,d]
AL[b,n]   = sigmoid(sum(XN[b,n,c] * WA[c], c))
ET[b,n]   = sigmoid(sum(XN[b,n,c] * WE[c], c))
TH[b,n]   = sigmoid(sum(XN[b,n,c] * WT[c], c))
{_MEMORY}
"""


def _window(x: str) -> str:
    """Attention over the last tokens of a tensor and all persistent ones."""
    return f"""
QA[b,n,h,e]  = sum({x}[b,n,c] * HQ[c,h,e], c)
KW[b,n,h,e]  = sum({x}[b,n,c] * HK[c,h,e], c)
VW[b,n,h,e]  = sum({x}[b,n,c] * HV[c,h,e], c)
KS[s,h,e]    = sum(PT[s,c] * HK[c,h,e], c)
VS[s,h,e]    = sum(PT[s,c] * HV[c,h,e], c)
SW[b,h,n,w]  = where(w <= n, sum(QA[b,n,h,e] * KW[b,n-w,h,e], e) / sqrt(E), -inf)
SP[b,h,n,s]  = sum(QA[b,n,h,e] * KS[s,h,e], e) / sqrt(E)
GM[b,h,n]    = max(max(SW[b,h,n,w], w), max(SP[b,h,n,s], s))
EW[b,h,n,w]  = exp(SW[b,h,n,w] - GM[b,h,n])
EP[b,h,n,s]  = exp(SP[b,h,n,s] - GM[b,h,n])
DN[b,h,n]    = sum(EW[b,h,n,w], w) + sum(EP[b,h,n,s], s)
NV[b,h,n,e]  = sum(EW[b,h,n,w] * VW[b,n-w,h,e], w) + sum(EP[b,h,n,s] * VS[s,h,e], s)
OA[b,n,h,e]  = NV[b,h,n,e] / DN[b,h,n]
YA[b,n,c]    = sum(OA[b,n,h,e] * HO[h,e,c], h, e)
"""


LMM = f"{_MEMORY}{_STATE}"
CHUNK_START = f"{_COEFFICIENTS}{_WRITE}{_READ_START}{_STATE}"
LMM_LAYER = f"{_NORM}{_INPUTS}O[b,n,c] = X[b,n,c] + sum(Y[b,n,d] * WO[d,c], d)\n"
MAG = (
    f"{_NORM}{_INPUTS}{_window('XN')}"
    + """
YM[b,n,c] = sum(Y[b,n,d] * WO[d,c], d)
O[b,n,c]  = X[b,n,c] + YA[b,n,c] * sigmoid(YM[b,n,c])
"""
)
MAL = (
    f"{_NORM}{_INPUTS}"
    + """
YM[b,n,c] = X[b,n,c] + sum(Y[b,n,d] * WO[d,c], d)
"""
    + _window("YM")
    + """
O[b,n,c]  = YM[b,n,c] + YA[b,n,c]
"""
)
MAC = f"""
KS[s,h,e]       = sum(PT[s,d] * HK[d,h,e], d)
VS[s,h,e]       = sum(PT[s,d] * HV[d,h,e], d)
AL[b,n]         = sigmoid(sum(X[b,n,d] * WA[d], d))
ET[b,n]         = sigmoid(sum(X[b,n,d] * WE[d], d))
TH[b,n]         = sigmoid(sum(X[b,n,d] * WT[d], d))
QM[b,n,d]       = sum(X[b,n,c] * WQ[c,d], c)
QA[b,n,h,e]     = sum(X[b,n,d] * HQ[d,h,e], d)
KW[b,n,h,e]     = sum(X[b,n,d] * HK[d,h,e], d)
VW[b,n,h,e]     = sum(X[b,n,d] * HV[d,h,e], d)
SP[b,h,n,s]     = sum(QA[b,n,h,e] * KS[s,h,e], e) / sqrt(E)
SO[b,h,n1,n0,j] = where(j <= n0, sum(QA[b,n1*N0+n0,h,e] * KW[b,n1*N0+j,h,e], e) / sqrt(E), -inf)
{_COEFFICIENTS}
ZH[b,n1,n0,f]   = gelu(sum(QM[b,n1*N0+n0,d] * M2[b,d,f,n1], d))       # what the memory recalls for the segment
HM[b,n1,n0,d]   = QM[b,n1*N0+n0,d] + sum(ZH[b,n1,n0,f] * M1[b,d,f,n1], f)
KH[b,n1,n0,h,e] = sum(HM[b,n1,n0,d] * HK[d,h,e], d)
VH[b,n1,n0,h,e] = sum(HM[b,n1,n0,d] * HV[d,h,e], d)
SH[b,h,n1,n0,j] = sum(QA[b,n1*N0+n0,h,e] * KH[b,n1,j,h,e], e) / sqrt(E)
GM[b,h,n1,n0]   = max(max(SP[b,h,n1*N0+n0,s], s), max(SH[b,h,n1,n0,j], j), max(SO[b,h,n1,n0,j], j))
EP[b,h,n1,n0,s] = exp(SP[b,h,n1*N0+n0,s] - GM[b,h,n1,n0])
EH[b,h,n1,n0,j] = exp(SH[b,h,n1,n0,j] - GM[b,h,n1,n0])
EO[b,h,n1,n0,j] = exp(SO[b,h,n1,n0,j] - GM[b,h,n1,n0])
DN[b,h,n1,n0]   = sum(EP[b,h,n1,n0,s], s) + sum(EH[b,h,n1,n0,j], j) + sum(EO[b,h,n1,n0,j], j)
OA[b,n1,n0,h,e] = (
    sum(EP[b,h,n1,n0,s] * VS[s,h,e], s) + sum(EH[b,h,n1,n0,j] * VH[b,n1,j,h,e], j)
    + sum(EO[b,h,n1,n0,j] * VW[b,n1*N0+j,h,e], j)) / DN[b,h,n1,n0]
YA[b,n1,n0,d]   = sum(OA[b,n1,n0,h,e] * HO[h,e,d], h, e)
KN[b,n1,n0,d]   = sum(YA[b,n1,n0,c] * WK[c,d], c)                     # the output is written
VN[b,n1,n0,d]   = sum(YA[b,n1,n0,c] * WV[c,d], c)
{_WRITE.replace("K[b,n1*N0+n0,d]", "KN[b,n1,n0,d]").replace("V[b,n1*N0+n0,d]", "VN[b,n1,n0,d]")}
ZR[b,n1,n0,f]   = gelu(sum(YA[b,n1,n0,d] * M2[b,d,f,n1+1], d))        # and recalled with the new weights
RY[b,n1,n0,d]   = YA[b,n1,n0,d] + sum(ZR[b,n1,n0,f] * M1[b,d,f,n1+1], f)
O[b,n1*N0+n0,d] = X[b,n1*N0+n0,d] + YA[b,n1,n0,d] * sigmoid(RY[b,n1,n0,d])
{_STATE}"""
ATTENTION = """
QA[b,p,h,e]  = sum(X[b,p,c] * HQ[c,h,e], c)
KW[b,m,h,e]  = sum(X[b,m,c] * HK[c,h,e], c)
VW[b,m,h,e]  = sum(X[b,m,c] * HV[c,h,e], c)
SW[b,h,p,m]  = where(m <= p, sum(QA[b,p,h,e] * KW[b,m,h,e], e) / sqrt(E), -inf)
GM[b,h,p]    = max(SW[b,h,p,m], m)
EW[b,h,p,m]  = exp(SW[b,h,p,m] - GM[b,h,p])
DN[b,h,p]    = sum(EW[b,h,p,m], m)
OA[b,p,h,e]  = sum(EW[b,h,p,m] * VW[b,m,h,e], m) / DN[b,h,p]
O[b,p,c]     = X[b,p,c] + sum(OA[b,p,h,e] * HO[h,e,c], h, e)
"""


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """Rates lie between 0 and 1."""
    return {name: 0.1 + 0.8 * generator.random(shapes[name]) for name in ("AL", "ET", "TH") if name in shapes}


PAPER = "Behrouz et al. 2025, Titans, arXiv 2501.00663"
SIBLING = "widths of the same authors' models, arXiv 2505.23735, table 7"


def _sizes(width: int, tokens: int, chunk: int) -> dict[str, int]:
    lengths = {"B": 1, "N": tokens, "P": tokens, "M": tokens, "N0": chunk, "J": chunk}
    return {**lengths, "C": width, "D": width, "F": 4 * width, "H": 16, "E": width // 16, "K": 4, "S": 16, "W": 512}


METHOD = Method(
    name="titans",
    title="Titans: a memory trained at test time, alone and combined with windowed attention",
    question=(
        "Is a layer bound by the traffic of its state or by products, how many sequences fit when each owns a state, "
        "and at which length does it beat full attention?"
    ),
    source=f"{PAPER}; no official code, formulas checked against lucidrains/titans-pytorch",
    cascades={
        "lmm_layer": LMM_LAYER,
        "lmm": LMM,
        "chunk_start": CHUNK_START,
        "mac": MAC,
        "mag": MAG,
        "mal": MAL,
        "attention": ATTENTION,
    },
    sizes=_sizes(1024, 4096, 64),
    presets={
        "tiny": {
            "B": 2,
            "N": 8,
            "P": 8,
            "M": 8,
            "N0": 4,
            "J": 4,
            "C": 4,
            "D": 4,
            "F": 6,
            "H": 2,
            "E": 2,
            "K": 3,
            "S": 2,
            "W": 3,
        },
        "lmm_170m": _sizes(768, 4096, 64),
        "mac_340m": _sizes(1024, 4096, 512),
        "mag_760m": _sizes(1536, 4096, 64),
        "long_2m": _sizes(1536, 2**21, 512),
    },
    preset_sources={
        "tiny": "our choice, for tests",
        "lmm_170m": f"{PAPER}: 12 layers; {SIBLING}; chunks of 64 assumed",
        "mac_340m": f"{PAPER}: 24 layers; {SIBLING}; segments of 512 and 16 persistent tokens assumed",
        "mag_760m": f"{PAPER}: 24 layers; {SIBLING}; chunks of 64 and a window of 512 assumed",
        "long_2m": f"{PAPER}, section 5.4: contexts beyond 2 million tokens; segments of 512 assumed",
    },
    weights=(
        "W1",
        "W2",
        "WQ",
        "WK",
        "WV",
        "WO",
        "CQ",
        "CK",
        "CV",
        "WA",
        "WE",
        "WT",
        "GX",
        "HQ",
        "HK",
        "HV",
        "HO",
        "PT",
    ),
    state=("W1", "W2"),
    reference=reference,
    inputs=inputs,
    dense=Run("attention"),
    claims=(
        Claim(
            name="linear time",
            statement="Operations grow linearly with the sequence, tokens per second stay",
            value=1,
            unit="exponent",
            source=f"{PAPER}, section 5.5 and figure 8",
            evidence="paper",
            quantity="growth",
            runs=(Run("lmm_layer", "lmm_170m"),),
            grows_with=("N",),
            tolerance=0.01,
        ),
        Claim(
            name="linear time with segments",
            statement="More than 2 million tokens of context at the cost of each token that a short one has",
            value=1,
            unit="exponent",
            source=f"{PAPER}, abstract",
            evidence="abstract",
            quantity="growth",
            runs=(Run("mac", "long_2m"),),
            grows_with=("N",),
            tolerance=0.01,
        ),
        Claim(
            name="throughput of training",
            statement="The memory alone somewhat slower than Mamba2 and Gated DeltaNet, MAL faster than both",
            value=1,
            unit="rank",
            source=f"{PAPER}, section 5.8 and figure 9",
            evidence="paper",
            not_derivable="a figure without numbers, of other methods' kernels",
        ),
        Claim(
            name="needle in 16K tokens",
            statement="95.2 % (MAC), 88.2 % (MAG), 90.4 % (MAL), 80.6 % (memory alone)",
            value=95.2,
            unit="%",
            source=f"{PAPER}, table 2",
            evidence="paper",
            not_derivable="accuracy",
        ),
        Claim(
            name="perplexity at 340M",
            statement="26.18 (memory alone), 25.43 (MAC), 25.07 (MAG), 24.69 (MAL); 31.52 of a Transformer",
            value=24.69,
            unit="perplexity",
            source=f"{PAPER}, table 1",
            evidence="paper",
            not_derivable="accuracy",
        ),
    ),
    assumed={
        "memory": "two layers, expansion 4, GELU and a residual, as the same authors state for arXiv 2505.23735",
        "chunks": "64 tokens; segments and windows of 512; 16 persistent tokens, which the memory itself does not see",
        "gate": "attention times the sigmoid of the memory's reading",
        "training": "the outer gradient through the memory is not part of the cascades",
    },
    counted_apart={
        "mac": (
            "gradients of one token are outer products (mul) in the reference; M1, M2, S1, S2 sum a chunk's, QK, UQ, "
            "ZZ, Y apply them without the weights after each token, and MX, NQ, NK are sums of squares"
        ),
        **dict.fromkeys(
            ("mul", "add", "sub"),
            "the reference updates all weights and momenta at every token, and adds squares (mac in MX, NQ, NK); RA, "
            "RP, KA, KP, AQ, AZ and the sums of a chunk weigh tokens instead",
        ),
        **dict.fromkeys(
            ("div", "sqrt", "rsqrt"), "Q and K multiply by a reciprocal root; the reference divides by sqrt"
        ),
        "select": "PP starts a token's decay at its own place; the reference's loop does",
    },
)
