"""``lightbound measure``: a campaign on a GPU; ``compare --device cuda``: a short one beside predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from lightbound.archs.library import machine as find_machine
from lightbound.base.errors import LightboundError, choose_from
from lightbound.kernels.triton.campaign.face import campaign, check_device
from lightbound.kernels.triton.campaign.records import RecordFile
from lightbound.kernels.triton.campaign.run import Asked
from lightbound.kernels.triton.campaign.tuned import fastest_tiles
from lightbound.kernels.triton.catalogue import find_kernel
from lightbound.kernels.triton.catalogue import kernels as every_kernel
from lightbound.sim.explain import seconds
from lightbound.validate.gpu.records import Measured, Scored, read_measured

from .answer import Answer, Block, Table, Text
from .output import note


def answer(
    kernels: Sequence[str],
    device: str,
    output: Path,
    asked: Asked,
    commit: str | None,
) -> Answer:
    """Run a campaign; what it did, and where tiles were compared which were fastest."""
    done = campaign(output, kernels, asked, device, commit, note)
    left = ", ".join(f"{count} of {name}" for name, count in done.left.items())
    told = f"{done.timed} timed, {done.failed} failed, into {output}." + (f" Left: {left}." if left else "")
    blocks: list[Block] = [Text(told)]
    records = list(RecordFile(output).of("timing", "tuning"))
    if asked.tune:
        rows = [
            (kernel, case, tile, seconds(taken), f"{gain:.2f}")
            for kernel, case, tile, taken, gain in fastest_tiles(records)
        ]
        columns = ("kernel", "case", "tile", "time", "default over it")
        blocks.append(Table(columns, rows, right=frozenset(columns[3:])))
    data = {"timed": done.timed, "failed": done.failed, "left": dict(done.left), "file": str(output)}
    return Answer(blocks, data, [_flat(record) for record in records])


def compare_on_gpu(kernels: Sequence[str], budget_s: float, peers: Sequence[str], machine: str | None) -> Answer:
    """Kernels and installed peers timed here and now, beside predictions on this device's machine, or on `machine`."""
    check_device("cuda")
    _check_peers(kernels, peers)
    on = find_machine(machine) if machine is not None else None
    with TemporaryDirectory() as folder:
        path = Path(folder) / "records.jsonl"
        campaign(path, kernels, Asked(peers=tuple(peers) or True, budget_s=budget_s), "cuda", None, note)
        found = read_measured([path], on)
    return comparison(found)


def _check_peers(kernels: Sequence[str], peers: Sequence[str]) -> None:
    chosen = [find_kernel(name) for name in kernels] or list(every_kernel().values())
    known = sorted({name for kernel in chosen for name in kernel.peers})
    for peer in peers:
        if not any(name.startswith(peer) for name in known):
            raise LightboundError("--peer", peer, "stands beside none of these kernels", choose_from(known, peer))


def comparison(found: Measured) -> Answer:
    """Measured cases and their predictions as a table."""
    columns = ("kernel", "case", "predicted", "measured", "error", "of bound", "bottleneck", "peers, times ours")
    rows = [_row(one) for one in found.scored]
    blocks: list[Block] = [Table(columns, rows, title=found.where, right=frozenset(columns[2:6]))]
    if found.left_out:
        told = "\n".join(f"{count} {why}" for why, count in found.left_out.items())
        blocks.append(Text(told, title="Not predicted"))
    for record in found.failures:
        blocks.append(Text(f"{record['key']}: {record['reason']}", title="Not timed"))
    records = [
        {**_flat(one.record), "predicted_s": one.predicted.latency_s, "error": one.error} for one in found.scored
    ]
    return Answer(blocks, {"where": found.where, "cases": records}, records)


def _row(one: Scored) -> tuple[str, ...]:
    return (
        one.kernel,
        one.case,
        seconds(one.predicted.latency_s),
        seconds(one.measured_s),
        f"{one.error:+.1%}",
        f"{one.predicted.bound_s / one.measured_s:.0%}",
        one.predicted.bottleneck,
        ", ".join(f"{name} {taken / one.measured_s:.2f}" for name, taken in one.peers.items()),
    )


def _flat(record: dict) -> dict[str, object]:
    kept = ("kernel", "name", "implementation", "held_out", "median_s", "calls_per_sample", "graph", "run_s", "sm_mhz")
    return {name: record[name] for name in kept if name in record}
