"""Compiling kernels for GPUs that need not be there, and reading what the machine code takes.

`compile_all` hands launches to processes of their own, since whether Triton interprets or compiles is settled when code
for the device is loaded. Such a process is ``python -m lightbound.kernels.triton.compile``: it reads one JSON object a
line, `Compiled` with ``target`` and ``package``, and writes one a line, `Resources` or ``{"error": ...}``. Neither a
GPU nor a driver is needed: Triton brings an assembler and a disassembler.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from lightbound.base.errors import LightboundError

from .assembly import Instruction, amdgcn_program, counted, sass_program
from .footprint import Resources
from .kernel import Compiled, require
from .targets import TARGETS
from .turns import followed

DEVICE_CODE = __name__.rpartition(".")[0] + ".device"


def compile_all(
    jobs: Sequence[tuple[Compiled, str]], processes: int | None = None, package: str = DEVICE_CODE
) -> list[Resources | LightboundError]:
    """Resources of every (launch, target), in order; an error in the place of one that does not compile.

    `processes` work at once, as many as there are cores by default. `package` holds the modules that launches name.
    """
    require("torch", "triton")
    lines = [json.dumps({**asdict(launch), "target": target, "package": package}) for launch, target in jobs]
    count = max(1, min(processes or len(os.sched_getaffinity(0)), len(lines)))
    with ThreadPoolExecutor(count) as pool:
        shares = list(pool.map(_in_process, [lines[first::count] for first in range(count)]))
    return [_result(shares[number % count][number // count], jobs[number][1]) for number in range(len(lines))]


def _in_process(lines: Sequence[str]) -> list[dict[str, Any]]:
    if not lines:
        return []
    with tempfile.TemporaryDirectory(prefix="lightbound-triton-") as folder:
        environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
        environment |= {"TRITON_HOME": folder, "TRITON_CACHE_DIR": folder, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-m", __name__], input="\n".join(lines), capture_output=True, text=True, env=environment
        )
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    missing = {"error": f"the compiler ended with exit code {done.returncode}: {_last_line(done.stderr)}"}
    return answers + [missing] * (len(lines) - len(answers))


def _result(answer: Mapping[str, Any], target: str) -> Resources | LightboundError:
    if "error" in answer:
        return LightboundError("target", target, f"cannot be compiled for: {answer['error']}", "Try another tile.")
    return Resources.from_dict(answer)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


def compile_one(launch: Compiled, target: str, package: str = DEVICE_CODE) -> Resources:
    """Resources of a launch, compiled in this process; raises what Triton raises."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    function = getattr(import_module(f"{package}.{launch.module}"), launch.function)
    names: list[str] = function.arg_names
    source = ASTSource(
        function,
        {name: launch.signature.get(name, "constexpr") for name in names},
        constexprs={(names.index(name),): _constant(value) for name, value in launch.constants.items()},
        attrs={(names.index(name),): [["tt.divisibility", 16]] for name in launch.divisible},  # pyright: ignore[reportArgumentType]
    )
    options = {"num_warps": launch.warps, "num_stages": launch.stages, **launch.options}
    kernel: Any = triton.compile(source, target=GPUTarget(*TARGETS[target]), options=options)
    read = _amdgcn if TARGETS[target][0] == "hip" else _cubin
    program, measured = read(kernel, kernel.metadata.name)
    found, start, end = followed(program, target, 32 * launch.warps)
    return Resources(
        target=target,
        triton=triton.__version__,
        shared_bytes=kernel.metadata.shared,
        tensor_columns=getattr(kernel.metadata, "tmem_size", None) or 0,
        threads=kernel.metadata.num_warps * TARGETS[target][2],
        instructions=counted(program),
        loops=tuple(found),
        start_cycles=start,
        end_cycles=end,
        **measured,
    )


def _constant(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _cubin(kernel: Any, name: str) -> tuple[list[Instruction], dict[str, int]]:
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.TemporaryDirectory(prefix="lightbound-triton-") as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(kernel.asm["cubin"])
        text, usage = (
            subprocess.run([str(tool), option, str(file)], capture_output=True, text=True, check=True).stdout
            for option in ("-sass", "-res-usage")
        )
    usage = usage[usage.rindex(f"Function {name}:") :]
    program = sass_program(text, name)
    spilled = sum(_bytes(one.mnemonic) for one in program if one.kind == "local")
    measured = {"registers": _number(usage, "REG"), "stack_bytes": _number(usage, "STACK"), "spill_bytes": spilled}
    return program, measured


def _amdgcn(kernel: Any, name: str) -> tuple[list[Instruction], dict[str, int]]:
    text = kernel.asm["amdgcn"]
    program = amdgcn_program(text, name)
    spilled = 4 * _number(text, r"\.vgpr_spill_count") + sum(
        _bytes(one.mnemonic) for one in program if one.kind == "local"
    )
    stack = _number(text, r"\.private_segment_fixed_size")
    return program, {"registers": _number(text, r"\.vgpr_count"), "stack_bytes": stack, "spill_bytes": spilled}


def _number(text: str, name: str) -> int:
    match = re.search(rf"{name}:\s*(\d+)", text)
    if match is None:
        raise LightboundError(
            "assembly",
            name,
            "is not stated in the compiler's output",
            "Use the version of triton that lightbound's extra names.",
        )
    return int(match[1])


def _bytes(mnemonic: str) -> int:
    """Bytes that a load or store of a thread's own memory moves: ``LDL.64``, ``scratch_store_dwordx4``."""
    if match := re.search(r"dwordx(\d)", mnemonic):
        return 4 * int(match[1])
    match = re.search(r"\.(?:[US])?(8|16|64|128)\b", mnemonic)
    return int(match[1]) // 8 if match else 4


def main() -> int:
    """Compile what standard input asks for, a line an answer."""
    for line in sys.stdin:
        given = json.loads(line)
        target, package = given.pop("target"), given.pop("package")
        try:
            answer = compile_one(Compiled(**given), target, package).to_dict()
        except Exception as error:  # whatever the compiler raises is the answer, and the next one may compile
            answer = {"error": f"{type(error).__name__}: {_last_line(str(error))}"}
        print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
