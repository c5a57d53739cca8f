"""From names and files to workloads, and every way a user can get that wrong."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from lightbound.base.errors import LightboundError
from lightbound.workloads import registry
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.methods import load_method, method_names
from lightbound.workloads.registry import Method, Workload, as_workload, workload, workload_names

MINE = "# My product\nZ[m,n] = sum(A[m,k] * B[k,n], k)\n"
YAML = """
name: mine
title: My attention
source: a notebook
cascades:
  plain: |
    S[p,m] = sum(Q[p,e] * K[m,e], e)
    O[p,f] = sum(S[p,m] * V[m,f], m)
  tiled: |
    S[p,m1,m0] = sum(Q[p,e] * K[m1*M0+m0,e], e)
    O[p,f] = sum(S[p,m1,m0] * V[m1*M0+m0,f], m1, m0)
sizes: {E: 64, F: 64, M0: 128}
presets:
  small: {M: 512, P: 512}
  large: {M: 65536, P: 65536}
mappings:
  keep: {groups: []}
"""


@pytest.fixture
def yaml_file(tmp_path: Path) -> Path:
    (tmp_path / "mine.yaml").write_text(YAML, encoding="utf-8")
    return tmp_path / "mine.yaml"


# Names, presets, variants, sizes.


@pytest.mark.parametrize("name", method_names())
def test_every_shipped_method_parses_in_every_variant_and_preset(name: str) -> None:
    shipped = load_method(name)
    assert shipped.name == name
    assert set(shipped.preset_sources) == set(shipped.presets)
    assert shipped.title and shipped.question and shipped.source
    for variant in shipped.cascades:
        for preset in (None, *shipped.presets):
            found = workload(name, preset=preset, variant=variant)
            tiles = {part for partition in found.cascade.partitions for part in partition.parts[1:]}
            assert set(found.cascade.missing_sizes) <= tiles


def test_the_names_of_all_methods_are_listed_in_order() -> None:
    assert {"attention", "encoder_linear", "fusemax", "matmul"} <= set(workload_names())
    assert workload_names() == sorted(workload_names())


def test_sizes_of_the_caller_go_over_the_preset_and_these_over_the_defaults() -> None:
    found = workload("fusemax", preset="xlm", M=1024, P=512)
    assert found.sizes == {"B": 64, "H": 16, "E": 128, "F": 128, "M": 1024, "P": 512}
    assert found.word_bytes == 2


def test_a_workload_takes_any_sizes() -> None:
    sizes = {"B": 3, "H": 5, "E": 7, "F": 11, "M": 26, "P": 17}
    assert workload("fusemax", "bert", "1-pass", **sizes).sizes == sizes


def test_a_cascade_of_ones_own_becomes_a_workload() -> None:
    product = Cascade.parse(MINE, name="product")
    made = workload(product, M=8, N="1K", K=4, word_bytes=4)
    assert (made.name, made.variant, made.word_bytes) == ("product", "plain", 4)
    assert made.sizes == {"M": 8, "N": 1024, "K": 4} == as_workload(product.with_sizes(M=8, N=1024, K=4)).sizes
    assert made.with_variant("plain").cascade == made.cascade
    with pytest.raises(LightboundError, match="variant = plain: is of a method; this is a cascade"):
        workload(product, variant="plain")


def test_queries_and_keys_are_not_coupled() -> None:
    assert workload("fusemax", preset="bert", M=65536).sizes["P"] == 4096


def test_tile_sizes_stay_open_until_they_are_chosen() -> None:
    found = workload("fusemax", preset="bert")
    assert "M0" in found.cascade.missing_sizes
    tiled = found.with_sizes(M0=256)
    assert tiled.sizes["M1"] == 16
    assert tiled.with_sizes(M=8192).sizes["M1"] == 32


def test_partition_sizes_of_the_caller_replace_the_total_of_the_preset() -> None:
    found = workload("fusemax", preset="bert", M1=3, M0=10)
    assert found.sizes["M"] == 30


def test_another_variant_keeps_the_sizes_that_it_has() -> None:
    one = workload("fusemax", preset="t5", M=512, M0=128)
    three = one.with_variant("3-pass")
    assert three.variant == "3-pass"
    assert three.sizes == {"B": 64, "H": 8, "E": 64, "F": 64, "M": 512, "P": 4096}
    assert one.with_variant("2-pass").sizes == one.sizes


def test_variants_of_one_method_are_told_apart_by_the_cascade_s_name() -> None:
    assert workload("fusemax").cascade.name == "fusemax, 1-pass"
    assert workload("matmul").cascade.name == "matmul"


def test_an_unknown_name_is_answered_with_the_nearest_and_all() -> None:
    with pytest.raises(LightboundError, match=r"workload = fusemx: is not known.*'fusemax'.*attention.*\.yaml"):
        workload("fusemx")


def test_an_unknown_preset_is_answered_with_the_nearest_and_all() -> None:
    with pytest.raises(LightboundError, match=r"preset = brt: .*'bert'\? Choose from: bert, t5, tiny, trxl, xlm"):
        workload("fusemax", preset="brt")


def test_an_unknown_variant_is_answered_with_the_nearest_and_all() -> None:
    with pytest.raises(LightboundError, match=r"variant = 1pass: .*'1-pass'\? Choose from: 1-pass, 2-pass, 3-pass"):
        workload("fusemax", variant="1pass")


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"N": 4}, r"sizes\.N = 4: is not a size of this cascade"),
        ({"m": 4}, r"sizes\.m = 4: .*M=4"),
        ({"M": 0}, r"sizes\.M = 0: is not a positive whole number"),
        ({"M": -4}, r"sizes\.M = -4"),
        ({"M": 4.5}, r"sizes\.M = 4\.5: is not a whole number"),
        ({"M": True}, r"sizes\.M = True"),
        ({"M": 100, "M0": 64}, r"sizes\.M0 = 64: does not divide M=100"),
    ],
)
def test_a_size_that_cannot_be_is_refused_by_name_and_value(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(LightboundError, match=message):
        workload("fusemax", "bert", "1-pass", **sizes)


def test_a_size_of_another_variant_is_refused_where_the_caller_states_it() -> None:
    with pytest.raises(LightboundError, match=r"sizes\.M0"):
        workload("fusemax", preset="bert", variant="3-pass", M0=256)


# Files.


@pytest.mark.parametrize("suffix", [".txt", ".einsum"])
def test_a_text_file_is_a_method_named_after_it_and_titled_by_its_first_comment(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"product{suffix}"
    path.write_text(MINE, encoding="utf-8")
    found = workload(path, M=2, N=3, K=4)
    assert (found.name, found.method.title, found.variant) == ("product", "My product", "plain")
    assert found.cascade.shape("Z") == (2, 3)
    assert workload(str(path)).cascade.missing_sizes == ("M", "N", "K")


def test_a_yaml_file_brings_variants_presets_sizes_and_mappings(yaml_file: Path) -> None:
    found = workload(yaml_file, preset="large")
    assert (found.name, found.method.title, found.method.source) == ("mine", "My attention", "a notebook")
    assert found.sizes == {"E": 64, "F": 64, "M": 65536, "P": 65536}
    assert found.with_variant("tiled").sizes["M1"] == 512
    assert found.method.mappings == {"keep": {"groups": []}}


def test_a_yaml_file_of_one_cascade_needs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text("cascade: 'Z = sum(A[k] * B[k], k)'\n", encoding="utf-8")
    assert workload(tmp_path / "one.yml", K=4).name == "one"


def test_a_parse_error_in_a_file_shows_the_line_and_a_caret(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("Z[m] = sum(A[m,k], k)\nY[m] = Z[m] +\n", encoding="utf-8")
    with pytest.raises(LightboundError, match=r"bad, line 2") as caught:
        workload(tmp_path / "bad.txt")
    assert "^" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cascade: [1, 2\n", r"line 2, column 1"),
        ("cascade: {a: &x 1, b: *x}\n", r"has an alias, \*x"),
        ("cascade: 'Z = A[m]'\ncascade: 'Z = A[m]'\n", r"line 2, column 1: has the key 'cascade' twice"),
        ("casade: 'Z[m] = A[m]'\n", r"casade.* is not a field here.*'cascade'"),
        ("title: nothing\n", r"cascade: is missing.*Give either"),
        ("cascade: 'Z[m] = A[m]'\ncascades: {a: 'Z[m] = A[m]'}\n", r"cascade: is given twice"),
        ("cascade: 'Z[m] = A[m]'\nsizes: {M: four}\n", r"sizes\.M = four"),
        ("cascade: 'Z[m] = A[m]'\nsizes: {M: 4.5}\n", r"sizes\.M = 4\.5"),
        ("cascade: 'Z[m] = A[m]'\nsizes: {M: true}\n", r"sizes\.M = True"),
        ("cascade: 'Z[m] = A[m]'\nsizes: {N: 4}\n", r"sizes\.N = 4: is not a size of it.*Choose from: M"),
        ("- a\n- b\n", r"wrong\.yaml"),
        ("", r"wrong\.yaml"),
    ],
)
def test_what_a_yaml_file_gets_wrong_is_one_message_that_names_the_place(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "wrong.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(LightboundError, match=message):
        workload(tmp_path / "wrong.yaml")


def test_a_preset_that_states_an_unknown_size_is_refused_when_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("cascade: 'Z[m] = A[m]'\npresets: {p: {N: 4}}\n", encoding="utf-8")
    with pytest.raises(LightboundError, match=r"mine: presets\.p\.N = 4: is not a size of it"):
        workload(tmp_path / "mine.yaml", preset="p")


@pytest.mark.parametrize("name", ["none.yaml", "none.txt", "folder/none.einsum"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(LightboundError, match=r"workload file = .*none\.\w+: does not exist"):
        workload(tmp_path / name)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"# caf\xe9\nZ[m] = A[m] * 1\n")
    with pytest.raises(LightboundError, match="is not UTF-8 text"):
        workload(tmp_path / "latin.txt")


def test_a_file_larger_than_a_megabyte_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_text("# x\n" * 300_000, encoding="utf-8")
    with pytest.raises(LightboundError, match="larger than 1,000,000 bytes"):
        workload(tmp_path / "big.txt")


def test_a_path_of_another_kind_is_refused_with_the_kinds_there_are(tmp_path: Path) -> None:
    with pytest.raises(LightboundError, match=r"of no kind that holds a workload.*\.einsum.*\.yaml"):
        workload(tmp_path / "weights.bin")


# Packages.


PACKAGED = Method("theirs", "Theirs", "Why?", "a package", {"plain": "Z[m] = A[m] * 2"}, {"M": 8})
NOT_A_METHOD = "text"


def install(monkeypatch: pytest.MonkeyPatch, *values: str) -> None:
    """Pretend that a package declares these entry points, by names of this module."""
    monkeypatch.setitem(sys.modules, "their_package", sys.modules[__name__])
    points = [EntryPoint(name, f"their_package:{value}", registry.ENTRY_POINTS) for name, value in map(_pair, values)]
    monkeypatch.setattr(registry, "_entry_points", lambda: tuple(points))


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def test_a_package_adds_a_method_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "theirs=PACKAGED")
    found = workload("theirs")
    assert isinstance(found, Workload)
    assert found.sizes == {"M": 8}
    assert "theirs" in workload_names()


def test_a_package_does_not_replace_a_method_that_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "matmul=PACKAGED")
    assert workload("matmul").method is load_method("matmul")
    assert workload_names().count("matmul") == 1


def test_a_package_that_cannot_be_imported_is_reported_only_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, "broken=ABSENT", "theirs=PACKAGED")
    assert workload("theirs").name == "theirs"
    with pytest.raises(LightboundError, match=r"workload = broken: could not be loaded from their_package:ABSENT"):
        workload("broken")


def test_an_entry_point_that_is_no_method_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "odd=NOT_A_METHOD")
    with pytest.raises(LightboundError, match=r"is a str in their_package.*has to be a lightbound Method"):
        workload("odd")
