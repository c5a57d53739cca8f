"""The file of a campaign: one JSON object a line, appended and flushed one by one, so that a killed run loses nothing.

Kinds of records, by their field `record`:

========  ==================================================================================================
run       where and when: the fingerprint of the machine and the versions; later records name it by `run`
launch    how long one launch takes inside a CUDA graph: that of a kernel that does nothing
check     the largest error of a kernel against float64 at a case
timing    a case of a kernel, or of a peer beside it (`implementation`): all samples, their median and interval
tuning    the same for a tile that is not the default one
control   one fixed product of matrices, timed again and again: how far the machine drifts
failure   why a case has no time
========  ==================================================================================================
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lightbound.base.errors import LightboundError

Record = dict[str, Any]
OURS = "lightbound"


class RecordFile:
    """Records of a file, and new ones at its end. A last line that was torn by a kill is dropped when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
        self.records = list(read_records(path))

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a record; it is on the disk when this returns."""
        line = json.dumps(record, allow_nan=False)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.records.append(dict(record))

    def of(self, *kinds: str) -> Iterator[Record]:
        """The records of some kinds."""
        return (record for record in self.records if record["record"] in kinds)

    def done(self) -> set[str]:
        """Keys of what has a time or a reason why it has none."""
        return {record["key"] for record in self.of("timing", "tuning", "failure")}


def read_records(path: Path) -> Iterator[Record]:
    """Every record of a file; LightboundError names a line that is none."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            record = error
        if not isinstance(record, dict) or "record" not in record:
            remedy = "Give a file that a campaign wrote (lightbound measure)."
            raise LightboundError(f"{path}:{number}", line[:40], "is not a record of a campaign", remedy)
        yield record
