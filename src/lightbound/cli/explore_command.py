"""The ``explore`` command and its options. It hands over to the explorer."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import Preset, app
from .output import note


@app.command()
def explore(
    workload: Annotated[str, typer.Argument(metavar="[WORKLOAD]", help="With what the page opens.")] = "gna",
    machine: Annotated[str, typer.Option("--machine", metavar="MACHINE", help="On what.")] = "h200",
    preset: Preset = None,
    port: Annotated[int, typer.Option("--port", metavar="N", help="Where it listens; 0 for a free port.")] = 8050,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
) -> None:
    """Choose methods, machines, masks and tiles on a local page.

    Bound, prediction, where the time goes, buffers and reasons follow every change. The address of the page holds what
    is chosen; it also shows the command and the Python code that answer the same. Listens on 127.0.0.1 alone.
    """
    import webbrowser

    from lightbound.base.errors import LightboundError
    from lightbound.explorer.looking import chosen, with_named_mapping
    from lightbound.explorer.server import server
    from lightbound.explorer.state import State
    from lightbound.workloads.registry import method

    if not 0 <= port < 2**16:
        raise LightboundError("--port", port, "is no port", "Write 1 to 65535, or 0 for a free one.")
    first = next((name for name in method(workload).presets if name != "tiny"), "")
    state = State(workload, machine, first if preset is None else preset)
    chosen(state)  # what does not exist is refused before a page opens
    serving, address = server(with_named_mapping(state), port)
    note(f"Open {address} (Ctrl-C ends it)")
    if browser:
        webbrowser.open(address)
    serving.serve_forever()
