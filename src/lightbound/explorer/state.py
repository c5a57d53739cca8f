"""What is chosen on the page: as a query of its address, as a command, and as Python. Text only, as people write it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from urllib.parse import parse_qsl, urlencode

MASK = "mask."


@dataclass(frozen=True)
class State:
    """Empty text is the default of the command line's option of that name.

    sizes: ``M=64K,P=64K``. changes: fields of the machine, ``global_buffer=8 MiB; pe_dim=128``. mask: options of the
    workload's mask that are not its preset's. tiles: of the kernel, ``128x64``; q_tile, kv_tile: of the ladder.
    """

    workload: str
    machine: str
    preset: str = ""
    mapping: str = ""
    causal: str = ""
    tiles: str = ""
    sizes: str = ""
    changes: str = ""
    q_tile: str = ""
    kv_tile: str = ""
    mask: tuple[tuple[str, str], ...] = ()

    def with_(self, values: Mapping[str, str | None]) -> State:
        """The same with some fields changed; names that begin with ``mask.`` are options of the mask."""
        own = {one.name for one in fields(self)} - {"mask"}
        changed = {name: (value or "").strip() for name, value in values.items() if name in own}
        mask = dict(self.mask)
        for name, value in values.items():
            if name.startswith(MASK):
                mask[name.removeprefix(MASK)] = (value or "").strip()
        kept = tuple(sorted((name, value) for name, value in mask.items() if value))
        return replace(self, **changed, mask=kept)

    def query(self) -> str:
        """The state in an address: ``?workload=gna&machine=h200``."""
        named = [(one.name, getattr(self, one.name)) for one in fields(self) if one.name != "mask"]
        listed = [*named, *((MASK + name, value) for name, value in self.mask)]
        return "?" + urlencode([(name, value) for name, value in listed if value])

    def reads(self, query: str) -> State:
        """The state of an address; what it does not say is as here."""
        return self.with_(dict(parse_qsl(query.removeprefix("?"))))

    def command(self) -> str:
        """What predicts the same in a shell."""
        words = [*self._words("simulate"), *self._option("--mapping", self.mapping)]
        words += ["--causal"] if self.causal else []
        return shlex.join([*words, *self._option("--tiles", self.tiles), *self._mask()])

    def bound_command(self) -> str:
        """What prints the same ladder in a shell."""
        tiles = [*self._option("--q-tile", self.q_tile), *self._option("--kv-tile", self.kv_tile)]
        whose = ["--backend", "none"] if tiles else []
        return shlex.join([*self._words("bound"), *tiles, *whose, *self._mask()])

    def _words(self, verb: str) -> list[str]:
        words = ["lightbound", verb, self.workload, *self._option("--preset", self.preset)]
        words += ["--machine", self.machine, *self._option("--set", self.sizes)]
        return [*words, *(word for change in self.set_machine() for word in ("--set-machine", change))]

    def _mask(self) -> list[str]:
        return [word for change in self.mask_given() for word in ("--mask", change)]

    @staticmethod
    def _option(name: str, value: str) -> list[str]:
        return [name, value] if value else []

    def set_machine(self) -> list[str]:
        """The values of ``--set-machine``."""
        return [part.strip() for part in re.split(r";", self.changes) if part.strip()]

    def mask_given(self) -> list[str]:
        """The values of ``--mask``."""
        return [f"{name}={value}" for name, value in self.mask]
