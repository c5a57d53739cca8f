"""From a name or a file to a workload: a method, one of its variants, and sizes for its ranks.

Names come from the files of `methods` and from packages that declare the entry point group
``lightbound.methods`` (each entry point a `Method`). Files are plain cascades (``.txt``, ``.einsum``) or
YAML with presets. Nothing here knows what any method computes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightbound.base.document import read_text, read_yaml
from lightbound.base.errors import LightboundError, choose_from
from lightbound.base.schema import check

from .cascade import Cascade
from .method import Method
from .methods import load_method, method_names

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from .masks.mask import Mask
    from .method import EndToEnd

__all__ = ["Method", "Workload", "as_workload", "method", "workload", "workload_names"]

ENTRY_POINTS = "lightbound.methods"
_TEXT = (".txt", ".einsum")
_YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class Workload:
    """A method at given sizes: what `simulate` takes beside a machine.

    `cascade` is the variant's cascade with its sizes; tile sizes (the ``M0`` of ``m1*M0+m0``) may be left
    open, for a mapping to choose. `word_bytes` is the size of one element of every tensor. Of a method with a mask,
    `options` are what its `mask` is made of: the cascade says what is done for a pair of a query and a key, the mask
    for which pairs.
    """

    method: Method
    variant: str
    preset: str | None
    cascade: Cascade
    word_bytes: int = 2
    options: Mapping[str, Any] = field(default_factory=dict)
    mask: Mask | None = None

    @property
    def name(self) -> str:
        return self.method.name

    @property
    def sizes(self) -> dict[str, int]:
        """Every size that is known, by its symbol."""
        return dict(self.cascade.sizes)

    @property
    def end_to_end(self) -> EndToEnd | None:
        """What share of a model's run this is, where the preset says so."""
        return self.method.end_to_end.get(self.preset or "")

    def with_variant(self, variant: str) -> Workload:
        """The same method and sizes in another variant; sizes that it does not have are dropped."""
        other = _build(self.method, self.preset, variant, self.options, self.word_bytes)
        kept = {symbol: size for symbol, size in self.sizes.items() if symbol in other.cascade.structure.symbols}
        mask = self.mask if self.mask is not None and _masked(self.method, other.cascade) else other.mask
        return replace(other, cascade=other.cascade.with_sizes(**kept), mask=mask)

    def with_sizes(self, **sizes: Any) -> Workload:
        """The same workload with some sizes changed; what follows from them (M1 of M, M0) follows again."""
        changed = replace(self, cascade=self.cascade.with_sizes(**sizes))
        if self.mask is None:
            return changed
        _refuse_mask_sizes(self.method, sizes)
        return changed.with_mask(self.mask)

    def with_mask(self, mask: Mask) -> Workload:
        """The same workload, in which a query attends the keys of its row of a mask only.

        Raises LightboundError where the mask has not as many queries and keys as the workload, or where it has none.
        """
        for rank, extent in zip(self.method.mask_ranks, (mask.queries, mask.keys), strict=True):
            size = self.sizes.get(rank.upper())
            if size != extent:
                problem = f"does not fit {rank.upper()} = {size} of {self.name}"
                remedy = f"Give a mask of as many, or set {rank.upper()}={extent}."
                raise LightboundError("mask", extent, problem, remedy)
        return replace(self, mask=mask)

    def with_options(self, **options: Any) -> Workload:
        """The same workload with another mask: some of its options changed."""
        sizes = {symbol: size for symbol, size in self.sizes.items() if symbol not in _mask_symbols(self.method)}
        kept = {symbol: size for symbol, size in sizes.items() if symbol not in _parts(self)}
        given = {**self.options, **options, **kept}
        return _build(self.method, self.preset, self.variant, given, self.word_bytes)


def workload(
    name_or_path: str | os.PathLike[str] | Cascade,
    preset: str | None = None,
    variant: str | None = None,
    *,
    word_bytes: int = 2,
    **sizes: Any,
) -> Workload:
    """A workload by the name of its method, from a ``.txt``, ``.einsum`` or ``.yaml`` file, or of your own Cascade.

    Sizes are named by symbol (``M=4096``, ``M="64K"``); they go over those of the preset, and these over the method's
    defaults. Sizes that are equal in a preset (M and P of self-attention) are not coupled: set both. Options of a
    mask are named in lower case (``window=(18, 24, 24)``) and layered alike. Raises LightboundError for a name,
    preset, variant, size or option that does not exist, and for a file that cannot be read or parsed.
    """
    if not isinstance(name_or_path, Cascade):
        return _build(method(name_or_path), preset, variant, sizes, word_bytes)
    for what, given in (("preset", preset), ("variant", variant)):
        if given is not None:
            raise LightboundError(what, given, "is of a method; this is a cascade", "Leave it out.")
    cascade = name_or_path.with_sizes(**sizes) if sizes else name_or_path
    made = Method(cascade.name, cascade.name, "", "", {"plain": cascade.text})
    return Workload(made, "plain", None, cascade, word_bytes)


def as_workload(what: Workload | Cascade | str) -> Workload:
    """The workload meant, by whichever of the three it is given."""
    return what if isinstance(what, Workload) else workload(what)


def workload_names() -> list[str]:
    """Names that `workload` takes: the methods that ship with lightbound and those of installed packages."""
    return sorted({*method_names(), *(point.name for point in _entry_points())})


def method(name_or_path: str | os.PathLike[str]) -> Method:
    """The method of a name or a file, before a variant and sizes are chosen."""
    text = os.fspath(name_or_path)
    suffix = Path(text).suffix.lower()
    if suffix in _TEXT:
        return _from_text(text)
    if suffix in _YAML:
        return _from_yaml(text)
    if isinstance(name_or_path, Path) or os.sep in text:
        remedy = f"Name it {', '.join(_TEXT)} (a cascade) or {', '.join(_YAML)} (a cascade with presets)."
        raise LightboundError("workload file", text, "is of no kind that holds a workload", remedy)
    if text in method_names():
        return load_method(text)
    for point in _entry_points():
        if point.name == text:
            return _from_package(point)
    remedy = f"{choose_from(workload_names(), text)} A file's name must end in {', '.join((*_TEXT, *_YAML))}."
    raise LightboundError("workload", text, "is not known", remedy)


def symbols_of(method: Method) -> tuple[str, ...]:
    """The symbols of all sizes that any variant of a method has."""
    return tuple(
        dict.fromkeys(symbol for name in method.cascades for symbol in _parsed(method, name).structure.symbols)
    )


def _build(
    method: Method, preset: str | None, variant: str | None, given: Mapping[str, Any], word_bytes: int
) -> Workload:
    name = _variant(method, variant)
    if preset is not None and preset not in method.presets:
        problem = f"is not one of {method.name}'s presets"
        raise LightboundError("preset", preset, problem, choose_from(method.presets, preset))
    layer = method.presets.get(preset or "", {})
    cascade = _parsed(method, name)
    for where, sizes in (("sizes", method.sizes), (f"presets.{preset}", layer)):
        stated = {symbol: size for symbol, size in sizes.items() if symbol not in method.options}
        cascade = cascade.with_sizes(**_of_variant(method, cascade, where, stated))
    if method.mask is None or not _masked(method, cascade):
        stated = {symbol: size for symbol, size in given.items() if symbol not in method.options}
        return Workload(method, name, preset, cascade.with_sizes(**stated), word_bytes)
    sizes = {symbol: size for symbol, size in given.items() if symbol not in method.options}
    _refuse_mask_sizes(method, sizes)
    for symbol, value in sizes.items():
        if not symbol.isupper():
            problem = f"is not an option of {method.name}"
            raise LightboundError(symbol, value, problem, choose_from(method.options, symbol))
    layers = (layer, given)
    options = {key: value for one in layers for key, value in one.items() if key in method.options}
    options = {**method.options, **options}
    mask = method.mask(**options)
    counts = dict(zip(_mask_symbols(method), (mask.queries, mask.keys), strict=True))
    return Workload(method, name, preset, cascade.with_sizes(**counts, **sizes), word_bytes, options, mask)


def _masked(method: Method, cascade: Cascade) -> bool:
    """Whether the mask is one of this variant's: it has both its queries and its keys."""
    return set(_mask_symbols(method)) <= set(cascade.structure.symbols)


def _mask_symbols(method: Method) -> tuple[str, ...]:
    """The sizes that a mask sets: of its queries and of its keys."""
    return tuple(rank.upper() for rank in method.mask_ranks) if method.mask is not None else ()


def _parts(work: Workload) -> set[str]:
    """Sizes of the outermost part of a split: they follow from the total."""
    return {partition.parts[0] for partition in work.cascade.partitions}


def _refuse_mask_sizes(method: Method, sizes: Mapping[str, Any]) -> None:
    for symbol in _mask_symbols(method):
        if symbol in sizes:
            remedy = f"Change an option of the mask: {', '.join(method.options)}."
            raise LightboundError(f"sizes.{symbol}", sizes[symbol], "follows from the mask", remedy)


def _of_variant(method: Method, cascade: Cascade, where: str, sizes: Mapping[str, int]) -> dict[str, int]:
    """The stated sizes that this variant has; a size that no variant has is an error."""
    symbols = cascade.structure.symbols
    for symbol in sizes:
        if symbol not in symbols and not any(
            symbol in _parsed(method, other).structure.symbols for other in method.cascades
        ):
            raise LightboundError(
                f"{method.name}: {where}.{symbol}",
                sizes[symbol],
                "is not a size of it",
                choose_from(symbols, symbol),
            )
    return {symbol: size for symbol, size in sizes.items() if symbol in symbols}


def _variant(method: Method, variant: str | None) -> str:
    if variant is None:
        return method.default_variant
    if variant not in method.cascades:
        problem = f"is not one of {method.name}'s variants"
        raise LightboundError("variant", variant, problem, choose_from(method.cascades, variant))
    return variant


def _parsed(method: Method, variant: str) -> Cascade:
    name = method.name if len(method.cascades) == 1 else f"{method.name}, {variant}"
    return _parse(method.cascades[variant], name)


@lru_cache(maxsize=256)
def _parse(text: str, name: str) -> Cascade:
    return Cascade.parse(text, name=name)


def _from_text(path: str) -> Method:
    text = read_text(path, "workload file")
    name = Path(path).stem
    first = text.lstrip().partition("\n")[0]
    title = first.lstrip("# ").rstrip() if first.startswith("#") else name
    return Method(name=name, title=title, question="", source=path, cascades={"plain": text})


def _from_yaml(path: str) -> Method:
    from pydantic import BaseModel, ConfigDict, StrictInt

    class Document(BaseModel):
        model_config = ConfigDict(extra="forbid")

        name: str = Path(path).stem
        title: str = ""
        question: str = ""
        source: str = path
        cascade: str | None = None
        cascades: dict[str, str] = {}
        sizes: dict[str, StrictInt] = {}
        presets: dict[str, dict[str, StrictInt]] = {}
        preset_sources: dict[str, str] = {}
        mappings: dict[str, Any] = {}

    where = f"workload file {path}"
    data = check(Document, read_yaml(path, "workload file"), where)
    if (data.cascade is None) == (not data.cascades):
        raise LightboundError(
            f"{where}: cascade",
            None,
            "is given twice" if data.cascades else "is missing",
            "Give either `cascade: |` with the lines of one, or `cascades:` with a name and lines for each variant.",
        )
    return Method(
        name=data.name,
        title=data.title or data.name,
        question=data.question,
        source=data.source,
        cascades=data.cascades or {"plain": data.cascade or ""},
        sizes=data.sizes,
        presets=data.presets,
        preset_sources=data.preset_sources,
        mappings=data.mappings,
    )


def _entry_points() -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points

    return tuple(entry_points(group=ENTRY_POINTS))


def _from_package(point: EntryPoint) -> Method:
    package = point.dist.name if point.dist is not None else point.value
    try:
        found = point.load()
    except Exception as error:  # whatever a third party's import raises
        raise LightboundError(
            "workload",
            point.name,
            f"could not be loaded from {package} ({error})",
            f"Repair or remove {package}.",
        ) from error
    if not isinstance(found, Method):
        raise LightboundError(
            "workload",
            point.name,
            f"is a {type(found).__name__} in {package}",
            "It has to be a lightbound Method.",
        )
    return found
