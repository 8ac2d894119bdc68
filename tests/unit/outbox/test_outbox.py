from __future__ import annotations

import fcntl
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from st2sensor.delivery import adoption
from st2sensor.delivery.dead_letters import DeadLetters
from st2sensor.delivery.publisher import PublisherThread
from st2sensor.errors import BrokerUnavailable, LeaseLost, MessageRefused, OutboxError
from st2sensor.health import Health
from st2sensor.outbox.commits import DELETED_AT_ONCE
from st2sensor.outbox.database.aside import set_aside
from st2sensor.outbox.database.dead_table import DAY, DeadTable
from st2sensor.outbox.database.file import open_file
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.outbox import Outbox
from st2sensor.outbox.tail import TAIL, TAIL_BYTES
from st2sensor.outbox.waiting import BATCH
from st2sensor.settings import Outbox as Options
from st2sensor.transport.base import Message, Subscription
from tests.plugins.patience import SOON
from tests.support.servers.waiting import eventually


def entry(number: int, reason: str | None = None) -> Entry:
    return Entry(
        message_id=f"m{number}",
        sensor="p.S",
        trigger="p.t",
        trigger_type="p.t",
        created=time.time(),
        body=f"{number}",
        reason=reason,
    )


def put(outbox: Outbox, *entries: Entry) -> None:
    """Submit entries, and wait until all are on disk."""
    answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    for item in entries:
        outbox.submit(item, answers.put)
    for _ in entries:
        assert answers.get(timeout=SOON) is None


def on_disk(path: Path, table: str = "outbox") -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [body for (body,) in connection.execute(f"SELECT body FROM {table} ORDER BY id")]


def writer_of(outbox: Outbox) -> sqlite3.Connection:
    """Return the connection for writing, with which a test can imitate a disk."""
    connection = outbox._store._writer
    assert connection is not None
    return connection


class Broker:
    """A transport whose broker can be away. It is its own publisher."""

    address = "test://"

    def __init__(self) -> None:
        self.away = threading.Event()
        self.taken: list[str] = []
        self.batches: list[int] = []
        self.health = Health(reason="")

    def publisher(self, patience: float | None = None) -> Broker:  # noqa: ARG002 (the protocol has it)
        return self

    def subscription(self, exchanges: Sequence[str]) -> Subscription:
        raise NotImplementedError

    def connect(self) -> None:
        if self.away.is_set():
            raise BrokerUnavailable("away")

    def publish(self, messages: Sequence[Message]) -> Sequence[int]:
        for message in messages:
            if self.away.is_set():
                raise BrokerUnavailable("away")
            self.taken.append(message.body.decode())
        self.batches.append(len(messages))
        return ()

    def consumers(self) -> int | None:
        return None

    def keep_alive(self) -> None:
        pass

    def close(self) -> None:
        pass


def encode(item: Entry) -> Message:
    return Message(
        exchange="e",
        routing_key="r",
        body=item.body.encode(),
        content_type="t",
        content_encoding="c",
        id=item.message_id,
    )


def test_an_entry_is_on_disk_when_its_submitter_is_told(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path)) as outbox:
        put(outbox, entry(1), entry(2))
        assert on_disk(path) == ["1", "2"]
        assert outbox.depth == 2


def test_many_threads_share_commits_and_keep_their_own_order(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path)) as outbox:

        def submit(first: int) -> None:
            for number in range(first, first + 100):
                put(outbox, entry(number))

        threads = [threading.Thread(target=submit, args=(first,)) for first in range(0, 800, 100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        numbers = [int(body) for body in on_disk(path)]
    assert sorted(numbers) == list(range(800))
    for first in range(0, 800, 100):
        mine = [number for number in numbers if first <= number < first + 100]
        assert mine == sorted(mine)


def test_everything_is_published_in_order_and_then_deleted(tmp_path: Path) -> None:
    path, broker = tmp_path / "outbox.db", Broker()
    with closing(Outbox(path)) as outbox, closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery:
        delivery.start()
        put(outbox, *(entry(number) for number in range(50)))
        assert outbox.wait_empty(SOON)
        eventually("the rows are deleted", lambda: on_disk(path) == [])
    assert broker.taken == [str(number) for number in range(50)]


def test_while_the_broker_is_away_entries_wait_and_nothing_is_lost(tmp_path: Path) -> None:
    path, broker = tmp_path / "outbox.db", Broker()
    broker.away.set()
    count = TAIL + 1500
    with closing(Outbox(path)) as outbox, closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery:
        delivery.start()
        put(outbox, *(entry(number) for number in range(count)))
        assert outbox.depth == count
        broker.away.clear()
        assert outbox.wait_empty(SOON)
    assert broker.taken == [str(number) for number in range(count)]


def test_what_was_not_delivered_is_delivered_after_a_restart_and_ids_go_on(tmp_path: Path) -> None:
    path, broker = tmp_path / "outbox.db", Broker()
    with closing(Outbox(path)) as outbox:
        put(outbox, entry(1), entry(2))
    with closing(Outbox(path)) as outbox, closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery:
        put(outbox, entry(3))
        delivery.start()
        assert outbox.wait_empty(SOON)
    assert broker.taken == ["1", "2", "3"]
    with closing(Outbox(path)) as outbox:
        put(outbox, entry(4))
        (row,) = outbox.read(0, 10, SOON)
    assert row.id == 4


def test_a_batch_the_broker_broke_off_is_published_again_whole(tmp_path: Path) -> None:
    path, broker = tmp_path / "outbox.db", Broker()

    class Flaky(Broker):
        def publish(self, messages: Sequence[Message]) -> Sequence[int]:
            if not self.batches:
                self.taken.append(messages[0].body.decode())
                self.batches.append(0)
                raise BrokerUnavailable("lost")
            return super().publish(messages)

    broker = Flaky()
    with closing(Outbox(path)) as outbox, closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery:
        put(outbox, entry(1), entry(2))
        delivery.start()
        assert outbox.wait_empty(SOON)
    assert broker.taken == ["1", "1", "2"]


def test_a_dead_letter_is_kept_with_its_reason_and_not_published(tmp_path: Path) -> None:
    path, broker = tmp_path / "outbox.db", Broker()
    with closing(Outbox(path)) as outbox, closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery:
        delivery.start()
        put(outbox, entry(1, reason="unknown"), entry(2))
        assert outbox.wait_empty(SOON)
    assert broker.taken == ["2"]
    assert on_disk(path, "dead_letters") == ["1"]


def test_an_entry_that_cannot_be_encoded_is_a_dead_letter_and_stops_nobody(tmp_path: Path) -> None:
    path, broker = tmp_path / "outbox.db", Broker()

    def fail_on_2(item: Entry) -> Message:
        if item.body == "2":
            raise RecursionError("too deep")
        return encode(item)

    with (
        closing(Outbox(path)) as outbox,
        closing(PublisherThread(outbox, broker, fail_on_2, retry_wait=0.05)) as delivery,
    ):
        put(outbox, *(entry(number) for number in range(5)))
        delivery.start()
        assert outbox.wait_empty(SOON)
    assert broker.taken == ["0", "1", "3", "4"]
    assert on_disk(path, "dead_letters") == ["2"]


def test_a_message_the_broker_refuses_for_good_is_found_and_becomes_a_dead_letter(tmp_path: Path) -> None:
    class Picky(Broker):
        def publish(self, messages: Sequence[Message]) -> Sequence[int]:
            if any(message.body == b"3" for message in messages):
                raise MessageRefused("too large")
            return super().publish(messages)

    path, broker = tmp_path / "outbox.db", Picky()
    with closing(Outbox(path)) as outbox, closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery:
        put(outbox, *(entry(number) for number in range(6)))
        delivery.start()
        assert outbox.wait_empty(SOON)
        put(outbox, entry(6), entry(7))
        assert outbox.wait_empty(SOON)
    assert broker.taken == ["0", "1", "2", "4", "5", "6", "7"]
    assert on_disk(path, "dead_letters") == ["3"]


def test_an_unexpected_error_of_the_publisher_is_logged_and_survived(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(Broker):
        def publish(self, messages: Sequence[Message]) -> Sequence[int]:
            if not self.batches:
                self.batches.append(0)
                raise ZeroDivisionError("odd")
            return super().publish(messages)

    path, broker = tmp_path / "outbox.db", Odd()
    with closing(Outbox(path)) as outbox, closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery:
        put(outbox, entry(1))
        delivery.start()
        assert outbox.wait_empty(SOON)
    assert broker.taken == ["1"]
    assert "ZeroDivisionError" in caplog.text


def test_a_full_outbox_makes_its_submitters_wait_names_them_and_drops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path, broker = tmp_path / "outbox.db", Broker()
    broker.away.set()
    told: list[int] = []
    with (
        closing(Outbox(path, Options(max_size=10))) as outbox,
        closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery,
    ):
        delivery.start()
        for number in range(25):
            outbox.submit(entry(number), lambda _, number=number: told.append(number))  # type: ignore[misc]
        eventually("the outbox is full", lambda: "is full with 10 triggers: dispatch() waits in p.S" in caplog.text)
        assert outbox.wait_committed(SOON)
        assert told == list(range(10))
        broker.away.clear()
        eventually("everybody was told", lambda: told == list(range(25)))
        assert outbox.wait_empty(SOON)
    assert broker.taken == [str(number) for number in range(25)]
    assert "has room again" in caplog.text
    assert caplog.text.count("is full with") == 1


def test_an_entry_that_cannot_be_encoded_is_not_lost_in_a_full_outbox(tmp_path: Path) -> None:
    def never(item: Entry) -> Message:
        raise RecursionError(item.body)

    path, broker = tmp_path / "outbox.db", Broker()
    with (
        closing(Outbox(path, Options(max_size=5))) as outbox,
        closing(PublisherThread(outbox, broker, never, retry_wait=0.05)) as delivery,
    ):
        for number in range(20):
            outbox.submit(entry(number), lambda _: None)
        delivery.start()
        eventually("all are dead letters", lambda: len(on_disk(path, "dead_letters")) == 20)
    assert on_disk(path, "dead_letters") == [str(number) for number in range(20)]
    assert on_disk(path) == []


def test_who_waits_for_room_is_told_when_the_container_stops(tmp_path: Path) -> None:
    answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    with closing(Outbox(tmp_path / "outbox.db", Options(max_size=1))) as outbox:
        put(outbox, entry(1))
        outbox.submit(entry(2), answers.put)
        assert outbox.wait_committed(SOON)
        assert answers.empty()
        outbox.give_up_waiting()
        assert isinstance(answers.get(timeout=SOON), OutboxError)
    assert on_disk(tmp_path / "outbox.db") == ["1"]


def test_an_answer_that_fails_does_not_stop_the_writer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Exception | None) -> None:
        raise TypeError("no answer")

    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        outbox.submit(entry(1), fail)
        put(outbox, entry(2))
    assert on_disk(tmp_path / "outbox.db") == ["1", "2"]
    assert "no answer" in caplog.text


def test_waiting_for_empty_counts_what_is_not_committed_yet(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        for _ in range(50):
            outbox.submit(entry(1), lambda _: None)
            assert not outbox.wait_empty(0.01)


def test_a_repaired_file_with_gaps_loses_nothing(tmp_path: Path) -> None:
    path, broker = tmp_path / "outbox.db", Broker()
    with closing(Outbox(path)) as outbox:
        put(outbox, *(entry(number) for number in range(1, 7)))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM outbox WHERE id = 4")
        connection.execute("DELETE FROM sqlite_sequence")
    with closing(Outbox(path)) as outbox, closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery:
        put(outbox, entry(7))
        delivery.start()
        assert outbox.wait_empty(SOON)
    assert broker.taken == ["1", "2", "3", "5", "6", "7"]


def test_the_memory_of_large_entries_is_bounded(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        large = replace(entry(1), body="x" * 1_000_000)
        put(outbox, *([large] * 20))
        assert sum(row.size for row in outbox._backlog._tail._rows) <= TAIL_BYTES
        assert 1 <= len(outbox.read(0, 500, SOON)) <= 4
        put(outbox, replace(entry(2), body="y" * 9_000_000))
        assert len(outbox.read(20, 500, SOON)) == 1


def test_dead_letters_are_bounded_by_number_and_bytes_and_the_oldest_go_first(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path, Options(dead_letters_max_number=3))) as outbox:
        for number in range(1, 6):
            put(outbox, entry(number, reason="new"))
    assert on_disk(path, "dead_letters") == ["3", "4", "5"]
    with closing(Outbox(path, Options(dead_letters_max_size=5000))) as outbox:
        for letter in "abc":
            put(outbox, replace(entry(1, reason="large"), body=letter * 2000))
        assert [body[0] for body in on_disk(path, "dead_letters")] == ["b", "c"]
        answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        outbox.submit(replace(entry(1, reason="too large"), body="d" * 6000), answers.put)
        assert "larger than the limit for all dead letters together" in str(answers.get(timeout=SOON))
        # Letters that another process deletes no longer count.
        DeadLetters(path).remove([letter.id for letter in DeadLetters(path).all()])
        for letter in "ef":
            put(outbox, replace(entry(1, reason="large"), body=letter * 2000))
        assert [body[0] for body in on_disk(path, "dead_letters")] == ["e", "f"]


def test_the_age_of_a_dead_letter_is_the_time_in_which_containers_have_run(tmp_path: Path) -> None:
    path, now = tmp_path / "outbox.db", [1000.0]

    def graveyard() -> DeadTable:
        return DeadTable(connection, Options(dead_letters_max_age=1), lambda: now[0])

    with closing(open_file(path, "full")) as connection:
        first = graveyard()
        # The time of day was wrong when the letters were made.
        for created in (0.0, 4e9):
            first.bury([replace(entry(1, reason="odd"), created=created)], ())
        now[0] += 0.6 * DAY
        first.prune()
        assert first.dead == 2
        # After a reboot, the machine's own clock starts again.
        now[0] = 5.0
        second = graveyard()
        second.bury([entry(2, reason="new")], ())
        now[0] += 0.3 * DAY
        second.prune()
        assert second.dead == 3
        now[0] += 0.2 * DAY
        second.prune()
        assert second.dead == 1
    assert on_disk(path, "dead_letters") == ["2"]
    assert DeadLetters(path).ids(older_than=0.4) == [3]
    assert DeadLetters(path).ids(older_than=0.6) == []


def test_a_reason_is_cut_off_where_it_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path)) as outbox:
        put(outbox, entry(1, reason="x" * 10_000))
    (letter,) = DeadLetters(path).all()
    assert letter.entry.reason == "x" * 497 + "..."


def test_an_idle_outbox_with_a_past_does_not_spin(tmp_path: Path) -> None:
    path, broker = tmp_path / "outbox.db", Broker()
    with closing(Outbox(path)) as outbox, closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery:
        delivery.start()
        put(outbox, *(entry(number) for number in range(3)))
        assert outbox.wait_empty(SOON)
    with closing(Outbox(path)) as outbox:
        assert outbox.cursor == 3
        began = time.monotonic()
        assert outbox.read(outbox.cursor, 10, timeout=0.1) == []
        assert time.monotonic() - began >= 0.1


def test_a_damaged_outbox_is_set_aside_only_when_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path)) as outbox:
        put(outbox, entry(1))
    assert set_aside(path) is None
    assert on_disk(path) == ["1"]
    path.write_text("damage" * 1000)
    aside = set_aside(path)
    assert aside is not None
    assert aside.read_text() == "damage" * 1000
    with closing(Outbox(path)) as outbox:
        assert outbox.depth == 0


def test_a_file_that_is_no_database_is_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    path.write_text("this is no database, whatever its name says" * 100)
    with pytest.raises(
        OutboxError, match=r"outbox\.db is damaged: file is not a database; waiting triggers may be lost"
    ):
        Outbox(path)


def submit(outbox: Outbox, number: int, *verdicts: bool) -> queue.SimpleQueue[Exception | None]:
    """Submit an entry that may be accepted according to the verdicts, in order. The last verdict holds from then on."""
    answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    left = list(verdicts)
    outbox.submit(entry(number), answers.put, lambda _: left.pop(0) if len(left) > 1 else left[0])
    return answers


def test_what_may_not_be_taken_any_more_is_refused_and_not_on_disk(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        assert isinstance(submit(outbox, 1, False).get(timeout=SOON), LeaseLost)
        assert submit(outbox, 2, True).get(timeout=SOON) is None
        assert on_disk(tmp_path / "outbox.db") == ["2"]


def test_what_was_committed_too_late_is_taken_back_and_its_neighbours_are_delivered(tmp_path: Path) -> None:
    broker = Broker()
    broker.away.set()
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        put(outbox, entry(0))
        # Submitted while the writer waits for a lock on the file, so that one commit contains them all.
        with closing(sqlite3.connect(tmp_path / "outbox.db")) as blocker:
            blocker.execute("BEGIN IMMEDIATE")
            first = submit(outbox, 1, True)
            answers = [submit(outbox, 2, True), submit(outbox, 3, True, False), submit(outbox, 4, True)]
            blocker.rollback()
        assert [first.get(timeout=SOON), answers[0].get(timeout=SOON), answers[2].get(timeout=SOON)] == [None] * 3
        assert isinstance(answers[1].get(timeout=SOON), LeaseLost)
        assert on_disk(tmp_path / "outbox.db") == ["0", "1", "2", "4"]
        assert outbox.depth == 4
        broker.away.clear()
        with closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery:
            delivery.start()
            assert outbox.wait_empty(SOON)
            put(outbox, entry(5))
            assert outbox.wait_empty(SOON)
    assert broker.taken == ["0", "1", "2", "4", "5"]


def test_an_outbox_of_an_earlier_version_is_delivered(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path)) as outbox:
        put(outbox, entry(1))
    with closing(sqlite3.connect(path)) as connection:
        for table in ("outbox", "dead_letters"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN fence")
    with closing(Outbox(path)) as outbox:
        put(outbox, replace(entry(2), fence=7))
        assert [row.entry.fence for row in outbox.read(0, 10, SOON)] == [None, 7]


def waiting(outbox: Outbox, number: int, sensor: str = "p.S") -> queue.SimpleQueue[Exception | None]:
    answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    outbox.submit(replace(entry(number), sensor=sensor), answers.put)
    return answers


def test_what_a_sensor_that_stops_waits_with_for_room_is_never_sent(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path, Options(max_size=1))) as outbox:
        put(outbox, entry(1))
        mine, other = waiting(outbox, 2), waiting(outbox, 3, "p.Other")
        outbox.withdraw("p.S")
        error = mine.get(timeout=SOON)
        assert isinstance(error, OutboxError)
        assert "is full, and p.S is stopping: this trigger will not be sent" in str(error)
        assert isinstance(waiting(outbox, 4).get(timeout=SOON), OutboxError)
        outbox.welcome("p.S")
        again = waiting(outbox, 5)
        for number, answers in enumerate((other, again)):
            (row,) = outbox.read(number, 10, SOON)
            outbox.confirm(row.id, 1)
            assert answers.get(timeout=SOON) is None
        assert on_disk(path) == ["5"]


def test_a_sensor_that_stops_may_still_dispatch_what_need_not_wait(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path)) as outbox:
        outbox.withdraw("p.S")
        put(outbox, entry(1))
        assert on_disk(path) == ["1"]


def test_what_a_sensor_that_stops_waits_with_for_the_disk_is_never_sent(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path)) as outbox:
        put(outbox, entry(1))
        (pages,) = writer_of(outbox).execute("PRAGMA page_count").fetchone()
        writer_of(outbox).execute(f"PRAGMA max_page_count = {pages}")
        large = replace(entry(2), body="x" * 100_000)
        mine, other = queue.SimpleQueue[Exception | None](), queue.SimpleQueue[Exception | None]()
        outbox.submit(large, mine.put)
        outbox.submit(replace(large, sensor="p.Other", body="y" * 100_000), other.put)
        eventually("the disk is full", lambda: not outbox.has_room)
        outbox.withdraw("p.S")
        error = mine.get(timeout=SOON)
        assert isinstance(error, OutboxError)
        assert "disk is full, and p.S is stopping: this trigger will not be sent" in str(error)
        assert other.empty()
        writer_of(outbox).execute("PRAGMA max_page_count = 1000000")
        assert other.get(timeout=SOON) is None
        assert [body[0] for body in on_disk(path)] == ["1", "y"]


def test_who_waits_for_a_disk_that_is_full_is_told_when_the_container_stops(tmp_path: Path) -> None:
    answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        writer_of(outbox).execute("PRAGMA max_page_count = 1")
        outbox.submit(replace(entry(1), body="x" * 100_000), answers.put)
        eventually("the disk is full", lambda: not outbox.has_room)
        outbox.give_up_waiting()
        error = answers.get(timeout=SOON)
        assert isinstance(error, OutboxError)
        assert "disk is full, and the container is stopping" in str(error)


def test_more_than_one_commit_takes_is_committed_though_nothing_more_comes(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "outbox.db", Options(durability="process"))) as outbox:
        writer_of(outbox).execute("PRAGMA max_page_count = 1")
        answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        for number in range(3 * BATCH):
            outbox.submit(replace(entry(number), body="x" * 1000), answers.put)
        eventually("the disk is full", lambda: not outbox.has_room)
        writer_of(outbox).execute("PRAGMA max_page_count = 1000000")
        assert [answers.get(timeout=SOON) for _ in range(3 * BATCH)] == [None] * 3 * BATCH


ODD: list[dict[str, Any]] = [
    {"message_id": None},
    {"message_id": 5},
    {"message_id": "\ud800"},
    {"trigger": "a\udfff"},
    {"body": {"no": "text"}},
    {"body": b"bytes"},
    {"created": float("nan")},
    {"created": "now"},
    {"fence": 1 << 80},
    {"fence": "1"},
    {"sensor": ["p.S"]},
]


@pytest.mark.parametrize("fields", ODD, ids=repr)
def test_an_entry_that_is_no_good_is_refused_to_its_sender_alone(tmp_path: Path, fields: dict[str, Any]) -> None:
    path, broker = tmp_path / "outbox.db", Broker()
    with closing(Outbox(path)) as outbox, closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery:
        delivery.start()
        answers: list[queue.SimpleQueue[Exception | None]] = []
        for item in (entry(1), replace(entry(2), **fields), replace(entry(3, reason="dead"), **fields), entry(4)):
            answers.append(queue.SimpleQueue())
            outbox.submit(item, answers[-1].put)
        told = [answer.get(timeout=SOON) for answer in answers]
        assert [told[0], told[3]] == [None, None]
        assert "the outbox does not accept this trigger" in str(told[1])
        assert isinstance(told[2], OutboxError)
        assert outbox.wait_empty(SOON)
        assert not outbox.problem
    assert broker.taken == ["1", "4"]


def test_what_sqlite_refuses_though_nothing_was_seen_to_be_wrong_is_refused_alone(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path)) as outbox:
        writer_of(outbox).setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000)
        answers: list[queue.SimpleQueue[Exception | None]] = []
        for item in (entry(1), replace(entry(2), body="x" * 20_000), entry(3), replace(entry(4), body="x" * 20_000)):
            answers.append(queue.SimpleQueue())
            outbox.submit(item, answers[-1].put)
        told = [answer.get(timeout=SOON) for answer in answers]
        assert [told[0], told[2]] == [None, None]
        assert "DataError: string or blob too big" in str(told[1])
        assert isinstance(told[3], OutboxError)
    assert on_disk(path) == ["1", "3"]


def test_an_outbox_that_takes_nothing_and_cannot_heal_says_so_and_raises(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path)) as outbox:
        writer_of(outbox).execute("ALTER TABLE outbox RENAME TO elsewhere")
        for number in range(3):
            with pytest.raises(OutboxError, match="no such table"):
                outbox.put([entry(number)])
        assert "accepts nothing" in outbox.problem
        writer_of(outbox).execute("ALTER TABLE elsewhere RENAME TO outbox")
        put(outbox, entry(4))
        eventually("it takes something", lambda: not outbox.problem)
    assert caplog.text.count("accepts nothing") == 1


def test_a_full_outbox_is_one_of_too_many_bytes_too_but_one_entry_always_fits(tmp_path: Path) -> None:
    broker = Broker()
    broker.away.set()
    with (
        closing(Outbox(tmp_path / "outbox.db", Options(max_bytes=10_000))) as outbox,
        closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery,
    ):
        put(outbox, replace(entry(1), body="a" * 50_000))
        assert not outbox.has_room
        small = [waiting(outbox, number) for number in range(2, 5)]
        assert outbox.wait_committed(SOON)
        assert all(answers.empty() for answers in small)
        assert outbox.size > 50_000
        delivery.start()
        broker.away.clear()
        assert [answers.get(timeout=SOON) for answers in small] == [None] * 3
        assert outbox.wait_empty(SOON)
        assert outbox.size == 0
    assert broker.taken[1:] == ["2", "3", "4"]


def test_the_bytes_that_wait_are_known_after_a_restart(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        put(outbox, replace(entry(1), body="\u00e4" * 100), entry(2))
        size = outbox.size
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        assert outbox.size == size > 200


def test_a_message_that_the_publisher_always_fails_over_becomes_a_dead_letter(tmp_path: Path) -> None:
    class Poisoned(Broker):
        def publish(self, messages: Sequence[Message]) -> Sequence[int]:
            if any(message.body == b"3" for message in messages):
                raise ZeroDivisionError("odd")
            return super().publish(messages)

    path, broker = tmp_path / "outbox.db", Poisoned()
    with closing(Outbox(path)) as outbox, closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery:
        put(outbox, *(entry(number) for number in range(6)))
        delivery.start()
        assert outbox.wait_empty(SOON)
    assert broker.taken == ["0", "1", "2", "4", "5"]
    assert on_disk(path, "dead_letters") == ["3"]


def test_what_a_sensor_left_elsewhere_goes_before_what_it_dispatches_now(tmp_path: Path) -> None:
    broker = Broker()
    with (
        closing(Outbox(tmp_path / "outbox.db")) as outbox,
        closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery,
    ):
        outbox.expect("p.S")
        mine, other = waiting(outbox, 3), waiting(outbox, 1, "p.Other")
        assert other.get(timeout=SOON) is None
        assert mine.empty()
        outbox.put([entry(2)], is_left=True)
        assert mine.empty()
        outbox.arrived("p.S")
        assert mine.get(timeout=SOON) is None
        delivery.start()
        assert outbox.wait_empty(SOON)
    assert broker.taken == ["1", "2", "3"]


@pytest.mark.parametrize("is_running", [False, True])
def test_the_outbox_of_a_container_that_has_ended_is_adopted_in_order(tmp_path: Path, is_running: bool) -> None:
    left, broker = tmp_path / "p.S" / "outbox.db", Broker()
    with closing(Outbox(left)) as outbox:
        put(outbox, *(entry(number) for number in range(5)), entry(9, reason="dead"))
    with (
        closing(Outbox(tmp_path / "outbox.db")) as outbox,
        closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery,
        (tmp_path / "p.S" / "lock").open("a") as lock,
    ):
        if is_running:
            fcntl.flock(lock, fcntl.LOCK_EX)
        adoption.start(tmp_path, outbox)
        put(outbox, entry(5))
        delivery.start()
        assert outbox.wait_empty(SOON)
    assert broker.taken == (["5"] if is_running else ["0", "1", "2", "3", "4", "5"])
    assert on_disk(tmp_path / "outbox.db", "dead_letters") == ([] if is_running else ["9"])
    assert on_disk(left) == (["0", "1", "2", "3", "4"] if is_running else [])


@pytest.mark.parametrize("how", ["confirm", "settle"])
def test_a_row_stays_on_disk_until_it_may_be_deleted(tmp_path: Path, how: str) -> None:
    path = tmp_path / "outbox.db"
    allow: list[Callable[[], None]] = []
    with closing(Outbox(path)) as outbox:
        put(outbox, entry(1), entry(2))
        first, second = outbox.read(0, 10, SOON)
        if how == "confirm":
            outbox.confirm(second.id, 2, allow.append)
        else:
            outbox.settle([first, second], first=allow.append)
        assert (outbox.depth, outbox.oldest()) == (0, None)
        put(outbox, entry(3))
        assert on_disk(path) == ["1", "2", "3"]
        [allowed] = allow
        allowed()
        eventually("the rows are deleted", lambda: on_disk(path) == ["3"])


def test_new_dead_letters_are_told_of_once_they_are_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    told: list[tuple[str, list[str]]] = []

    def buried(entries: Sequence[Entry]) -> None:
        told.extend((item.body, on_disk(path, "dead_letters")) for item in entries)

    with closing(Outbox(path, None, buried)) as outbox:
        put(outbox, entry(1, "it does not fit"), entry(2))
    assert told == [("1", ["1"])]


def test_the_age_of_the_oldest_entry_is_known_from_memory_and_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    entries = [replace(entry(number), created=float(number)) for number in (1, 2, 3)]
    with closing(Outbox(path)) as outbox:
        assert outbox.oldest() is None
        put(outbox, *entries)
        assert outbox.oldest() == 1.0
    allow: list[Callable[[], None]] = []
    with closing(Outbox(path)) as outbox:
        assert outbox.oldest() == 1.0
        first, second, _ = outbox.read(0, 10, SOON)
        # The first may not be deleted yet, the second one may: neither waits any longer.
        outbox.settle([first], first=allow.append)
        assert outbox.oldest() == 2.0
        outbox.settle([second])
        assert outbox.oldest() == 3.0
    with pytest.raises(OutboxError, match="is not open"):
        outbox.oldest()


def test_rows_that_cannot_be_read_are_an_error_with_the_file(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        put(outbox, entry(1))
        writer_of(outbox).execute("ALTER TABLE outbox RENAME TO elsewhere")
        with pytest.raises(OutboxError, match=r"cannot read the outbox .*outbox\.db: no such table"):
            outbox.read_back([1])
        writer_of(outbox).execute("ALTER TABLE elsewhere RENAME TO outbox")
        assert [row.entry.body for row in outbox.read_back([1])] == ["1"]


def test_an_outbox_that_cannot_be_used_says_why_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxError, match=r"cannot use the outbox .*; make it readable and writable"):
        Outbox(tmp_path / "file" / "outbox.db")
    with closing(open_file(tmp_path / "outbox.db", "full")) as connection:
        connection.execute("DROP TABLE outbox")
        connection.execute("CREATE VIEW outbox AS SELECT 1 AS id")
    with pytest.raises(OutboxError, match="cannot use the outbox"):
        Outbox(tmp_path / "outbox.db")


def test_all_that_the_broker_has_is_deleted_at_the_end_however_much_it_is(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path, Options(durability="process"))) as outbox:
        put(outbox, *(entry(number) for number in range(2 * DELETED_AT_ONCE + 500)))
        cursor = 0
        while rows := outbox.read(cursor, 5000, 0):
            cursor = rows[-1].id
            outbox.confirm(cursor, len(rows))
    assert on_disk(path) == []


def test_a_writer_that_fails_unexpectedly_goes_on_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("st2sensor.outbox.commits.DISK_RETRY", 0.01)
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        take, failures = outbox._writer.waiting.take, [ZeroDivisionError("odd")]

        def fail_once(room: Any) -> Any:
            if failures:
                raise failures.pop()
            return take(room)

        monkeypatch.setattr(outbox._writer.waiting, "take", fail_once)
        put(outbox, entry(1))
        eventually("nothing is wrong any more", lambda: not outbox.problem)
    assert on_disk(tmp_path / "outbox.db") == ["1"]
    assert "ZeroDivisionError: odd" in caplog.text


def test_what_is_kept_is_told_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path)) as outbox:
        assert outbox.limits == Options()
        put(outbox, entry(1, "wrong"), entry(2, "wrong"), replace(entry(3, "no queue"), is_unrouted=True))
    caplog.clear()
    with closing(Outbox(path)) as outbox:
        assert outbox.unrouted == 1
    assert "keeps 2 dead letters: st2sensor dead-letters list shows them" in caplog.text
    assert "keeps 1 unrouted triggers: st2sensor dead-letters list shows them" in caplog.text


def test_a_dead_letter_larger_than_all_may_be_together_is_refused_unless_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path, Options(dead_letters_max_size=1000))) as outbox:
        large = replace(entry(1, "wrong"), body="x" * 1000)
        with pytest.raises(OutboxError, match=r"it is larger than the limit .*dead_letters_max_size"):
            outbox.put([large])
        outbox.put([large], is_left=True)
        outbox.put([replace(entry(2), body="y" * 1000)])
    assert on_disk(path, "dead_letters") == [large.body]


def test_a_wait_for_new_rows_can_be_ended(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        assert outbox.read(0, 10, 0.0) == []
        assert not outbox.wait_empty(0.0) or outbox.depth == 0
        put(outbox, entry(1))
        assert not outbox.wait_empty(0.01)
        assert outbox.has_room
