"""Mapping documents: they round-trip through plain data, and every mistake is one message with field and remedy."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lightbound.archs.library import machine
from lightbound.base.errors import LightboundError
from lightbound.sim.mapping import Mapping
from lightbound.sim.search import default_mapping
from lightbound.sim.simulate import simulate
from lightbound.workloads.cascade import Cascade
from lightbound.workloads.mappings.fusemax import MAPPINGS, flat
from lightbound.workloads.registry import as_workload, workload

from .cascades import MACHINES, cascades

Document = dict[str, Any]

CASCADE = Cascade.parse(
    """
    Z[m,n]   = sum(A[m,k] * B[k,n], k)
    R[m]     = max(Z[m,n], n)
    Y[m,n]   = exp(Z[m,n] - R[m])
    """,
    {"M": 64, "N": 96, "K": 32},
)
MAPPING: Document = {
    "name": "mine",
    "params": {"T": {"fit": "global_buffer", "at_most": "M"}},
    "bind": [
        {"einsums": ["Z"], "unit": "2d", "space": {"rows": "m", "cols": "n"}},
        {"einsums": ["R", "Y"], "unit": "1d", "space": {"rows": "m"}},
    ],
    "groups": [
        {
            "einsums": ["Z", "R", "Y"],
            "nest": [
                {"for": "m", "tile": "T"},
                {"hold": ["A", "Z"], "in": "global_buffer"},
                {"do": ["Z"], "nest": [{"for": "n", "tile": 8}, {"hold": "B", "in": "global_buffer", "copies": 2}]},
                {"do": ["R", "Y"], "nest": [{"hold": ["Y"], "in": "global_buffer"}]},
            ],
            "slots": [["Z"], ["R", "Y"]],
            "depth": 2,
        }
    ],
}
RUNNING = Cascade.parse("S[0,p] = 0\nS[t+1,p] = S[t,p] + X[t,p]", {"T": 8, "P": 16})


def test_the_mapping_of_these_tests_is_right() -> None:
    assert simulate(CASCADE, "fusemax", MAPPING).params["T"] == 64


def changed(change: Callable[[Document], None]) -> Document:
    """The mapping with one change."""
    document = copy.deepcopy(MAPPING)
    change(document)
    return document


def put(path: str, value: Any) -> Callable[[Document], None]:
    """Set what a path such as ``groups.0.depth`` leads to."""

    def change(document: Document) -> None:
        *above, last = path.split(".")
        place: Any = document
        for part in above:
            place = place[int(part) if part.isdigit() else part]
        place[int(last) if last.isdigit() else last] = value

    return change


def two_groups(first: list[str], second: list[str]) -> Callable[[Document], None]:
    return put("groups", [{"einsums": first, "nest": []}, {"einsums": second, "nest": []}])


ERRORS: dict[str, tuple[Callable[[Document], None], str, str, str]] = {
    # what is wrong: change, what the field must say, the value shown, what the remedy must say
    "loop over no rank": (put("groups.0.nest.0.for", "q"), "groups.0.nest: for", "q", "k, m, n"),
    "lanes of no rank": (put("bind.0.space.rows", "q"), "bind.0.space.rows", "q", "k, m, n"),
    "lanes of one rank twice": (put("bind.0.space", {"rows": "m", "cols": "m"}), "bind.0.space", "m", "once"),
    "no such axis": (put("bind.0.space", {"colums": "n"}), "bind.0.space", "colums", "'cols'"),
    "no such unit": (put("bind.0.unit", "3d"), "bind.0.unit", "3d", "1d, 2d"),
    "no such level": (put("groups.0.nest.1.in", "buffer"), "groups.0.nest: in", "buffer", "dram, global_buffer"),
    "no such Einsum to bind": (put("bind.0.einsums", ["Zz"]), "bind.0.einsums", "Zz", "'Z'"),
    "no such Einsum in a group": (two_groups(["Z", "R", "Y"], ["X"]), "groups.1.einsums", "X", "R, Y, Z"),
    "no such Einsum in a branch": (put("groups.0.nest.2.do", ["W"]), "groups.0.nest: do", "W", "R, Y, Z"),
    "an Einsum in two branches": (put("groups.0.nest.3.do", ["Z", "R"]), "groups.0.nest: do", "Z", "R, Y"),
    "an Einsum in two groups": (two_groups(["Z", "R"], ["R", "Y"]), "groups.1.einsums", "R", "Keep one"),
    "an Einsum in no group": (two_groups(["Z"], ["R"]), "groups", "Y", "Add it"),
    "groups in the wrong order": (two_groups(["R", "Y"], ["Z"]), "groups", "R", "Order the groups"),
    "an Einsum bound to nothing": (put("bind.1.einsums", ["R"]), "bind", "Y", "Bind it"),
    "slots that leave one out": (put("groups.0.slots", [["Z"], ["R"]]), "groups.0", "R, Z", "exactly one slot"),
    "slots that name one twice": (
        put("groups.0.slots", [["Z", "R"], ["R", "Y"]]),
        "groups.0",
        "R, R, Y, Z",
        "exactly one slot",
    ),
    "no depth": (put("groups.0.depth", 0), "groups.0.depth", "0", "1, more, or full"),
    "another depth": (put("groups.0.depth", "deep"), "groups.0.depth", "deep", "more, or full"),
    "a tile of nothing": (put("groups.0.nest.0.tile", 0), "tile of m", "0", "larger tile"),
    "a formula of no tile": (put("groups.0.nest.0.tile", "M - 64"), "tile of m", "M - 64", "larger tile"),
    "a tile longer than its rank": (put("groups.0.nest.0.tile", 65), "tile of m", "65", "min(65, M)"),
    "half a tile": (put("groups.0.nest.0.tile", 1.5), "tile of m", "1.5", ""),
    "a hold that nobody uses": (put("groups.0.nest.1.hold", ["A", "C"]), "nest: hold", "C", "A, B, R, Y, Z"),
    "a hold where its user is not": (put("groups.0.nest.3.nest.0.hold", ["A"]), "nest: hold", "A", "R, Y, Z"),
    "no copies of a tile": (put("groups.0.nest.1.copies", 0), "copies of A", "0", "2 to fill"),
    "a copy and a half": (put("groups.0.nest.1.copies", 1.5), "copies of A", "1.5", "2 to fill"),
    "a spill of no intermediate": (put("groups.0.spill", ["A"]), "spill", "A", "R, Y, Z"),
    "a fit of no level": (put("params.T.fit", "cache"), "levels", "cache", "global_buffer"),
    "a formula of unknown names": (put("groups.0.nest.0.tile", "PE_DIM"), "formula", "PE_DIM", "'pe_dim'"),
    "no formula": (put("groups.0.nest.0.tile", "M /"), "formula", "M /", "arithmetic"),
    "no such field": (put("groups.0.tile", 8), "groups.0.tile", "8", ""),
    "a list for a document": (put("groups.0.nest", "m"), "groups.0.nest", "m", ""),
    "no such variant": (put("variant", "2-pass"), "mapping.variant", "2-pass", "plain"),
    "a loop dealt over nothing": (put("groups.0.nest.0.over", "sm"), "groups.0.nest: over", "sm", "(none)"),
}


@pytest.mark.parametrize("mistake", ERRORS)
def test_a_mistake_is_one_message_with_field_value_and_remedy(mistake: str) -> None:
    change, field, shown, remedy = ERRORS[mistake]
    with pytest.raises(LightboundError) as caught:
        simulate(CASCADE, "fusemax", changed(change))
    error = caught.value
    assert field in error.field
    assert shown in str(error.value)
    assert remedy in error.remedy
    assert error.remedy.strip() and error.problem.strip()
    assert str(error).startswith(error.field) and "\n" not in str(error)


def test_what_is_held_further_out_is_not_held_inside_of_what_is_nearer() -> None:
    product = Cascade.parse("Z[m,n] = sum(A[m,k] * B[k,n], k)", {"M": 64, "N": 64, "K": 64})
    nest = [{"hold": "A", "in": "shared"}, {"for": "m", "tile": 8}, {"hold": "A", "in": "l2"}]
    mapping = {
        "bind": [{"einsums": "Z", "unit": "tensor", "space": {"lanes": ["m", "n"]}}],
        "groups": [{"einsums": "Z", "nest": nest}],
    }
    with pytest.raises(LightboundError, match="Write the hold in l2 first"):
        simulate(product, "h100_sxm", mapping)


def test_an_operation_that_a_unit_lacks_names_the_units_that_have_it() -> None:
    document = changed(put("bind", [{"einsums": ["Z", "Y"], "unit": "2d"}, {"einsums": ["R"], "unit": "1d"}]))
    with pytest.raises(LightboundError, match=r"bind = Y: needs 'sub', which unit '2d' of flat does not do.*to 1d"):
        simulate(CASCADE, "flat", document)


def test_a_rank_that_carries_a_recurrence_lies_along_no_lanes() -> None:
    document = {
        "bind": [{"einsums": ["S"], "unit": "1d", "space": {"rows": "t"}}],
        "groups": [{"einsums": ["S"], "nest": []}],
    }
    with pytest.raises(LightboundError, match=r"bind\.0\.space\.rows = t: carries S.*leave the rank in time"):
        simulate(RUNNING, "fusemax", document)
    assert simulate(
        RUNNING, "fusemax", {**document, "bind": [{"einsums": ["S"], "unit": "1d", "space": {"rows": "p"}}]}
    )


def test_a_buffer_that_is_too_small_says_what_is_held_and_how_much_it_takes() -> None:
    literal = changed(put("params.T", 64))
    with pytest.raises(LightboundError) as caught:
        simulate(CASCADE, machine("fusemax", global_buffer="16 KiB"), literal)
    assert caught.value.field == "machine.levels.global_buffer.capacity"
    held = 2 * (64 * 32 + 64 * 96 + 2 * 32 * 8 + 64 * 96)
    assert f"{held:,} B" in caught.value.problem and "Z" in caught.value.problem
    assert "overbook" in caught.value.remedy
    with pytest.raises(LightboundError, match=r"too small for mapping 'mine', which needs .* at least"):
        simulate(CASCADE, machine("fusemax", global_buffer="1 KiB"), MAPPING)


def test_a_mapping_is_a_document() -> None:
    with pytest.raises(LightboundError, match=r"mapping = .*list: is not a mapping"):
        Mapping.from_data([1, 2])
    with pytest.raises(LightboundError, match=r"does not exist.*binding"):
        simulate("fusemax", "fusemax", "bindng")
    with pytest.raises(LightboundError, match="engine = quantum: does not exist"):
        simulate("matmul", "fusemax", engine="quantum")


@pytest.mark.parametrize("name", [name for name, made in MAPPINGS.items() if not callable(made)])
def test_a_named_mapping_survives_plain_data_and_yaml(name: str) -> None:
    mapping = Mapping.from_data(MAPPINGS[name])
    text = yaml.safe_dump(yaml.safe_load(yaml.safe_dump(_plain(mapping.to_data()))))
    assert Mapping.from_data(yaml.safe_load(text)) == mapping
    work = workload("fusemax", preset="bert", M=4096, P=4096)
    on = {"cascade": "flat_serial_exp", "unfused": "flat"}.get(name, "fusemax")
    assert simulate(work, on, mapping).latency_s == simulate(work, on, name).latency_s


def test_a_mapping_made_for_its_sizes_survives_plain_data() -> None:
    work = workload("fusemax", preset="bert", variant="3-pass", M=4096, P=4096)
    mapping = Mapping.from_data(flat(work.sizes, machine("flat").quantities))
    assert Mapping.from_data(mapping.to_data()) == mapping
    assert simulate(work, "flat", mapping).to_dict() == {
        **simulate(work, "flat", "flat").to_dict(), "mapping": "mapping",
    }  # fmt: skip


@given(cascades(), st.sampled_from(MACHINES))
@settings(deadline=None, max_examples=25)
def test_a_default_mapping_survives_plain_data_and_yaml(cascade: Cascade, name: str) -> None:
    mapping = default_mapping(as_workload(cascade), machine(name))
    assert Mapping.from_data(yaml.safe_load(yaml.safe_dump(_plain(mapping.to_data())))) == mapping


def _plain(value: Any) -> Any:
    """Tuples as lists, as YAML has them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
