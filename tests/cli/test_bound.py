"""``lightbound bound``: ladders, searches, pictures, and every wrong argument."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lightbound as lb

if TYPE_CHECKING:
    from conftest import Run

HUNYUAN = ("bound", "gna", "--preset", "hunyuan_video")
CASE = (*HUNYUAN, "--window", "18,24,24", "--stride", "16,8,8", "--q-tile", "4,8,8", "--kv-tile", "2,8,8")


def test_the_ladder_told_is_what_the_library_finds(run: Run) -> None:
    told = json.loads(run(*CASE, "--machine", "b200", "--format", "json").out)
    found = lb.bound(lb.workload("gna", "hunyuan_video"), "b200", (4, 8, 8), (2, 8, 8))
    assert told["speedup"] == found.speedup
    assert [rung["speedup"] for rung in told["rungs"]] == [rung.speedup for rung in found.rungs]
    assert told["estimate"]["kernel_s"] == found.estimate.kernel_s if found.estimate else False
    assert told["explanation"] == found.explain()


def test_the_tables_name_every_rung_the_estimate_and_the_run(run: Run) -> None:
    out = run(*CASE, "--machine", "h100_sxm").out
    for word in ("operations", "worst tile", "total visits", "roofline", "schedule", "with token order", "End to end"):
        assert word in out
    assert "perfectly block-sparse   yes" in out


def test_the_estimate_says_which_launch_it_leaves_out_and_is_then_what_is_simulated(run: Run) -> None:
    case = ("gna", "--preset", "demo_1d", "--machine", "h100_sxm")
    launch = float(lb.machine("h100_sxm").launch_latency_s)
    assert f"both without the launch of {1e6 * launch:.4g} us, which simulate adds" in run("bound", *case).out
    alone = json.loads(run("bound", *case, "--format", "json").out)["estimate"]["kernel_s"]
    simulated = json.loads(run("simulate", *case, "--format", "json").out)["latency_s"]
    assert alone + launch == pytest.approx(simulated)


def test_attention_without_a_mask_takes_causal_as_simulate_does(run: Run) -> None:
    case = ("attention", "--preset", "llama2_7b", "--machine", "h100_sxm")
    ran = run("bound", *case, "--causal", "1")
    assert ran.code == 0 and "causal: no query looks ahead" in ran.out and "32 of 528 visits are partial" in ran.out
    alone = json.loads(run("bound", *case, "--causal", "1", "--format", "json").out)["estimate"]["kernel_s"]
    simulated = json.loads(run("simulate", *case, "--causal", "--format", "json").out)["latency_s"]
    assert alone + float(lb.machine("h100_sxm").launch_latency_s) == pytest.approx(simulated)
    assert run("bound", *case, "--causal", "0").out == run("bound", *case).out


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((), "--causal: needs a value. See 'lightbound bound --help'."),
        (("1,0",), "Write --causal 1 for attention without axes, or choose a workload with a mask"),
        (("2",), "--causal = 2: is not yes or no. Write 1 or 0 an axis"),
        (("yes",), "--causal = yes: is not yes or no. Write 1 or 0 an axis"),
    ],
)
def test_a_causal_that_is_no_yes_or_no_is_told_what_to_write(run: Run, given: tuple[str, ...], told: str) -> None:
    ran = run("bound", "attention", "--causal", *given)
    assert ran.code == 2 and told in ran.err


def test_without_a_machine_there_are_counts_and_no_times(run: Run) -> None:
    out = run(*CASE).out
    assert "11.11x" in out and "10.42x" in out
    assert "roofline" not in out and "No estimate" not in out


def test_csv_has_a_line_for_each_rung(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(run(*CASE, "--machine", "b200", "--format", "csv").out)))
    assert [row["name"] for row in rows] == ["operations", "worst tile", "total visits", "roofline", "schedule"]
    assert float(rows[0]["speedup"]) == pytest.approx(100 / 9)


def test_options_of_the_mask_and_sizes_reach_the_workload(run: Run) -> None:
    given = ("--grid", "64x64", "--window", "16", "--causal", "1,0", "--dilation", "2,1", "--extra-keys", "128")
    told = json.loads(run("bound", "gna", *given, "--set", "H=3", "--format", "json").out)
    assert told["options"] == {
        "grid": [64, 64], "window": 16, "stride": 1, "dilation": [2, 1], "causal": [True, False], "extra_keys": 128,
    }  # fmt: skip
    assert told["copies"] == 3
    assert not told["rungs"][1]["informative"]


def test_a_workload_without_a_mask_is_dense(run: Run) -> None:
    out = run("bound", "attention", "--machine", "h100_sxm").out
    assert "every query attends every key" in out and "speedup, at most 1x" in " ".join(out.split())


def test_a_search_tells_the_best_designs_in_every_format(run: Run) -> None:
    found = lb.bound_search(lb.workload("gna", "hunyuan_video"), "h100_sxm")
    search = (*HUNYUAN, "--search", "--machine", "h100_sxm")
    told = json.loads(run(*search, "--format", "json").out)
    rows = list(csv.DictReader(io.StringIO(run(*search, "--format", "csv").out)))
    assert [design["stride"] for design in told["designs"]] == [row["stride"] for row in rows]
    assert told["designs"] == found.to_dict()["designs"]
    assert "stride 2x8x8, tiles 2x8x8/2x8x8" in run(*search).out


def test_a_search_takes_one_tile_pair_or_all_of_two_sizes(run: Run) -> None:
    one = json.loads(run(*CASE, "--search", "--format", "json").out)
    every = json.loads(run("bound", "gna", "--preset", "demo_1d", "--search", "--tile-sizes", "256,128",
                           "--format", "json").out)  # fmt: skip
    assert one["tile_pairs"] == every["tile_pairs"] == 1
    assert every["designs"][0]["stride"] == "256"


@pytest.mark.parametrize("suffix", [".png", ".svg"])
@pytest.mark.parametrize("more", [(), ("--search",), ("--machine", "b200")])
def test_pictures_are_drawn_to_files(run: Run, tmp_path: Path, suffix: str, more: tuple[str, ...]) -> None:
    path = tmp_path / f"drawn{suffix}"
    ran = run(*HUNYUAN, *more, "--plot", str(path))
    assert ran.code == 0 and f"Drawn to {path}" in ran.err.replace("\n", "")
    assert path.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--window", "18,24,240"), ("larger than the grid's 80 tokens", "Choose 2 to 80")),
        (("--stride", "20,8,8"), ("larger than the window of 18", "Choose 1 to 18")),
        (("--dilation", "2,2,2"), ("spans 36 of 30 tokens", "a dilation of at most 1")),
        (("--window", "18,24"), ("has 2 axes where the token grid has 3", "Give 3 values")),
        (("--q-tile", "5,5,5", "--kv-tile", "2,8,8"), ("no backend offers", "Choose from blackwell-fna: 8x4x8/4x4x8")),
        (("--q-tile", "4,8,8", "--kv-tile", "2,8,8", "--backend", "hopper-fna"), ("not a tile pair", "4x4x8/4x4x8")),
        (("--q-tile", "4,8", "--kv-tile", "2,8"), ("has 2 axes where the token grid has 3", "Give 3 values")),
        (("--window", "wide"), ("--window = wide: is not a shape", "--window 18,24,24")),
        (("--causal", "2,0,0"), ("is not yes or no", "--causal 1,0,0")),
        (("--grid", "32,32,32"), ("changes the grid but not the window", "Give --window")),
        (("--backend", "mine"), ("is not known", "blackwell-fna")),
        (("--kv-tiling", "moving"), ("is not known", "dynamic")),
        (("--copy-share", "2"), ("is no share of a bandwidth", "at most 1")),
        (("--extra-keys", "-3"), ("extra_keys = -3", "at least 0")),
        (("--preset", "mine"), ("is not one of gna's presets", "hunyuan_video")),
        (("--machine", "mine"), ("machine = mine", "b200")),
        (("--search", "--strides", "some"), ("is not a way to choose strides", "pruned")),
        (("--search", "--tile-sizes", "256"), ("is not two sizes", "--tile-sizes 256,128")),
        (("--search", "--limit", "0"), ("is no number of designs", "at least 1")),
        (("--plot", "drawn.txt"), ("is of no kind that can be drawn", ".png")),
        (("--plot", "no_such_folder/drawn.png"), ("does not exist", "Make no_such_folder first")),
        (("--set", "M=512"), ("follows from the mask", "grid")),
    ],
)
def test_wrong_arguments_exit_with_2_and_the_remedy(
    run: Run, arguments: tuple[str, ...], told: tuple[str, str]
) -> None:
    ran = run(*HUNYUAN, *arguments)
    assert ran.code == 2 and ran.out == ""
    assert ran.err.startswith("error: ") and ran.err.count("error: ") == 1 and "Traceback" not in ran.err
    for words in told:
        assert words in ran.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("bound", "attention", "--window", "3"), "attention has none"),
        (("bound", "matmul"), "has no queries p and keys m"),
        (("bound", "nothing"), "is not known"),
        (("bound",), "is missing"),
    ],
)
def test_workloads_that_cannot_be_bound_are_told(run: Run, arguments: tuple[str, ...], told: str) -> None:
    ran = run(*arguments)
    assert ran.code == 2 and told in ran.err


def test_a_tile_of_one_s_own_is_counted_on_request(run: Run) -> None:
    ran = run("bound", "gna", "--preset", "sta_91", "--q-tile", "6,8,8", "--kv-tile", "6,8,8", "--backend", "none")
    assert ran.code == 0
    assert "no backend that is known" in ran.out and "perfectly block-sparse   yes" in ran.out


def test_one_tile_of_a_pair_is_completed_from_the_backend(run: Run) -> None:
    assert "4x8x8 queries / 2x8x8 keys" in run(*HUNYUAN, "--q-tile", "4,8,8").out
