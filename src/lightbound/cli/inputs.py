"""What an answer about a workload on a machine rests on: both in full, as ``lightbound show`` tells them."""

from __future__ import annotations

from lightbound.archs.machine import Machine
from lightbound.workloads.registry import Workload

from .answer import Block


def inputs(work: Workload, machine: Machine | None) -> list[Block]:
    """The cascade with its sizes and operations; the machine with its rates, and where each number is from."""
    from .show_machine import describe as describe_machine
    from .show_workload import describe as describe_workload

    blocks, _ = describe_workload(work)
    return [*blocks, *(describe_machine(machine)[0] if machine is not None else ())]
