from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from st2sensor.delivery import Delivery
from st2sensor.errors import BrokerUnavailable, OutboxError
from st2sensor.outbox import TAIL, Done, Entry, Outbox
from st2sensor.transport.base import Message, Subscription
from tests.servers.waiting import eventually


def tell(answers: Sequence[tuple[Done, Exception | None]]) -> None:
    for done, error in answers:
        done(error)


def entry(number: int, reason: str | None = None) -> Entry:
    return Entry(message_id=f"m{number}", sensor="p.S", trigger="p.t", created=0.0, body=f"{number}", reason=reason)


def put(outbox: Outbox, *entries: Entry) -> None:
    """Submit, and wait until all is on disk."""
    answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    for item in entries:
        outbox.submit(item, answers.put)
    for _ in entries:
        assert answers.get(timeout=10) is None


def on_disk(path: Path, table: str = "outbox") -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [body for (body,) in connection.execute(f"SELECT body FROM {table} ORDER BY id")]


class Broker:
    """A transport whose broker can be away; it is its own publisher."""

    address = "test://"

    def __init__(self) -> None:
        self.away = threading.Event()
        self.taken: list[str] = []
        self.batches: list[int] = []

    def publisher(self) -> Broker:
        return self

    def subscription(self, exchanges: Sequence[str]) -> Subscription:
        raise NotImplementedError

    def connect(self) -> None:
        if self.away.is_set():
            raise BrokerUnavailable("away")

    def publish(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if self.away.is_set():
                raise BrokerUnavailable("away")
            self.taken.append(message.body.decode())
        self.batches.append(len(messages))

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
    with closing(Outbox(path, tell)) as outbox:
        put(outbox, entry(1), entry(2))
        assert on_disk(path) == ["1", "2"]
        assert outbox.depth == 2


def test_many_threads_share_commits_and_keep_their_own_order(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path, tell)) as outbox:

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
    with closing(Outbox(path, tell)) as outbox, closing(Delivery(outbox, broker, encode)) as delivery:
        delivery.start()
        put(outbox, *(entry(number) for number in range(50)))
        assert outbox.wait_empty(10)
        eventually("the rows are deleted", lambda: on_disk(path) == [])
    assert broker.taken == [str(number) for number in range(50)]


def test_while_the_broker_is_away_entries_wait_and_nothing_is_lost(tmp_path: Path) -> None:
    path, broker = tmp_path / "outbox.db", Broker()
    broker.away.set()
    count = TAIL + 1500
    with closing(Outbox(path, tell)) as outbox, closing(Delivery(outbox, broker, encode)) as delivery:
        delivery.start()
        put(outbox, *(entry(number) for number in range(count)))
        assert outbox.depth == count
        broker.away.clear()
        assert outbox.wait_empty(30)
    assert broker.taken == [str(number) for number in range(count)]


def test_what_was_not_delivered_is_delivered_after_a_restart_and_ids_go_on(tmp_path: Path) -> None:
    path, broker = tmp_path / "outbox.db", Broker()
    with closing(Outbox(path, tell)) as outbox:
        put(outbox, entry(1), entry(2))
    with closing(Outbox(path, tell)) as outbox, closing(Delivery(outbox, broker, encode)) as delivery:
        put(outbox, entry(3))
        delivery.start()
        assert outbox.wait_empty(10)
    assert broker.taken == ["1", "2", "3"]
    with closing(Outbox(path, tell)) as outbox:
        put(outbox, entry(4))
        (row,) = outbox.read(0, 10, 1)
    assert row.id == 4


def test_a_batch_the_broker_broke_off_is_published_again_whole(tmp_path: Path) -> None:
    path, broker = tmp_path / "outbox.db", Broker()

    class Flaky(Broker):
        def publish(self, messages: Sequence[Message]) -> None:
            if not self.batches:
                self.taken.append(messages[0].body.decode())
                self.batches.append(0)
                raise BrokerUnavailable("lost")
            super().publish(messages)

    broker = Flaky()
    with closing(Outbox(path, tell)) as outbox, closing(Delivery(outbox, broker, encode)) as delivery:
        put(outbox, entry(1), entry(2))
        delivery.start()
        assert outbox.wait_empty(10)
    assert broker.taken == ["1", "1", "2"]


def test_a_dead_letter_is_kept_with_its_reason_and_not_published(tmp_path: Path) -> None:
    path, broker = tmp_path / "outbox.db", Broker()
    with closing(Outbox(path, tell)) as outbox, closing(Delivery(outbox, broker, encode)) as delivery:
        delivery.start()
        put(outbox, entry(1, reason="unknown"), entry(2))
        assert outbox.wait_empty(10)
    assert broker.taken == ["2"]
    assert on_disk(path, "dead_letters") == ["1"]


def test_a_file_that_is_no_database_is_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    path.write_text("this is no database, whatever its name says" * 100)
    with pytest.raises(OutboxError, match=r"outbox\.db: file is not a database; make it readable"):
        Outbox(path, tell)
