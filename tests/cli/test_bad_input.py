"""Bad input exits with 2 and one message that names field, value and remedy; never with a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Run

SIMULATE = ("simulate", "fusemax", "--machine", "fusemax", "--mapping", "binding")
CYCLE = "A[i] = B[i] + X[i]\nB[i] = A[i] * 2\n"


def _message(run: Run, *arguments: str) -> str:
    """The one message of a command that must refuse its input."""
    ran = run(*arguments)
    assert ran.code == 2, ran
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert ran.err.count("error: ") == 1
    assert "Traceback" not in ran.err
    return ran.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--set", "Z=4"), ("sizes.Z = 4", "Choose from: B, E, F, H, M", "The ranks are b, h, m1, m0, p, e, f")),
        (("--set", "m=4"), ("sizes.m = 4", "M=4")),
        (("--set", "self=4"), ("sizes.self = 4", "The ranks are")),
        (("--set", "M=0"), ("--set M = 0", "is zero", "M=4096")),
        (("--set", "M=-1"), ("--set M = -1", "is negative", "M=4096")),
        (("--set", "M=4.5"), ("--set M = 4.5", "is not a whole number")),
        (("--set", "M"), ("--set = M", "NAME=VALUE")),
        (("--set-machine", "global_buffer=16s"), ("global_buffer", "= 16s", "such as 16 MiB")),
        (("--set-machine", "global_buffer=0 B"), ("global_buffer", "= 0 B", "is not positive")),
        (("--set-machine", "pe_dim=-3"), ("pe_dim = -3", "is not positive")),
        (("--set-machine", "global_bufer=1 MiB"), ("global_bufer", "Did you mean 'global_buffer'?")),
        (("--set-machine", "pe_dim"), ("--set-machine = pe_dim", "NAME=VALUE")),
        (("--set-machine", "global_buffer=1 KiB"), ("global_buffer.capacity", "is too small", "Enlarge")),
        (("--preset", "bart"), ("preset = bart", "Did you mean 'bert'?")),
        (("--variant", "4-pass"), ("variant = 4-pass", "1-pass")),
        (("--engine", "crystal_ball"), ("engine = crystal_ball", "analytical")),
        (("--format", "xml"), ("--format = xml", "csv, json, table")),
    ],
)
def test_an_option_that_cannot_be_used_is_named_with_its_remedy(
    run: Run, arguments: tuple[str, ...], told: tuple[str, ...]
) -> None:
    message = _message(run, *SIMULATE, *arguments)
    for part in told:
        assert part in message


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("simulat",), ("command = simulat", "Did you mean 'simulate'?")),
        (("simulate", "fusemax"), ("--machine", "is missing", "simulate --help")),
        (("simulate", "--machine", "fusemax"), ("WORKLOAD", "is missing")),
        (("simulate", "fusemax", "--machin", "fusemax"), ("--machin", "Did you mean '--machine'?")),
        (("simulate", "fusemax", "--machine"), ("--machine", "needs a value")),
        ((*SIMULATE, "more"), ("more", "simulate --help")),
        (("--nonsense",), ("--nonsense", "--version")),
        (("list", "birds"), ("birds", "machines, mappings, suites, workloads")),
        (("show", "fusemx"), ("fusemx", "Did you mean 'fusemax'?")),
        (("show", "fusemax:bindin"), ("bindin", "Did you mean 'binding'?")),
        (("show", "fusemax:flat"), ("fusemax:flat", "--machine")),
        (("show", "fusemax", "--kind", "bird"), ("bird", "machine, workload")),
        (("simulate", "fusemx", "--machine", "fusemax"), ("fusemx", "Did you mean 'fusemax'?")),
        (("simulate", "fusemax", "--machine", "h2000"), ("h2000", "Did you mean 'h200'?")),
        (("size", "fusemax", "--machine", "fusemax", "--level", "bufer"), ("bufer", "global_buffer")),
        (("size", "fusemax", "--machine", "fusemax", "--plot", "slope.bmp"), ("slope.bmp", ".png, .svg, .pdf")),
        (("validate", "fusemx"), ("fusemx", "Did you mean 'fusemax'?")),
        (("validate", "fusemax", "--cases", "nowhere.csv"), ("nowhere.csv", "does not exist")),
    ],
)
def test_a_command_that_cannot_be_carried_out_says_what_to_write_instead(
    run: Run, arguments: tuple[str, ...], told: tuple[str, ...]
) -> None:
    message = _message(run, *arguments)
    for part in told:
        assert part in message


def test_a_missing_file_is_named_wherever_it_was_given(run: Run, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    for arguments in (
        ("simulate", f"{nowhere}.txt", "--machine", "fusemax"),
        ("simulate", f"{nowhere}.yaml", "--machine", "fusemax"),
        ("simulate", "fusemax", "--machine", f"{nowhere}.yaml"),
        ("simulate", "fusemax", "--machine", "fusemax", "--mapping", f"{nowhere}.yaml"),
        ("show", f"{nowhere}.yaml"),
    ):
        message = _message(run, *arguments)
        assert nowhere in message
        assert "does not exist" in message


@pytest.mark.parametrize("suffix", [".txt", ".yaml"])
def test_a_file_that_is_not_utf8_is_refused_with_its_line(run: Run, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"latin{suffix}"
    path.write_bytes(b"# first line\n# caf\xe9\n")
    message = _message(run, "simulate", str(path), "--machine", "fusemax")
    assert "is not UTF-8 text (byte 0xe9 in line 2)" in message
    assert "Save it as UTF-8" in message


def test_malformed_yaml_is_shown_with_its_line_and_column(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("name: [unclosed\nlevels: {}\n")
    for arguments in (
        ("simulate", str(path), "--machine", "fusemax"),
        ("simulate", "fusemax", "--machine", str(path)),
        ("simulate", "fusemax", "--machine", "fusemax", "--mapping", str(path)),
        ("show", str(path)),
    ):
        message = _message(run, *arguments)
        assert str(path) in message
        assert "line 2, column" in message


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "just words\n", "42\n"])
def test_a_yaml_file_that_holds_something_else_is_refused(run: Run, tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(content)
    for arguments in (
        ("simulate", str(path), "--machine", "fusemax"),
        ("simulate", "fusemax", "--machine", str(path)),
        ("simulate", "fusemax", "--machine", "fusemax", "--mapping", str(path)),
        ("show", str(path)),
    ):
        assert str(path) in _message(run, *arguments)


def test_a_cyclic_cascade_is_refused_with_the_tensors_on_the_circle(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cycle.txt"
    path.write_text(CYCLE)
    message = _message(run, "simulate", str(path), "--machine", "fusemax", "--set", "I=8")
    assert "A" in message
    assert "B" in message


def test_a_size_that_a_cascade_lacks_is_asked_for(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "product.txt"
    path.write_text("Z[m,n] = sum(A[m,k] * B[k,n], k)\n")
    message = _message(run, "simulate", str(path), "--machine", "fusemax", "--set", "M=8,N=8")
    assert "K" in message
    assert "has no value" in message


PRODUCT = "bind: [{{einsums: Z, unit: 2d}}]\ngroups: [{{einsums: Z, nest: [{{for: m, tile: {tile}}}]}}]\n"


@pytest.mark.parametrize(
    ("tile", "told"),
    [("0", "is below 1"), ("-8", "is below 1"), ("4096", "is larger than the rank, which has 64")],
)
def test_a_tile_that_is_no_part_of_its_rank_is_refused(run: Run, tmp_path: Path, tile: str, told: str) -> None:
    path = tmp_path / "product.yaml"
    path.write_text(PRODUCT.format(tile=tile))
    small = ("--set", "M=64,N=64,K=64", "--mapping", str(path))
    message = _message(run, "simulate", "matmul", "--machine", "fusemax", *small)
    assert tile in message
    assert told in message


def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "module.py").write_text("raise SystemExit('traced')\n")
    monkeypatch.setattr("lightbound.cli.simulating.simulate", None)
    for arguments, told in (
        ((*SIMULATE, "--report", str(tmp_path / "folder.html")), "is a folder. Name a file."),
        ((*SIMULATE, "--report", "/proc/page.html"), "cannot be written ("),
        ((*SIMULATE, "--report", str(tmp_path / "no" / "page.html")), "lies in a folder that does not exist"),
        ((*SIMULATE, "--engine", "event", "--trace", "/proc/run.json"), "cannot be written ("),
        (("trace", f"{tmp_path}/module.py:make", "--out", str(tmp_path / "no" / "a.einsum")), "does not exist"),
        (("trace", f"{tmp_path}/module.py:make", "--out", "/proc/a.einsum"), "cannot be written ("),
        (("bound", "gna", "--preset", "demo_1d", "--plot", "/proc/a.png"), "cannot be written ("),
        (("size", "fusemax", "--machine", "fusemax", "--plot", "/proc/a.png"), "cannot be written ("),
        (("probe", "host", "--output", "/proc/host.yaml"), "cannot be written ("),
    ):
        assert told in _message(run, *arguments)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["folder.html", "module.py"]


def test_a_write_that_fails_after_the_work_is_one_message_and_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    message = _message(run, *SIMULATE, "--report", str(tmp_path / "page.md"))
    assert "cannot be written (No space left on device)" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has a device that is always full.")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_output_that_is_full_is_one_message(unbuffered: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lightbound", "list", "machines"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("error: standard output: cannot be written (")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*SIMULATE, "--engine", "event", "--trace", "run.txt"), "--trace = run.txt: is of no kind that is written"),
        (("v2x", "--trace", "run.txt"), "--trace = run.txt: is of no kind that is written"),
        ((*SIMULATE, "--trace", "run.json"), "needs a run of events to draw. Add --engine event."),
        (("explore", "--port", "99999"), "--port = 99999: is no port. Write 1 to 65535"),
        (("explore", "--port", "-5"), "--port = -5: is no port"),
    ],
)
def test_a_trace_of_another_kind_and_a_port_that_is_none_are_refused(
    run: Run, arguments: tuple[str, ...], told: str
) -> None:
    assert told in _message(run, *arguments)


def test_an_interrupt_exits_with_130_and_says_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lightbound.cli.listing.answer", interrupted)
    ran = run("list")
    assert (ran.code, ran.out, ran.err) == (130, "", "")
