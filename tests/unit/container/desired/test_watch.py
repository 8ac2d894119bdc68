"""What makes the snapshot stale, with a subscription that a test controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from st2sensor import backoff
from st2sensor.container.desired import watch as module
from st2sensor.container.desired.watch import Watch
from st2sensor.errors import BrokerUnavailable
from st2sensor.transport.base import COMMAND, Message, Transport
from st2sensor.transport.topology import CONTAINERS

MESSAGE = Message(exchange="e", routing_key="r", body=b"never read", content_type="t", content_encoding="c")


class BusPublisher:
    """A connection for publishing, which keeps the messages, or fails if the test says so."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    def connect(self) -> None:
        if self.bus.refuses:
            raise BrokerUnavailable("refused")

    def publish(self, messages: Sequence[Message]) -> None:
        self.bus.published += messages

    def close(self) -> None:
        self.bus.told.append("published")


class Bus:
    """A transport with one subscription, whose connections each receive what a test has prepared.

    :param connections: for each connection, an error that ends the attempt, or what it receives and the error that
        ends it; None closes the watch.
    """

    def __init__(self, *connections: Sequence[list[Message] | Exception | None]) -> None:
        self.connections = [list(each) for each in connections]
        self.exchanges: Sequence[str] = ()
        self.told: list[str] = []
        self.published: list[Message] = []
        self.refuses = False
        self.watch = Watch(
            cast(Transport, self),
            ["sensors"],
            lambda: self.told.append("changed"),
            heard=lambda message: self.told.append(f"heard {message.headers['h']}"),
            retry_wait=30.0,
        )

    def publisher(self, patience: float) -> BusPublisher:
        assert patience == COMMAND
        return BusPublisher(self)

    def subscription(self, exchanges: Sequence[str]) -> Bus:
        self.exchanges = exchanges
        return self

    def connect(self) -> None:
        self.told.append("connect")
        if isinstance(self.connections[0][0], Exception):
            error = self.connections.pop(0)[0]
            assert isinstance(error, Exception)
            raise error

    def receive(self, timeout: float) -> list[Message]:
        assert timeout == module.STOP_CHECK_INTERVAL
        found = self.connections[0].pop(0)
        if isinstance(found, Exception):
            self.connections.pop(0)
            raise found
        if found is None:
            self.watch.close()
            return []
        return found

    def close(self) -> None:
        self.told.append("close")


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of failures in a row after which the watch has waited; each wait is over at once."""
    failures: list[int] = []

    def reconnect(number: int, cap: float) -> float:
        assert cap == 30.0
        failures.append(number)
        return 0.0

    monkeypatch.setattr(backoff, "reconnect", reconnect)
    return failures


def test_each_arrival_of_announcements_is_told_once_and_silence_is_not() -> None:
    bus = Bus([[MESSAGE, MESSAGE], [], [MESSAGE], None])
    bus.watch._run()
    assert bus.exchanges == ["sensors"]
    assert bus.told == ["connect", "changed", "changed", "changed", "close"]


def test_after_a_reconnect_something_may_have_been_missed(waits: list[int]) -> None:
    bus = Bus([[], BrokerUnavailable("lost")], [None])
    bus.watch._run()
    assert bus.told == ["connect", "changed", "connect", "changed", "close"]
    assert waits == [1]


def test_failures_in_a_row_wait_longer_until_a_connection_succeeds(
    waits: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    bus = Bus([BrokerUnavailable("away")], [ZeroDivisionError("odd")], [BrokerUnavailable("lost")], [None])
    bus.connections[2].insert(0, [])
    bus.watch._run()
    assert waits == [1, 2, 1]
    assert bus.told == ["connect", "connect", "connect", "changed", "connect", "changed", "close"]
    assert "ZeroDivisionError: odd" in caplog.text


def test_a_watch_that_is_closed_before_it_starts_connects_to_nothing() -> None:
    bus = Bus()
    bus.watch.close()
    bus.watch.start()
    bus.watch._thread.join()
    assert bus.told == ["close"]


def from_container(text: str) -> Message:
    return replace(MESSAGE, routing_key=CONTAINERS, headers={"h": text})


def test_messages_of_containers_are_heard_and_are_no_hint_to_read_storage() -> None:
    bus = Bus([[from_container("1")], [from_container("2"), MESSAGE], None])
    bus.watch._run()
    assert bus.told == ["connect", "changed", "heard 1", "heard 2", "changed", "close"]


def test_an_introduction_is_published_once_it_listens_and_after_each_reconnect_and_an_answer_once(
    waits: list[int],
) -> None:
    bus = Bus([[], BrokerUnavailable("lost")], [None])
    introduced, answer = from_container("me"), from_container("answer")
    bus.watch.say(from_container("earlier"), lasting=True)
    bus.watch.say(introduced, lasting=True)
    bus.watch.say(answer, lasting=False)
    bus.watch._run()
    assert bus.published == [from_container("earlier"), introduced, answer, introduced]
    assert bus.told == ["connect", "changed", "published", "connect", "changed", "published", "close"]
    assert waits == [1]


def test_a_broker_that_refuses_an_introduction_is_still_listened_to() -> None:
    bus = Bus([[MESSAGE], None])
    bus.refuses = True
    bus.watch.say(from_container("me"), lasting=True)
    bus.watch._run()
    assert bus.published == []
    assert bus.told == ["connect", "changed", "published", "changed", "close"]
