"""lightbound: how fast a method can run on a machine, what stops it, and how large its buffers must be.

The public names, loaded on first use, so that importing lightbound costs almost nothing::

    import lightbound as lb

    w = lb.workload("fusemax", preset="bert", M=16384, P=16384)
    m = lb.machine("fusemax")
    p = lb.simulate(w, m, mapping="binding")
    print(p.latency_s, p.bottleneck)
    print(p.explain())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lightbound.base.version import VERSION

if TYPE_CHECKING:
    from lightbound.archs.library import machine as machine
    from lightbound.archs.library import machine_names as machine_names
    from lightbound.archs.links import link_names as link_names
    from lightbound.archs.machine import Machine as Machine
    from lightbound.base.errors import LightboundError as LightboundError
    from lightbound.drawing import draw as draw
    from lightbound.kernels.triton.machine_code import machine_code as machine_code
    from lightbound.kernels.triton.survey import resources as resources
    from lightbound.sim.agents.setting import Setting as Setting
    from lightbound.sim.agents.study import Study as Study
    from lightbound.sim.agents.study import v2x as v2x
    from lightbound.sim.bound import bound as bound
    from lightbound.sim.buffers import BufferSizing as BufferSizing
    from lightbound.sim.buffers import size_buffers as size_buffers
    from lightbound.sim.designs import DesignSearch as DesignSearch
    from lightbound.sim.designs import bound_search as bound_search
    from lightbound.sim.ladder import Ladder as Ladder
    from lightbound.sim.mapping import Mapping as Mapping
    from lightbound.sim.prediction import Prediction as Prediction
    from lightbound.sim.radio.link import link as link
    from lightbound.sim.search import default_mapping as default_mapping
    from lightbound.sim.simulate import simulate as simulate
    from lightbound.sim.sweep.results import SweepResults as SweepResults
    from lightbound.sim.sweep.run import sweep as sweep
    from lightbound.sim.what_if import WhatIf as WhatIf
    from lightbound.sim.what_if import what_if as what_if
    from lightbound.validate.host.compare import compare as compare
    from lightbound.validate.suite import run_suite as run_suite
    from lightbound.validate.suite import suite_names as suite_names
    from lightbound.workloads import masks as masks
    from lightbound.workloads.cascade import Cascade as Cascade
    from lightbound.workloads.memory import peak_memory as peak_memory
    from lightbound.workloads.method import Method as Method
    from lightbound.workloads.passes import passes as passes
    from lightbound.workloads.registry import Workload as Workload
    from lightbound.workloads.registry import workload as workload
    from lightbound.workloads.registry import workload_names as workload_names
    from lightbound.workloads.trace import trace as trace

__version__ = VERSION
_HOME = {
    "BufferSizing": "sim.buffers",
    "Cascade": "workloads.cascade",
    "DesignSearch": "sim.designs",
    "Ladder": "sim.ladder",
    "LightboundError": "base.errors",
    "Machine": "archs.machine",
    "Mapping": "sim.mapping",
    "Method": "workloads.method",
    "Prediction": "sim.prediction",
    "Setting": "sim.agents.setting",
    "Study": "sim.agents.study",
    "SweepResults": "sim.sweep.results",
    "WhatIf": "sim.what_if",
    "Workload": "workloads.registry",
    "bound": "sim.bound",
    "bound_search": "sim.designs",
    "compare": "validate.host.compare",
    "default_mapping": "sim.search",
    "draw": "drawing",
    "link": "sim.radio.link",
    "link_names": "archs.links",
    "machine": "archs.library",
    "machine_code": "kernels.triton.machine_code",
    "machine_names": "archs.library",
    "masks": "workloads.masks",
    "passes": "workloads.passes",
    "peak_memory": "workloads.memory",
    "resources": "kernels.triton.survey",
    "run_suite": "validate.suite",
    "simulate": "sim.simulate",
    "size_buffers": "sim.buffers",
    "suite_names": "validate.suite",
    "sweep": "sim.sweep.run",
    "trace": "workloads.trace",
    "v2x": "sim.agents.study",
    "what_if": "sim.what_if",
    "workload": "workloads.registry",
    "workload_names": "workloads.registry",
}
__all__ = [
    "BufferSizing",
    "Cascade",
    "DesignSearch",
    "Ladder",
    "LightboundError",
    "Machine",
    "Mapping",
    "Method",
    "Prediction",
    "Setting",
    "Study",
    "SweepResults",
    "WhatIf",
    "Workload",
    "bound",
    "bound_search",
    "compare",
    "default_mapping",
    "draw",
    "link",
    "link_names",
    "machine",
    "machine_code",
    "machine_names",
    "masks",
    "passes",
    "peak_memory",
    "resources",
    "run_suite",
    "simulate",
    "size_buffers",
    "suite_names",
    "sweep",
    "trace",
    "v2x",
    "what_if",
    "workload",
    "workload_names",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'lightbound' has no attribute {name!r}")
    module = import_module(f"lightbound.{home}")
    value = module if home.endswith(f".{name}") and not hasattr(module, name) else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
