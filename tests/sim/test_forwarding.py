"""An intermediate between two Einsums of one unit: free along the same lanes, else by way of its home."""

from __future__ import annotations

import pytest

import lightbound as lb

SIZE, WORD = 64, 2
MAXIMUM = "T[m,n] = sum(A[m,k] * B[k,n], k)\nU[m,n] = max(T[m,n], C[n])"
PRODUCT = "T[m,n] = sum(A[m,k] * B[k,n], k)\nU[m,p] = sum(T[m,n] * C[n,p], n)"
SPACE = {"rows": "m", "cols": "n"}


@pytest.mark.parametrize(
    ("text", "space", "words"),
    [
        (MAXIMUM, SPACE, 0),
        (MAXIMUM, {"rows": "n", "cols": "m"}, 2 * SIZE**2),  # written, and read the other way round
        (PRODUCT, {"rows": "m", "cols": "p"}, 2 * SIZE**2),  # n lies along columns, and then in time
    ],
)
def test_what_lies_along_other_lanes_goes_by_way_of_its_home(text: str, space: dict[str, str], words: int) -> None:
    cascade = lb.Cascade.parse(text, {symbol: SIZE for symbol in "MNKP" if symbol.lower() in text})
    mapping = {
        "bind": [{"einsums": name, "unit": "2d", "space": along} for name, along in (("T", SPACE), ("U", space))],
        "groups": [{"einsums": ["T", "U"], "nest": [{"hold": ["T"], "in": "global_buffer"}]}],
    }
    found = lb.simulate(cascade, "fusemax", mapping).traffic_by_tensor.get("global_buffer", {})
    assert found.get("T", 0) == words * WORD
