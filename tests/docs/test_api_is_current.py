"""docs/api.md says what the docstrings say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import lightbound

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def builder() -> Any:
    spec = importlib.util.spec_from_file_location("build_api", DOCS / "build_api.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_api_page_is_what_the_docstrings_say(builder: Any) -> None:
    assert builder.main(["--check"]) == 0, "run python docs/build_api.py"


def test_every_public_name_has_an_entry(builder: Any) -> None:
    entries = {line.removeprefix("### ") for line in builder.build().splitlines() if line.startswith("### ")}
    assert set(lightbound.__all__) <= entries


def test_a_page_that_says_something_else_fails_the_check(
    builder: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder.PAGE = tmp_path / "api.md"
    assert builder.main(["--check"]) == 1
    assert builder.main([]) == 0 and builder.main(["--check"]) == 0
    builder.PAGE.write_text(builder.build().replace("simulate", "guess"), encoding="utf-8")
    assert builder.main(["--check"]) == 1
    assert "Run python docs/build_api.py" in capsys.readouterr().out


def test_parameters_and_fields_become_lists_and_signatures_keep_their_defaults(builder: Any) -> None:
    page = builder.build()
    assert "engine: str = 'analytical'" in page
    assert "\n- `mapping`: the name of one of the workload's mappings" in page
    assert "| `for` | `str` | required |" in page, "documents show the names that users write"
