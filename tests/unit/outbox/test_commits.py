"""Commits of batches to the outbox, successful or not, with a disk that a test controls."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from st2sensor.errors import LeaseLost, OutboxError
from st2sensor.models.limits import SensorLimits
from st2sensor.outbox.backlog import Backlog, Settled
from st2sensor.outbox.commits import DELETED_ALONE, DELETED_AT_ONCE, DISK_RETRY, Commits
from st2sensor.outbox.database.file import TABLES
from st2sensor.outbox.database.limit_table import NO_CHANGES, Changes, LimitTable
from st2sensor.outbox.database.rows import columns_of
from st2sensor.outbox.database.store import INSERT, Store
from st2sensor.outbox.entry import Entry, size_of
from st2sensor.outbox.incoming import StillWanted, Submitted
from st2sensor.outbox.tail import Row
from st2sensor.outbox.waiting import BATCH, Room, Waiting
from st2sensor.settings import Outbox as Options
from tests.unit.outbox.test_outbox import entry


def disk_error(code: int, text: str = "no") -> sqlite3.Error:
    """Return an exception like those that SQLite raises."""
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


class Disk:
    """Keeps rows in memory, and fails when a test demands it."""

    path = Path("outbox.db")

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.dead: list[Entry] = []
        self.deleted: list[int] = []
        self.failures: list[Exception] = []
        """Raised by the next commits, in order."""
        self.bad: set[str] = set()
        """Bodies that the database refuses."""
        self.room = DELETED_AT_ONCE
        """The maximum number of rows that a full disk has space to delete in one commit."""
        self.is_reserved = True
        connection = sqlite3.connect(":memory:")
        connection.executescript(TABLES)
        self.limits = LimitTable(connection)
        self.connection = connection
        self.on_commit: Callable[[], None] = lambda: None
        self.release_failures: list[Exception] = []
        self.flaw_failures: list[Exception] = []

    def commit(
        self,
        rows: Sequence[Row],
        dead: Sequence[Entry],
        settled: Sequence[Settled],
        last_id: int,
        changes: Changes = NO_CHANGES,  # noqa: ARG002
    ) -> None:
        if self.failures:
            raise self.failures.pop(0)
        if any(row.entry.body in self.bad for row in rows):
            raise sqlite3.IntegrityError("refused")
        self.rows = [row for row in self.rows if row.id <= last_id] + list(rows)
        self.dead += dead
        self.deleted += [item.id for item in settled]
        self.on_commit()

    def release(self, released: Sequence[tuple[int, int]], changes: Changes) -> None:
        if self.release_failures:
            raise self.release_failures.pop(0)
        self.limits.store(changes, released)

    def flawed(self, entries: Sequence[Entry], last_id: int) -> dict[int, Exception]:  # noqa: ARG002
        if self.flaw_failures:
            raise self.flaw_failures.pop(0)
        return {
            number: sqlite3.IntegrityError("refused") for number, item in enumerate(entries) if item.body in self.bad
        }

    def make_room(self, settled: Sequence[Settled]) -> None:
        if len(settled) > self.room:
            raise disk_error(sqlite3.SQLITE_FULL)
        self.deleted += [item.id for item in settled]

    def give_back(self) -> None:
        self.is_reserved = True


class Bench:
    """Commits with a disk and a clock that a test controls."""

    def __init__(self, settled: int = 0, max_size: int = Options().max_size) -> None:
        self.disk = Disk()
        self.now = 50.0
        self.backlog = Backlog(last_id=settled, depth=settled, size=0)
        if settled:
            rows = [Row(id=number, entry=entry(number), size=0) for number in range(1, settled + 1)]
            self.backlog.may_delete(self.backlog.settle(self.backlog.give(rows), None, were_held=False))
        self.waiting = Waiting()
        self.commits = Commits(
            cast(Store, self.disk), self.backlog, self.waiting, Options(max_size=max_size), clock=lambda: self.now
        )
        self.answers: dict[str, Exception | None] = {}

    def submitted(self, number: int, reason: str | None = None, still: StillWanted | None = None) -> Submitted:
        item = entry(number, reason)
        return Submitted([item], lambda error: self.answers.update({item.body: error}), still, sizes=[size_of(item)])

    def together(self, *items: Entry, still: StillWanted | None = None) -> Submitted:
        """Entries that are submitted together; the answer is kept under the bodies."""
        name = "+".join(item.body for item in items)
        sizes = [size_of(item) for item in items]
        return Submitted(items, lambda error: self.answers.update({name: error}), still, sizes=sizes)

    @property
    def delivered(self) -> list[str]:
        """Bodies that delivery gets, in order."""
        return [row.entry.body for row in self.backlog.next(0, 100, 0.0) or []]


def test_a_commit_notifies_its_submitters_and_keeps_dead_letters_from_delivery() -> None:
    bench = Bench()
    bench.commits.commit([bench.submitted(1), bench.submitted(2, "wrong"), bench.submitted(3)])
    assert bench.answers == {"1": None, "2": None, "3": None}
    assert bench.delivered == ["1", "3"]
    assert [item.body for item in bench.disk.dead] == ["2"]
    assert not bench.commits.has_more


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY])
def test_a_disk_that_fails_answers_nobody_and_is_retried_in_order(code: int) -> None:
    bench = Bench()
    bench.waiting.add(bench.submitted(3))
    bench.disk.failures = [disk_error(code, "the disk's words")]
    bench.commits.commit([bench.submitted(1), bench.submitted(2)])
    assert not bench.answers
    assert [item.entries[0].body for item in bench.waiting.held] == ["1", "2", "3"]
    assert bench.commits.is_failing
    assert bench.commits.retry_at == 50.0 + DISK_RETRY
    assert bench.commits.problem == "cannot write the outbox outbox.db: the disk's words"
    assert bench.commits.is_mended()
    bench.commits.commit(list(bench.waiting.held))
    assert bench.delivered == ["1", "2", "3"]
    assert bench.commits.problem == ""


def test_a_bad_entry_is_refused_alone_and_the_others_need_not_wait() -> None:
    bench = Bench()
    bench.disk.bad = {"2"}
    bench.commits.commit([bench.submitted(1), bench.submitted(2), bench.submitted(3)])
    assert set(bench.answers) == {"2"}
    assert "does not accept this trigger: IntegrityError: refused" in str(bench.answers["2"])
    assert [item.entries[0].body for item in bench.waiting.held] == ["1", "3"]
    assert bench.commits.has_more
    assert not bench.commits.is_failing
    assert bench.commits.problem == ""


def test_entries_that_belong_together_are_committed_at_once_with_their_dead_letters() -> None:
    bench = Bench()
    bench.commits.commit([bench.together(entry(1), entry(2, "wrong"), entry(3)), bench.together(entry(4, "wrong"))])
    assert bench.answers == {"1+2+3": None, "4": None}
    assert bench.delivered == ["1", "3"]
    assert [item.body for item in bench.disk.dead] == ["2", "4"]


def test_one_bad_entry_refuses_all_that_belong_to_it_and_no_others() -> None:
    bench = Bench()
    bench.disk.bad = {"2"}
    bench.commits.commit([bench.submitted(0), bench.together(entry(1), entry(2), entry(3)), bench.submitted(4)])
    assert set(bench.answers) == {"1+2+3"}
    assert isinstance(bench.answers["1+2+3"], OutboxError)
    assert [item.entries[0].body for item in bench.waiting.held] == ["0", "4"]
    assert bench.delivered == []


def test_a_lease_that_ends_meanwhile_removes_all_that_belong_together() -> None:
    bench = Bench()
    lost: set[str] = set()
    bench.disk.on_commit = lambda: lost.add("2")
    bench.commits.commit([bench.submitted(1), bench.together(entry(2), entry(3), still=lambda _: "2" not in lost)])
    assert isinstance(bench.answers["2+3"], LeaseLost)
    assert bench.answers["1"] is None
    assert bench.delivered == ["1"]
    assert [row.entry.body for row in bench.disk.rows] == ["1"]


def test_entries_that_belong_together_wait_for_room_together_and_fit_an_empty_outbox() -> None:
    bench = Bench()
    many = bench.together(*(entry(number) for number in range(5)))

    def room(depth: int) -> Room:
        return Room(depth=depth, size=0, max_depth=4, max_size=10**6, commit=10**6)

    bench.waiting.add(many)
    assert bench.waiting.take(room(1)) == []
    assert bench.waiting.is_full
    assert bench.waiting.take(room(0)) == [many]


def test_a_commit_is_not_made_longer_by_entries_that_belong_together() -> None:
    bench = Bench()
    first, many = bench.submitted(1), bench.together(*(entry(number) for number in range(BATCH)))
    room = Room(depth=0, size=0, max_depth=10**6, max_size=10**9, commit=10**9)
    for item in (first, many):
        bench.waiting.add(item)
    assert bench.waiting.take(room) == [first]
    assert bench.waiting.has_more
    assert bench.waiting.take(room) == [many]


def test_entries_that_belong_together_wait_for_a_restricted_lane_of_any_of_them() -> None:
    bench = Bench()
    other = replace(entry(2), trigger_type="p.other")
    many = bench.together(entry(1), other)
    room = Room(depth=0, size=0, max_depth=10, max_size=10**6, commit=10**6)
    bench.waiting.restrict(frozenset({(other.sensor, other.trigger_type)}))
    bench.waiting.add(many)
    assert bench.waiting.take(room) == []
    bench.waiting.restrict(frozenset())
    assert bench.waiting.take(room) == [many]


def test_a_database_that_takes_nothing_refuses_all_and_does_not_wait() -> None:
    bench = Bench()
    bench.disk.failures = [sqlite3.OperationalError("no such table: outbox")]
    bench.commits.commit([bench.submitted(1), bench.submitted(2)])
    assert {type(error) for error in bench.answers.values()} == {OutboxError}
    assert set(bench.answers) == {"1", "2"}
    assert not bench.waiting.held
    assert not bench.commits.is_failing
    assert bench.commits.problem == "the outbox outbox.db accepts nothing: no such table: outbox"


def test_an_entry_whose_lease_ends_during_its_commit_is_removed_before_delivery_sees_it() -> None:
    bench = Bench()
    lost: set[str] = set()
    bench.disk.on_commit = lambda: lost.add("2")

    def still(item: Entry) -> bool:
        return item.body not in lost

    bench.commits.commit([bench.submitted(number, still=still) for number in (1, 2, 3)])
    assert isinstance(bench.answers.pop("2"), LeaseLost)
    assert bench.answers == {"1": None, "3": None}
    assert bench.delivered == ["1", "3"]
    assert [(row.id, row.entry.body) for row in bench.disk.rows] == [(1, "1"), (2, "3")]


def test_settled_rows_are_deleted_in_limited_numbers_and_at_once() -> None:
    bench = Bench(settled=2 * DELETED_AT_ONCE + 1)
    bench.commits.commit([])
    assert (len(bench.disk.deleted), bench.commits.has_more) == (DELETED_AT_ONCE, True)
    bench.commits.commit([])
    assert (len(bench.disk.deleted), bench.commits.has_more) == (2 * DELETED_AT_ONCE, False)
    bench.commits.commit([])
    assert bench.backlog.to_delete == 0


def test_a_full_disk_frees_itself_in_steps_that_it_has_room_for() -> None:
    bench = Bench(settled=100)
    bench.disk.failures, bench.disk.room, bench.disk.is_reserved = [disk_error(sqlite3.SQLITE_FULL)], 30, False
    bench.commits.commit([bench.submitted(1)])
    assert bench.commits.is_mended()
    assert bench.backlog.to_delete == 0
    assert bench.disk.deleted == list(range(1, 101))
    assert bench.disk.is_reserved
    assert not bench.commits.is_failing


def test_a_disk_too_full_to_delete_anything_goes_on_failing() -> None:
    bench = Bench(settled=100)
    bench.disk.failures, bench.disk.room = [disk_error(sqlite3.SQLITE_FULL)], DELETED_ALONE - 1
    bench.commits.commit([bench.submitted(1)])
    bench.now = 60.0
    assert not bench.commits.is_mended()
    assert bench.commits.is_failing
    assert bench.commits.retry_at == 60.0 + DISK_RETRY
    assert bench.backlog.to_delete == 100


def test_a_disk_that_fails_while_late_entries_are_removed_answers_only_the_late_ones() -> None:
    bench = Bench()
    lost: set[str] = set()

    def lose() -> None:
        lost.add("2")
        bench.disk.failures = [disk_error(sqlite3.SQLITE_FULL)]
        bench.disk.on_commit = lambda: None

    bench.disk.on_commit = lose
    items = [bench.submitted(number, still=lambda item: item.body not in lost) for number in (1, 2, 3)]
    bench.commits.commit(items)
    assert set(bench.answers) == {"2"}
    assert isinstance(bench.answers["2"], LeaseLost)
    assert bench.delivered == []
    assert list(bench.waiting.held) == [items[0], items[2]]
    assert bench.commits.is_failing
    assert bench.commits.is_mended()
    bench.commits.commit([bench.waiting.held.popleft(), bench.waiting.held.popleft()])
    assert bench.delivered == ["1", "3"]
    assert [row.entry.body for row in bench.disk.rows] == ["1", "3"]


def test_a_disk_that_fails_while_the_bad_entry_is_looked_for_refuses_nobody() -> None:
    bench = Bench()
    bench.disk.bad = {"2"}
    bench.disk.flaw_failures = [disk_error(sqlite3.SQLITE_IOERR, "the disk's words")]
    items = [bench.submitted(1), bench.submitted(2)]
    bench.commits.commit(items)
    assert not bench.answers
    assert list(bench.waiting.held) == items
    assert bench.commits.problem == "cannot write the outbox outbox.db: the disk's words"
    assert bench.commits.retry_at == 50.0 + DISK_RETRY


def test_a_damaged_file_refuses_all_without_a_search_for_the_bad_entry() -> None:
    bench = Bench()
    bench.disk.failures = [disk_error(sqlite3.SQLITE_CORRUPT, "malformed")]
    bench.disk.flaw_failures = [AssertionError("the file was written")]
    bench.commits.commit([bench.submitted(1), bench.submitted(2)])
    assert set(bench.answers) == {"1", "2"}
    assert bench.disk.flaw_failures
    assert bench.commits.has_more


LIMITS = {"p.S": SensorLimits("p.S", {"rate": "1/s", "burst": 1, "over": "hold"})}


def holding(*numbers: int) -> Bench:
    """Return a bench with an outbox of 4 entries whose limits hold these entries."""
    bench = Bench(max_size=4)
    for number in numbers:
        values = (number, None, *columns_of(entry(number)), "p.S")
        bench.disk.connection.execute(INSERT, values)
    bench.backlog.last_id = max(numbers)
    bench.backlog.limited = len(numbers)
    bench.backlog.limited_size = sum(size_of(entry(number)) for number in numbers)
    bench.commits.gate.__init__(lambda: bench.disk.limits)  # type: ignore[misc]
    bench.commits.gate.learn(LIMITS)
    return bench


def test_held_rows_follow_all_earlier_ones_under_new_ids_once_they_are_freed() -> None:
    bench = holding(1, 2)
    bench.commits.commit([])
    assert bench.delivered == []
    bench.commits.gate.free("p.S", None)
    bench.commits.commit([])
    assert [(row.id, row.entry.body, row.held) for row in bench.backlog.next(0, 10, 0.0) or []] == [
        (3, "1", None),
        (4, "2", None),
    ]
    assert (bench.backlog.limited, bench.backlog.limited_size, bench.backlog.depth) == (0, 0, 2)
    assert [row[0] for row in bench.disk.connection.execute("SELECT id FROM outbox ORDER BY id")] == [3, 4]
    assert bench.commits.gate.held == 0
    bench.disk.failures = [disk_error(sqlite3.SQLITE_FULL)]
    bench.commits.commit([bench.submitted(5)])
    assert bench.commits.gate.held == 0


def test_held_rows_that_cannot_be_released_because_of_the_disk_are_released_later() -> None:
    bench = holding(1)
    bench.commits.gate.free("p.S", None)
    bench.disk.release_failures = [disk_error(sqlite3.SQLITE_FULL)]
    waiting = bench.submitted(5)
    bench.commits.commit([waiting])
    assert not bench.answers
    assert bench.commits.is_failing
    assert list(bench.waiting.held) == [waiting]
    assert (bench.backlog.limited, bench.commits.gate.held) == (1, 1)


def test_a_sensor_waits_while_its_held_rows_fill_their_share() -> None:
    bench = Bench(max_size=4)
    bench.commits.gate.learn(LIMITS)
    bench.commits.commit([bench.submitted(1), bench.submitted(2)])
    bench.waiting.add(bench.submitted(3))
    assert [item.entries[0].body for item in bench.waiting.held] == ["3"]
    bench.commits.commit([bench.waiting.held.popleft()])
    assert (bench.backlog.depth, bench.backlog.limited) == (1, 2)
    bench.waiting.add(bench.submitted(4))
    assert not bench.waiting.held


@pytest.mark.parametrize(("code", "is_reserved"), [(sqlite3.SQLITE_BUSY, False), (sqlite3.SQLITE_FULL, True)])
def test_only_a_full_disk_gives_its_space_back(code: int, is_reserved: bool) -> None:
    bench = Bench()
    bench.disk.failures, bench.disk.is_reserved = [disk_error(code)], False
    bench.commits.commit([bench.submitted(1)])
    assert bench.commits.is_mended()
    assert bench.disk.is_reserved is is_reserved


def test_a_file_that_is_found_to_be_broken_refuses_all(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    errors = {0: sqlite3.IntegrityError("refused"), 1: sqlite3.OperationalError("no such table")}
    monkeypatch.setattr(bench.disk, "flawed", lambda *_: errors)
    bench.disk.bad = {"1"}
    bench.commits.commit([bench.submitted(number) for number in (1, 2, 3)])
    assert set(bench.answers) == {"1", "2", "3"}
    assert "accepts nothing" in bench.commits.problem
