"""Options about the kernel: its mask, the type of its numbers, its tiles and other params of its mapping."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lightbound.base.errors import LightboundError, choose_from

if TYPE_CHECKING:
    from lightbound.archs.machine import Machine
    from lightbound.sim.mapping import Mapping
    from lightbound.workloads.registry import Workload

WORD_BYTES = {"bf16": 2, "fp16": 2}  # the types of which machines state rates
_TILES = re.compile(r"(\d{1,6})[xX](\d{1,6})")


def word_bytes(dtype: str) -> int:
    """Bytes of a number of this type."""
    if dtype not in WORD_BYTES:
        raise LightboundError(
            "--dtype", dtype, "is no type of which machines state rates", choose_from(WORD_BYTES, dtype)
        )
    return WORD_BYTES[dtype]


def backward(work: Workload) -> Workload:
    """The gradients of a workload, at its sizes."""
    from lightbound.workloads.registry import workload

    name = work.method.backward
    if name is None or work.mask is not None:
        raise LightboundError(
            "--backward",
            None,
            f"is for workloads whose gradients are a method; {work.name} has none",
            "Simulate attention with it, or leave it out.",
        )
    gradients = workload(name, word_bytes=work.word_bytes)
    known = gradients.sizes
    return gradients.with_sizes(**{symbol: size for symbol, size in work.sizes.items() if symbol in known})


def mask_options(work: Workload, given_: Iterable[str]) -> dict[str, Any]:
    """The options in ``--mask window=18,24,24 --mask causal=1,0,0``, each of the kind that the workload's own is of."""
    from .bounding import flags, shape
    from .given import pairs

    found: dict[str, Any] = {}
    for name, text in pairs("--mask", given_, "window=18,24,24"):
        if name not in work.options:
            if not work.options:
                remedy = "Choose a workload with a mask, such as gna."
                raise LightboundError("--mask", name, f"is of a mask; {work.name} has none", remedy)
            problem = f"is not an option of the mask of {work.name}"
            raise LightboundError("--mask", name, problem, choose_from(work.options, name))
        kind = work.options[name]
        first = kind[0] if isinstance(kind, tuple) and kind else kind
        try:
            if isinstance(first, bool):
                found[name] = flags(f"--mask {name}", text)
            elif isinstance(first, float):
                found[name] = float(text)
            else:
                found[name] = text if isinstance(first, str) else shape(f"--mask {name}", text)
        except ValueError as error:
            raise LightboundError(f"--mask {name}", text, "is not a number", f"Write {name}={kind}.") from error
    return found


def causal(work: Workload) -> Workload:
    """The workload in which no query looks ahead."""
    from lightbound.workloads.masks.causal import Causal

    if work.mask is not None:
        raise LightboundError(
            "--causal", None, f"is for workloads without a mask; {work.name} has one", "Leave it out."
        )
    query, key = (work.sizes.get(rank.upper()) for rank in work.method.mask_ranks)
    if query is None or key is None:
        remedy = f"Give sizes for {' and '.join(rank.upper() for rank in work.method.mask_ranks)}, or leave it out."
        raise LightboundError("--causal", None, f"needs queries and keys, which {work.name} has not", remedy)
    return work.with_mask(Causal(query, key))


def values(params: Iterable[str], stages: int | None, warps: int | None) -> dict[str, int | str]:
    """The values in ``--param BR=256 --stages 3``, by name of the mapping's params."""
    from .given import pairs

    found: dict[str, int | str] = {
        name: int(text) if text.isdigit() else text for name, text in pairs("--param", params, "BR=256")
    }
    for option, name, value in (("--stages", "STAGES", stages), ("--warps", "WARPS", warps)):
        if value is not None:
            if value < 1:
                raise LightboundError(option, value, "is below 1", f"Write a whole number, such as {option} 2.")
            found[name] = value
    return found


def mapping_of(
    work: Workload, machine: Machine, mapping: Mapping | str | None, tiles: str | None, changed: dict[str, int | str]
) -> Mapping | str | None:
    """The mapping meant, with these values changed. Without a name it is the first that can skip tiles, if need be."""
    from lightbound.sim.masked_prediction import some_masked
    from lightbound.sim.overrides import with_values
    from lightbound.sim.simulate import resolve_mapping

    masked = work.mask is not None
    if tiles is not None and work.mask is not None and len(work.mask.grid) > 1:
        remedy = "Leave it out: the best tiles that kernels offer are taken; `bound` takes others."
        raise LightboundError("--tiles", tiles, f"are not tiles of a grid of {len(work.mask.grid)} axes", remedy)
    if not changed and tiles is None and (mapping is not None or not masked):
        return mapping
    kernel = some_masked(work, machine) if mapping is None else None
    if kernel is None and not changed and tiles is None:
        return None  # no kernel for this machine skips tiles: every pair is computed
    chosen = kernel or resolve_mapping(work, machine, mapping)[1]
    if tiles is not None:
        match = _TILES.fullmatch(tiles.strip())
        if match is None or not (int(match[1]) and int(match[2])):
            problem = "is not a tile of queries and one of keys"
            raise LightboundError("--tiles", tiles, problem, "Write both, such as --tiles 128x64.")
        if chosen.masked is None:
            remedy = "Change its params with --param, or name a mapping with `masked`."
            raise LightboundError("--tiles", tiles, f"are none that mapping {chosen.name!r} names", remedy)
        changed = {chosen.masked.q_tile: int(match[1]), chosen.masked.kv_tile: int(match[2]), **changed}
    return with_values(chosen, changed)
