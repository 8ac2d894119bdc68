"""The delivery of one window of rows, with a publisher and an outbox that a test controls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast
from unittest.mock import Mock

import pytest

from st2sensor.delivery.courses import Courses
from st2sensor.delivery.sender import UNEXPECTED_LIMIT, Sender
from st2sensor.dispatch.traffic import Traffic
from st2sensor.errors import BrokerUnavailable, MessageRefused, Undeliverable
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.outbox import First, Outbox, at_once
from st2sensor.outbox.tail import Row
from st2sensor.transport.base import Message
from tests.unit.outbox.test_outbox import encode, entry


class Ledger:
    """Stands in for the outbox: records the fate of rows."""

    def __init__(self) -> None:
        self.settled: list[tuple[int, str | None, bool]] = []

    def settle(
        self,
        rows: Iterable[Row],
        reason: str | None = None,
        *,
        were_held: bool = False,
        is_unrouted: bool = False,
        first: First = at_once,
    ) -> None:
        assert not is_unrouted
        first(lambda: None)
        self.settled += [(row.id, reason, were_held) for row in rows]


def encoded(item: Entry) -> Message:
    if item.body == "2":
        raise Undeliverable("it holds 5ecre7")
    if item.body == "3":
        raise RecursionError("5ecre7")
    return encode(item)


def rows(*numbers: int) -> list[Row]:
    return [Row(id=number, entry=entry(number), size=1) for number in numbers]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def metrics() -> Mock:
    return Mock()


@pytest.fixture
def traffic() -> Traffic:
    return Traffic()


@pytest.fixture
def sender(ledger: Ledger, metrics: Mock, traffic: Traffic) -> Sender:
    return Sender(
        cast(Outbox, ledger),
        encoded,
        metrics=metrics,
        traffic=traffic,
        readable=lambda sensor, reason: f"{sensor}: {reason.replace('5ecre7', '***')}",
        courses=Courses(),
    )


def test_rows_without_a_message_become_dead_letters_that_show_no_secret(
    sender: Sender, ledger: Ledger, traffic: Traffic
) -> None:
    assert set(sender.messages(rows(1, 2, 3, 4), were_held=True)) == {1, 4}
    assert ledger.settled == [(2, "p.S: it holds ***", True), (3, "it cannot be encoded: RecursionError", True)]
    assert traffic.dead("p.S") == 2


def test_a_confirmed_window_is_counted_once(sender: Sender, metrics: Mock, traffic: Traffic) -> None:
    publisher: Any = Mock(publish=Mock(return_value=()))
    window = rows(1, 4)
    sender.publish(publisher, window, sender.messages(window))
    ((messages,), _) = publisher.publish.call_args
    assert [message.body for message in messages] == [b"1", b"4"]
    ((exchange, count, _), _) = metrics.published.call_args
    assert (exchange, count, sum(traffic.latencies)) == ("e", 2, 1)


@pytest.mark.parametrize("error", [BrokerUnavailable("away"), MessageRefused("too large"), KeyError("x")])
def test_a_window_that_fails_is_not_counted(sender: Sender, metrics: Mock, traffic: Traffic, error: Exception) -> None:
    publisher: Any = Mock(publish=Mock(return_value=()))
    publisher.publish.side_effect = error
    window = rows(1, 4)
    with pytest.raises(type(error)):
        sender.publish(publisher, window, sender.messages(window))
    metrics.published.assert_not_called()
    assert sum(traffic.latencies) == 0


def test_a_single_message_that_always_fails_unexpectedly_counts_as_refused(sender: Sender) -> None:
    publisher: Any = Mock(publish=Mock(return_value=()))
    window = rows(1)
    messages = sender.messages(window)

    def fails(error: type[Exception]) -> None:
        publisher.publish.side_effect = KeyError("x")
        with pytest.raises(error):
            sender.publish(publisher, window, messages)

    for _ in range(UNEXPECTED_LIMIT - 1):
        fails(KeyError)
    publisher.publish.side_effect = None
    sender.publish(publisher, window, messages)
    # After a success, counting starts again.
    for _ in range(UNEXPECTED_LIMIT - 1):
        fails(KeyError)
    fails(MessageRefused)


def test_several_messages_that_fail_unexpectedly_are_never_refused_together(sender: Sender) -> None:
    publisher: Any = Mock(publish=Mock(return_value=()))
    publisher.publish.side_effect = KeyError("x")
    window = rows(1, 4)
    messages = sender.messages(window)
    for _ in range(2 * UNEXPECTED_LIMIT):
        with pytest.raises(KeyError):
            sender.publish(publisher, window, messages)
