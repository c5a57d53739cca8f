"""What users write for sizes and overrides, and what is read from it."""

from __future__ import annotations

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from lightbound.base.errors import LightboundError
from lightbound.base.size import size
from lightbound.cli import given


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4096", 4096),
        ("64K", 65536),
        ("64k", 65536),
        ("1.5K", 1536),
        ("4.0", 4),
        ("1M", 2**20),
        ("2G", 2**31),
        ("2**20", 2**20),
        (" 3 ", 3),
    ],
)
def test_a_size_is_written_in_digits_with_a_suffix_or_as_a_power(text: str, value: int) -> None:
    assert size("--set M", "M", text) == value


@forall(st.integers(min_value=1, max_value=2**40))
def test_a_size_in_digits_is_read_exactly(value: int) -> None:
    assert size("--set M", "M", str(value)) == value


@forall(st.integers(min_value=1, max_value=2**20))
def test_the_suffix_k_means_1024(value: int) -> None:
    assert size("--set M", "M", f"{value}K") == 1024 * value


@forall(st.text(max_size=12))
def test_whatever_is_written_is_a_positive_size_or_one_clear_error(text: str) -> None:
    try:
        assert 1 <= size("--set M", "M", text) <= 2**40
    except LightboundError as error:
        assert error.field == "--set M"
        assert "M=4096" in error.remedy


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0", "is zero"),
        ("-4", "is negative"),
        ("-64K", "is negative"),
        ("4.5", "is not a whole number"),
        ("1.3K", "is not a whole number"),
        ("many", "is not a whole number"),
        ("1e6", "is not a whole number"),
        ("2**50", "is larger than 2**40"),
        ("9**99", "is larger than 2**40"),
        ("9" * 5000, "is not a whole number"),
    ],
)
def test_a_size_that_is_no_positive_integer_says_what_is_wrong_with_it(text: str, problem: str) -> None:
    with pytest.raises(LightboundError) as caught:
        size("--set M", "M", text)
    assert caught.value.problem == problem


def test_several_sizes_stand_in_one_option_or_in_several() -> None:
    assert given.sizes(["M=64K,P=2K", "E=64"]) == {"M": 65536, "P": 2048, "E": 64}


def test_an_override_keeps_its_commas_and_everything_after_the_first_equals_sign() -> None:
    assert given.overrides(["global_buffer=8 MiB", "pe_dim=min(64, 128)"]) == {
        "global_buffer": "8 MiB",
        "pe_dim": "min(64, 128)",
    }


@pytest.mark.parametrize("text", ["M", "M=", "=4", "", "M=4,,P=4"])
def test_what_is_no_name_and_value_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(LightboundError, match="NAME=VALUE"):
        given.sizes([text])


def test_a_size_given_twice_is_refused() -> None:
    with pytest.raises(LightboundError, match="a second time"):
        given.sizes(["M=4", "M=8"])
