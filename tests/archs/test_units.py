"""Unit strings: what `16 MiB` and `4.8 TB/s` come to in SI units, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightbound.archs.units import (
    BANDWIDTH,
    COUNT,
    CYCLES,
    ENERGY,
    FACTOR,
    FREQUENCY,
    SIZE,
    TIME,
    Dimension,
    UnitError,
    is_quantity,
    parse_quantity,
)

PREFIXES = {
    "": 1,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "m": 1e-3,
    "u": 1e-6,
    "µ": 1e-6,
    "n": 1e-9,
    "p": 1e-12,
}
WITH_UNITS = (SIZE, BANDWIDTH, FREQUENCY, TIME, ENERGY)


@given(
    st.floats(1e-6, 1e6, allow_nan=False),
    st.sampled_from(sorted(PREFIXES)),
    st.sampled_from(WITH_UNITS),
    st.sampled_from(["", " ", "  "]),
)
def test_a_prefix_multiplies_the_unit(number: float, prefix: str, dimension: Dimension, space: str) -> None:
    text = f"{number!r}{space}{prefix}{dimension.unit}"
    assert math.isclose(parse_quantity(text, dimension), number * PREFIXES[prefix], rel_tol=1e-12)


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("16 MiB", SIZE, 16 * 2**20),
        ("228KiB", SIZE, 228 * 1024),
        ("80 GB", SIZE, 80 * 10**9),
        ("16 b", SIZE, 2),
        ("400 GiB/s", BANDWIDTH, 400 * 2**30),
        ("4.8 TB/s", BANDWIDTH, 4.8e12),
        ("8 Gb/s", BANDWIDTH, 1e9),
        ("940 MHz", FREQUENCY, 940e6),
        ("1.83 GHz", FREQUENCY, 1.83e9),
        ("1 us", TIME, 1e-6),
        ("1e3 ns", TIME, 1e-6),
        ("249.6 pJ", ENERGY, 249.6e-12),
        ("2 W*s", ENERGY, 2.0),
        ("256", COUNT, 256),
        ("0.5", FACTOR, 0.5),
    ],
)
def test_quantities_come_out_in_si_units(text: str, dimension: Dimension, value: float) -> None:
    assert parse_quantity(text, dimension) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("text", ["16 MiB", "1 GB", "3 B"])
def test_whole_amounts_of_data_are_integers_so_that_they_stay_exact(text: str) -> None:
    assert isinstance(parse_quantity(text, SIZE), int)


@pytest.mark.parametrize(
    ("text", "dimension", "problem"),
    [
        ("400 MHz", BANDWIDTH, "data per time is expected"),
        ("3 GB", BANDWIDTH, "data per time is expected"),
        ("3 GB/s", SIZE, "an amount of data is expected"),
        ("3 J", TIME, "a time is expected"),
        ("16", SIZE, "has no unit"),
        ("16 B", COUNT, "has the unit 'B'"),
        ("16 KB", SIZE, "not known"),
        ("16 parsec", SIZE, "not known"),
        ("16 MiB/", SIZE, "not known"),
        ("sixteen", SIZE, "not a number"),
        ("", SIZE, "not a number"),
    ],
)
def test_a_wrong_unit_is_refused_with_a_correct_example(text: str, dimension: Dimension, problem: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_quantity(text, dimension)
    assert problem in caught.value.problem
    assert dimension.example in caught.value.remedy


def test_the_ambiguous_kilobyte_is_asked_about() -> None:
    with pytest.raises(UnitError, match=r"kB \(1000 bytes\) or KiB \(1024\)"):
        parse_quantity("228 KB", SIZE)


@pytest.mark.parametrize("text", ["2*pe_dim", "pe_dim", "128 * clock", "rows + 1", "min(2, 3)", "484/clock"])
def test_formulas_are_not_taken_for_quantities(text: str) -> None:
    assert not is_quantity(text)


@pytest.mark.parametrize("text", ["16 MiB", "1e3", "-3 B", ".5 us", "2 W*s", "7"])
def test_quantities_are_not_taken_for_formulas(text: str) -> None:
    assert is_quantity(text)


@pytest.mark.parametrize(
    ("dimension", "value", "fault"),
    [
        (SIZE, 0, "is not positive"),
        (SIZE, -1, "is not positive"),
        (SIZE, 1.5, "is not a whole number"),
        (SIZE, math.inf, "is not a finite number"),
        (SIZE, 10**400, "is not a number of any size that a machine has"),
        (SIZE, 2j, "is not a number of any size that a machine has"),
        (SIZE, math.nan, "is not a finite number"),
        (SIZE, 16, None),
        (TIME, 0, None),
        (TIME, -1e-9, "is negative"),
        (CYCLES, 0, None),
        (BANDWIDTH, np.array([1.0, 0.0]), "is not positive"),
        (BANDWIDTH, np.array([1.0, 2.0]), None),
    ],
)
def test_a_dimension_says_which_values_make_sense(dimension: Dimension, value: object, fault: str | None) -> None:
    assert dimension.fault(value) == fault
