"""A fitted tile is the largest that a search over all of them finds, however the room it takes grows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lightbound.archs.library import machine
from lightbound.archs.machine import Machine
from lightbound.base.errors import LightboundError
from lightbound.sim.simulate import simulate
from lightbound.workloads.cascade import Cascade

CASCADE = Cascade.parse("Z[m,n] = sum(A[m,k] * B[k,n], k)\nY[m,n] = exp(Z[m,n])")
SIZES = st.fixed_dictionaries({"M": st.integers(1, 60), "N": st.integers(1, 60), "K": st.integers(1, 20)})


def with_capacity(capacity: Any) -> Machine:
    """A FuseMax array whose global buffer has this capacity."""
    hardware = machine("fusemax")
    levels = (hardware.levels[0], replace(hardware.levels[1], capacity_bytes=capacity))
    return replace(hardware, levels=levels)


@st.composite
def mappings(draw: st.DrawFn) -> dict[str, Any]:
    """Matrix product and exponential; tiles, copies and staged bytes grow with T, linearly or not."""
    tiles = st.sampled_from(["T", "min(T, M)", "2 * T", "T * T", "max(1, T // 2)"])
    holds = [
        {"hold": ["A", "Y"], "in": "global_buffer", "copies": draw(st.sampled_from([1, 2, "where(T > 3, 2, 1)"]))},
        {"hold": ["Z", "B"], "in": "global_buffer", "alias": draw(st.booleans())},
    ]
    nest: list[dict[str, Any]] = [{"for": "m", "tile": draw(tiles)}, {"for": "n", "tile": draw(tiles)}]
    nest[draw(st.integers(0, 1)) : 0] = holds[:1]
    if draw(st.booleans()):
        nest.append({"stage": draw(st.sampled_from(["64 * T", "T * T * word_bytes", "T ** 3", "1000"])),
                     "in": "global_buffer"})  # fmt: skip
    return {
        "params": {"T": 1},
        "bind": [{"einsums": ["Z", "Y"], "unit": "2d", "space": {"rows": "m", "cols": "n"}}],
        "groups": [{"einsums": ["Z", "Y"], "nest": [*nest, holds[1]]}],
    }


def need(cascade: Cascade, mapping: dict[str, Any], tile: int) -> float:
    """Bytes that the mapping holds in the buffer at this tile, asked of a machine that has room for all."""
    given_tile = {**mapping, "params": {"T": tile}}
    return simulate(cascade, with_capacity(1 << 60), given_tile).occupancy_bytes["global_buffer"]


@given(SIZES, mappings(), st.integers(0, 8000), st.integers(1, 40), st.booleans(), st.sampled_from([1, 0.5, 0.3]))
@settings(deadline=None, max_examples=120)
def test_a_fit_is_the_largest_tile_that_fits(
    sizes: dict[str, int], mapping: dict[str, Any], capacity: int, most: int, divides: bool, share: float
) -> None:
    cascade = CASCADE.with_sizes(**sizes)
    legal = [tile for tile in range(1, most + 1) if not divides or most % tile == 0]
    fitting = [tile for tile in legal if need(cascade, mapping, tile) <= share * capacity]
    fit = {"fit": "global_buffer", ("divides" if divides else "at_most"): most, "share": share}
    fitted = {**mapping, "params": {"T": fit}}
    if fitting:
        assert simulate(cascade, with_capacity(capacity), fitted).params["T"] == max(fitting)
    else:
        with pytest.raises(LightboundError, match=r"global_buffer\.capacity = .*too small for mapping"):
            simulate(cascade, with_capacity(capacity), fitted)


@given(
    st.lists(st.tuples(SIZES, st.integers(4000, 40000), st.integers(1, 40)), min_size=1, max_size=5),
    mappings(),
    st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_a_sweep_fits_every_point_as_if_alone(
    points: list[tuple[dict[str, int], int, int]], mapping: dict[str, Any], divides: bool
) -> None:
    limit = "divides" if divides else "at_most"
    fitted = {**mapping, "params": {"most": 1, "T": {"fit": "global_buffer", limit: "most"}}}
    alone = []
    for sizes, capacity, most in points:
        fitted["params"]["most"] = most
        try:
            alone.append(simulate(CASCADE.with_sizes(**sizes), with_capacity(capacity), fitted).params["T"])
        except LightboundError:
            assume(False)
    arrays: Any = {symbol: np.array([float(sizes[symbol]) for sizes, _, _ in points]) for symbol in "MNK"}
    capacities = np.array([float(capacity) for _, capacity, _ in points])
    hardware = with_capacity(capacities)
    swept = replace(hardware, params={**hardware.params, "mosts": np.array([float(most) for _, _, most in points])})
    fitted["params"]["most"] = "mosts"
    found = simulate(CASCADE.with_sizes(**arrays), swept, fitted).params["T"]
    assert np.broadcast_to(found, (len(points),)).tolist() == alone


def test_a_level_without_a_capacity_lets_a_fit_grow_to_its_limit() -> None:
    mapping = {
        "params": {"T": {"fit": "dram", "at_most": 17}},
        "bind": [{"einsums": ["Z", "Y"], "unit": "2d"}],
        "groups": [{"einsums": ["Z", "Y"], "nest": [{"for": "m", "tile": "T"}]}],
    }
    assert simulate(CASCADE.with_sizes(M=50, N=5, K=5), "fusemax", mapping).params["T"] == 17


def test_params_follow_each_other_in_order() -> None:
    mapping = {
        "params": {"rows": "pe_dim // 64", "T": {"fit": "global_buffer", "at_most": "rows"}, "half": "ceil_div(T, 2)"},
        "bind": [{"einsums": ["Z", "Y"], "unit": "2d"}],
        "groups": [{"einsums": ["Z", "Y"], "nest": [{"for": "m", "tile": "half"}]}],
    }
    assert simulate(CASCADE.with_sizes(M=50, N=5, K=5), "fusemax", mapping).params == {"rows": 4, "T": 4, "half": 2}
