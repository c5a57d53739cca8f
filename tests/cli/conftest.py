"""The command line run in this process: arguments in, exit code and both streams out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from lightbound.cli import main


@dataclass(frozen=True)
class Ran:
    """What a command answered: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``lightbound`` with these arguments, 100 columns wide and without colour."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")

    def one(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(arguments)
        streams = capsys.readouterr()
        return Ran(code, streams.out, streams.err)

    return one
