"""Reading what users hand in: every way it can go wrong is one clear error."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from lightbound.base.document import parse_yaml, read_text, read_yaml
from lightbound.base.errors import LightboundError


def test_a_text_is_read_without_its_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfZ = A\n")
    assert read_text(tmp_path / "a.txt") == "Z = A\n"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LightboundError, match=r"workload file = .*none\.yaml: does not exist"):
        read_text(tmp_path / "none.yaml", "workload file")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(LightboundError, match="is a folder"):
        read_text(tmp_path)


def test_a_path_that_no_file_system_takes_is_an_error_like_any_other() -> None:
    with pytest.raises(LightboundError, match="cannot be read"):
        read_text("a\0b")


def test_text_that_is_not_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"# first\n# caf\xe9\n")
    with pytest.raises(LightboundError, match=r"not UTF-8 text \(byte 0xe9 in line 2\)"):
        read_text(tmp_path / "latin.txt")


def test_a_file_beyond_the_limit_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_bytes(b"x" * 1001)
    with pytest.raises(LightboundError, match="larger than 1,000 bytes"):
        read_text(tmp_path / "big.txt", limit_bytes=1000)
    assert read_text(tmp_path / "big.txt", limit_bytes=1001)


def test_malformed_yaml_is_shown_with_line_column_and_caret(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("sizes:\n  M: [1, 2\npresets: {}\n", encoding="utf-8")
    with pytest.raises(LightboundError, match=r"bad\.yaml: line 3, column 8") as caught:
        read_yaml(tmp_path / "bad.yaml")
    assert "    presets: {}\n           ^" in str(caught.value)


def test_a_key_given_twice_is_an_error_and_not_a_silent_last_word() -> None:
    with pytest.raises(LightboundError, match=r"line 2, column 1: has the key 'M' twice"):
        parse_yaml("M: 1\nM: 2\n", "sizes")


def test_aliases_are_refused_so_that_nested_ones_cannot_expand_to_gigabytes() -> None:
    letters = "abcdefghijklmnopqrst"
    rest = "".join(f"{name}: &{name} [*{last}, *{last}]\n" for last, name in pairwise(letters))
    bomb = "a: &a [x, x]\n" + rest
    with pytest.raises(LightboundError, match=r"line 2, column 8: has an alias, \*a"):
        parse_yaml(bomb, "workload")


HOSTILE = ["[" * 100_000, "!!python/object/apply:os.system ['true']", "a: \x01", "\t- x", "a: 2001-99-99"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_yaml_is_one_error_whatever_it_is(text: str) -> None:
    with pytest.raises(LightboundError, match="here"):
        parse_yaml(text, "here")


def test_plain_yaml_is_plain_data() -> None:
    assert parse_yaml("sizes: {M: 4, N: 8}\ntitle: a b\n", "x") == {"sizes": {"M": 4, "N": 8}, "title": "a b"}
