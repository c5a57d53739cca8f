"""Reports open offline, draw every plot, fit a phone, shut nobody out, and run nothing that a user's file says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lightbound.cli import main

if TYPE_CHECKING:
    from conftest import Open, Opened

REPORTS = {
    "simulate": (("simulate", "gna", "--preset", "tiny", "--machine", "h200", "--what-if", "exp=2x"), 5),
    "bound": (("bound", "gna", "--preset", "flux_4k", "--machine", "h200"), 4),
    "size": (("size", "matmul", "--preset", "square_1k", "--machine", "fusemax"), 2),
    "validate": (("validate", "gna"), 4),
    "catalogue": (("catalogue", "--machine", "fusemax", "--method", "ninformer"), 1),
    "v2x": (("v2x", "--agents", "3", "--rate", "27Mbps", "--compression", "256", "--frames", "20"), 3),
    "v2x-sweep": (("v2x", "--compression", "256", "--frames", "20", "--sweep", "agents=1..4"), 2),
}
HOSTILE = "<img src=x onerror=window.broken=1></script><script>window.broken=1</script>"


def _drawn(opened: Opened) -> int:
    opened.page.wait_for_function("document.documentElement.dataset.plots !== undefined")
    drawn = "(one) => one.querySelectorAll('.main-svg path').length > 3"
    return opened.page.evaluate(f"[...document.querySelectorAll('.plot')].filter({drawn}).length")


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_opens_offline_and_draws_every_plot(name: str, tmp_path: Path, open_page: Open) -> None:
    command, plots = REPORTS[name]
    path = tmp_path / "out.html"
    assert main([*command, "--report", str(path)]) == 0
    opened = open_page(path.as_uri())
    assert _drawn(opened) >= plots
    assert opened.page.locator(".plot").count() == _drawn(opened)
    assert (opened.errors, opened.requests) == ([], [])
    assert opened.serious() == []
    assert " ".join(command[:2]) in opened.page.inner_text("footer")
    opened.keep(f"report-{name}")


def test_the_buttons_of_a_plot_lie_on_no_name_of_its_legend(tmp_path: Path, open_page: Open) -> None:
    path = tmp_path / "out.html"
    assert main([*REPORTS["bound"][0], "--report", str(path)]) == 0
    opened = open_page(path.as_uri())
    assert _drawn(opened) >= 4
    boxes = """[...document.querySelectorAll('.plot')].map((one) => ['.modebar', '.legend'].map((part) =>
        one.querySelector(part)?.getBoundingClientRect()).filter((box) => box).map((box) => [box.top, box.bottom]))"""
    pairs = [found for found in opened.page.evaluate(boxes) if len(found) == 2]
    assert len(pairs) >= 4
    for buttons, legend in pairs:
        assert buttons[1] <= legend[0]


def test_a_report_fits_a_phone_and_paper(tmp_path: Path, open_page: Open) -> None:
    path = tmp_path / "out.html"
    assert main(["bound", "gna", "--preset", "flux_4k", "--machine", "h200", "--report", str(path)]) == 0
    opened = open_page(path.as_uri(), "phone")
    assert _drawn(opened) >= 4
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    opened.keep("report-phone")
    opened.page.emulate_media(media="print")
    assert not opened.page.locator("nav").is_visible()
    assert len(opened.page.pdf()) > 10_000


def test_what_a_file_says_is_text_in_a_report(tmp_path: Path, open_page: Open) -> None:
    work = tmp_path / "work.yaml"
    product = {"cascade": "Z[m,n] = sum(A[m,k] * B[k,n], k)", "presets": {HOSTILE: {"M": 64, "N": 64, "K": 64}}}
    work.write_text(json.dumps({**product, "name": HOSTILE, "title": HOSTILE, "source": HOSTILE}), encoding="utf-8")
    path = tmp_path / "out.html"
    command = ("simulate", str(work), "--preset", HOSTILE, "--machine", "fusemax", "--report", str(path))
    assert main(command) == 0
    opened = open_page(path.as_uri())
    assert _drawn(opened) == opened.page.locator(".plot").count()
    assert opened.page.evaluate("window.broken") is None
    assert opened.page.inner_text("h1").startswith(HOSTILE)
    assert "<img src=x" not in path.read_text(encoding="utf-8")
    assert opened.errors == []
