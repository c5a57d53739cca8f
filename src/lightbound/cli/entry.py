"""From arguments to an exit code: 0 done, 1 a suite failed, 2 bad input, 130 interrupted.

Bad input is one message on standard error, ``error: field = value: problem. remedy``, whoever found it: the library,
or typer reading the arguments. An error that is not bad input is a fault of lightbound and keeps its traceback.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from lightbound.base.errors import LightboundError, choose_from

# Commands that join those of commands.py.
from . import (  # noqa: F401
    bound_command,
    catalogue_command,
    explore_command,
    gpu_commands,
    host_commands,
    resources_command,
    sweep_command,
    trace_command,
    v2x_command,
)
from .commands import app
from .provenance import GIVEN

# What typer raises on arguments that it cannot read. The class has lived in different packages over typer's
# versions; its exported child leads to it in all of them.
_USAGE: type[BaseException] = typer.BadParameter.__mro__[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command (of the process' own arguments if none are given) and return its exit code."""
    command = typer.main.get_command(app)
    token = GIVEN.set(arguments)
    given = None if arguments is None else list(arguments)
    try:
        code = command.main(args=given, prog_name="lightbound", standalone_mode=False)
        sys.stdout.flush()
    except LightboundError as error:
        return _refuse(error)
    except _USAGE as error:
        return _refuse(_as_error(error, _path(command, given if given is not None else sys.argv[1:])))
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except (BrokenPipeError, SystemExit):  # the reader, `head` say, has seen enough; typer and rich exit on it
        return _silenced()
    except OSError:
        lost = _lost()
        if lost is None:
            raise
        return _refuse(lost)
    finally:
        GIVEN.reset(token)
    return code if isinstance(code, int) else 0


def _silenced() -> int:
    """What a shell reports of a program whose reader left; nothing more is written, not even when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def _lost() -> LightboundError | None:
    """What keeps standard output from being written, a full disk say; nothing more is written there then."""
    try:
        print(flush=True)  # an error does not say of which file it is: one more line tells
    except OSError as error:
        _silenced()
        problem = f"cannot be written ({error.strerror or error})"
        return LightboundError("standard output", None, problem, "Make room, or send it elsewhere.")
    return None


def _refuse(error: LightboundError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


def _path(command: Any, given: Sequence[str]) -> str:
    """The command that was asked for, where the complaint does not know it."""
    return " ".join(("lightbound", *[word for word in given if word in command.commands][:1]))


def _as_error(error: Any, path: str) -> LightboundError:
    """typer's complaint about the arguments, said as all other errors are."""
    context = error.ctx
    path = context.command_path if context is not None else path
    remedy = f"See '{path} --help'."
    message = error.format_message().rstrip(".")
    unknown = re.fullmatch(r"No such command '(.*?)'.*", message, re.DOTALL)
    if unknown and context is not None:
        return LightboundError(
            "command", unknown[1], "does not exist", choose_from(context.command.commands, unknown[1])
        )
    option = getattr(error, "option_name", None)
    if option is not None and "requires an argument" in message:
        return LightboundError(option, None, "needs a value", remedy)
    if option is not None:
        return LightboundError("option", option, "does not exist", choose_from(_options(context), option))
    parameter = getattr(error, "param", None)
    if parameter is not None and type(error).__name__ == "MissingParameter":
        wanted = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
        return LightboundError(wanted, None, "is missing", f"Give it. {remedy}")
    return LightboundError("arguments", None, message[:1].lower() + message[1:], remedy)


def _options(context: Any) -> Iterable[str]:
    return [name for parameter in context.command.params for name in parameter.opts if name.startswith("-")]
