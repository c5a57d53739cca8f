"""``python -m lightbound.kernels.cuda.probe --out FILE.json``: measure the GPU at hand, write every sample.

A child process measures and writes a line for every task; this one waits for it, for no longer than the budget allows.
If the child dies or hangs (after a fault on the GPU nothing else runs in its process), the task that it was at is
recorded as failed, and another child goes on with the next. `lightbound probe cuda --from FILE.json` makes a machine of
what was measured. Only torch, numpy and the standard library are needed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

from lightbound.base.errors import LightboundError

FORMAT = "lightbound probe cuda 1"
BUDGET_S = 75.0
STARTING_S = 60.0  # until a child has measured its first task: imports, context, assembling
STUCK_S = 25.0  # a task takes seconds: one that takes so long hangs
FAULT = 3  # exit of a child whose context is of no further use

Step = Callable[[str], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write; 0 if any figure was measured, 1 if none was, 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="python -m lightbound.kernels.cuda.probe", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="where to write raw results")
    parser.add_argument("--budget", type=float, default=BUDGET_S, metavar="SECONDS", help="time for all of it")
    parser.add_argument("--only", default="", metavar="PREFIX,...", help="tasks whose name begins so; all by default")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--skip", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    only = tuple(filter(None, given.only.split(",")))
    try:
        if given.child is not None:
            return _child(given.child, given.until, only, set(json.loads(given.skip.read_text())))
        raw = measure(given.budget, only, lambda what: print(what, file=sys.stderr, flush=True))
    except LightboundError as error:
        print(error, file=sys.stderr)
        return 2
    given.out.write_text(json.dumps(raw), "utf-8")
    counts = ", ".join(f"{len(raw[kind])} {kind}" for kind in ("figures", "failed", "skipped"))
    print(f"{counts}, {raw['seconds']:.0f} s")
    return 0 if raw["figures"] else 1


def measure(budget_s: float = BUDGET_S, only: Sequence[str] = (), step: Step = lambda what: None) -> dict[str, Any]:
    """Raw results of the GPU at hand: device, figures by name, failed and skipped tasks. `step` is told of each task.

    LightboundError where there is no GPU.
    """
    begin = time.monotonic()
    lines: list[dict[str, Any]] = []
    done: set[str] = set()
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for attempt in range(8):
            left = budget_s - (time.monotonic() - begin)
            if attempt and left < 5:
                break
            output, skip = Path(folder) / f"{attempt}.jsonl", Path(folder) / f"{attempt}.skip"
            output.touch()
            skip.write_text(json.dumps(sorted(done | set(failed))))
            code, said = _watch(output, skip, left, only, step)
            new = _read(output)
            lines += new
            done |= {line["done"] for line in new if "done" in line}
            failed |= {line["failed"]: line["error"] for line in new if "failed" in line}
            if code == 0:
                break
            refused = next((line["refused"] for line in new if "refused" in line), None)
            if refused:
                raise LightboundError(*refused)
            under_way = [line["begin"] for line in new if "begin" in line][-1:]
            under_way = [name for name in under_way if name not in done and name not in failed]
            if not under_way and not any("failed" in line for line in new):
                failed["start"] = said[-2000:]  # it never came to a task: another try would not either
                break
            failed |= dict.fromkeys(under_way, f"the process ended with {code}: {said[-500:]}")
    device = next((line["device"] for line in lines if "device" in line), {})
    figures = {name: one for line in lines if "done" in line for name, one in line["figures"].items()}
    asked = next((line["tasks"] for line in lines if "tasks" in line), [])
    skipped = [name for name in asked if name not in done and name not in failed]
    return {
        "format": FORMAT,
        "day": date.today().isoformat(),
        "seconds": time.monotonic() - begin,
        "device": device,
        "figures": figures,
        "failed": failed,
        "skipped": skipped,
    }


def _watch(output: Path, skip: Path, left: float, only: Sequence[str], step: Step) -> tuple[int, str]:
    """Run a child until it ends, hangs or has used up its time; its exit and what it said on the error stream."""
    command = [sys.executable, "-m", "lightbound.kernels.cuda.probe", "--out", os.devnull, "--child", str(output)]
    command += ["--skip", str(skip), "--until", str(time.time() + left), "--only", ",".join(only)]
    said = output.with_suffix(".err")
    with said.open("w") as errors:
        child = subprocess.Popen(command, stdout=errors, stderr=errors)
        seen, since, started = 0, time.monotonic(), time.monotonic()
        while child.poll() is None:
            time.sleep(0.05)
            lines = _read(output)
            if len(lines) > seen:
                for line in lines[seen:]:
                    if "begin" in line:
                        step(line["begin"])
                seen, since = len(lines), time.monotonic()
            patience = STUCK_S if any("begin" in line for line in lines) else STARTING_S
            late = time.monotonic() - started > left + STUCK_S
            if time.monotonic() - since > patience or late:
                child.kill()
                child.wait()
                return -9, f"killed: no answer for {time.monotonic() - since:.0f} s"
    return child.returncode, said.read_text(errors="replace")


def _read(path: Path) -> list[dict[str, Any]]:
    """Whole lines of a child so far."""
    text = path.read_text("utf-8", errors="replace")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def _child(output: Path, until: float, only: Sequence[str], skip: set[str]) -> int:
    with output.open("a", encoding="utf-8") as stream:

        def write(**line: Any) -> None:
            stream.write(json.dumps(line) + "\n")
            stream.flush()

        from .driver import Driver, DriverError

        try:
            driver = Driver()
        except LightboundError as error:
            write(refused=[error.field, error.value, error.problem, error.remedy])
            return 2
        from . import bulk, copies, figures, figures_clock, figures_memory, straight
        from .bench import Bench

        _preload(driver)
        write(device=_device(driver))
        asked = [
            *figures.tasks(driver.capability),
            *figures_memory.tasks(),
            *bulk.tasks(driver.capability),
            *copies.tasks(),
            *straight.tasks(),
            *figures_clock.tasks(driver.capability),
        ]
        asked = [task for task in asked if not only or task.name.startswith(tuple(only))]
        write(tasks=[task.name for task in asked])
        bench = Bench(driver)
        for task in asked:
            if task.name in skip or time.time() + task.seconds > until:
                continue
            write(begin=task.name)
            try:
                found = task.run(bench)
                bench.wait()
            except Exception as error:  # a figure that fails must not cost the others
                write(failed=task.name, error=f"{type(error).__name__}: {error}"[:2000])
                if _is_dead(driver, error, DriverError):
                    return FAULT
                driver.torch.cuda.empty_cache()
                continue
            write(done=task.name, figures=found)
    return 0


def _is_dead(driver: Any, error: Exception, kind: type[Exception]) -> bool:
    """Whether the context is of no further use: a plain copy fails too."""
    if isinstance(error, kind) and getattr(error, "code", 0) in (1, 2, 218, 221, 701):
        return False  # bad values, memory, a program that it cannot translate, resources: nothing ran
    try:
        driver.torch.zeros(1, device="cuda").add_(1).item()
    except RuntimeError:
        return True
    return False


def _preload(driver: Any) -> None:
    """Assemble all programs side by side, and load them; one that fails does so again in its own task."""
    from . import arithmetic, beside, bulk, copies, load, memory, shared, straight, tensor
    from .assemble import AssemblyError, assemble
    from .ptx import module

    programs = [
        program
        for room in (arithmetic, tensor, shared, beside, memory, bulk, copies, load, straight)
        for program in room.programs()
        if program.runs_on(driver.capability)
    ]

    def code(program: Any) -> bytes | None:
        try:
            return assemble(module([program], driver.capability), driver.capability)
        except (AssemblyError, OSError, subprocess.SubprocessError):
            return None

    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        for program, cubin in zip(programs, pool.map(code, programs), strict=True):
            if cubin is not None:
                try:
                    driver.load(program, cubin)
                    driver.assembler = "ptxas"
                except Exception:
                    continue  # nothing is lost here: its own task assembles it again, and what it raises is recorded


def _device(driver: Any) -> dict[str, Any]:
    """The GPU, the driver and the versions that were used."""
    torch = driver.torch
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "capability": driver.capability,
        "attributes": driver.attributes,
        "driver_cuda": driver.version(),
        "driver": _driver_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "assembler": driver.assembler,
        "python": sys.version.split()[0],
    }


def _driver_version() -> str:
    """The version of NVIDIA's kernel module, such as 570.86.15; empty where the system does not say."""
    try:
        words = Path("/proc/driver/nvidia/version").read_text().split()
    except OSError:
        return ""
    return next((word for word in words if word.count(".") >= 1 and word.replace(".", "").isdigit()), "")


if __name__ == "__main__":
    sys.exit(main())
