"""The thread that writes the history, and what it does when it cannot."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from st2sensor.history import rows, store
from st2sensor.history import writer as writer_module
from st2sensor.history.event import Outcome, State
from st2sensor.history.filters import Filters
from st2sensor.history.reader import History
from st2sensor.history.writer import HistoryWriter, NoHistory
from st2sensor.outbox.entry import Entry
from st2sensor.settings import History as Options
from tests.plugins.patience import AT_LAST, SOON

BODY = '{"trigger":"linux.file","payload":{"line":"one"},"trace_context":{"id_":null,"trace_tag":"tag-1"}}'


def outcome(number: int, **fields: object) -> Outcome:
    """Return the outcome of an event that was dispatched at second `number`."""
    entry = Entry(
        message_id=f"{number:032x}",
        sensor="linux.Tail",
        trigger="linux.file",
        trigger_type="linux.file",
        created=float(number),
        body=BODY,
    )
    known: dict[str, object] = {
        "entry": entry,
        "state": State.CONFIRMED,
        "settled": number + 0.5,
        "committed": number + 0.25,
        "exchange": "st2.trigger_instances_dispatch",
        "routing_key": "trigger_instance",
        "attempts": 1,
    }
    return Outcome(**{**known, **fields})  # type: ignore[arg-type]


def of(given: Outcome, **fields: object) -> Outcome:
    """Return an outcome whose entry has other fields."""
    return replace(given, entry=replace(given.entry, **fields))  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    with closing(History(path)) as opened:
        yield opened


def write(path: Path, outcomes: Sequence[Outcome], options: Options | None = None, clock: float = 100.0) -> None:
    """Write events, and wait until they are on disk."""
    opened = HistoryWriter(path, options or Options(), node="here", clock=lambda: clock)
    record(opened, outcomes)
    opened.close()


def record(opened: HistoryWriter, outcomes: Sequence[Outcome]) -> None:
    done = threading.Event()
    opened.record(outcomes, done.set)
    assert done.wait(SOON)


def test_an_event_is_kept_with_its_life(path: Path, history: History) -> None:
    write(path, [outcome(7, attempts=2, problem="the broker was gone", is_late=True)])
    event = history.get(f"{7:032x}")
    assert event.seq == 1
    assert (event.created, event.committed, event.settled) == (7.0, 7.25, 7.5)
    assert (event.sensor, event.trigger_type, event.node) == ("linux.Tail", "linux.file", "here")
    assert (event.state, event.attempts, event.problem, event.is_late) == ("confirmed", 2, "the broker was gone", True)
    assert (event.exchange, event.routing_key) == ("st2.trigger_instances_dispatch", "trigger_instance")
    assert event.trace_tag == "tag-1"
    assert event.payload == {"line": "one"}


def test_a_message_id_may_be_any_text(path: Path, history: History) -> None:
    for text in ("sixteen letters!", "UPPER" * 6 + "AB", "f" * 31, "é"):
        write(path, [of(outcome(1), message_id=text)])
        assert history.get(text).message_id == text


def test_an_event_that_is_recorded_twice_is_kept_once(path: Path, history: History) -> None:
    write(path, [outcome(1)])
    write(path, [outcome(1, attempts=5), outcome(2)])
    assert [(event.created, event.attempts) for event in history.select(Filters())] == [(1.0, 1), (2.0, 1)]


def test_others_cannot_read_the_file(path: Path) -> None:
    write(path, [outcome(1)])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_payloads_are_left_out_if_the_configuration_says_so(path: Path, history: History) -> None:
    write(path, [outcome(1)], Options(payloads="none"))
    event = history.get(f"{1:032x}")
    assert (event.body, event.payload, event.entry) == (None, None, None)
    assert event.trace_tag == "tag-1"


def test_the_payloads_of_a_private_sensor_are_left_out_also_after_a_restart(path: Path, history: History) -> None:
    opened = HistoryWriter(path, Options(), clock=lambda: 100.0)
    opened.keep_private(frozenset({"linux.Tail"}))
    record(opened, [outcome(1), of(outcome(2), sensor="linux.Other")])
    opened.close()
    write(path, [outcome(3)])
    assert [event.body is None for event in history.select(Filters())] == [True, False, True]


def test_a_sensor_that_is_no_longer_private_is_kept_again(path: Path, history: History) -> None:
    opened = HistoryWriter(path, Options(), clock=lambda: 100.0)
    opened.keep_private(frozenset({"linux.Tail"}))
    record(opened, [outcome(1)])
    opened.keep_private(frozenset())
    record(opened, [outcome(2)])
    opened.close()
    assert [event.body is None for event in history.select(Filters())] == [True, False]


def test_a_directory_that_cannot_be_written_holds_nobody_up(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("not a directory")
    opened = HistoryWriter(blocker / "history.db", Options(), clock=lambda: 100.0)
    record(opened, [outcome(1)])
    assert "cannot write the history" in opened.problem
    opened.close()


def test_dropped_events_leave_a_gap(path: Path, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = HistoryWriter(path, Options(), clock=lambda: 50.0)
    record(opened, [outcome(1)])
    failing = True

    def insert(*arguments: object, **fields: object) -> tuple[object, ...]:
        if failing:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        return real(*arguments, **fields)  # type: ignore[arg-type]

    real = rows.row_of
    monkeypatch.setattr(store, "row_of", insert)
    record(opened, [outcome(2), outcome(3)])
    assert "database is locked" in opened.problem
    failing = False
    record(opened, [outcome(4)])
    opened.close()
    assert opened.problem == ""
    assert [event.created for event in history.select(Filters())] == [1.0, 4.0]
    [gap] = history.gaps()
    assert (gap.number, gap.at, gap.reason) == (2, 50.0, "database is locked")


def test_a_damaged_file_is_kept_under_another_name(path: Path, history: History) -> None:
    path.write_bytes(b"this is not a database" * 500)
    opened = HistoryWriter(path, Options(), clock=lambda: 100.0)
    record(opened, [outcome(1)])
    record(opened, [outcome(2)])
    opened.close()
    assert [event.created for event in history.select(Filters())] == [2.0]
    assert [gap.number for gap in history.gaps()] == [1]
    assert path.with_name("history.db-damaged").read_bytes().startswith(b"this is not")


def test_a_file_that_was_deleted_is_begun_again(path: Path, history: History) -> None:
    opened = HistoryWriter(path, Options(), clock=lambda: 100.0)
    record(opened, [outcome(1)])
    for suffix in ("", "-wal", "-shm"):
        os.unlink(f"{path}{suffix}")
    record(opened, [outcome(2)])
    opened.close()
    assert history.get(f"{2:032x}").created == 2.0


def test_a_sensor_that_invents_names_does_not_fill_the_table_of_names(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("st2sensor.history.names.NAMES_LIMIT", 10)
    monkeypatch.setattr("st2sensor.history.names.TIDY_INTERVAL", 0.0)
    monkeypatch.setattr(writer_module, "UPKEEP_INTERVAL", 0.0)
    options = Options(max_age=1.0)
    write(path, [of(outcome(number), trigger=f"invented.{number}") for number in range(50)], options)
    write(path, [outcome(500_000)], options, clock=500_000.0)
    write(path, [outcome(500_001)], options, clock=500_001.0)
    with closing(sqlite3.connect(path)) as connection:
        (number,) = connection.execute("SELECT count(*) FROM names").fetchone()
    assert number < 10


def test_events_wait_for_a_slow_disk_only_for_a_while(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "WAITING_LIMIT", 1)
    monkeypatch.setattr(writer_module, "RECORD_TIMEOUT", 0.01)
    go_on, began = threading.Event(), threading.Event()
    real = rows.row_of

    def slow(*arguments: object, **fields: object) -> tuple[object, ...]:
        began.set()
        assert go_on.wait(SOON)
        return real(*arguments, **fields)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "row_of", slow)
    opened = HistoryWriter(path, Options(), clock=lambda: 100.0)
    first, second = threading.Event(), threading.Event()
    opened.record([outcome(1)], first.set)
    assert began.wait(SOON)
    opened.record([outcome(2)], second.set)
    assert second.is_set()
    assert not first.is_set()
    go_on.set()
    assert first.wait(SOON)
    record(opened, [outcome(3)])
    opened.close()
    with closing(History(path)) as history:
        assert [gap.number for gap in history.gaps()] == [1]


def test_events_that_come_all_the_time_are_committed_together(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "COMMIT_INTERVAL", AT_LAST)
    opened = HistoryWriter(path, Options(), clock=lambda: 100.0)
    commits: list[None] = []
    opened.tell(lambda: commits.append(None))
    record(opened, [outcome(1)])
    assert len(commits) == 1
    done = threading.Semaphore(0)
    for number in range(2, 7):
        opened.record([outcome(number)], done.release)
    # The end does not wait for the interval.
    opened.close()
    assert all(done.acquire(timeout=SOON) for _ in range(5))
    assert len(commits) == 2
    with closing(History(path)) as history:
        assert [event.created for event in history.select(Filters())] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_many_bytes_are_committed_before_the_interval_is_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "COMMIT_INTERVAL", AT_LAST)
    monkeypatch.setattr(writer_module, "COLLECTED", len(BODY) + 1)
    opened = HistoryWriter(path, Options(), clock=lambda: 100.0)
    record(opened, [outcome(1)])
    record(opened, [outcome(2), outcome(3)])
    opened.close()


def test_an_event_that_sqlite_cannot_store_is_left_out_alone_and_leaves_a_gap(path: Path, history: History) -> None:
    odd = [of(outcome(2), trigger="\ud800"), outcome(3, settled=1e300), outcome(4, attempts=1 << 70)]
    write(path, [outcome(1), *odd, outcome(5, reason=["a"]), outcome(6)])
    assert [event.created for event in history.page(None).events] == [1, 6]
    (gap,) = history.gaps()
    assert (gap.number, gap.reason) == (4, "SQLite cannot store them")


def test_a_trace_tag_with_a_lone_surrogate_is_kept_in_another_form(path: Path, history: History) -> None:
    write(path, [of(outcome(1), body=BODY.replace("tag-1", "\\ud800é")), outcome(2)])
    assert [event.trace_tag for event in history.page(None).events] == ["\\ud800é", "tag-1"]


def test_events_of_a_turn_that_fails_otherwise_leave_a_gap(
    path: Path, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = HistoryWriter(path, Options(), clock=lambda: 100.0)
    with monkeypatch.context() as broken:
        broken.setattr(store, "row_of", lambda *_, **__: dict[str, None]()["nothing"])
        record(opened, [outcome(1), outcome(2)])
    record(opened, [outcome(3)])
    opened.close()
    assert [event.created for event in history.page(None).events] == [3]
    (gap,) = history.gaps()
    assert (gap.number, gap.reason) == (2, "an internal error: KeyError")


def test_no_history_keeps_nothing_and_holds_nobody_up() -> None:
    done = threading.Event()
    NoHistory().record([outcome(1)], done.set)
    assert done.is_set()
