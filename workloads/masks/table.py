"""Native rows from (query, key) pairs and from attended columns; shared by masks that are given and not computed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightbound import _core

from .layout import Integers


class SparseRows(NamedTuple):
    """Columns of row r are columns[offsets[r]:offsets[r + 1]], ascending and distinct."""

    offsets: Integers
    columns: Integers


def sparse_rows(rows: Integers, columns: Integers, row_count: int, column_count: int) -> SparseRows:
    """Pairs in any order, with repetitions, as sorted rows."""
    flat = np.sort(rows.astype(np.int64) * column_count + columns)
    flat = flat[np.diff(flat, prepend=-1) > 0]
    offsets = np.searchsorted(flat, np.arange(row_count + 1, dtype=np.int64) * column_count)
    return SparseRows(offsets, flat % column_count)


def native_rows(rows: SparseRows, keys: int) -> _core.MaskRows:
    """One row a query, its columns joined to runs."""
    offsets, columns = rows
    begins = np.ones(len(columns), bool)
    begins[1:] = columns[1:] != columns[:-1] + 1
    begins[offsets[:-1][np.diff(offsets) > 0]] = True
    ends = np.append(begins[1:], True) if len(columns) else begins
    runs_before = np.concatenate(([0], np.cumsum(begins)))
    queries = np.arange(len(offsets) - 1)
    return _core.table_rows(keys, queries, runs_before[offsets], columns[begins], columns[ends] + 1)


def true_runs(attended: NDArray[np.bool_]) -> tuple[Integers, Integers, Integers]:
    """Row, first and one past the last column of each run of True, row by row; shape (rows, columns) in."""
    edges = np.diff(attended.astype(np.int8), axis=1, prepend=0, append=0)
    rows, first = np.nonzero(edges == 1)
    _, last = np.nonzero(edges == -1)
    return rows, first, last
