"""Every instruction set gives the same results; threads and callers do not disturb each other; bad input is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from lightbound.base.errors import LightboundError
from lightbound.kernels import host

from .host_references import TOLERANCE, apart, attention


@pytest.mark.parametrize("name", host.instruction_sets())
def test_every_instruction_set_gives_the_same(name: str, normal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    best = _everything(normal)
    monkeypatch.setenv("LIGHTBOUND_ISA", name)
    assert host.instruction_set()["name"] == name
    for found, expected in zip(_everything(normal), best, strict=True):
        assert apart(found, expected.astype(float)) <= TOLERANCE


def _everything(normal: Any) -> list[np.ndarray]:
    q, k, v = (normal(1, 2, 101, 37, seed=seed) for seed in range(3))
    flat = [array[0] for array in (q, k, v)]
    return [
        host.attention(q, k, v, causal=True),
        host.three_pass_attention(q, k, v),
        host.sliding_window_attention(q, k, v, 20),
        host.gna_attention(q[:, :, :96].copy(), k, v, (8, 12), (3, 5), (2, 2), (2, 1)),
        host.block_sparse_attention(q, k, v, np.eye(4, dtype=bool), 30, 30),
        host.linear_attention(*flat)[0],
        host.prefix_attention(normal(2, 101), flat[2], 13),
        host.gemm(flat[0], flat[1], True),
        host.softmax(flat[0][0]),
        host.exp(q),
    ]


def test_an_unknown_instruction_set_is_refused(monkeypatch: pytest.MonkeyPatch, normal: Any) -> None:
    monkeypatch.setenv("LIGHTBOUND_ISA", "mmx")
    with pytest.raises(LightboundError, match="LIGHTBOUND_ISA = mmx: is not an instruction set of this machine"):
        host.exp(normal(3))


def test_callers_in_several_threads_get_what_they_asked_for(normal: Any) -> None:
    inputs = [[normal(1, 3, 90 + n, 24, seed=seed) for seed in range(3)] for n in range(6)]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda given: host.attention(*given, causal=True, threads=3), inputs))
    for given, found in zip(inputs, results, strict=True):
        assert np.array_equal(found, host.attention(*given, causal=True, threads=1))


def test_every_thread_reports_its_time(normal: Any) -> None:
    seconds: list[float] = []
    q = normal(1, 4, 200, 16)
    host.attention(q, q, q, threads=2, seconds=seconds)
    assert len(seconds) == 2 and min(seconds) > 0


def test_shared_keys_are_those_of_the_group(normal: Any) -> None:
    q, k = normal(2, 6, 9, 8), normal(2, 3, 12, 8, seed=1)
    assert apart(host.attention(q, k, k), attention(q, k, k)) <= TOLERANCE


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda q: host.attention(q.astype(float), q, q), "q = float64: is not the type of the kernels. Convert"),
        (lambda q: host.attention(q[0], q, q), "q = .*: has 3 axes. Give 4: batch, heads, tokens, head dimension"),
        (lambda q: host.attention(q[:, :, ::2], q, q), "q = .*: is not in row-major order. Copy it"),
        (lambda q: host.attention(q, q, q[:, :, :3].copy()), "tokens of v = 3: differs from those of k, which is 8"),
        (lambda q: host.attention(q, q[..., :4].copy(), q), "head dimension of k = 4: differs from that of q"),
        (lambda q: host.attention(q[:, :1].copy(), q, q), "heads of q = 1: is no multiple of the 2 of k"),
        (lambda q: host.attention(q, q, q, threads=0), "threads = 0: is out of range"),
        (lambda q: host.attention(q, q, q, scale=float("nan")), "scale = nan: is not a finite number"),
        (lambda q: host.gna_attention(q, q, q, (2, 5), 2), "q = 8: differs from the number of tokens of the grid"),
        (lambda q: host.gna_attention(q, q, q, (2, 4), 3), "window = .*: spans 3 of 2 tokens on axis 0"),
        (lambda q: host.gna_attention(q, q, q, (2, 4), 2, 3), "stride = .*: is larger than the window on axis 0"),
        (lambda q: host.gna_attention(q, q, q, (2, 4), 2, q_tile=(16, 8)), "q_tile = .*: is not a tile of 2 axes"),
        (lambda q: host.block_sparse_attention(q, q, q, np.ones((1, 2), bool)), "visits = .*: is not the table"),
        (lambda q: host.linear_attention(q[0], q[0], q[0], chunk=65), "chunk = 65: is out of range"),
        (lambda q: host.linear_attention(q[0], q[0], q[0], q[0, :, 0, 0].copy() + 9), "decay = .*: leaves the range"),
        (lambda q: host.prefix_attention(q[0, :, 0].copy(), q[0]), "tokens of v = 8: differs from those of scores"),
        (lambda q: host.gemm(q[0], q[0]), "K of b = 8: differs from that of a, which is 6"),
    ],
)
def test_bad_input_gets_one_clear_message(call: Any, message: str, normal: Any) -> None:
    with pytest.raises(LightboundError, match=message):
        call(normal(1, 2, 8, 6))
