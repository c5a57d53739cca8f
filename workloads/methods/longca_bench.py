"""LongCA-bench: one harness for long-context attention, over masks, lengths and context-parallel schemes.

No attention of its own: the same masks and documents go to dense kernels, to block-sparse ones, and to schemes that
spread a sequence over devices. Here the masks are options of a mask, kernels are mappings, and one device's part of a
ring is a variant, whose keys and values are what it receives.

Ranks: b sequences, h heads, p queries and m keys (m1 tiles of m0), e and f head dimension. With fewer key heads: k of
them, g queries' heads of each. A ring: n own queries, s steps, c keys of a step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..claim import Claim
from ..masks.block_sparse import BlockSparse
from ..masks.causal import Causal
from ..masks.dense import Dense
from ..masks.documents import Documents
from ..masks.sliding_window import Sinks, SlidingWindow
from ..method import Method
from .attention import METHOD as ATTENTION

if TYPE_CHECKING:
    import torch

    from ..masks.mask import Mask

ANY_MASK = """
S[b,k,g,p,m] = where(ALLOWED[p,m] == 1, sum(Q[b,k,g,p,e] * K[b,k,m,e], e) / sqrt(E), -inf)
GM[b,k,g,p]  = max(S[b,k,g,p,m], m)
SN[b,k,g,p,m] = exp(S[b,k,g,p,m] - GM[b,k,g,p])
SD[b,k,g,p]  = sum(SN[b,k,g,p,m], m)
O[b,k,g,p,e] = sum(SN[b,k,g,p,m] * V[b,k,m,e], m) / SD[b,k,g,p]
"""

RING = """
S[b,k,g,n,s,c] = sum(Q[b,k,g,n,e] * K[b,k,s*C+c,e], e) / sqrt(E)       # the part of the sequence that came in step s
SM[b,k,g,n,s]  = max(S[b,k,g,n,s,c], c)
SN[b,k,g,n,s,c] = exp(S[b,k,g,n,s,c] - SM[b,k,g,n,s])
SD[b,k,g,n,s]  = sum(SN[b,k,g,n,s,c], c)
OS[b,k,g,n,e,s] = sum(SN[b,k,g,n,s,c] * V[b,k,s*C+c,e], c) / SD[b,k,g,n,s]
LS[b,k,g,n,s]  = SM[b,k,g,n,s] + log(SD[b,k,g,n,s])
L[b,k,g,n,0]   = -1e30
L[b,k,g,n,s+1] = max(L[b,k,g,n,s], LS[b,k,g,n,s]) + softplus(-abs(L[b,k,g,n,s] - LS[b,k,g,n,s]))
OUT[b,k,g,n,e,0] = 0
CO[b,k,g,n,s]  = exp(L[b,k,g,n,s] - L[b,k,g,n,s+1])
CS[b,k,g,n,s]  = exp(LS[b,k,g,n,s] - L[b,k,g,n,s+1])
OUT[b,k,g,n,e,s+1] = OUT[b,k,g,n,e,s] * CO[b,k,g,n,s] + OS[b,k,g,n,e,s] * CS[b,k,g,n,s]
O[b,k,g,n,e]   = OUT[b,k,g,n,e,S]
"""  # fmt: skip

# Share of documents shorter than so many tokens, by data set and by the longest sequence it serves.
_LENGTHS = {
    12 << 10: ((1, 0.0), (256, 0.5), (768, 0.8), (1843, 0.9), (7782, 0.987), (14541, 0.997), (16384, 1.0)),
    64 << 10: ((1, 0.0), (384, 0.5), (922, 0.8), (1536, 0.9), (9114, 0.988), (51200, 0.998), (65536, 1.0)),
    1 << 30: ((1, 0.0), (352, 0.5), (819, 0.8), (1331, 0.9), (4608, 0.982), (11162, 0.992), (487424, 1.0)),
}


def document_lengths(tokens: int, seed: int) -> tuple[int, ...]:
    """Documents of the data that the benchmark draws at this length, until the sequence is full; the last is cut."""
    table = next(rows for longest, rows in _LENGTHS.items() if tokens <= longest)
    generator = np.random.default_rng(seed)
    lengths: list[int] = []
    while (left := tokens - sum(lengths)) > 0:
        drawn = np.interp(generator.uniform(), [share for _, share in table], [length for length, _ in table])
        lengths.append(min(max(int(drawn), 1), left))
    return tuple(lengths)


def _rows(tokens: int, start: int, stop: int) -> Mask:
    """Queries from start to stop attend every key."""
    size = math.gcd(tokens, start, stop)
    blocks = np.array([(row, 0) for row in range(start // size, stop // size)])
    return BlockSparse(tokens, size, blocks, kv_block=tokens)


def pattern_mask(
    tokens: int, pattern: str, documents: Sequence[int], window: int, prefix: int, block: int, keep: float, seed: int
) -> Mask:
    """One of the benchmark's masks. Documents are drawn where none are given."""
    lengths = tuple(documents) or document_lengths(tokens, seed)
    inside = Documents(lengths, causal=True)
    generator = np.random.default_rng(seed)
    match pattern:
        case "full":
            return Dense((tokens,))
        case "causal":
            return Causal(tokens)
        case "full_document":
            return Documents(lengths)
        case "causal_document":
            return inside
        case "sliding_window":
            return SlidingWindow(tokens, left=window, right=window)
        case "causal_sliding_window":
            return SlidingWindow(tokens, left=window)
        case "shared_question":
            return inside | Sinks(tokens, lengths[0])
        case "causal_blockwise":
            return inside | (_rows(tokens, tokens - lengths[-1], tokens) & Causal(tokens))
        case "prefix_causal":
            return Causal(tokens) | BlockSparse(tokens, prefix, np.array([(0, 0)]))
        case "prefix_document":
            parts = [part for one in lengths for part in (min(prefix, one), *[1] * (one - prefix))]
            return inside | Documents(parts)
        case "global_sliding_window":
            near = SlidingWindow(tokens, left=window, right=window)
            return near | Sinks(tokens, 2 * window) | _rows(tokens, 0, 2 * window)
        case "block_causal_document":
            count, pairs, start = -(-tokens // block), [], 0
            while start < count:
                stop = min(start + int(generator.integers(1, 9)), count)
                pairs += [(i, j) for i in range(start, stop) for j in range(start, i + 1)]
                start = stop
            return BlockSparse(tokens, block, np.array(pairs))
        case "uniform_block_sparse":
            count = -(-tokens // block)
            chosen = generator.permuted(np.tile(np.arange(count) < max(1, round(keep * count)), (count, 1)), axis=1)
            return BlockSparse(tokens, block, chosen)
        case "variable_block_sparse":
            # Blocks of different lengths, made of whole pieces of 64 tokens.
            count = -(-tokens // 64)
            cuts = np.sort(generator.choice(np.arange(1, count), max(0, tokens // block - 1), replace=False))
            owner = np.searchsorted(cuts, np.arange(count), side="right")
            chosen = generator.uniform(size=(len(cuts) + 1,) * 2) < keep
            np.fill_diagonal(chosen, True)
            return BlockSparse(tokens, 64, chosen[np.ix_(owner, owner)])
        case _:
            from lightbound.base.errors import LightboundError, choose_from

            raise LightboundError("pattern", pattern, "is not a mask of LongCA-bench", choose_from(PATTERNS, pattern))


PATTERNS = (
    "full", "causal", "full_document", "causal_document", "sliding_window", "causal_sliding_window", "shared_question",
    "causal_blockwise", "prefix_causal", "prefix_document", "global_sliding_window", "block_causal_document",
    "uniform_block_sparse", "variable_block_sparse",
)  # fmt: skip


def reference(variant: str, given: Mapping[str, torch.Tensor], sizes: Mapping[str, int]) -> Mapping[str, torch.Tensor]:
    """PyTorch's own attention; a ring gives what the whole sequence gives."""
    from torch.nn.functional import scaled_dot_product_attention

    q, k, v = (given[name] for name in "QKV")
    if variant in ATTENTION.cascades:
        return {"O": scaled_dot_product_attention(q, k, v)}
    allowed = given["ALLOWED"] == 1 if "ALLOWED" in given else None
    out = scaled_dot_product_attention(q.flatten(1, 2), k, v, attn_mask=allowed, enable_gqa=True)
    return {"O": out.unflatten(1, q.shape[1:3])}


def inputs(generator: np.random.Generator, shapes: Mapping[str, Any], sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """Each query may attend itself and some others."""
    if "ALLOWED" not in shapes:
        return {}
    return {
        "ALLOWED": 1.0 * ((generator.uniform(size=shapes["ALLOWED"]) < 0.5) | np.eye(*shapes["ALLOWED"], dtype=bool))
    }


PAPER = "Long-Context Attention Benchmark, arXiv 2510.17896"
CODE = "NJUDeepEngine/LongCA-bench"
_HEADS = {"B": 1, "H": 64, "E": 128, "F": 128, "K": 8, "G": 8}


def _ring(devices: int, local: int = 8192) -> dict[str, int]:
    return {"N": local, "S": devices, "C": local}


_UNPUBLISHED = "rates and memory stand in figures and an appendix that were not read"
METHOD = Method(
    name="longca_bench",
    title="LongCA-bench: masks, kernels and rings for long contexts",
    question="How far does the area of a mask, and not the square of the length, predict time?",
    source=f"{PAPER}; {CODE}",
    cascades={**ATTENTION.cascades, "any_mask": ANY_MASK, "ring": RING},
    sizes={**_HEADS, **_ring(8)},
    presets={
        **{f"{pattern}_16k": {"tokens": 16384, "pattern": pattern,
                              **({"window": 1280} if pattern.startswith("global") else {})}
           for pattern in PATTERNS},
        "causal_sliding_window_48k": {"tokens": 49152, "pattern": "causal_sliding_window"},
        "sparse_uniform_32k": {"tokens": 32768, "pattern": "uniform_block_sparse", "block": 128,
                               "keep": 0.5},
        "ring_512k": {**_ring(64), "tokens": 16384},
        "tiny": {"B": 2, "H": 4, "E": 4, "F": 4, "K": 2, "G": 2, "N": 4, "S": 4, "C": 4, "M0": 4, "tokens": 16,
                 "documents": (5, 4, 7), "window": 3, "prefix": 3, "block": 4},
    },
    preset_sources={
        **{f"{pattern}_16k": f"{CODE}: 16K tokens, 64 heads of 128 and 8 of keys, windows of 1024; documents are drawn "
           "from the coarse distribution of their lengths, assumed" for pattern in PATTERNS},
        "causal_sliding_window_48k": f"{CODE}: the longest sequence of the kernels' runs",
        "sparse_uniform_32k": f"{CODE}: half of the blocks of 128",
        "ring_512k": f"{CODE}: 64 devices with 8K tokens each",
        "tiny": "our choice, for tests",
    },
    mappings=ATTENTION.mappings,
    interchangeable=tuple(ATTENTION.cascades),
    mask=pattern_mask,
    options={"tokens": 16384, "pattern": "causal", "documents": (), "window": 1024, "prefix": 4096, "block": 1024,
             "keep": 0.5, "seed": 0},
    reference=reference,
    inputs=inputs,
    claims=(
        Claim("coverage", "14 masks, 7 dense and 5 sparse kernels, 5 schemes, 1K to 768K tokens, 8 to 96 H100", 14,
              "masks", f"{PAPER}, abstract", "abstract", not_derivable="what was measured, not how fast it is"),
        Claim("dense kernels", "FlashAttention-3 is fastest on regular masks", 1, "rank", PAPER, "third party",
              not_derivable=_UNPUBLISHED),
        Claim("sparse kernels", "VSA is fastest; FlashInfer with blocks of 128 well before blocks of 64", 1, "rank",
              PAPER, "third party", not_derivable=_UNPUBLISHED),
        Claim("schemes", "USP and LoongTrain are best overall, rings between peers on full masks", 1, "rank", PAPER,
              "third party", not_derivable=_UNPUBLISHED),
    ),
    assumed={
        "heads": "the fused variants repeat keys for each of 64 heads; `any_mask` and `ring` share 8",
        "prefixes": "4096 tokens; the benchmark draws them evenly",
        "global window": "1280 tokens; the benchmark draws it evenly up to a third of the sequence",
    },
)  # fmt: skip
