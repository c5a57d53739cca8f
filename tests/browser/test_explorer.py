"""The explorer: what it shows is what the command line prints, its address holds its state, and it asks no network."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from lightbound.cli import main
from lightbound.sim.explain import seconds

if TYPE_CHECKING:
    from conftest import Open, Opened

pytest.importorskip("dash", reason="the explorer is built with dash (extra explore)")
WINDOW = """[id='{"name":"window","type":"mask"}']"""


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """The address of an explorer that runs beside the test."""
    from lightbound.explorer.server import server
    from lightbound.explorer.state import State

    serving, address = server(State("gna", "h200", "flux_4k", "flash"), 0)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield address
    serving.shutdown()
    thread.join()


def _printed(command: str) -> Any:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main([*shlex.split(command)[1:], "--format", "json"]) == 0
    return json.loads(out.getvalue())


def _change(opened: Opened, place: str, value: str) -> None:
    opened.page.fill(place, value)
    opened.page.press(place, "Enter")
    opened.page.wait_for_function("said => document.querySelector('#command')?.textContent.includes(said)", arg=value)


def test_a_control_changes_the_numbers_to_what_the_command_line_prints(served: str, open_page: Open) -> None:
    opened = open_page(served)
    page = opened.page
    page.wait_for_selector("#latency")
    before = page.inner_text("#latency")
    _change(opened, WINDOW, "64,48")
    assert page.inner_text("#latency") != before
    found = _printed(page.inner_text("#command"))
    assert page.inner_text("#latency") == seconds(found["latency_s"])
    assert page.inner_text("#bottleneck") == found["bottleneck"]
    ladder = _printed(page.inner_text("#bound-command"))
    assert page.inner_text("#speedup") == f"{ladder['speedup']:.4g}x"
    page.wait_for_function("document.querySelectorAll('.plots .main-svg path').length > 50")
    assert (opened.errors, opened.requests) == ([], [])
    assert opened.serious() == []
    opened.keep("explorer")


def test_the_python_code_prints_the_same(served: str, open_page: Open) -> None:
    query = "workload=attention&machine=h200&preset=llama2_7b&mapping=flash&causal=yes"
    opened = open_page(f"{served.split('?')[0]}?{query}")
    opened.page.wait_for_selector("#latency")
    _change(opened, "#tiles", "64x64")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(opened.page.inner_text("#python"), {})
    latency, bottleneck = out.getvalue().split()
    assert seconds(float(latency)) == opened.page.inner_text("#latency")
    assert bottleneck == opened.page.inner_text("#bottleneck")
    assert _printed(opened.page.inner_text("#command"))["latency_s"] == float(latency)


def test_an_address_shows_the_same_state_anew_and_on_a_phone(served: str, open_page: Open) -> None:
    opened = open_page(served)
    opened.page.wait_for_selector("#latency")
    _change(opened, WINDOW, "64,64")
    address = opened.page.url
    assert "mask.window=64%2C64" in address
    again = open_page(address, "phone")
    again.page.wait_for_selector("#latency")
    assert again.page.input_value(WINDOW) == "64,64"
    assert again.page.inner_text("#latency") == opened.page.inner_text("#latency")
    assert again.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    again.keep("explorer-phone")


def test_a_choice_of_another_machine_brings_a_mapping_that_runs_there(served: str, open_page: Open) -> None:
    page = open_page(served).page
    page.wait_for_selector("#latency")
    page.click("#machine")
    page.get_by_role("option", name="b200", exact=True).click()
    page.wait_for_function("document.querySelector('#command')?.textContent.includes('b200')")
    assert page.inner_text("#latency") == seconds(_printed(page.inner_text("#command"))["latency_s"])


@pytest.mark.parametrize(
    "query, said",
    [
        ("workload=<b>x</b>&machine=h200", "workload = <b>x</b>: is not known"),
        ("workload=/etc/passwd.yaml&machine=h200", "is not known"),
        ("workload=gna&machine=../../secret.yaml", "is not known"),
        ("workload=gna&machine=h200&preset=tiny&mask.window=nine", "is not a shape"),
        ("workload=gna&machine=h200&preset=tiny&sizes=M=-4", "is negative"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_read(served: str, open_page: Open, query: str, said: str) -> None:
    opened = open_page(f"{served.split('?')[0]}?{query}")
    opened.page.wait_for_function("document.querySelector('#problem')?.textContent")
    assert said in opened.page.inner_text("#problem")
    assert opened.errors == []


def test_it_listens_on_this_machine_alone_and_to_its_own_name(served: str) -> None:
    import urllib.error
    import urllib.request

    assert served.startswith("http://127.0.0.1:")
    asked = urllib.request.Request(served, headers={"Host": "elsewhere.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked)
    assert refused.value.code == 400
