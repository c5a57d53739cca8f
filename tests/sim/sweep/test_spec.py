"""What people write for a sweep, and what they may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lightbound.base.errors import LightboundError
from lightbound.sim.sweep.checks import check
from lightbound.sim.sweep.plan import Plan, plan_of
from lightbound.sim.sweep.run import read

FIXED = {"workload": "fusemax", "machine": "fusemax", "mapping": "binding", "preset": "bert"}


def plan(**parts: Any) -> Plan:
    made = plan_of(read({"fixed": FIXED, **parts}))
    check(made)
    return made


def values(given: Any, field: str = "sizes.M") -> list[Any]:
    return list(plan(grid={field: given}).axes[0].values[field].plain)


def test_ranges_go_by_steps_by_factors_or_evenly_and_include_their_end() -> None:
    assert values({"from": "1K", "to": "4K", "step": "1K"}) == [1024, 2048, 3072, 4096]
    assert values({"from": "1K", "to": 9000, "times": 2}) == [1024, 2048, 4096, 8192]
    assert values({"from": 10, "to": 20, "count": 3}) == [10, 15, 20]
    assert values({"from": 0.1, "to": 0.3, "step": 0.1}, "machine.clock")[-1] == pytest.approx(0.3)
    assert values(["64K", "2**20", 7]) == [65536, 2**20, 7]
    assert values(4096) == [4096]


def test_quantities_of_a_machine_become_numbers_in_si_units() -> None:
    assert values(["8 MiB", 2**20], "machine.global_buffer") == [2**23, 2**20]
    assert values({"from": "100 GiB/s", "to": "300 GiB/s", "step": "100 GiB/s"}, "machine.dram.bandwidth") == [
        100 * 2**30, 200 * 2**30, 300 * 2**30
    ]  # fmt: skip


def test_every_combination_is_a_point_and_zipped_fields_go_side_by_side() -> None:
    made = plan(grid={"sizes.M": [1024, 2048], "machine.pe_dim": [64, 128, 256]},
                zip=[{"sizes.E": [32, 64], "sizes.F": [64, 32]}], where=["M > pe_dim * 8"])  # fmt: skip
    points = [
        tuple(made.plain(field, chunk)[at] for field in made.spec.varying)
        for chunk in made.chunks()
        for at in range(len(chunk))
    ]
    assert len(points) == made.count() == len(set(points))
    assert made.spec.varying == ("sizes.M", "machine.pe_dim", "sizes.E", "sizes.F")
    assert set(points) == {
        (m, dim, e, f) for m in (1024, 2048) for dim in (64, 128, 256) for e, f in ((32, 64), (64, 32)) if m > dim * 8
    }


def test_columns_have_short_names_unless_two_would_be_one() -> None:
    made = plan(grid={"machine.dram.bandwidth": [1e12], "sizes.M": [4096]}, keep=["utilization.2d", "latency_s"])
    assert made.spec.table == ("dram_bandwidth", "M", "utilization_2d", "latency_s")
    assert plan(grid={"machine.2d.cost.exp": [6]}).spec.table[0] == "_2d_cost_exp"
    both = plan_of(read({"fixed": FIXED, "grid": {"machine.M": [1], "sizes.M": [1]}}))
    assert both.spec.table[:2] == ("machine_M", "sizes_M")


def test_the_key_of_a_point_is_that_of_its_content_wherever_it_stands() -> None:
    one = plan(grid={"sizes.M": [1024, 2048], "machine.pe_dim": [64, 128]})
    other = plan(grid={"machine.pe_dim": {"from": 64, "to": 128, "times": 2}, "sizes.M": ["2K", "1K", "4K"]})
    keys = [{bytes(key) for chunk in made.chunks() for key in made.keys(chunk)} for made in (one, other)]
    assert len(keys[0]) == 4 and len(keys[1]) == 6
    assert keys[0] < keys[1]


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"gird": {}}, "Did you mean 'grid'"),
        ({"grid": {"size.M": [1]}}, "is not a field of a point"),
        ({"grid": {"sizes.Z": [1]}}, "is a size of no workload here"),
        ({"grid": {"sizes.M": []}}, "holds no value"),
        ({"grid": {"sizes.M": [1024, "1K"]}}, "is given twice"),
        ({"grid": {"sizes.M": [0]}}, "is not a whole number"),
        ({"grid": {"sizes.M": [True]}}, "is not a whole number"),
        ({"grid": {"sizes.M": {"from": 1, "to": 9}}}, "is not a range"),
        ({"grid": {"sizes.M": {"from": 9, "to": 1, "step": 1}}}, "ends before it begins"),
        ({"grid": {"sizes.M": {"from": 1, "to": 9, "step": 0}}}, "is not a whole number"),
        ({"grid": {"sizes.M": {"from": 1, "to": 9, "times": 1}}}, "does not lead"),
        ({"grid": {"sizes.M": {"from": 1, "to": 2, "count": 3}}}, "and not whole"),
        ({"grid": {"sizes.M": {"from": 1, "to": 9, "by": 2}}}, "is not a part of a range"),
        ({"grid": {"machine.global_buffer": ["8 s"]}}, "8 s"),
        ({"grid": {"machine.pe_dimm": [8]}}, "Did you mean 'pe_dim'"),
        ({"grid": {"machine.pe_dim": [float("nan")]}}, "is not a number"),
        ({"grid": {"machine.pe_dim": [10**400]}}, "is not a number"),
        ({"fixed": {**FIXED, "preset": "brt"}}, "Did you mean 'bert'"),
        ({"grid": {"mapping": ["binding"]}}, "is given in fixed already"),
        ({"fixed": {**FIXED, "mapping": "bindin"}}, "Did you mean 'binding'"),
        ({"fixed": {**FIXED, "machine": "fusemx"}}, "Did you mean 'fusemax'"),
        ({"fixed": {**FIXED, "engine": "evnt"}}, "Did you mean 'event'"),
        ({"fixed": {**FIXED, "workload": "a\x1b[31m"}}, "is not a name"),
        ({"fixed": {"machine": "fusemax"}}, "names no workload"),
        ({"zip": [{"sizes.M": [1, 2], "sizes.P": [1]}]}, "are not equally many"),
        ({"zip": [{"sizes.M": [1, 1], "sizes.P": [2, 2]}]}, "is given twice"),
        ({"follow": {"sizes.P": "M +"}}, "is not a formula"),
        ({"follow": {"engine": "M"}}, "is no number"),
        ({"keep": ["latncy_s"]}, "Did you mean 'latency_s'"),
        ({"keep": ["traffic_bytes"]}, "is not one number"),
        ({"keep": []}, "keeps nothing"),
        ({"derive": {"a b": "latency_s"}}, "is no name for a column"),
        ({"grid": {"sizes.M": [1]}, "derive": {"m": "latency_s"}}, "would be the column"),
        ({"objective": "least latency_s"}, "is not a goal"),
        ({"pareto": ["min latency"]}, "is not a column"),
        ({"name": "a\nb"}, "is not a line of text"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_computed(parts: dict[str, Any], told: str) -> None:
    with pytest.raises(LightboundError) as caught:
        plan(**parts)
    assert told in str(caught.value)


def test_a_sweep_of_too_many_points_is_refused_at_once() -> None:
    thousand = {"from": 1, "to": 1000, "step": 1}
    fields = ("machine.pe_dim", "machine.global_buffer", "sizes.M", "sizes.P")
    with pytest.raises(LightboundError, match=r"1,000,000,000,000 points.* are more than"):
        plan(grid=dict.fromkeys(fields, thousand))
    with pytest.raises(LightboundError, match="values of one field"):
        plan(grid={"sizes.M": {"from": 1, "to": 10**12, "step": 1}})
    with pytest.raises(LightboundError, match="has more than 500 columns"):
        plan(keep=[f"params.P{number}" for number in range(600)])


@pytest.mark.parametrize(
    "text", ["(" * 500 + "M" + ")" * 500, "-" * 1900 + "M", "M" + "+M" * 5000, "2**64**64", "9**9**9**9"]
)
def test_a_formula_cannot_run_away(text: str) -> None:
    with pytest.raises(LightboundError):
        plan(grid={"sizes.M": [1024]}, where=[text]).count()


def sweep_file(folder: Path, text: str) -> Path:
    path = folder / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a\n- b\n", "is not a mapping of fields"),
        ("grid: {sizes.M: *a}\n", "has an alias"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "has an alias"),
        ("grid: {sizes.M: [1]}\ngrid: {}\n", "twice"),
        ("[" * 5000, "cannot be read as YAML"),
        ("fixed: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        ("x" * 1_100_000, "is larger than"),
    ],
)
def test_documents_that_are_no_plain_data_are_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(LightboundError) as caught:
        plan_of(read(sweep_file(tmp_path, text)))
    assert told in str(caught.value)


@pytest.mark.parametrize("kind", ["machine", "workload", "mapping"])
@pytest.mark.parametrize("name", ["../secret.yaml", "/etc/passwd.yaml", "a/../../secret.yaml", "link.yaml"])
def test_files_outside_the_folder_of_a_sweep_are_not_read(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / "secret.yaml").write_text("password: of someone\n", encoding="utf-8")
    home = tmp_path / "home"
    home.mkdir()
    (home / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    spec = sweep_file(
        home, f"fixed: {{workload: fusemax, machine: fusemax, {kind}: {name}}}\n".replace(f"{kind}: fusemax, ", "")
    )
    with pytest.raises(LightboundError, match="lies outside the folder of the sweep") as caught:
        read(spec)
    assert "password" not in str(caught.value)


def test_a_machine_of_the_folder_may_extend_the_library_but_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text("password: of someone\n", encoding="utf-8")
    home = tmp_path / "home"
    home.mkdir()
    spec = sweep_file(home, "fixed: {workload: fusemax, machine: mine.yaml, mapping: binding, preset: bert}\n")
    mine = home / "mine.yaml"
    mine.write_text("extends: fusemax\nname: mine\nsource: ours\n", encoding="utf-8")
    made = plan_of(read(spec))
    check(made)
    assert list(made.files.texts) == ["mine.yaml"]
    mine.write_text("extends: ../secret.yaml\nname: mine\n", encoding="utf-8")
    with pytest.raises(LightboundError, match="lies outside the folder of the sweep"):
        read(spec)
