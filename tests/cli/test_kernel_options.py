"""Options about a kernel: causal masks, types, tiles and params, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Run

ATTENTION = ("simulate", "attention", "--machine", "h200", "--set", "M=4K,P=4K", "--format", "json")


def test_causal_attention_is_faster_and_says_how_many_tiles_it_visits(run: Run) -> None:
    full = json.loads(run(*ATTENTION, "--mapping", "flash").out)
    half = json.loads(run(*ATTENTION, "--mapping", "flash", "--causal", "--dtype", "bf16").out)
    assert half["latency_s"] < 0.75 * full["latency_s"]
    assert any("are visited" in note for note in half["assumptions"])


def test_tiles_stages_and_params_reach_the_mapping(run: Run) -> None:
    found = json.loads(run(*ATTENTION, "--causal", "--tiles", "192x64", "--stages", "3", "--param", "CONTEXTS=2").out)
    assert (found["params"]["BR"], found["sizes"]["M0"]) == (192, 64)
    assert (found["params"]["STAGES"], found["params"]["CONTEXTS"]) == (3, 2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--dtype", "fp8"), "bf16, fp16"),
        (("--mapping", "flash", "--param", "FOO=3"), "BR"),
        (("--mapping", "flash", "--param", "FOO"), "--param NAME=VALUE"),
        (("--tiles", "128"), "--tiles 128x64"),
        (("--stages", "0", "--causal"), "--stages 2"),
        (("--warps", "4", "--mapping", "flash"), "STAGES"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_remedy(run: Run, options: tuple[str, ...], told: str) -> None:
    done = run(*ATTENTION, *options)
    assert done.code == 2
    assert told in done.err


def test_a_workload_without_queries_and_keys_cannot_be_causal(run: Run) -> None:
    done = run("simulate", "matmul", "--machine", "h200", "--causal")
    assert done.code == 2
    assert "--causal" in done.err
