"""Adds to a failed test's report the logs of its containers, its outboxes, and the state of the servers."""

from __future__ import annotations

import contextlib
import sqlite3
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

LINES = 150
"""Number of lines printed from the end of a log."""


class Witness(Protocol):
    """An object that can report its state."""

    def testimony(self) -> Iterator[tuple[str, str]]:
        """Return pairs of a title and a text."""


_witnesses: weakref.WeakSet[Witness] = weakref.WeakSet()


def remember(witness: Witness) -> None:
    """Include this object's report when a test fails, as long as the object exists."""
    _witnesses.add(witness)


def testimonies() -> Iterator[tuple[str, str]]:
    for witness in list(_witnesses):
        yield from witness.testimony()


def tail(file: Path) -> str:
    """Return the end of a log."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError as error:
        return f"cannot be read: {error}"
    left_out = [f"({len(lines) - LINES} earlier lines)"] if len(lines) > LINES else []
    return "\n".join([*left_out, *lines[-LINES:]])


def outboxes(folder: Path) -> Iterator[tuple[str, str]]:
    """Report how many events wait in each outbox below a folder, and how many are dead letters."""
    for file in sorted(folder.rglob("outbox.db")):
        depth = " and ".join(f"{_count(file, table)} in {table}" for table in ("outbox", "dead_letters"))
        yield f"outbox {file}", depth


def _count(file: Path, table: str) -> str:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            return str(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.Error as error:
        return f"({error})"
