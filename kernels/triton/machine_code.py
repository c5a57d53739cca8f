"""Compiled code of any kernel for GPUs of NVIDIA: what its loops issue, and on Hopper how long a block takes alone."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightbound.base.errors import LightboundError

from ..cuda.assemble import TIMEOUT_S, tool
from .assembly import Loop, counted, sass_program
from .kernel import MissingPackage
from .turns import followed

WARP = 32
FEW = 2  # products of a turn that may each be a group of its own: those of attention with few columns
_FUNCTION = re.compile(r"^\s*Function : (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class MachineCode:
    """A function of compiled code, for blocks of so many `threads`.

    target: ``sm_90``, or nothing where the code does not say. instructions: of all of it, by kind. loops: in the order
    of the code. start_cycles, end_cycles: of a block that is alone, for the code before the first loop and behind the
    last, by its control words (turns.py), where units of its target were measured.
    """

    function: str
    target: str
    threads: int
    instructions: Mapping[str, int]
    loops: Sequence[Loop]
    start_cycles: int | None = None
    end_cycles: int | None = None

    def serialized(self, loop: Loop) -> bool:
        """Whether ptxas makes a warp group await each matrix product of a loop before its next one."""
        return FEW < loop.groups == loop.instructions.get("mma", 0)

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return asdict(self)


def machine_code(path: str | Path, warps: int = 4, function: str = "") -> list[MachineCode]:
    """The functions of a cubin, of an executable or library, or of a text that ``cuobjdump -sass`` printed.

    warps: of a block. function: words that the names of functions hold. Raises LightboundError for a file that is not
    there or holds no SASS, and MissingPackage where it takes cuobjdump to read it and there is none.
    """
    text = _sass(Path(path))
    names = [name for name in _FUNCTION.findall(text) if function in name]
    if not names:
        held = ", ".join(dict.fromkeys(_FUNCTION.findall(text))) or "none"
        remedy = f"Choose from: {held}." if held != "none" else "Give a cubin, or what cuobjdump -sass prints of it."
        what = "is in no name of a function there" if function else "holds no function of SASS"
        raise LightboundError("function" if function else "code", function or str(path), what, remedy)
    return [_read(text, name, WARP * warps) for name in dict.fromkeys(names)]


def _sass(path: Path) -> str:
    try:
        held = path.read_bytes()
    except OSError as error:
        raise LightboundError("code", str(path), f"cannot be read: {error.strerror}", "Give another file.") from error
    if b"\0" not in held[:4096]:
        return held.decode("utf-8", "replace")
    cuobjdump = tool("cuobjdump")
    if cuobjdump is None:
        remedy = "pip install 'lightbound[triton]', or give what cuobjdump -sass prints."
        raise MissingPackage("code", "cuobjdump", "is needed to read it, and is not installed", remedy)
    command = [str(cuobjdump), "-sass", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False).stdout


def _read(text: str, function: str, threads: int) -> MachineCode:
    program = sass_program(text, function)
    section = text[text.index(f"Function : {function}\n") :]
    flags = re.search(r"EF_CUDA_SM(\d+)", section)
    target = f"sm_{flags[1]}" if flags else ""
    found, start, end = followed(program, target, threads)
    return MachineCode(function, target, threads, counted(program), tuple(found), start, end)
