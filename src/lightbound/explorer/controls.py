"""The controls of the page, and what they offer: one for each field of a State, and one for each option of its mask."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dash import dcc, html

from lightbound.archs.library import machine_names
from lightbound.workloads.registry import Workload, method, workload_names

from .components import html_id
from .state import MASK, State

FOUND = "found"  # the choice of a mapping that is searched
OWN = "own"  # the choice of a method's own sizes
TYPED = {
    "sizes": ("Sizes of ranks", "M=64K,P=64K"),
    "changes": ("Fields of the machine", "dram.bandwidth=6 TB/s; sm=264"),
    "tiles": ("Tile of the kernel, queries x keys", "128x64"),
    "q_tile": ("Tile of queries in the ladder", "2,8,8"),
    "kv_tile": ("Tile of keys in the ladder", "2,8,8"),
}
CHOSEN = ("workload", "preset", "machine", "mapping")


def sidebar(state: State, work: Workload | None) -> list[Any]:
    """All controls, showing a state."""
    return [
        _choice("workload", "Method", [(name, name) for name in workload_names()], state.workload),
        _choice("preset", "Preset", presets(state.workload), state.preset or OWN),
        _choice("machine", "Machine", [(name, name) for name in machine_names()], state.machine),
        _choice("mapping", "Mapping", mappings(state.workload), state.mapping or FOUND),
        html.Fieldset([html.Legend("Mask"), html.Div(mask(state, work), id="mask")]),
        *(_text(name, label, example, getattr(state, name)) for name, (label, example) in TYPED.items()),
    ]


def presets(workload: str) -> list[tuple[str, str]]:
    """Values and labels."""
    return [(OWN, "the method's own sizes"), *((name, name) for name in method(workload).presets)]


def mappings(workload: str) -> list[tuple[str, str]]:
    """Values and labels."""
    return [(FOUND, "a good one, found"), *((name, name) for name in method(workload).mappings)]


def mask(state: State, work: Workload | None) -> list[Any]:
    """A box for causal masks where the method has none, else a field for each option."""
    causal = dcc.Checklist(
        [{"label": "No query looks ahead (causal)", "value": "yes"}], ["yes"] if state.causal else [], id="causal"
    )
    if work is None or not work.options:
        return [causal]
    given = dict(state.mask)
    made: list[Any] = [html.Div(causal, hidden=True)]
    for name, value in work.options.items():
        place = {"type": "mask", "name": name}
        made += [
            html.Label(name, htmlFor=html_id(place)),
            dcc.Input(
                id=place, type="text", debounce=True, value=given.get(name, ""), placeholder=_written(value),
                className="text",
            ),
        ]  # fmt: skip
    return made


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return ",".join(_written(part) for part in value) if isinstance(value, tuple) else str(value)


def options(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Choices as Dash takes them."""
    return [{"value": value, "label": label} for value, label in pairs]


def _choice(name: str, label: str, pairs: Iterable[tuple[str, str]], value: str) -> Any:
    chooser = dcc.Dropdown(options(pairs), value, id=name, clearable=False, searchable=True, maxHeight=400)
    return html.Div([html.Label(label, htmlFor=name, id=f"{name}-label"), chooser], className="field")


def _text(name: str, label: str, example: str, value: str) -> Any:
    field = dcc.Input(id=name, type="text", debounce=True, value=value, placeholder=example, className="text")
    return html.Div([html.Label(label, htmlFor=name), field], className="field")


def read(state: State, values: dict[str, Any], mask_values: Iterable[tuple[str, str | None]]) -> State:
    """The state that controls show. What belongs to another workload is dropped with it."""
    named = {
        **values,
        "preset": "" if values["preset"] == OWN else values["preset"],
        "mapping": "" if values["mapping"] == FOUND else values["mapping"],
        "causal": "yes" if values["causal"] else "",
    }
    if named["workload"] != state.workload:
        dropped = dict.fromkeys(("preset", "mapping", "causal", "tiles", "sizes", "q_tile", "kv_tile"), "")
        first = next((name for name in method(named["workload"]).presets if name != "tiny"), "")
        return State(named["workload"], named["machine"]).with_({**named, **dropped, "preset": first})
    fresh = State(named["workload"], named["machine"])
    return fresh.with_({**named, **{MASK + name: value for name, value in mask_values}})
