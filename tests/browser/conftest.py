"""Pages in headless Chromium: skipped where there is no Chromium or no Playwright. Screenshots are kept in out/."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="pages are driven with playwright (extra dev)")
SCREENSHOTS = Path(os.environ.get("LIGHTBOUND_SCREENSHOTS", Path(__file__).parents[2] / "out" / "screenshots"))
PATIENCE_MS = 120_000  # a machine may be busy
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


class Opened:
    """A page, and what went wrong in it: errors of its scripts and console, and what it asked of a network."""

    def __init__(self, page: Any, allowed: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda asked: self._note(asked.url, allowed))

    def _note(self, url: str, allowed: str) -> None:
        if not url.startswith((allowed, "data:", "blob:")):
            self.requests.append(url)

    def keep(self, name: str) -> None:
        """Keep a picture of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def serious(self) -> list[str]:
        """What axe finds that keeps people out."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")
        ]


Open = Callable[..., Opened]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium is installed")
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
        browser = driver.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Open]:
    """Opens an address at a size, with eyes on what goes wrong."""
    contexts = []

    def one(address: str, size: str = "desktop") -> Opened:
        phone = size == "phone"
        context = chromium.new_context(viewport=SIZES[size], has_touch=phone, is_mobile=phone)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        opened = Opened(context.new_page(), address.split("?")[0])
        opened.page.goto(address)
        return opened

    yield one
    for context in contexts:
        context.close()
