"""Files that users hand in, read with care: text of bounded size in UTF-8, and YAML without surprises.

It reads; it does not know what a document means (``schema.check`` does that against a model). YAML is taken
strictly: a key given twice is an error and not a silent last word, and an alias (``*name``) is refused, since
a few lines of nested aliases expand to gigabytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .errors import LightboundError

LIMIT_BYTES = 1_000_000


def read_text(path: str | Path, what: str = "file", limit_bytes: int = LIMIT_BYTES) -> str:
    """The text of a UTF-8 file of at most `limit_bytes`; `what` names its role in errors: "workload file"."""
    place = Path(path)
    try:
        if place.is_dir():
            raise LightboundError(what, str(path), "is a folder", "Name a file inside it.")
        with place.open("rb") as stream:
            data = stream.read(limit_bytes + 1)
    except FileNotFoundError as error:
        raise LightboundError(
            what, str(path), "does not exist", f"Check the path; it is taken from {Path.cwd()}."
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LightboundError(
            what, str(path), f"cannot be read ({reason})", "Check the path and its permissions."
        ) from error
    if len(data) > limit_bytes:
        raise LightboundError(
            what,
            str(path),
            f"is larger than {limit_bytes:,} bytes",
            "Such a file holds text, not data: check the path.",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LightboundError(
            what,
            str(path),
            f"is not UTF-8 text (byte 0x{data[error.start]:02x} in line {line})",
            "Save it as UTF-8.",
        ) from error


def read_yaml(path: str | Path, what: str = "file") -> Any:
    """The plain data of a YAML file: dictionaries, lists, text, numbers."""
    return parse_yaml(read_text(path, what), f"{what} {path}")


def parse_yaml(text: str, where: str) -> Any:
    """The plain data of a YAML text; `where` names the document in errors, which give line and column."""
    import yaml
    from yaml.composer import ComposerError
    from yaml.constructor import ConstructorError

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                event = self.peek_event()
                raise ComposerError(
                    None,
                    None,
                    f"has an alias, *{event.anchor}; write the value out instead",
                    event.start_mark,
                )
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[str] = set()
            for key, _ in node.value:
                if key.value in seen and isinstance(key, yaml.ScalarNode):
                    raise ConstructorError(None, None, f"has the key {key.value!r} twice", key.start_mark)
                if isinstance(key, yaml.ScalarNode):
                    seen.add(key.value)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        source = text.splitlines()[mark.line].rstrip() if mark and mark.line < len(text.splitlines()) else ""
        caret = f"\n    {source}\n    {' ' * mark.column}^\n" if mark and source else ""
        problem = (error.problem or "malformed YAML").rstrip(".")
        raise LightboundError(where, None, f"{line}{problem}{caret}", "Correct the YAML.") from error
    except yaml.YAMLError as error:
        raise LightboundError(where, None, f"is not YAML ({error})", "Save it as plain UTF-8 text.") from error
    except (RecursionError, ValueError) as error:
        raise LightboundError(
            where, None, f"cannot be read as YAML ({type(error).__name__})", "Correct the YAML."
        ) from error
