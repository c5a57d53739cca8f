"""A state as a Python program that prints the same prediction."""

from __future__ import annotations

from lightbound.cli import given
from lightbound.workloads.registry import Workload

from .state import State


def python_code(state: State, work: Workload) -> str:
    """The program. `work` is what the state's workload came to, mask and sizes included."""
    imports, lines = ["import lightbound as lb"], []
    asked = [repr(state.workload), *([f"preset={state.preset!r}"] if state.preset else [])]
    sizes = given.sizes([state.sizes] if state.sizes else ())
    asked += [f"{name}={value!r}" for name, value in sizes.items()]
    asked += [f"{name}={work.options[name]!r}" for name, _ in state.mask]
    lines.append(f"workload = lb.workload({', '.join(asked)})")
    if state.causal:
        ranks = [rank.upper() for rank in work.method.mask_ranks]
        p, m = (f"workload.sizes[{rank!r}]" for rank in ranks)
        lines.append(f"workload = workload.with_mask(lb.masks.Causal({p}, {m}))")
    changes = given.overrides(state.set_machine())
    more = f", **{changes!r}" if changes else ""
    lines.append(f"machine = lb.machine({state.machine!r}{more})")
    mapping = repr(state.mapping or None)
    if state.tiles:
        imports.append("from lightbound.cli.kernel import mapping_of")
        lines.append(f"mapping = mapping_of(workload, machine, {mapping}, {state.tiles!r}, {{}})")
        mapping = "mapping"
    named = f", {mapping}" if mapping != "None" else ""
    lines.append(f"prediction = lb.simulate(workload, machine{named})")
    lines.append("print(prediction.latency_s, prediction.bottleneck)")
    return "\n".join([*imports, "", *lines])
