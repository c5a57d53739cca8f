"""What the vocabulary of mappings can say beyond the methods that ship: GPUs, recurrences, gathers, windows, rings.

Each mapping is written by hand as plain data, and the numbers it must give are worked out beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lightbound.archs.library import machine
from lightbound.sim.simulate import simulate
from lightbound.workloads.cascade import Cascade

KIB, MIB = 1 << 10, 1 << 20
WORD = 2

ONE_PASS = Cascade.parse(
    """
    S[h,m1,m0,p]   = sum(Q[h,p,e] * K[h,m1*M0+m0,e], e)
    LM[h,m1,p]     = max(S[h,m1,m0,p], m0)
    RM[h,0,p]      = -inf
    RM[h,m1+1,p]   = max(RM[h,m1,p], LM[h,m1,p])
    N[h,m1,m0,p]   = exp(S[h,m1,m0,p] - RM[h,m1+1,p])
    LD[h,m1,p]     = sum(N[h,m1,m0,p], m0)
    C[h,m1,p]      = exp(RM[h,m1,p] - RM[h,m1+1,p])
    RD[h,0,p]      = 0
    RD[h,m1+1,p]   = RD[h,m1,p] * C[h,m1,p] + LD[h,m1,p]
    RO[h,0,p,f]    = 0
    RO[h,m1+1,p,f] = RO[h,m1,p,f] * C[h,m1,p] + sum(N[h,m1,m0,p] * V[h,m1*M0+m0,f], m0)
    O[h,p,f]       = RO[h,M1,p,f] / RD[h,M1,p]
    """
)
EVERY = [einsum.name for einsum in ONE_PASS.einsums]


def test_fused_attention_on_a_gpu_with_its_blocks_dealt_over_multiprocessors() -> None:
    """16 heads of 4096 queries and keys: 512 blocks of 128 queries over 132 multiprocessors; the busiest does 4."""
    lanes = {"lanes": ["p", "m0"]}
    mapping = {
        "sizes": {"M0": 128},
        "bind": [
            {"einsums": ["S"], "unit": "tensor", "space": lanes},
            {"einsums": ["RO"], "unit": "alu", "space": {"lanes": ["p", "f"]}},
            {"einsums": ["RO"], "unit": "tensor", "space": {"lanes": ["p", "f"]}, "ops": ["mac"]},
            {"einsums": ["LM", "LD", "RM", "RD"], "unit": "alu", "space": lanes},
            {"einsums": ["N", "C"], "unit": "sfu", "space": lanes},
            {"einsums": ["O"], "unit": "sfu", "space": {"lanes": ["p", "f"]}},
        ],
        "groups": [{
            "einsums": EVERY,
            "nest": [
                {"for": "h", "over": "sm"},
                {"for": "p", "tile": 128, "over": "sm"},
                {"hold": "Q", "in": "shared"},
                {"hold": ["Q", "RM", "RD", "RO"], "in": "registers"},
                {"for": "m1"},
                {"hold": ["K", "V"], "in": "l2"},
                {"hold": ["K", "V"], "in": "shared", "copies": 2},
            ],
        }],
    }  # fmt: skip
    cascade = ONE_PASS.with_sizes(H=16, P=4096, M=4096, E=128, F=128)
    gpu = machine("h100_sxm")
    found = simulate(cascade, gpu, mapping)
    rounds, block = 4, 128 * 4096
    cycles = {name: busy * found.groups[0].clock_hz for name, busy in found.busy_s.items()}
    assert cycles["tensor"] == pytest.approx(rounds * 2 * block * 128 / 2048)
    assert cycles["sfu"] == pytest.approx(rounds * (block + 128 * 32 + 128 * 128) / 16)
    assert found.bottleneck == "tensor"
    # The 32 blocks of a head run side by side: keys and values leave the memory once, and the cache 32 times.
    whole = 16 * 4096 * 128 * WORD
    assert found.traffic_by_tensor["dram"] == dict.fromkeys(("Q", "K", "V", "O"), whole)
    assert found.traffic_by_tensor["l2"] == dict.fromkeys(("K", "V"), 33 * whole)
    assert found.traffic_bytes["dram"] == found.compulsory_bytes
    tile = 128 * 128 * WORD
    assert found.occupancy_bytes["shared"] == (1 + 2 * 2) * tile
    assert found.occupancy_bytes["registers"] == (128 + 128 + 2 * 128 * 128) * WORD
    assert found.occupancy_bytes["l2"] == 2 * tile * 5  # 132 multiprocessors work on blocks of 5 heads
    # Without the cache every block fetches its own.
    nest = [node for node in mapping["groups"][0]["nest"] if node.get("in") != "l2"]
    alone = simulate(cascade, gpu, {**mapping, "groups": [{"einsums": EVERY, "nest": nest}]})
    assert alone.traffic_by_tensor["dram"]["K"] == 32 * whole


def test_a_linear_attention_recurrence_carries_its_state_on_chip() -> None:
    """1024 steps of a 64 x 64 state: read and written once a step at its home, and never off chip."""
    cascade = Cascade.parse(
        """
        S[0,d,f]   = 0
        S[t+1,d,f] = S[t,d,f] + K[t,d] * V[t,f]
        O[t,f]     = sum(Q[t,d] * S[t+1,d,f], d)
        """,
        {"T": 1024, "D": 64, "F": 64},
    )
    mapping = {
        "bind": [{"einsums": ["S", "O"], "unit": "2d", "space": {"rows": "d", "cols": "f"}}],
        "groups": [{"einsums": ["S", "O"], "nest": [{"hold": "S", "in": "global_buffer"}, {"for": "t"}]}],
    }
    found = simulate(cascade, "fusemax", mapping)
    assert found.traffic_bytes["dram"] == found.compulsory_bytes == 4 * 1024 * 64 * WORD
    assert found.traffic_by_tensor["global_buffer"]["S"] == 2 * 1024 * 64 * 64 * WORD
    assert found.occupancy_bytes["global_buffer"] == 64 * 64 * WORD
    assert found.busy_s["2d"] * 940e6 == pytest.approx(1024 * (2 + 1))  # a product and a sum, then a product


def test_the_same_recurrence_in_chunks_reads_each_chunk_once() -> None:
    """16 chunks of 64: within a chunk every query meets every key, across chunks the state carries on."""
    cascade = Cascade.parse(
        """
        S[0,d,f]      = 0
        S[n1+1,d,f]   = S[n1,d,f] + sum(K[n1*N0+n0,d] * V[n1*N0+n0,f], n0)
        A[n1,n0,j0]   = where(j0 <= n0, sum(Q[n1*N0+n0,d] * K[n1*N0+j0,d], d), 0)
        O[n1,n0,f]    = sum(Q[n1*N0+n0,d] * S[n1,d,f], d) + sum(A[n1,n0,j0] * V[n1*N0+j0,f], j0)
        """,
        {"N1": 16, "N0": 64, "J0": 64, "D": 64, "F": 64},
    )
    mapping = {
        "bind": [
            {"einsums": ["S", "O"], "unit": "2d", "space": {"rows": ["d", "n0"], "cols": "f"}},
            {"einsums": ["A"], "unit": "2d", "space": {"rows": "n0", "cols": "j0"}},
        ],
        "groups": [{
            "einsums": ["S", "A", "O"],
            "nest": [
                {"hold": "S", "in": "global_buffer"},
                {"for": "n1"},
                {"hold": ["Q", "K", "V", "O"], "in": "global_buffer", "copies": 2},
                {"hold": "A", "in": "global_buffer"},
            ],
        }],
    }  # fmt: skip
    found = simulate(cascade, "fusemax", mapping)
    assert found.traffic_bytes["dram"] == found.compulsory_bytes == 4 * 1024 * 64 * WORD
    assert found.occupancy_bytes["global_buffer"] == (1 + 4 * 2 + 1) * 64 * 64 * WORD


def test_a_top_k_gather_moves_a_row_for_every_index() -> None:
    """512 queries keep 32 of 4096 keys each: a row of K and of V for each, whatever the tiles."""
    cascade = Cascade.parse(
        """
        S[p,m] = sum(Q[p,e] * K[m,e], e)
        I[p,j] = topk(S[p,m], m)
        G[p,j] = exp(sum(Q[p,e] * K[I[p,j],e], e))
        O[p,f] = sum(G[p,j] * V[I[p,j],f], j)
        V: [M, F]
        """,
        {"P": 512, "M": 4096, "J": 32, "E": 64, "F": 64},
    )
    mapping = {
        "bind": [
            {"einsums": ["S"], "unit": "2d", "space": {"rows": "p", "cols": "m"}},
            {"einsums": ["I"], "unit": "1d", "space": {"rows": "p"}},
            {"einsums": ["G"], "unit": "2d", "space": {"rows": "p", "cols": "j"}},
            {"einsums": ["O"], "unit": "2d", "space": {"rows": "p", "cols": "f"}},
        ],
        "groups": [
            {
                "einsums": ["S", "I"],
                "nest": [
                    {"hold": "K", "in": "global_buffer"},
                    {"for": "p", "tile": 256},
                    {"hold": ["Q", "S"], "in": "global_buffer"},
                ],
            },
            {
                "einsums": ["G", "O"],
                "nest": [
                    {"for": "p", "tile": 64},
                    {"hold": ["Q", "I", "K", "G"], "in": "global_buffer"},
                    {"hold": "V", "in": "global_buffer"},
                ],
            },
        ],
    }
    found = simulate(cascade, "fusemax", mapping)
    dram = found.traffic_by_tensor["dram"]
    rows = 512 * 32 * 64
    assert dram["V"] == rows * WORD
    assert dram["K"] == (4096 * 64 + rows) * WORD
    assert dram["I"] == 2 * 512 * 32 * WORD
    assert dram["Q"] == 2 * 512 * 64 * WORD
    assert found.groups[1].occupancy_bytes["global_buffer"] == 64 * (64 + 32 + 32 * 64 + 32 + 32 * 64) * WORD
    select = found.groups[0].einsums["I"].cycles["1d"]
    assert select == 2 * 4096  # every score of a row is looked at, 256 rows at a time


def test_a_3x3_convolution_refetches_the_halo_of_each_tile() -> None:
    """56 x 56 outputs in tiles of 8 rows: 10 rows of the padded input each, 58 wide."""
    cascade = Cascade.parse(
        "Out[y,x,o] = sum(In[y+i,x+j,c] * Wt[i,j,c,o], i, j, c)",
        {"Y": 56, "X": 56, "I": 3, "J": 3, "C": 64, "O": 128},
    )
    mapping = {
        "bind": [{"einsums": ["Out"], "unit": "2d", "space": {"rows": ["x", "y"], "cols": "o"}}],
        "groups": [{
            "einsums": ["Out"],
            "nest": [
                {"hold": "Wt", "in": "global_buffer"},
                {"for": "y", "tile": 8},
                {"hold": ["In", "Out"], "in": "global_buffer", "copies": 2},
            ],
        }],
    }  # fmt: skip
    found = simulate(cascade, "fusemax", mapping)
    dram = found.traffic_by_tensor["dram"]
    assert dram == {
        "In": 7 * 10 * 58 * 64 * WORD, "Wt": 9 * 64 * 128 * WORD, "Out": 56 * 56 * 128 * WORD,
    }  # fmt: skip
    assert found.compulsory_bytes == (58 * 58 * 64 + 9 * 64 * 128 + 56 * 56 * 128) * WORD
    held = 9 * 64 * 128 + 2 * (10 * 58 * 64 + 8 * 56 * 128)
    assert found.occupancy_bytes["global_buffer"] == held * WORD
    # 8 x 56 positions along 256 rows of the array take two steps for each of 9 * 64 products.
    assert found.busy_s["2d"] * 940e6 == pytest.approx(7 * 2 * 9 * 64)


def test_block_sparse_attention_visits_the_blocks_of_its_list_only() -> None:
    """32 blocks of 64 queries look at 8 of 64 blocks of keys each: an eighth of the products, and of the keys moved."""
    text = """
        K: [M1, M0, E]
        V: [M1, M0, F]
        S[p1,p0,j,m0] = sum(Q[p1*P0+p0,e] * K[I[p1,j],m0,e], e)
        G[p1,p0]      = max(S[p1,p0,j,m0], j, m0)
        N[p1,p0,j,m0] = exp(S[p1,p0,j,m0] - G[p1,p0])
        D[p1,p0]      = sum(N[p1,p0,j,m0], j, m0)
        U[p1,p0,f]    = sum(N[p1,p0,j,m0] * V[I[p1,j],m0,f], j, m0)
        O[p1,p0,f]    = U[p1,p0,f] / D[p1,p0]
        """
    sizes = {"P1": 32, "P0": 64, "M0": 64, "M1": 64, "E": 64, "F": 64}
    mapping = {
        "bind": [
            {"einsums": ["S"], "unit": "2d", "space": {"rows": "p0", "cols": "m0"}},
            {"einsums": ["U"], "unit": "2d", "space": {"rows": "p0", "cols": "f"}},
            {"einsums": ["G", "N", "D", "O"], "unit": "1d", "space": {"rows": "p0"}},
        ],
        "groups": [{
            "einsums": ["S", "G", "N", "D", "U", "O"],
            "nest": [
                {"for": "p1"},
                {"hold": ["Q", "I", "S", "N", "U"], "in": "global_buffer"},
                {"do": ["S"], "nest": [{"for": "j"}, {"hold": "K", "in": "global_buffer", "copies": 2}]},
                {"do": ["G", "N", "D"]},
                {"do": ["U"], "nest": [{"for": "j"}, {"hold": "V", "in": "global_buffer", "copies": 2}]},
                {"do": ["O"]},
            ],
        }],
    }  # fmt: skip

    def visits(blocks: int) -> Any:
        return simulate(Cascade.parse(text, {**sizes, "J": blocks}), "fusemax", mapping)

    sparse, dense = visits(8), visits(64)
    for tensor in ("K", "V"):
        assert sparse.traffic_by_tensor["dram"][tensor] == 32 * 8 * 64 * 64 * WORD
        assert dense.traffic_by_tensor["dram"][tensor] == 32 * 64 * 64 * 64 * WORD
    assert sparse.traffic_by_tensor["dram"]["Q"] == 32 * 64 * 64 * WORD
    assert sparse.busy_s["2d"] * 940e6 == pytest.approx(2 * 32 * 8 * 64)
    assert sparse.busy_s["2d"] == pytest.approx(dense.busy_s["2d"] / 8)


RING = """
name: ring
title: Eight devices on a ring
source: For a test
clock: {value: 1 GHz, source: For a test}
instances:
  device: {value: 8, source: For a test}
levels:
  ring:
    bandwidth: {value: 8 * 50e9, source: Eight links of 50 GB/s in one direction}
  hbm:
    scope: device
    capacity: {value: 64 MiB, source: For a test}
    bandwidth: {value: 2 TB/s, source: For a test}
units:
  array:
    scope: device
    shape: {lanes: 4096, source: For a test}
    cost: {mac: 1, add: 1, mul: 1, max: 1, sub: 1, exp: 1, div: 1, source: For a test}
"""


def test_ring_attention_deals_queries_over_devices_and_passes_keys_by(tmp_path: Path) -> None:
    """8192 tokens, 8 heads of 64: every device keeps 1024 queries and sees all keys and values once, 1024 at a step."""
    path = tmp_path / "ring.yaml"
    path.write_text(RING)
    cascade = ONE_PASS.with_sizes(H=8, P=8192, M=8192, E=64, F=64)
    mapping = {
        "sizes": {"M0": "M // device"},
        "bind": [
            {"einsums": EVERY, "unit": "array", "space": {"lanes": ["p", "m0"]}},
        ],
        "groups": [{
            "einsums": EVERY,
            "nest": [
                {"for": "p", "tile": "P // device", "over": "device"},
                {"hold": ["Q", "RM", "RD", "RO"], "in": "hbm"},
                {"for": "m1"},
                {"hold": ["K", "V"], "in": "hbm", "copies": 2},
            ],
        }],
    }  # fmt: skip
    found = simulate(cascade, machine(path), mapping)
    whole = 8 * 8192 * 64 * WORD
    ring = found.traffic_by_tensor["ring"]
    assert ring == {"Q": whole, "K": 8 * whole, "V": 8 * whole, "O": whole}
    assert found.busy_s["ring"] == pytest.approx((2 * 8 + 2) * whole / (8 * 50e9))
    # Each device works on an eighth of the queries.
    products = 2 * 8 * 8192 * 8192 * 64 / 8
    assert found.busy_s["array"] * 1e9 >= products / 4096
    assert found.busy_s["array"] * 1e9 == pytest.approx(products / 4096, rel=0.25)
    local = 8 * 1024 * 64 * WORD
    assert found.occupancy_bytes["hbm"] == 2 * local + 2 * 8 * 1024 * WORD + 2 * 2 * local
    assert found.traffic_by_tensor["hbm"]["K"] >= 8 * whole
