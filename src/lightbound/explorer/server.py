"""Serves the page on this machine alone."""

from __future__ import annotations

from typing import Any

from lightbound.base.errors import LightboundError

from .state import State

HOST = "127.0.0.1"


def server(first: State, port: int) -> tuple[Any, str]:
    """A server that is ready for ``serve_forever``, and the address of the page. Port 0 takes a free one.

    Raises LightboundError without Dash, and where the port is taken.
    """
    try:
        import dash  # noqa: F401
    except ImportError as error:
        remedy = "Install it: pip install 'lightbound[explore]'."
        raise LightboundError("explore", None, "needs dash, which is not installed", remedy) from error
    import logging

    from werkzeug.serving import make_server

    from .page import application

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    try:
        made = make_server(HOST, port, application(first).server, threaded=True)
    except (OSError, SystemExit) as error:  # werkzeug ends the program where a port is taken
        raise LightboundError("--port", port, "cannot be listened on", "Take another, or 0 for a free one.") from error
    return made, f"http://{HOST}:{made.server_port}/{first.query()}"
