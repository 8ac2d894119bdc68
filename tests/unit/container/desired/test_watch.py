"""What makes the snapshot stale, with a subscription that a test controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from st2sensor import backoff
from st2sensor.container.desired import watch as module
from st2sensor.container.desired.watch import Watch
from st2sensor.errors import BrokerUnavailable
from st2sensor.transport.base import Message, Transport

MESSAGE = Message(exchange="e", routing_key="r", body=b"never read", content_type="t", content_encoding="c")


class Bus:
    """A transport with one subscription, whose connections each receive what a test has prepared.

    :param connections: for each connection, an error that ends the attempt, or what it receives and the error that
        ends it; None closes the watch.
    """

    def __init__(self, *connections: Sequence[list[Message] | Exception | None]) -> None:
        self.connections = [list(each) for each in connections]
        self.exchanges: Sequence[str] = ()
        self.told: list[str] = []
        self.waits: list[float] = []
        self.watch = Watch(cast(Transport, self), ["sensors"], lambda: self.told.append("changed"), retry_wait=30.0)

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
