"""Compiled code of any kernel for GPUs of NVIDIA: what its loops issue, and on Hopper how long a block takes alone."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from lightbound.base.errors import LightboundError

from ..cuda.assemble import TIMEOUT_S, tool
from .assembly import Loop, counted, sass_program
from .kernel import MissingPackage
from .turns import followed

WARP = 32
ASSUMED_WARPS = 4  # of a block, where neither the code nor the caller says: Triton's default
FEW = 2  # products of a turn that may each be a group of its own: those of attention with few columns
_FUNCTION = re.compile(r"^\s*Function : (\S+)$", re.MULTILINE)
_PTX = re.compile(r"^\s*\.version\s+\d+\.\d+\s*$.*^\s*\.target\s", re.MULTILINE | re.DOTALL)
_INFO = re.compile(r"\.nv\.info\.(\S+)")
_THREADS = re.compile(r"EIATTR_(REQNTID|MAX_THREADS)\s+Format:\s+\S+\s+Value:((?:\s+0x[0-9a-f]+)+)")


@dataclass(frozen=True)
class MachineCode:
    """A function of compiled code, for blocks of so many `threads`.

    threads_from: who says how many: the ``code``, that blocks have as many; its ``bound``, that they have no more; they
    were ``given``; or nobody does, and they are ``assumed``. target: ``sm_90``, or nothing where the code does not say.
    instructions: of all of it, by kind. loops: in the order of the code. start_cycles, end_cycles: of a block that is
    alone, for the code before the first loop and behind the last, by its control words (turns.py), where units of its
    target were measured.
    """

    function: str
    target: str
    threads: int
    instructions: Mapping[str, int]
    loops: Sequence[Loop]
    start_cycles: int | None = None
    end_cycles: int | None = None
    threads_from: str = "given"

    def serialized(self, loop: Loop) -> bool:
        """Whether ptxas makes a warp group await each matrix product of a loop before its next one."""
        return FEW < loop.groups == loop.instructions.get("mma", 0)

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return asdict(self)


def machine_code(path: str | Path, warps: int | None = None, function: str = "") -> list[MachineCode]:
    """The functions of a cubin, of an executable or library, or of a text that ``cuobjdump -sass`` printed.

    warps: of a block; if none are given those that a cubin states, and 4 where it states none, as a text never does.
    function: words that the names of functions hold. Raises LightboundError for a file that is not there or holds no
    SASS, and MissingPackage where it takes cuobjdump to read it and there is none.
    """
    text, stated = _sass(Path(path))
    names = [name for name in _FUNCTION.findall(text) if function in name]
    if not names:
        held = ", ".join(dict.fromkeys(_FUNCTION.findall(text))) or "none"
        remedy = f"Choose from: {held}." if held != "none" else "Give a cubin, or what cuobjdump -sass prints of it."
        what = "is in no name of a function there" if function else "holds no function of SASS"
        raise LightboundError("function" if function else "code", function or str(path), what, remedy)
    given = None if warps is None else (WARP * warps, "given")
    assumed = WARP * ASSUMED_WARPS, "assumed"
    return [_read(text, name, *(given or stated.get(name, assumed))) for name in dict.fromkeys(names)]


def _sass(path: Path) -> tuple[str, Mapping[str, tuple[int, str]]]:
    """A listing, and the threads of a block by function, where the file states them."""
    try:
        held = path.read_bytes()
    except OSError as error:
        raise LightboundError("code", str(path), f"cannot be read: {error.strerror}", "Give another file.") from error
    if b"\0" not in held[:4096]:
        text = held.decode("utf-8", "replace")
        if _PTX.search(text):
            remedy = "Assemble it: ptxas --gpu-name sm_90a FILE -o FILE.cubin."
            raise LightboundError("code", str(path), "is PTX, of which ptxas makes the code that runs", remedy)
        return text, {}
    return _dumped(path, "-sass"), stated_threads(_dumped(path, "-elf"))


def _dumped(path: Path, what: str) -> str:
    """What cuobjdump prints of a file; LightboundError passes on what it says of one that it cannot read."""
    cuobjdump = tool("cuobjdump")
    if cuobjdump is None:
        remedy = "pip install 'lightbound[triton]', or give what cuobjdump -sass prints."
        raise MissingPackage("code", "cuobjdump", "is needed to read it, and is not installed", remedy)
    command = [str(cuobjdump), what, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())
        told = re.sub(r"^cuobjdump \w+ : ", "", words) or f"it ended with {done.returncode}"
        remedy = "Give a whole cubin, or an executable or library with code for a GPU."
        raise LightboundError("code", str(path), f"cannot be read by cuobjdump ({told})", remedy)
    return done.stdout


def stated_threads(listing: str) -> dict[str, tuple[int, str]]:
    """Threads of a block by function, from what ``cuobjdump -elf`` prints: those that it has, or the most that it may
    have, where the code was compiled for so many.
    """
    found: dict[str, tuple[int, str]] = {}
    for section in re.split(r"^(?=\.)", listing, flags=re.MULTILINE):
        named = _INFO.match(section)
        sizes = {name: prod(int(size, 16) for size in value.split()) for name, value in _THREADS.findall(section)}
        if named and sizes:
            size = (sizes["REQNTID"], "code") if "REQNTID" in sizes else (sizes["MAX_THREADS"], "bound")
            found.setdefault(named[1], size)
    return found


def _read(text: str, function: str, threads: int, told: str) -> MachineCode:
    program = sass_program(text, function)
    section = text[text.index(f"Function : {function}\n") :]
    flags = re.search(r"EF_CUDA_SM(\d+)", section)
    target = f"sm_{flags[1]}" if flags else ""
    found, start, end = followed(program, target, threads)
    return MachineCode(function, target, threads, counted(program), tuple(found), start, end, told)
