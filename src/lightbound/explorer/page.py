"""The application: its layout, and what happens when a control or the address changes."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from dash import ALL, Dash, Input, Output, ctx, dcc, html, no_update
from dash import State as Kept

from lightbound import __version__
from lightbound.archs.library import machine_names
from lightbound.base.errors import LightboundError, choose_from
from lightbound.cli.answer import Answer, Text
from lightbound.sim.explain import seconds, size
from lightbound.workloads.registry import Workload, workload_names

from . import controls
from .components import PLOT, SAYS, Plot, aria, block, card, picture, plot
from .looking import Looker, Seen, chosen, with_named_mapping
from .state import State

POLL_MS = 500
SHOWN = 64  # states whose plots are kept
NAMES = (*controls.CHOSEN, "causal", *controls.TYPED)


def application(first: State) -> Dash:
    """The page that opens with a state. Every script and style comes from this machine."""
    app = Dash("lightbound.explorer", title="lightbound", update_title="", serve_locally=True, assets_folder="assets")
    app.server.config["TRUSTED_HOSTS"] = ["127.0.0.1", "localhost"]  # a name that leads here is no way in
    app.index_string = app.index_string.replace("<html>", '<html lang="en">')
    app.layout = _layout(first)
    looker = Looker()
    _follow_controls(app, first)
    _show_answers(app, looker)
    return app


def _layout(first: State) -> Any:
    return html.Div(
        [
            dcc.Location(id="address", refresh="callback-nav"),
            dcc.Store(id="state"),
            dcc.Store(id="shown"),
            dcc.Store(id="drawn"),
            dcc.Interval(id="again", interval=POLL_MS, disabled=True),
            html.Header([html.H1("lightbound"), html.P(f"How fast can it run? What stops it? Version {__version__}")]),
            html.Form(
                controls.sidebar(first, _work(first)), id="controls", className="controls",
                **aria(label="What is simulated"),
            ),
            html.Main(
                [
                    html.P("", id="status", role="status", className="status"),
                    html.Div(id="problem", role="alert"),
                    html.Dl(id="figures", className="figures"),
                    html.Div(id="plots", className="plots"),
                    html.Div(id="told"),
                    html.Div(id="tables", className="tables"),
                    html.Section(id="export"),
                ]
            ),
        ],
        className="page",
    )  # fmt: skip


def _work(state: State) -> Workload | None:
    try:
        return chosen(state).work
    except LightboundError:
        return None


def _follow_controls(app: Dash, first: State) -> None:
    """Controls and the address show one state: whichever of them changes, the other follows."""
    places = [Input(name, "value") for name in NAMES]

    @app.callback(
        Output("state", "data"),
        Output("address", "search"),
        *(Output(name, "value") for name in NAMES),
        Output("preset", "options"),
        Output("mapping", "options"),
        Output("mask", "children"),
        Input("address", "search"),
        Input({"type": "mask", "name": ALL}, "value"),
        Kept("state", "data"),
        *places,
    )
    def follow(search: str | None, mask: list[str | None], before: str | None, *values: Any) -> Any:
        old = first.reads(before or "") if before else first
        if ctx.triggered_id in (None, "address"):
            new = first if not search else State(first.workload, first.machine).reads(search)
        else:
            named = [one["id"]["name"] for one in ctx.args_grouping[1]]
            new = controls.read(old, dict(zip(NAMES, values, strict=True)), zip(named, mask, strict=True))
            if ctx.triggered_id in ("workload", "preset", "machine"):
                new = with_named_mapping(replace(new, tiles="", q_tile="", kv_tile=""))
        query = new.query()
        if query == before:
            return no_update
        if new.workload not in workload_names():  # no files: whoever opens an address decides about its names
            return [query, no_update, *[no_update] * (len(NAMES) + 3)]
        shown = {**{name: getattr(new, name) for name in NAMES}, "causal": ["yes"] if new.causal else []}
        shown |= {"preset": new.preset or controls.OWN, "mapping": new.mapping or controls.FOUND}
        changed = new.workload != old.workload or new.preset != old.preset or before is None
        by_address = ctx.triggered_id in (None, "address")
        fields = controls.mask(new, _work(new)) if changed or by_address else no_update
        written = [value if value != given else no_update for value, given in zip(shown.values(), values, strict=True)]
        return [
            query, no_update if search == query else query, *written,
            controls.options(controls.presets(new.workload)), controls.options(controls.mappings(new.workload)), fields,
        ]  # fmt: skip


def _show_answers(app: Dash, looker: Looker) -> None:
    """What the state comes to: figures and reasons first, then plots, then tables. Asked again while a mapping is
    searched.
    """

    @app.callback(
        Output("status", "children"),
        Output("problem", "children"),
        Output("figures", "children"),
        Output("told", "children"),
        Output("export", "children"),
        Output("shown", "data"),
        Output("again", "disabled"),
        Input("state", "data"),
        Input("again", "n_intervals"),
        prevent_initial_call=True,
    )
    def tell(query: str | None, times: int | None) -> Any:
        if not query:
            return no_update
        state = State("", "").reads(query)
        seen = _refused(state) or looker.look(state)
        if seen.searching and ctx.triggered_id == "again":
            return no_update
        if seen.problem:
            return ["", f"error: {seen.problem}", [], [], [], [query, "problem"], True]
        stage = "bounds" if seen.searching else "all"
        words = [_status(state, seen), [], _figures(seen.prediction, seen.ladder), _told(seen), _export(state, seen)]
        return [*words, [query, stage], not seen.searching]

    @lru_cache(SHOWN)
    def answers(query: str, stage: str) -> list[Answer]:
        seen = Seen() if stage == "problem" else looker.look(State("", "").reads(query))
        return [one for one in (seen.prediction, seen.ladder) if one is not None]

    @lru_cache(SHOWN)
    def plots(query: str, stage: str) -> list[Plot]:
        return [plot(drawn) for one in answers(query, stage) for drawn in one.pictures()]

    @app.callback(
        Output("plots", "children"),
        Output({"type": PLOT, "number": ALL}, "figure"),
        Output({"type": SAYS, "number": ALL}, "children"),
        Output("drawn", "data"),
        Input("shown", "data"),
        Kept("drawn", "data"),
        prevent_initial_call=True,
    )
    def draw(shown: list[str], before: list[str] | None) -> Any:
        """Only what has changed is sent and drawn, in the places that are there, if it fits into those."""
        there = len(ctx.outputs_list[1])
        old, new = plots(*before) if before else [], plots(*shown)
        if there == len(old) == len(new) and all(map(Plot.fits, new, old)):
            figures = [no_update if one.figure == was.figure else one.figure for one, was in zip(new, old, strict=True)]
            return [no_update, figures, [one.says for one in new], shown]
        made = [html.H2("Plots"), *(picture(one, number) for number, one in enumerate(new))] if new else []
        return [made, [no_update] * there, [no_update] * there, shown]

    @app.callback(Output("tables", "children"), Input("drawn", "data"), prevent_initial_call=True)
    def tell_all(drawn: list[str]) -> Any:
        blocks = [
            one for answer in answers(*drawn) for one in answer.blocks if not (isinstance(one, Text) and one.leads)
        ]
        shown = [block(one, f"Table {number}") for number, one in enumerate(blocks)]
        return [html.H2("Tables"), *shown] if shown else []


def _refused(state: State) -> Seen | None:
    """Names only, no files: an address may come from anyone."""
    for what, name, known in (
        ("workload", state.workload, workload_names()),
        ("machine", state.machine, machine_names()),
    ):
        if name not in known:
            return Seen(problem=str(LightboundError(what, name, "is not known", choose_from(known, name))))
    if "/" in state.mapping or state.mapping.lower().endswith((".yaml", ".yml")):
        return Seen(problem=str(LightboundError("mapping", state.mapping, "is a file", "Name a mapping.")))
    return None


def _status(state: State, seen: Seen) -> str:
    if seen.searching:
        return f"Searching a good mapping of {state.workload} for {state.machine} ..."
    return f"{state.workload} on {state.machine}"


def _told(seen: Seen) -> list[Any]:
    answers = [one for one in (seen.prediction, seen.ladder) if one is not None]
    words = [one.text for answer in answers for one in answer.blocks if isinstance(one, Text) and one.leads]
    told: list[Any] = [html.Section([html.H2("Why"), *(html.Pre(text) for text in words)])] if words else []
    return [*told, *([html.P(f"No bounds: {seen.no_ladder}")] if seen.no_ladder else [])]


def _figures(prediction: Answer | None, ladder: Answer | None) -> list[Any]:
    made = []
    if prediction is not None:
        data = prediction.data
        outermost, traffic = next(iter(data["traffic_bytes"].items()))
        made += [
            card("latency", seconds(data["latency_s"]), "latency"),
            card("waits for", data["bottleneck"], "bottleneck"),
        ]
        made += [card(f"{outermost} traffic", size(traffic), "traffic")]
    if ladder is not None:
        made.append(card("speedup, at most", f"{ladder.data['speedup']:.4g}x", "speedup"))
        if ladder.data["time_s"] is not None:
            made.append(card("kernel, at least", seconds(ladder.data["time_s"]), "bound"))
    return made


def _export(state: State, seen: Seen) -> list[Any]:
    lines = [("Command", state.command(), "command")]
    if seen.ladder is not None and not state.causal:
        lines.append(("Command for the bounds", state.bound_command(), "bound-command"))
    lines.append(("Python", seen.python, "python"))
    shown = []
    for title, text, place in lines:
        copy = dcc.Clipboard(content=text, title=f"Copy: {title}", className="copy")
        shown += [html.H3(title), html.Div([html.Pre(text, id=place), copy], className="code")]
    return [html.H2("The same elsewhere"), *shown]
