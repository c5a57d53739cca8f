"""Programs in PTX: what the assembler makes of their loops. Needs the assembler that comes with Triton, and no GPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import pytest

from lightbound.kernels.cuda import arithmetic, beside, bulk, copies, load, memory, shared, straight, tensor
from lightbound.kernels.cuda.assemble import assemble, disassemble, loops, surplus, tool
from lightbound.kernels.cuda.ptx import Program, module

PROGRAMS = [
    one
    for room in (arithmetic, tensor, shared, beside, memory, bulk, copies, load, straight)
    for one in room.programs()
]
needs_assembler = pytest.mark.skipif(
    tool("ptxas") is None or tool("cuobjdump") is None,
    reason="needs ptxas and cuobjdump: pip install 'lightbound[triton]'",
)


def entries(programs: list[Program], capability: int) -> dict[str, list[str]]:
    """Assembled together, since starting the assembler takes longest."""
    return disassemble(assemble(module(programs, capability), capability))


@needs_assembler
@pytest.mark.parametrize("capability", [80, 90, 100])
def test_the_loop_of_every_program_holds_the_instructions_that_it_states(capability: int) -> None:
    programs = [one for one in PROGRAMS if one.runs_on(capability)]
    parts = [programs[first::2] for first in range(2)]
    with ThreadPoolExecutor(2) as pool:
        found = {
            name: lines
            for part in pool.map(lambda part: entries(part, capability), parts)
            for name, lines in part.items()
        }
    wrong = {}
    for program in programs:
        bodies = loops(found[program.name])
        differences = [surplus(body, program.loop, program.alone) for body in bodies]
        if program.loop and {} not in differences:
            wrong[program.name] = differences
    assert not wrong


def test_names_of_programs_are_distinct() -> None:
    names = sorted(one.name for one in PROGRAMS)
    assert [name for name, same in groupby(names) if len(list(same)) > 1] == []


def test_a_loop_that_holds_something_else_is_told() -> None:
    body = [
        "0010 FFMA R1, R1, R2, R3",
        "0020 @P0 MUFU.EX2 R4, R4",
        "0030 UIADD3 UR4, UR4, -0x1, URZ",
        "0040 @P0 BRA 0x10",
    ]
    assert loops([*body, "0050 EXIT", "0060 BRA 0x60"]) == [body]
    assert surplus(body, {"FFMA": 1, "MUFU": 1}) == {}
    assert surplus(body, {"FFMA": 2, "MUFU": 1}) == {"FFMA": (2, 1)}
    assert surplus(body, {"FFMA|FADD": 1}) == {"MUFU": (0, 1)}
    assert surplus(body, {"FFMA": 1}, alone=False) == {}


def test_a_mixture_spreads_its_operations_evenly() -> None:
    assert arithmetic.pattern({"ffma": 4, "ex2": 1}) == ["ffma", "ffma", "ex2", "ffma", "ffma"]


def test_wgmma_runs_on_hopper_only() -> None:
    one = tensor.group("fp16", 64, 1)
    assert [one.runs_on(capability) for capability in (80, 90, 100)] == [False, True, False]
