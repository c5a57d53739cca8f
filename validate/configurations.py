"""The configurations of the FuseMax article as data: workload, machine, mapping, and how its artifact charges energy.

From a configuration, a model and a length to the figures that the article publishes. The engine knows none of these
names; this module knows no formula of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lightbound.archs.library import machine
from lightbound.base.errors import LightboundError
from lightbound.base.formula import Number
from lightbound.sim.prediction import Prediction
from lightbound.sim.simulate import simulate
from lightbound.workloads.registry import workload

from .accounting import Accounting, reprice

BATCH = 64
MODELS = ("BERT", "TrXL", "T5", "XLM")
ATTENTION_SIZES = ("B", "H", "E", "F", "M", "P")
LINEAR_SIZES = ("B", "H", "E", "P")
ARTIFACT = Accounting()


@dataclass(frozen=True)
class Configuration:
    """One column of the article's figures. `linear` names the configuration of the encoder layer's other products."""

    title: str
    workload: str
    machine: str
    mapping: str
    linear: str | None = None
    accounting: Accounting = ARTIFACT


CONFIGURATIONS: Mapping[str, Configuration] = {
    "unfused": Configuration("unfused", "fusemax", "flat", "unfused", "linear_flat"),
    "flat": Configuration("FLAT", "fusemax", "flat", "flat", "linear_flat", Accounting(tiles={"SN": "M", "A": "M"})),
    "cascade": Configuration(
        "+Cascade", "fusemax", "flat_serial_exp", "cascade", "linear_flat", Accounting(free=frozenset({"exp"}))
    ),
    "architecture": Configuration(
        "+Architecture", "fusemax", "fusemax", "architecture", "linear_fusemax", Accounting(staged="1d")
    ),
    "binding": Configuration(
        "+Binding (FuseMax)", "fusemax", "fusemax", "binding", "linear_fusemax", Accounting(staged="1d")
    ),
    "linear_flat": Configuration("linear layers, FLAT's buffer", "encoder_linear", "flat", "linear"),
    "linear_fusemax": Configuration("linear layers, FuseMax's buffer", "encoder_linear", "fusemax", "linear"),
}
ATTENTION = tuple(name for name, one in CONFIGURATIONS.items() if one.linear is not None)


def predict_point(
    name: str, model: str, seq_len: int, sizes: Mapping[str, int] | None = None, **overrides: Number
) -> Prediction:
    """The prediction of a configuration for a model at a length in tokens.

    sizes: sizes that replace the model's (B, H, E, F, M, P for attention; B, H, E, P for linear layers).
    overrides: fields of the machine. Raises LightboundError for a size that the configuration does not have.
    """
    one = CONFIGURATIONS[name]
    given = dict(sizes or {})
    legal = ATTENTION_SIZES if one.linear is not None else LINEAR_SIZES
    for symbol, value in given.items():
        if symbol not in legal:
            remedy = f"Leave it out; {name} takes {', '.join(legal)}."
            raise LightboundError(symbol, value, f"is not a size of {name}", remedy)
    if one.linear is not None:
        wanted = {"B": BATCH, "M": seq_len, "P": seq_len, **given}
    else:
        wanted = _linear_sizes(model, seq_len, given)
    work = workload(one.workload, preset=model.lower()).with_sizes(**wanted)
    return simulate(work, machine(one.machine, **overrides), one.mapping)


def _linear_sizes(model: str, seq_len: int, given: Mapping[str, int]) -> dict[str, int]:
    """Rows are all queries of the batch; the projections end in all heads, so that E and H change their width."""
    sizes = {"R": given.get("B", BATCH) * given.get("P", seq_len)}
    if "H" in given or "E" in given:
        heads = workload("fusemax", preset=model.lower()).sizes
        sizes["N"] = given.get("H", heads["H"]) * given.get("E", heads["E"])
    return sizes


def artifact_energy_pj(name: str, prediction: Prediction) -> Number:
    """The energy of a prediction in picojoules, as the artifact charges this configuration."""
    return sum(reprice(prediction, CONFIGURATIONS[name].accounting).values()) * 1e12
