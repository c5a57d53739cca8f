"""Machines from files: what a file must hold, and that each mistake is one message with field, value and remedy."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightbound.archs.library import machine
from lightbound.base.errors import LightboundError

SMALL = """\
name: small
source: "A lecture"
clock: 1 GHz
params: {n: 4}
levels:
  dram: {bandwidth: 8 GB/s}
  buffer: {capacity: 64 KiB}
units:
  array:
    shape: {rows: n, cols: 2*n}
    cost: {mac: 1, exp: 6}
"""


def written(folder: Path, text: str, name: str = "small.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path | str) -> LightboundError:
    with pytest.raises(LightboundError) as caught:
        machine(path)
    assert caught.value.field and caught.value.problem and caught.value.remedy
    return caught.value


def test_a_small_file_is_a_machine(tmp_path: Path) -> None:
    found = machine(written(tmp_path, SMALL))
    assert found.name == "small"
    assert found.unit("array").shape == {"rows": 4, "cols": 8}
    assert found.peak_per_s("mac") == pytest.approx(32e9)
    assert {source.text for source in found.sources.values()} == {"A lecture"}


def test_an_energy_needs_the_bytes_of_what_it_is_the_energy_of(tmp_path: Path) -> None:
    priced = SMALL.replace("dram: {bandwidth: 8 GB/s}", "dram: {bandwidth: 8 GB/s, read_energy: 80 pJ}")
    error = refusal(written(tmp_path, priced))
    assert "levels.dram.row" in error.field and "row: 8 B" in error.remedy


def test_a_path_may_be_text_or_a_path_and_takes_overrides(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL)
    assert machine(str(path), n=8).unit("array").lanes == 128
    assert machine(path, buffer="1 MiB").level("buffer").capacity_bytes == 2**20


def test_the_nearest_source_covers_a_number(tmp_path: Path) -> None:
    text = SMALL.replace("dram: {bandwidth", "dram: {source: A sheet, kind: datasheet, bandwidth").replace(
        "mac: 1, exp: 6", "source: A paper, mac: 1, exp: {value: 6, source: A guess, kind: assumed}"
    )
    sources = machine(written(tmp_path, text)).sources
    assert sources["levels.dram.bandwidth"].text == "A sheet"
    assert sources["levels.dram.bandwidth"].kind == "datasheet"
    assert sources["units.array.cost.mac"].text == "A paper"
    assert sources["units.array.cost.exp"].kind == "assumed"
    assert sources["clock"].text == "A lecture"


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL)
    assert machine(path).clock_hz == 1e9
    written(tmp_path, SMALL.replace("1 GHz", "2 GHz"))
    os.utime(path, ns=(1, 1))
    assert machine(path).clock_hz == 2e9


def test_a_file_may_extend_a_neighbour_or_a_machine_of_the_library(tmp_path: Path) -> None:
    written(tmp_path, SMALL)
    text = "name: fast\nextends: small.yaml\nsource: Mine.\nchanges: {clock: 3 GHz, array.cost.exp: 1}\n"
    fast = machine(written(tmp_path, text, "fast.yaml"))
    assert (fast.name, fast.clock_hz, fast.unit("array").cost["exp"]) == ("fast", 3e9, 1)
    assert fast.source == "Mine. Extends small: A lecture"
    text = "name: mine\nextends: fusemax\nsource: Mine.\nchanges: {pe_dim: {value: 64, source: Mine}}\n"
    assert machine(written(tmp_path, text, "mine.yaml")).unit("2d").lanes == 4096


def test_what_an_extending_file_states_itself_joins_what_it_extends_and_comes_first(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    written(tmp_path / "parts", "units: {row: {shape: {lanes: n}, cost: {exp: 2}, source: A part}}\n", "row.yaml")
    joined = machine(written(tmp_path, f"extends: parts/row.yaml\n{SMALL}", "joined.yaml"))
    assert list(joined.units) == ["array", "row"]
    assert joined.unit("row").lanes == 4
    assert joined.sources["units.row.cost.exp"].text == "A part"
    assert machine(tmp_path / "joined.yaml", **{"row.cost.exp": 3}).unit("row").cost == {"exp": 3}
    text = "name: mine\nextends: joined.yaml\nunits: {row: {shape: {lanes: 9}, cost: {exp: 1}, source: Mine}}\n"
    mine = machine(written(tmp_path, text, "mine.yaml"))
    assert (list(mine.units), mine.unit("row").lanes, mine.unit("array").lanes) == (["row", "array"], 9, 32)


def test_a_unit_that_shares_hardware_is_like_the_other_but_for_what_it_states(tmp_path: Path) -> None:
    text = f"{SMALL}  slow: {{shares: array, cost: {{mac: 3}}}}\n  same: {{shares: array}}\n"
    path = written(tmp_path, text)
    found = machine(path)
    assert (found.unit("slow").shares, found.unit("slow").shape) == ("array", {"rows": 4, "cols": 8})
    assert (found.unit("slow").cost, found.unit("same").cost) == ({"mac": 3}, {"mac": 1, "exp": 6})
    moved = machine(path, **{"array.cost.exp": 7, "n": 8})
    assert (moved.unit("same").cost["exp"], moved.unit("slow").lanes, found.unit("array").shares) == (7, 128, None)


@pytest.mark.parametrize("unit", ["arrya", "same"])
def test_hardware_can_be_shared_only_with_a_unit_that_has_its_own(tmp_path: Path, unit: str) -> None:
    text = f"{SMALL}  same: {{shares: array}}\n  slow: {{shares: {unit}}}\n"
    told = str(refusal(written(tmp_path, text)))
    assert f"small.yaml = {unit}: is not a unit whose hardware units.slow could share" in told and "array" in told


def test_a_change_of_the_extended_file_is_seen(tmp_path: Path) -> None:
    base = written(tmp_path, SMALL)
    fast = written(tmp_path, "name: fast\nextends: small.yaml\nsource: Mine\n", "fast.yaml")
    assert machine(fast).clock_hz == 1e9
    written(tmp_path, SMALL.replace("1 GHz", "2 GHz"))
    os.utime(base, ns=(1, 1))
    assert machine(fast).clock_hz == 2e9


def test_energies_may_be_tabulated_by_capacity(tmp_path: Path) -> None:
    table = "capacity: 64 KiB, row: 8 B, read_energy: {by_capacity: {64 KiB: 1 pJ, 128 KiB: 4 pJ}, times: n/4}"
    path = written(tmp_path, SMALL.replace("capacity: 64 KiB", table))

    def energy(capacity: str, n: int = 4) -> float:
        return machine(path, buffer=capacity, n=n).fields()["levels.buffer.read_energy"]

    assert energy("64 KiB") == 1e-12
    assert energy("128 KiB") == 4e-12
    assert energy("256 KiB") == pytest.approx(16e-12)  # energy grows with the square of the capacity here
    assert energy("32 KiB") == pytest.approx(0.25e-12)
    assert energy("64 KiB", n=8) == pytest.approx(2e-12)


@pytest.mark.parametrize(
    ("before", "after", "field", "words"),
    [
        ("bandwidth: 8 GB/s", "bandwith: 8 GB/s", "levels.dram.bandwith", "Did you mean 'bandwidth'"),
        ("clock: 1 GHz", "clok: 1 GHz", "clock", "missing"),
        ("clock: 1 GHz", "clock: 1 GHz\ncolour: red", "colour", "not a field"),
        ("clock: 1 GHz", "clock: 1", "clock = 1", "940 MHz"),
        ("clock: 1 GHz", "clock: yes", "clock = True", "not a number"),
        ("clock: 1 GHz", "clock: .nan", "clock = nan", "has no unit"),
        ("clock: 1 GHz", "clock: {source: x}", "clock", "has no value"),
        ("clock: 1 GHz", "clock: {value: 1 GHz, sauce: x}", "clock", "Choose from"),
        ("clock: 1 GHz", "clock: {value: 1 GHz, source: 3}", "clock = 3", "Name the document"),
        ("clock: 1 GHz", "clock: {value: 1 GHz, source: x, kind: rumour}", "clock = rumour", "Choose from"),
        ("8 GB/s", "8 GB", "levels.dram.bandwidth = 8 GB", "400 GiB/s"),
        ("8 GB/s", "0 GB/s", "levels.dram.bandwidth = 0 GB/s", "not positive"),
        ("8 GB/s", "-8 GB/s", "levels.dram.bandwidth = -8 GB/s", "not positive"),
        ("8 GB/s", "8 GB/s, latency: -1 us", "levels.dram.latency = -1 us", "is negative"),
        ("8 GB/s", "8 GB/s, scope: core", "levels.dram.scope = core", "not an instance axis"),
        ("64 KiB", "0 KiB", "levels.buffer.capacity = 0 KiB", "not positive"),
        ("64 KiB", "64 KB", "levels.buffer.capacity = 64 KB", "KiB (1024)"),
        ("64 KiB", "1.5 B", "levels.buffer.capacity = 1.5 B", "not a whole number"),
        ("64 KiB", "[64, 32]", "levels.buffer.capacity = [64, 32]", "not a number"),
        ("64 KiB", "64 KiB, read_energy: {by_capacity: {}}", "levels.buffer.read_energy", "not one table"),
        ("64 KiB", "64 KiB, read_energy: {by_capacity: {1 B: n}}", "levels.buffer.read_energy", "a table"),
        ("8 GB/s", "8 GB/s, read_energy: {by_capacity: {1 B: 1 pJ}}", "levels.dram.read_energy", "no capacity"),
        ("rows: n", "rows: m", "units.array.shape.rows = m", "not known here"),
        ("rows: n", "rows: log2(n-4)", "units.array.shape.rows = log2(n-4)", "cannot be computed"),
        ("rows: n", "rows: n/3", "units.array.shape.rows = n/3", "not a whole number"),
        ("rows: n", "rows: 0", "units.array.shape.rows = 0", "not positive"),
        ("rows: n", "rows: n +", "units.array.shape.rows = n +", "formula"),
        ("{rows: n, cols: 2*n}", "{}", "units.array.shape", "at least 1"),
        ("mac: 1, exp: 6", "mac: 0", "units.array.cost.mac = 0", "not positive"),
        ("mac: 1, exp: 6", "sigmod: 1", "units.array.cost.sigmod", "Did you mean 'sigmoid'"),
        ("mac: 1, exp: 6", "mac: 1 pJ", "units.array.cost.mac = 1 pJ", "has none"),
        ("cost:", "also: {exp: {alu: 1}}\n    cost:", "units.array.also.exp = alu", "not a unit"),
        ("cost:", "operands: {a: l1}\n    cost:", "units.array.operands.a = l1", "not a level"),
        ("cost:", "multicast: {a: z}\n    cost:", "units.array.multicast.a = z", "not an axis"),
        ("params: {n: 4}", "params: {max: 4}", "params.max", "formulas have already"),
        ("params: {n: 4}", "params: {N: 4}", "params.N", "small letters"),
        ("params: {n: 4}", "params: {n: k, k: 4}", "params.n = k", "not known here"),
        ("params: {n: 4}", "params: {n: 4, dram: 1}", "dram", "two things"),
        ("buffer:", "Buffer:", "levels.Buffer", "small letters"),
        ('source: "A lecture"\n', "", "params.n = 4", "has no source"),
        ("name: small", "name: 3", "name = 3", "string"),
        ("name: small\n", "", "name", "missing"),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_a_remedy(
    tmp_path: Path, before: str, after: str, field: str, words: str
) -> None:
    assert before in SMALL
    message = str(refusal(written(tmp_path, SMALL.replace(before, after))))
    assert message.startswith(f"small.yaml: {field}") or f"= {field}" in message, message
    assert words in message


@pytest.mark.parametrize("section", ["levels", "units"])
def test_a_machine_without_levels_or_units_is_refused(tmp_path: Path, section: str) -> None:
    lines = SMALL.splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.startswith(section))
    end = next((n for n in range(start + 1, len(lines)) if not lines[n].startswith(" ")), len(lines))
    assert f"small.yaml: {section}" in str(refusal(written(tmp_path, "".join(lines[:start] + lines[end:]))))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [small", "line"),
        ("name: small\n\tclock: 1", "line 2, column 1"),
        ("name: small\nname: other", "twice"),
        ("- a\n- b", "not a mapping"),
        ("", "not a mapping"),
        ("a: &x [1]\nb: *x", "alias"),
        ("a: !!python/object/apply:os.system ['true']", "line 1"),
        ("a: " + "[" * 5000, "YAML"),
        ("a: \x07", "YAML"),
    ],
)
def test_bad_yaml_is_one_message_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    assert words in str(refusal(written(tmp_path, text)))


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("name: café".encode("latin-1"))
    assert "not UTF-8" in str(refusal(path))


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    assert "larger than" in str(refusal(written(tmp_path, "#" * 1_000_001)))


@pytest.mark.parametrize("name", ["none.yaml", "no/such/machine", "a\0b.yaml"])
def test_a_missing_file_is_named(name: str) -> None:
    assert "none" in str(refusal(name)) or name in str(refusal(name))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in str(refusal(tmp_path))


def test_a_circle_of_extensions_is_refused(tmp_path: Path) -> None:
    one = written(tmp_path, "name: one\nextends: two.yaml\n", "one.yaml")
    written(tmp_path, "name: two\nextends: one.yaml\n", "two.yaml")
    assert "leads back to itself" in str(refusal(one))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: x\nextends: fusemx\n", "Did you mean 'fusemax'"),
        ("name: x\nextends: fusemax\nchanges: [1]\n", "not a list of fields"),
        ("name: x\nextends: fusemax\nchanges: {pe_dmi: 3}\n", "Did you mean 'pe_dim'"),
    ],
)
def test_a_wrong_extension_is_explained(tmp_path: Path, text: str, words: str) -> None:
    assert words in str(refusal(written(tmp_path, text, "x.yaml")))


def places(document: dict[Any, Any], path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for key, value in document.items():
        found.append((*path, key))
        if isinstance(value, dict):
            found += places(value, (*path, key))
    return found


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["1 B", "1 s", "n", "source", "-1", "{", "2*n", "clock"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.one_of(st.text(max_size=3), st.integers(), st.sampled_from(["value", "source"])), st.none()),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_mistake_in_a_file_ends_in_anything_but_a_message(tmp_path: Path, data: st.DataObject) -> None:
    document = copy.deepcopy(yaml.safe_load(SMALL))
    for _ in range(data.draw(st.integers(1, 3))):
        *outer, last = data.draw(st.sampled_from(places(document)))
        block = document
        for key in outer:
            block = block[key]
        if data.draw(st.booleans()):
            block[last] = data.draw(JUNK)
        else:
            block[data.draw(st.one_of(st.text(max_size=3), st.integers()))] = block.pop(last)
        if not document:
            break
    path = written(tmp_path, yaml.safe_dump(document, allow_unicode=True))
    os.utime(path, ns=(1, data.draw(st.integers(1, 2**40))))
    for overrides in ({}, {"n": 8}, {"dram.bandwidth": "2 GB/s"}):
        try:
            machine(path, **overrides)
        except LightboundError as error:
            assert error.field and error.problem and error.remedy
