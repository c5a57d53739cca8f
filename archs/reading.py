"""Reads a YAML file that may come from anyone: UTF-8, at most 1 MB, no aliases, no tags, no key given twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lightbound.base.errors import LightboundError

LARGEST = 1_000_000  # bytes; a machine is a few thousand


class _Loader(yaml.SafeLoader):
    """SafeLoader without aliases, which can make a small file huge, and without repeated keys, which hide one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.MarkedYAMLError(None, None, "aliases (*name) are not allowed", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(None, None, f"{key.value!r} is given twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a file. LightboundError with line and column where it is not one."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise LightboundError(
            "file", str(path), f"cannot be read: {error.strerror}", "Check the path."
        ) from error
    if len(raw) > LARGEST:
        raise LightboundError("file", str(path), "is larger than 1 MB", "Give a machine's YAML file.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LightboundError(
            "file", str(path), f"is not UTF-8 text (byte {error.start})", "Save it as UTF-8."
        ) from error
    try:
        document = yaml.load(text, _Loader)  # noqa: S506: a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise LightboundError(
            "file", str(path), f"is not good YAML: {error.problem}{place}", "Correct it there."
        ) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        problem = (
            "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        )
        raise LightboundError(
            "file", str(path), f"is not good YAML: {problem}", "Correct the file."
        ) from error
    if not isinstance(document, dict):
        raise LightboundError("file", str(path), "is not a mapping of fields", "Begin it with 'name: ...'.")
    return document
