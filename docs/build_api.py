"""Write docs/api.md from the docstrings of the public names.

    python docs/build_api.py            writes the page
    python docs/build_api.py --check    exits 1 if the page is not what would be written

The public names are those of ``lightbound.__all__``. Classes that they return or hold are listed with them, as long as
their fields are shown to users (a field that is kept out of ``repr`` is not followed). What a docstring does not say
this page does not say either: it explains nothing of its own.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import lightbound

PAGE = Path(__file__).with_name("api.md")
SECTIONS = {
    "workloads": "Workloads: what is computed",
    "archs": "Machines: on what",
    "sim": "Simulation: how, and how fast",
    "kernels": "Kernels: for real",
    "validate": "Validation: how far off",
    "drawing": "Pictures",
    "base": "Errors",
}
HEAD = """# API reference

<!-- Written by docs/build_api.py from the docstrings: edit those, and run it. -->

```py
import lightbound as lb
```

Every name below is `lb.<name>`, loaded on first use, unless a module is given with it. Times are in seconds, buffers
and traffic in bytes, energies in joules, everywhere. A `Number` is an int, a float, or in a sweep a float64 array. The
command line is in [cli.md](cli.md).
"""


def build() -> str:
    """The whole page."""
    public = {name: getattr(lightbound, name) for name in lightbound.__all__}
    modules = {name: thing for name, thing in public.items() if inspect.ismodule(thing)}
    public = {name: thing for name, thing in public.items() if name not in modules}
    described = _with_their_types(public)
    parts = [HEAD]
    for folder, title in SECTIONS.items():
        names = [name for name, thing in described.items() if thing.__module__.split(".")[1] == folder]
        functions = [name for name in names if not inspect.isclass(described[name])]
        classes = [name for name in names if inspect.isclass(described[name])]
        if not names:
            continue
        parts.append(f"## {title}\n")
        for name in (*functions, *classes):
            parts.append(_entry(name, described[name], name in public))
    parts += ["## Modules\n"] if modules else []
    for name, module in modules.items():  # each has a page of its own
        parts.append(f"### {name}\n\n{inspect.getdoc(module)}\n\nSee [{name}.md]({name}.md).\n")
    return "\n".join(parts)


def _with_their_types(public: dict[str, Any]) -> dict[str, Any]:
    """The public names, sorted, and the classes of lightbound that their annotations lead to, each after its user."""
    found: dict[str, Any] = {}
    for name in sorted(public, key=str.lower):
        _collect(name, public[name], public, found)
    return found


def _collect(name: str, thing: Any, public: dict[str, Any], found: dict[str, Any]) -> None:
    if name in found:
        return
    found[name] = thing
    if inspect.isclass(thing):
        annotations = [annotation for field, annotation in _fields(thing) if _is_shown(thing, field)]
    else:
        annotations = [str(inspect.signature(thing).return_annotation)]
    module = sys.modules[thing.__module__]
    for word in re.findall(r"[A-Za-z_]\w*", " ".join(annotations)):
        named = getattr(module, word, None)
        for other in get_args(named) or (named,):  # a name may stand for several classes: Node = For | Hold | ...
            if inspect.isclass(other) and other.__module__.startswith("lightbound.") and other.__name__ not in public:
                _collect(other.__name__, other, public, found)


def _fields(cls: type) -> list[tuple[str, str]]:
    """Fields of a dataclass or a document, with their annotations as they are written."""
    if dataclasses.is_dataclass(cls):
        return [(field.name, str(field.type)) for field in dataclasses.fields(cls) if not field.name.startswith("_")]
    written: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        written.update(vars(base).get("__annotations__", {}))
    return [(name, str(written[name])) for name in getattr(cls, "model_fields", ())]


def _is_shown(cls: type, name: str) -> bool:
    return not dataclasses.is_dataclass(cls) or next(f.repr for f in dataclasses.fields(cls) if f.name == name)


def _entry(name: str, thing: Any, public: bool) -> str:
    """One function or class."""
    lines = [f"### {name}\n"]
    if not public:
        lines.append(f"`{thing.__module__}.{name}`\n")
    if not inspect.isclass(thing):
        lines += [_code(_signature(name, thing)), _prose(thing)]
        return "\n".join(lines)
    lines.append(_prose(thing))
    rows = [_field_row(thing, field, annotation) for field, annotation in _fields(thing)]
    if rows:
        lines += ["| field | type | default |\n|---|---|---|", *rows, ""]
    elif issubclass(thing, Exception):
        lines.append(_code(_signature(name, thing)))
    for member, made in _members(thing):
        if isinstance(made, property | cached_property):
            getter: Any = made.fget if isinstance(made, property) else made.func
            returns = _annotation(inspect.signature(getter).return_annotation)
            lines.append(f"**`{member}`** `{returns}`: {' '.join(_prose(made).split())}\n")
        else:
            lines += [_code(_signature(f"{name}.{member}", getattr(thing, member))), _prose(made)]
    return "\n".join(lines)


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties with a docstring, of the class itself, in the order in which they stand there."""
    for name, made in vars(cls).items():
        plain = made.__func__ if isinstance(made, classmethod | staticmethod) else made
        if name.startswith("_") or not (inspect.isfunction(plain) or isinstance(made, property | cached_property)):
            continue
        if inspect.getdoc(plain):
            yield name, plain if inspect.isfunction(plain) else made


def _field_row(cls: type, name: str, annotation: str) -> str:
    return f"| `{_written_name(cls, name)}` | `{_escape(_annotation(annotation))}` | {_default(cls, name)} |"


def _written_name(cls: type, name: str) -> str:
    """The name that a user writes: the alias, in documents (``for``)."""
    field = getattr(cls, "model_fields", {}).get(name)
    return field.alias or name if field is not None else name


def _default(cls: type, name: str) -> str:
    if dataclasses.is_dataclass(cls):
        field = next(field for field in dataclasses.fields(cls) if field.name == name)
        made = field.default_factory is not dataclasses.MISSING
        value = "made" if made else field.default
        missing = value is dataclasses.MISSING
    else:
        field = cls.model_fields[name]  # type: ignore[attr-defined]
        missing, value, made = field.is_required(), field.default, False
    if missing:
        return "required"
    return "empty" if made or value in ({}, (), "") else f"`{_escape(repr(value))}`"


def _escape(text: str) -> str:
    return text.replace("|", "\\|")


def _signature(name: str, function: Any) -> str:
    """How it is called, one parameter a line where one line is too long."""
    signature = inspect.signature(function)
    parts: list[str] = []
    before = None
    for parameter in signature.parameters.values():
        kind = parameter.kind
        if before is parameter.POSITIONAL_ONLY and kind is not before:
            parts.append("/")
        if kind is parameter.KEYWORD_ONLY and before not in (kind, parameter.VAR_POSITIONAL):
            parts.append("*")
        before = kind
        if parameter.name not in ("self", "cls"):
            parts.append(_parameter(parameter))
    returns = signature.return_annotation
    arrow = "" if returns is signature.empty else f" -> {_annotation(returns)}"
    line = f"{name}({', '.join(parts)}){arrow}"
    return line if len(line) <= 110 else "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){arrow}"])


def _parameter(parameter: inspect.Parameter) -> str:
    star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    annotated = "" if parameter.annotation is parameter.empty else f": {_annotation(parameter.annotation)}"
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    return f"{star}{parameter.name}{annotated}{default}"


def _annotation(written: Any) -> str:
    text = written if isinstance(written, str) else getattr(written, "__name__", str(written))
    return text.replace("Dictionary[", "Mapping[")  # a second name of it, where a class here is called Mapping


def _code(text: str) -> str:
    return f"```py\n{text}\n```\n"


def _prose(thing: Any) -> str:
    """A docstring as Markdown: code in single backquotes, and a list where lines begin with a parameter or a field."""
    if inspect.isclass(thing):
        named = {name for name, _ in _fields(thing)}
    else:
        named = set(inspect.signature(thing).parameters) if callable(thing) else set()
    made: list[str] = []
    listing = False
    for line in (inspect.getdoc(thing) or "").replace("``", "`").splitlines():
        start = re.match(r"(\w+): (?=\S)", line)
        if start and start[1] in named:
            if made and made[-1] and not listing:
                made.append("")
            made.append(f"- `{start[1]}`: {line[start.end() :]}")
            listing = True
        elif listing and line and not line.startswith("Raises"):
            made.append(f"  {line.strip()}")
        else:
            made += ["", line] if listing and line else [line]
            listing = False
    return "\n".join(made).strip() + "\n"


def main(arguments: list[str]) -> int:
    page = build()
    if "--check" not in arguments:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page:
        return 0
    print(f"{PAGE.name} is not what the docstrings say. Run python docs/build_api.py.")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
