"""Messages whose routing key the broker refuses wait, in order, and no others do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from st2sensor.delivery import held_back
from st2sensor.delivery.held_back import PERMISSION_RETRY, PERMISSION_RETRY_MAX, HeldBack
from st2sensor.delivery.publisher import PublisherThread
from st2sensor.errors import BrokerUnavailable, RoutingKeyForbidden, Undeliverable
from st2sensor.outbox.entry import Entry, size_of
from st2sensor.outbox.outbox import Outbox
from st2sensor.outbox.tail import Row
from st2sensor.settings import Outbox as Options
from st2sensor.transport.base import Message
from tests.plugins.patience import SOON
from tests.support.servers.waiting import eventually
from tests.unit.outbox.test_outbox import Broker, entry, on_disk, put


class Permitting(Broker):
    """Refuses some routing keys, as RabbitMQ's topic permissions do."""

    def __init__(self, *forbidden: str) -> None:
        super().__init__()
        self.forbidden = set(forbidden)
        self.refusals = 0

    def publish(self, messages: Sequence[Message]) -> Sequence[int]:
        for index, message in enumerate(messages):
            if self.away.is_set():
                raise BrokerUnavailable("away")
            if message.routing_key in self.forbidden:
                self.refusals += 1
                raise RoutingKeyForbidden(
                    f"{message.routing_key} is refused", routing_key=message.routing_key, confirmed=tuple(range(index))
                )
            self.taken.append(message.body.decode())
        return ()


def of(kind: str, number: int) -> Entry:
    return replace(entry(number), sensor=f"p.{kind}", trigger_type=f"p.{kind}", body=f"{kind}{number}")


def encode(item: Entry) -> Message:
    return Message(
        exchange="e",
        routing_key=item.trigger_type,
        body=item.body.encode(),
        content_type="t",
        content_encoding="c",
        id=item.message_id,
    )


def delivered(broker: Permitting, kind: str) -> list[str]:
    return [body for body in list(broker.taken) if body.startswith(kind)]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages held back are retried at once."""
    monkeypatch.setattr(held_back, "PERMISSION_RETRY", 0.01)
    monkeypatch.setattr(held_back, "PERMISSION_RETRY_MAX", 0.05)


def test_a_refused_routing_key_holds_back_its_own_messages_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, broker = tmp_path / "outbox.db", Permitting("p.bad")
    with closing(Outbox(path)) as outbox, closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery:
        for number in range(20):
            put(outbox, of("good", number), of("bad", number))
        delivery.start()
        good = [f"good{number}" for number in range(20)]
        eventually("the others are delivered", lambda: delivered(broker, "good") == good)
        eventually("they are deleted, too", lambda: on_disk(path) == [f"bad{number}" for number in range(20)])
        assert outbox.depth == 20
        eventually("it is told", lambda: "p.bad: 20 triggers wait" in delivery.held_back.reason)
        assert delivery.held_by_sensor == {"p.bad": "20 triggers wait: the broker refuses the routing key p.bad"}
        assert delivery.health.ok
        put(outbox, of("good", 20), of("bad", 20))
        eventually("and so they go on", lambda: delivered(broker, "good")[-1] == "good20")
    assert broker.refusals == 1
    assert caplog.text.count("p.bad is refused") == 1
    # A restart repeats nothing, and retries the messages held back.
    with closing(Outbox(path)) as outbox, closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery:
        delivery.start()
        put(outbox, of("good", 21))
        eventually("the others go on", lambda: delivered(broker, "good")[-1] == "good21")
        assert outbox.depth == 21
    assert len(delivered(broker, "good")) == 22
    assert broker.refusals == 2


@pytest.mark.usefixtures("soon")
def test_what_was_held_back_arrives_in_order_once_the_broker_takes_it(tmp_path: Path) -> None:
    path, broker = tmp_path / "outbox.db", Permitting("p.bad", "p.worse")
    with closing(Outbox(path)) as outbox, closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery:
        delivery.start()
        put(outbox, *(of(kind, number) for number in range(1200) for kind in ("bad", "good", "worse")))
        eventually("it is held back", lambda: outbox.depth == 2400 and len(delivered(broker, "good")) == 1200)
        broker.forbidden.remove("p.bad")
        put(outbox, *(of("bad", number) for number in range(1200, 1300)))
        eventually("all are there", lambda: len(delivered(broker, "bad")) == 1300)
        assert delivered(broker, "bad") == [f"bad{number}" for number in range(1300)]
        assert delivered(broker, "worse") == []
        broker.forbidden.clear()
        assert outbox.wait_empty(SOON)
        assert delivered(broker, "worse") == [f"worse{number}" for number in range(1200)]
        eventually("nothing is told any more", lambda: delivery.held_back.ok and not delivery.held_by_sensor)
        eventually("all is deleted", lambda: on_disk(path) == [])


@pytest.mark.usefixtures("soon")
def test_an_outage_in_between_neither_repeats_nor_loses_what_is_held_back(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"

    class Lost(Permitting):
        def publish(self, messages: Sequence[Message]) -> Sequence[int]:
            unrouted = super().publish(messages[:3])
            if len(messages) > 3:
                raise BrokerUnavailable("lost")
            return unrouted

    broker = Lost("p.bad")
    with closing(Outbox(path)) as outbox, closing(PublisherThread(outbox, broker, encode, retry_wait=0.01)) as delivery:
        put(outbox, *(of(kind, number) for number in range(2) for kind in ("good", "bad")))
        delivery.start()
        eventually("the others are delivered", lambda: delivered(broker, "good") == ["good0", "good1"])
        broker.forbidden.clear()
        assert outbox.wait_empty(SOON)
        assert delivered(broker, "bad") == ["bad0", "bad1"]


def test_what_is_held_back_fills_half_of_the_outbox_for_others_at_most(tmp_path: Path) -> None:
    broker = Permitting("p.bad")
    with (
        closing(Outbox(tmp_path / "outbox.db", Options(max_size=10))) as outbox,
        closing(PublisherThread(outbox, broker, encode, retry_wait=0.05)) as delivery,
    ):
        delivery.start()
        answered: list[int] = []
        for number in range(40):
            outbox.submit(of("bad", number), lambda _, number=number: answered.append(number))  # type: ignore[misc]
        for number in range(40):
            put(outbox, of("good", number))
        eventually("the others are delivered", lambda: len(delivered(broker, "good")) == 40)
        assert outbox.depth <= 10
        assert answered == list(range(len(answered)))
        assert 5 <= len(answered) <= 10
        outbox.withdraw("p.bad")
        eventually("a stop reaches those that wait", lambda: len(answered) == 40)


def row(number: int) -> Row:
    return Row(id=number, entry=of("bad", number), size=size_of(of("bad", number)))


def test_a_key_is_tried_again_later_and_later(clock: list[float], keys: HeldBack) -> None:
    assert keys.refused("k")
    keys.add("k", [row(1)])
    waits = []
    for _ in range(6):
        began = clock[0]
        while keys.next() is None:
            clock[0] += 1.0
        waits.append(clock[0] - began)
        assert not keys.refused("k")
    assert waits == [
        PERMISSION_RETRY,
        PERMISSION_RETRY,
        2 * PERMISSION_RETRY,
        4 * PERMISSION_RETRY,
        8 * PERMISSION_RETRY,
        PERMISSION_RETRY_MAX,
    ]


def test_keys_take_turns(clock: list[float], keys: HeldBack) -> None:
    for key in ("a", "b"):
        keys.refused(key)
        keys.add(key, [row(1), row(2)])
    clock[0] += PERMISSION_RETRY
    turns: list[str] = []
    for _ in range(4):
        found = keys.next()
        assert found is not None
        found[1].is_open = True
        turns.append(found[0])
    assert turns == ["a", "b", "a", "b"]


def test_ids_that_have_left_take_no_memory(keys: HeldBack) -> None:
    keys.refused("k")
    keys.add("k", [row(number) for number in range(10_000)])
    held = keys._keys["k"]
    for _ in range(9):
        held.left([row(number) for number in held.first(1000)])
    assert len(held) == len(keys) == 1000
    assert list(held.first(2)) == [9000, 9001]
    assert len(held._ids) < 6000


def test_ids_in_the_middle_may_leave_first(keys: HeldBack) -> None:
    keys.refused("k")
    keys.add("k", [row(number) for number in range(6)])
    held = keys._keys["k"]
    held.left([row(1), row(3)])
    assert list(held.first(9)) == [0, 2, 4, 5]
    held.left([row(0), row(2)])
    assert list(held.first(9)) == [4, 5]
    assert len(keys) == 2


@pytest.mark.usefixtures("soon")
def test_a_dead_letter_among_messages_held_back_is_kept_once_whatever_happens_to_the_others(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    is_strict: list[bool] = [False]
    raised: list[int] = []

    def encoded(item: Entry) -> Message:
        if is_strict[0] and item.body == "bad2":
            raise Undeliverable("no")
        return encode(item)

    class Wavering(Permitting):
        """Goes away in the middle of the first window that is published again."""

        def publish(self, messages: Sequence[Message]) -> Sequence[int]:
            if len(messages) > 1 and is_strict[0] and not raised:
                raised.append(len(messages))
                raise BrokerUnavailable("away")
            return super().publish(messages)

    broker = Wavering("p.bad")
    with (
        closing(Outbox(path)) as outbox,
        closing(PublisherThread(outbox, broker, encoded, retry_wait=0.05)) as delivery,
    ):
        delivery.start()
        put(outbox, *(of("bad", number) for number in range(6)))
        eventually("all are held back", lambda: "6 triggers wait" in delivery.held_back.reason)
        is_strict[0] = True
        broker.forbidden.clear()
        eventually("nothing waits", lambda: outbox.depth == 0)
        assert raised == [4]
        assert delivered(broker, "bad") == ["bad0", "bad1", "bad3", "bad4", "bad5"]
        eventually("rows are deleted", lambda: on_disk(path) == [])
        assert on_disk(path, "dead_letters") == ["bad2"]
        assert outbox.size == 0


@pytest.fixture
def clock() -> list[float]:
    return [100.0]


@pytest.fixture
def keys(clock: list[float]) -> HeldBack:
    return HeldBack(Options(), lambda: clock[0])
