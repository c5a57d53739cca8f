"""``lightbound trace`` and ``lightbound memory``: a module from a file, and what it needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Run

FACTORY = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        return x + self.down(nn.functional.gelu(self.up(self.norm(x))))

def block(tokens: int = 64, width: int = 32):
    return Block(width), torch.empty(2, tokens, width)

def unknown(tokens: int = 64):
    return (lambda x: torch.linalg.cholesky(x)), torch.empty(tokens, tokens)

def empty():
    return Block(4)
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "my_block.py"
    path.write_text(FACTORY)
    return path


def test_a_module_becomes_a_file_that_other_commands_take(run: Run, module: Path, tmp_path: Path) -> None:
    out = tmp_path / "block.einsum"
    ran = run("trace", f"{module}:block", "--set", "tokens=1K", "--out", str(out))
    assert ran.code == 0, ran.err
    assert "No operator is opaque" in ran.out and "native_layer_norm" in ran.out
    for command in (["simulate", str(out), "--machine", "fusemax"], ["show", str(out)], ["memory", str(out)]):
        ran = run(*command)
        assert ran.code == 0, ran.err
    assert "S=1024" in out.read_text().replace(": ", "=")


def test_json_has_the_counts_by_operator_and_einsum(run: Run, module: Path) -> None:
    data = json.loads(run("trace", f"{module}:block", "--format", "json").out)
    assert data["total_operations"]["mac"] == 2 * 64 * 32 * 128 * 2 + 2 * 64 * 32  # and the squares of the norm
    assert data["operators"]["addmm"]["einsums"] == 2
    assert {row["module"] for row in data["einsums"]} == {"", "norm", "up", "down"}
    assert "einsum,operator" in run("trace", f"{module}:block", "--format", "csv").out


def test_a_training_step_and_what_is_opaque_are_said(run: Run, module: Path) -> None:
    assert "Einsums of a training step" in run("trace", f"{module}:block", "--train").out
    ran = run("trace", f"{module}:unknown")
    assert ran.code == 0 and "Opaque operators" in ran.out and "cholesky" in ran.out and "% of operations" in ran.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}:blok"], "is not a function of it. Did you mean 'block'?"),
        (["{}"], "does not name a file and a function"),
        (["nowhere.py:f"], "does not exist"),
        (["{}:block", "--set", "token=3"], "is not a parameter of"),
        (["{}:empty"], "does not return a module and its inputs"),
        (["{}:block", "--out", "block.json"], "is not a file of Einsums"),
    ],
)
def test_bad_input_is_one_message(run: Run, module: Path, arguments: list[str], message: str) -> None:
    ran = run("trace", *(one.format(module) for one in arguments))
    assert ran.code == 2 and message in ran.err and "Traceback" not in ran.err


def test_memory_is_told_by_einsum_and_apart_from_parameters(run: Run) -> None:
    sizes = ("--set", "B=1,H=2,M=256,P=256,E=16,F=16")
    inference = json.loads(run("memory", "attention", *sizes, "--format", "json").out)
    training = json.loads(
        run(
            "memory", "attention", *sizes, "--training", "--parameters", "V", "--optimizer", "adam", "--format", "json"
        ).out
    )
    assert training["activation_bytes"] > inference["activation_bytes"]
    assert training["optimizer_bytes"] == 8 * 2 * 256 * 16
    assert "is at" in run("memory", "attention", *sizes, "--fused", "p").out
    ran = run("memory", "attention", *sizes, "--optimizer", "adamw")
    assert ran.code == 2 and "is not known" in ran.err
