"""The one file of a sweep: an SQLite database to which finished points are added, whole chunks at a time.

Whatever ends a run (Ctrl-C, a kill, a power cut), the file holds the chunks that were finished and nothing else. Once
all points are there it is written anew in the order of the points' values, so that equal sweeps end in equal files,
byte for byte, however often they were interrupted.

No index keeps a key from being there twice: with keys in random order it would take three times as long to keep as the
points themselves. A run adds only what is missing, and looks at what another one has added meanwhile.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightbound.base.errors import LightboundError
from lightbound.base.version import VERSION

from .plan import Plan, Positions
from .point import Rows

APPLICATION = 0x6C626E64  # marks the file as ours
FORMAT = 1
POINTS, SPARE, ABOUT = "points", "spare", "about"


class Keys:
    """A set of keys of 16 bytes, in 16 bytes each."""

    def __init__(self, keys: bytes) -> None:
        halves = np.frombuffer(keys, dtype=">u8").reshape(-1, 2).astype(np.uint64)
        halves = halves[np.lexsort((halves[:, 1], halves[:, 0]))]
        self.first, self.second = np.ascontiguousarray(halves[:, 0]), np.ascontiguousarray(halves[:, 1])

    def __len__(self) -> int:
        return len(self.first)

    def holds(self, keys: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which of these keys (16 bytes a row) are in the set."""
        if not len(self):
            return np.zeros(len(keys), dtype=bool)
        halves = np.ascontiguousarray(keys).view(">u8").reshape(-1, 2).astype(np.uint64)
        at = np.minimum(np.searchsorted(self.first, halves[:, 0]), len(self) - 1)
        return (self.first[at] == halves[:, 0]) & (self.second[at] == halves[:, 1])


class Store:
    """The file of a sweep while it runs. Use it as a context, so that it is closed."""

    def __init__(self, path: Path, plan: Plan, text: str) -> None:
        self.path = path
        self.plan = plan
        self.columns = plan.spec.table
        self._made = {"spec": text, "columns": json.dumps(self.columns)}
        with suppress(FileNotFoundError):
            self._beside.unlink()  # of a run that was killed as it finished
        self._db = connect(path, writable=True)
        self._others: set[bytes] = set()  # keys that another run has added meanwhile
        self._last = 0  # the row behind which all rows are another run's
        try:
            self._open()
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @property
    def _beside(self) -> Path:
        return self.path.with_name(f".{self.path.name}.finishing")

    @property
    def complete(self) -> bool:
        """Whether the file was finished for this very sweep."""
        return self._about().get("complete") == "yes"

    def done(self) -> Keys:
        """The keys of the points that are there."""
        self._last = self._rows()
        found = self._db.execute(f"SELECT key FROM {POINTS} WHERE rowid <= ?", (self._last,))
        return Keys(b"".join(key for (key,) in found))

    def add(self, parts: Iterable[Rows]) -> None:
        """Keep these points, all of them or, if the process ends meanwhile, none."""
        places = ", ".join("?" * (len(self.columns) + 2))
        with _transaction(self._db):
            if self._rows() > self._last:
                behind = self._db.execute(f"SELECT key FROM {POINTS} WHERE rowid > ?", (self._last,))
                self._others.update(key for (key,) in behind)
            for rows in parts:
                self._db.executemany(f"INSERT INTO {POINTS} VALUES ({places})", self._told(rows))
            self._last = self._rows()

    def _told(self, rows: Rows) -> Iterator[tuple[Any, ...]]:
        """Points as rows of the table; those that another run has added are left out."""
        data = rows.keys.tobytes()
        keys = [data[at : at + 16] for at in range(0, len(data), 16)]
        found = {**self.plan.rows(rows.positions), **{name: column.tolist() for name, column in rows.kept.items()}}
        told = zip(keys, *(found[name] for name in self.columns), rows.errors.tolist(), strict=True)
        return (row for row in told if row[0] not in self._others) if self._others else told

    def _rows(self) -> int:
        """The number of the last row."""
        return self._db.execute(f"SELECT coalesce(max(rowid), 0) FROM {POINTS}").fetchone()[0]

    def finish(self) -> None:
        """Write the file anew, in order. It takes its place at once or not at all."""
        if self.complete:
            return
        with closing(sqlite3.connect(self._beside, isolation_level=None)) as made:
            _settle(made, safe=False)
            _create(made, self.columns, self.plan)
            made.execute("ATTACH ? AS old", (str(self.path),))
            made.execute("BEGIN")
            order = ", ".join((*(_quoted(self.plan.spec.columns[field]) for field in self.plan.spec.varying), "key"))
            for table in (POINTS, SPARE):  # what orders the rows is sorted alone, which is faster than whole rows
                made.execute(f"CREATE TEMP TABLE ordered AS SELECT rowid AS number FROM old.{table} ORDER BY {order}")
                rows = f"temp.ordered CROSS JOIN old.{table} AS held ON held.rowid = ordered.number"
                made.execute(f"INSERT INTO {table} SELECT held.* FROM {rows} ORDER BY ordered.rowid")
                made.execute("DROP TABLE temp.ordered")
            for name, value in {**self._made, **_version(), "complete": "yes"}.items():
                made.execute(f"INSERT INTO {ABOUT} VALUES (?, ?)", (name, value))
            made.execute("COMMIT")
            made.execute("DETACH old")
        self._db.close()
        _flush(self._beside)
        os.replace(self._beside, self.path)
        self._db = connect(self.path, writable=True)

    def _about(self) -> dict[str, str]:
        return dict(self._db.execute(f"SELECT name, value FROM {ABOUT}"))

    def _open(self) -> None:
        db = self._db
        if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            with _transaction(db):
                _create(db, self.columns, self.plan)
                for name, value in {**self._made, **_version()}.items():
                    db.execute(f"INSERT INTO {ABOUT} VALUES (?, ?)", (name, value))
            return
        check_ours(db, self.path)
        about = self._about()
        if json.loads(about["columns"]) != list(self.columns):
            remedy = "Name another file with --out: this one is kept as it is."
            problem = f"holds a sweep of other columns ({', '.join(json.loads(about['columns']))})"
            raise LightboundError("--out", str(self.path), problem, remedy)
        if about["spec"] != self._made["spec"] or about["version"] != VERSION:
            self._change()

    def _change(self) -> None:
        """Points of an earlier description that this one has stay; those that it has not are put aside, and come back
        when it has them again."""
        db = self._db
        with _transaction(db):
            db.execute("CREATE TEMP TABLE wanted (key BLOB PRIMARY KEY) WITHOUT ROWID")
            for positions in self.plan.chunks():
                data = self.plan.keys(positions).tobytes()
                keys = ((data[at : at + 16],) for at in range(0, len(data), 16))
                db.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", keys)
            for source, target, where in ((POINTS, SPARE, "NOT IN"), (SPARE, POINTS, "IN")):
                chosen = f"FROM {source} WHERE key {where} (SELECT key FROM wanted)"
                db.execute(f"INSERT INTO {target} SELECT * {chosen} AND key NOT IN (SELECT key FROM {target})")
                db.execute(f"DELETE {chosen}")
            db.execute(f"DELETE FROM {ABOUT} WHERE name = 'complete'")
            for name, value in {**self._made, **_version()}.items():
                db.execute(f"UPDATE {ABOUT} SET value = ? WHERE name = ?", (value, name))
        db.execute("DROP TABLE wanted")


def missing(plan: Plan, done: Keys) -> Iterator[Positions]:
    """The positions of the points that are not done, chunk by chunk."""
    for positions in plan.chunks():
        left = positions[~done.holds(plan.keys(positions))] if len(done) else positions
        if left.size:
            yield left


def connect(path: Path, writable: bool = False) -> sqlite3.Connection:
    """The database of a file, made if it is writable and does not exist; LightboundError where it cannot be had."""
    try:
        if path.is_dir():
            raise LightboundError("results file", str(path), "is a folder", "Name a file inside it.")
        if not writable and not path.is_file():
            remedy = f"Check the path; it is taken from {Path.cwd()}."
            raise LightboundError("results file", str(path), "does not exist", remedy)
        mode = "rwc" if writable else "rw"  # a reader too may have to undo what a killed run left half done
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=60, isolation_level=None)
        _settle(db, safe=True)
        return db
    except (sqlite3.Error, OSError, ValueError) as error:
        problem = f"cannot be opened ({error})"
        raise LightboundError("results file", str(path), problem, "Name a file that a sweep wrote.") from error


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def check_ours(db: sqlite3.Connection, path: Path) -> None:
    """Refuse a database that no sweep wrote, or a later version of one."""
    marks = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    if marks != [APPLICATION, FORMAT]:
        remedy = "Name a file that `lightbound sweep` wrote, or one that does not exist yet."
        raise LightboundError("results file", str(path), "was not written by this version's sweep", remedy)


def _settle(db: sqlite3.Connection, safe: bool) -> None:
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cache_size = -131072")
    db.execute("PRAGMA temp_store = MEMORY" if safe else "PRAGMA temp_store = FILE")
    db.execute(f"PRAGMA synchronous = {'NORMAL' if safe else 'OFF'}")
    if not safe:
        db.execute("PRAGMA journal_mode = OFF")
    db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # says whether it is a database at all


def _create(db: sqlite3.Connection, columns: Sequence[str], plan: Plan) -> None:
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute(f"PRAGMA user_version = {FORMAT}")
    held = ", ".join(f"{_quoted(name)} {_affinity(plan, name)}".rstrip() for name in columns)
    for table in (POINTS, SPARE):
        db.execute(f"CREATE TABLE {table} (key BLOB NOT NULL, {held}, error TEXT)")
    db.execute(f"CREATE TABLE {ABOUT} (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")


def _affinity(plan: Plan, name: str) -> str:
    """The type of a column: that of fields is whatever a value has."""
    if name not in (*plan.spec.metrics, *plan.spec.derive):
        return ""
    return "TEXT" if plan.spec.metrics.get(name) in ("bottleneck", "mapping", "engine") else "REAL"


def _version() -> dict[str, str]:
    return {"version": VERSION}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _flush(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
