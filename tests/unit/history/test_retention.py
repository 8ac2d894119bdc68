"""The limits of the history: age, size, and the space on the disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from st2sensor.history.file import PAGE, open_file
from st2sensor.history.filters import Filters
from st2sensor.history.reader import History
from st2sensor.history.retention import DAY, Retention
from st2sensor.outbox.database.shrinking import empty_journal
from st2sensor.settings import History as Options
from tests.unit.history.test_writer import BODY, of, outcome, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_file(path, "process")) as opened:
        yield opened


def times(path: Path) -> list[float]:
    """Return when the events that are left were dispatched."""
    with closing(History(path)) as history:
        return [event.created for event in history.select(Filters())]


def test_old_events_are_deleted(path: Path, connection: sqlite3.Connection) -> None:
    write(path, [outcome(0), outcome(86_400), outcome(8 * 86_400)])
    Retention(path, Options(max_age=7.0)).run(connection, 8 * DAY)
    assert times(path) == [86_400, 8 * 86_400]


def test_the_oldest_events_are_deleted_when_the_file_is_too_large(path: Path, connection: sqlite3.Connection) -> None:
    limit = 1_000_000
    write(path, [of(outcome(number), body=BODY.replace("one", "x" * 10_000)) for number in range(300)])
    kept = Retention(path, Options(max_bytes=limit))
    while True:
        before = times(path)
        kept.run(connection, 300.0)
        if times(path) == before:
            break
    assert 50 < len(before) < 100
    assert before == [float(number) for number in range(300 - len(before), 300)]
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    assert (pages - free) * PAGE <= limit


def test_on_a_full_disk_the_oldest_part_is_dropped_and_the_file_shrinks(
    path: Path, connection: sqlite3.Connection
) -> None:
    write(path, [of(outcome(number), body=BODY.replace("one", "x" * 10_000)) for number in range(80)])
    empty_journal(connection)
    size = path.stat().st_size
    assert Retention(path, Options()).give_way(connection) == 11
    assert times(path) == [float(number) for number in range(11, 80)]
    assert path.stat().st_size < size - 100_000


def test_nothing_is_dropped_from_an_empty_history(path: Path, connection: sqlite3.Connection) -> None:
    assert Retention(path, Options()).give_way(connection) == 0


@pytest.mark.parametrize(
    ("free", "total", "lacks"), [(31, 4000, True), (33, 4000, False), (9, 200, True), (11, 200, False)]
)
def test_the_outbox_gets_the_last_space_of_the_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch, free: int, total: int, lacks: bool
) -> None:
    """:param free: megabytes."""
    numbers = (1000, 1000, total * 1000, free * 1000, free * 1000, 0, 0, 0, 0, 255)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(numbers))
    assert Retention(path, Options()).lacks_space() is lacks
