"""The assembler and disassembler that come with Triton or the CUDA toolkit: PTX to machine code, and what a loop holds.

Machine code that was made by `ptxas` is what tests look at; where there is no assembler, the driver translates.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from .ptx import LOOP_CONTROL, target

TIMEOUT_S = 60
CONTROL = 16  # instructions that may count rounds and step descriptors, in a loop of a hundred or of long ones


def tool(name: str) -> Path | None:
    """``ptxas`` or ``cuobjdump``: Triton's own, that of CUDA_HOME, or the one on the path."""
    return next(_places(name), None)


def _places(name: str) -> Iterator[Path]:
    spec = find_spec("triton")
    if spec is not None and spec.origin is not None:
        yield from _there(Path(spec.origin).parent / "backends" / "nvidia" / "bin" / name)
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if home := os.environ.get(variable):
            yield from _there(Path(home) / "bin" / name)
    if found := shutil.which(name):
        yield Path(found)


def _there(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path


class AssemblyError(Exception):
    """The assembler refused a program; the message is its own."""


def assemble(text: str, capability: int) -> bytes:
    """The machine code (cubin) of a module's text; AssemblyError where it is refused or there is no assembler."""
    ptxas = tool("ptxas")
    if ptxas is None:
        raise AssemblyError("no ptxas")
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "program.ptx", Path(folder) / "program.cubin"
        source.write_text(text, "utf-8")
        command = [str(ptxas), "--gpu-name", target(capability), str(source), "-o", str(made)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if result.returncode or not made.is_file():
            raise AssemblyError((result.stderr or result.stdout).strip()[:2000])
        if "serialized" in result.stderr:
            raise AssemblyError(result.stderr.strip()[:2000])
        return made.read_bytes()


def disassemble(cubin: bytes) -> dict[str, list[str]]:
    """The instructions of every entry, in order, each with its address: ``0010 FFMA R1, R1, R2, R3``."""
    cuobjdump = tool("cuobjdump")
    if cuobjdump is None:
        raise AssemblyError("no cuobjdump")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "program.cubin"
        made.write_bytes(cubin)
        command = [str(cuobjdump), "-sass", str(made)]
        text = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True).stdout
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if match := re.search(r"Function : (\w+)", line):
            lines = found.setdefault(match[1], [])
        elif match := re.match(r"\s+/\*([0-9a-f]{4,})\*/\s+(.+?)\s*;", line):
            lines.append(f"{match[1]} {match[2]}")
    return found


def loops(instructions: list[str]) -> list[list[str]]:
    """The bodies of all innermost loops (a branch back and what it spans), by where they stand."""
    at = [int(line.split()[0], 16) for line in instructions]
    spans = []
    for index, line in enumerate(instructions):
        branch = re.search(r"\bBRA(?:\.\S+)?\s+(?:\S+,\s*)*`?\(?(?:\.L_x_\d+|0x([0-9a-f]+))", line)
        if branch and branch[1] and int(branch[1], 16) < at[index]:  # a jump to itself ends every program
            spans.append((at.index(int(branch[1], 16)), index + 1))
    inner = [
        one for one in spans if not any(other != one and one[0] <= other[0] and other[1] <= one[1] for other in spans)
    ]
    return [instructions[first:last] for first, last in sorted(inner)]


def opcode(line: str) -> str:
    """The stem of an instruction's opcode: FFMA of ``0010 @P0 FFMA.FTZ R1, ...``."""
    words = line.split()[1:]
    return next(word for word in words if not word.startswith("@")).split(".")[0].rstrip(",")


def surplus(body: list[str], expected: Mapping[str, int], alone: bool = True) -> dict[str, tuple[int, int]]:
    """By opcode, how often it was expected and found, where these differ; ``A|B`` is either. Counting rounds is free;
    where the loop is not `alone`, so are other instructions."""
    found = Counter(opcode(line) for line in body)
    wrong: dict[str, tuple[int, int]] = {}
    for names, times in expected.items():
        there = sum(found.pop(name, 0) for name in names.split("|"))
        free = 4 if set(names.split("|")) & LOOP_CONTROL else 0
        if not times <= there <= times + free:
            wrong[names] = (times, there)
    if not alone:
        return wrong
    wrong.update({name: (0, there) for name, there in found.items() if name not in LOOP_CONTROL})
    control = sum(there for name, there in found.items() if name in LOOP_CONTROL and name != "NOP")
    if control > CONTROL:
        wrong["loop control"] = (CONTROL, control)
    return wrong
