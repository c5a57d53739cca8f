"""Files that a sweep names (workloads, machines, mappings of your own), taken once and carried along with it.

Every process works with the same contents, wherever it runs and whatever is edited meanwhile. A description is data
that people hand on: what it names must lie in its own folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

from lightbound.archs.cached import PROBED, probed_file
from lightbound.archs.library import DATA, machine_files
from lightbound.base.document import read_text
from lightbound.base.errors import LightboundError

from .fields import FILES

_REMEDY = "Copy it there: a sweep reads its own folder alone."


@dataclass(frozen=True)
class Files:
    """The text of each file by its path in the folder of the sweep, and which file a name stands for."""

    texts: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)  # "machine mine.yaml": its path
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # the files whose contents a name rests on

    def __post_init__(self) -> None:
        for path in self.texts:
            if PurePath(path).is_absolute() or ".." in PurePath(path).parts or "\0" in path:
                raise LightboundError("file", path, "lies outside the folder of the sweep", _REMEDY)
        for path in (*self.names.values(), *(path for paths in self.needs.values() for path in paths)):
            if path not in self.texts:
                raise LightboundError("file", path, "does not come with the sweep", _REMEDY)

    def content(self, kind: str, name: str) -> str:
        """A digest of all that a name rests on beside itself; empty for names of the library."""
        needs = self.needs.get(f"{kind} {name}", ())
        return (
            blake2b("\0".join(self.texts[path] for path in needs).encode(), digest_size=16).hexdigest() if needs else ""
        )

    def place(self, kind: str, name: str) -> str:
        """What to ask the library for: the file on this machine, or the name as it is."""
        path = self.names.get(f"{kind} {name}")
        return str(_written(tuple(self.texts.items())) / path) if path is not None else name

    def without_places(self, text: str) -> str:
        """A message with files by their own names, wherever this process has them."""
        return text.replace(f"{_written(tuple(self.texts.items()))}{os.sep}", "") if self.texts else text


def is_file(kind: str, name: str) -> bool:
    """Whether the text of a field names a file."""
    return name.lower().endswith(FILES[kind]) or "/" in name or os.sep in name


def take(root: Path, named: Iterable[tuple[str, str]]) -> Files:
    """The files that are named, each as its field and its text, relative to the folder `root`."""
    texts: dict[str, str] = {}
    names: dict[str, str] = {}
    needs: dict[str, tuple[str, ...]] = {}
    for kind, name in named:
        label = f"{kind} {name}"
        if kind == "machine" and name in PROBED and probed_file(name).is_file():
            names[label] = f"{name}.probed.yaml"
            texts[names[label]] = read_text(probed_file(name), "machine file")
            needs[label] = (names[label],)
        elif is_file(kind, name):
            names[label] = os.path.normpath(name)
            needs[label] = tuple(_kept(root, kind, name, texts))
    return Files(texts, names, needs)


def _kept(root: Path, kind: str, name: str, texts: dict[str, str]) -> Iterator[str]:
    first = _inside(root, kind, name)
    chain = machine_files(first) if kind == "machine" else iter([first])
    for path in chain:
        if path.parent == DATA:
            continue
        inside = _inside(root, kind, os.path.relpath(path, root))
        key = os.path.relpath(inside, root)
        texts.setdefault(key, read_text(inside, f"{kind} file"))
        yield key


def _inside(root: Path, kind: str, name: str) -> Path:
    path = root / name
    try:
        outside = PurePath(name).is_absolute() or not path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):
        outside = True
    if outside:
        raise LightboundError(kind, name, "lies outside the folder of the sweep", _REMEDY)
    return root / os.path.normpath(name)


@lru_cache(maxsize=8)
def _kept_folder(texts: tuple[tuple[str, str], ...]) -> TemporaryDirectory[str]:
    folder = TemporaryDirectory(prefix="lightbound-sweep-")
    for path, text in texts:
        place = Path(folder.name, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    return folder


def _written(texts: tuple[tuple[str, str], ...]) -> Path:
    return Path(_kept_folder(texts).name)
