"""A broker that falls silent at any step, trickles, or does not speak AMQP is given up, with a message."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from st2sensor.errors import BrokerUnavailable
from st2sensor.transport.amqp import connection, consumer, publisher, sockets, wire
from st2sensor.transport.amqp.connection import Broker
from st2sensor.transport.amqp.transport import AmqpTransport
from st2sensor.transport.base import Message
from st2sensor.transport.topology import Topology
from tests.plugins.patience import SOON
from tests.support.servers.amqp import BLOCKED, METHODS, UNBLOCKED, FakeBroker
from tests.support.servers.waiting import eventually

TOPOLOGY = Topology("st2")

STEPS = [name for name in METHODS if name not in ("consume", "connect")]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set short deadlines for a test."""
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 0.5)
    monkeypatch.setattr(connection, "DECLARE_TIMEOUT", 0.5)
    monkeypatch.setattr(wire, "ANSWER", 0.5)
    monkeypatch.setattr(publisher, "STALL_CHECK_INTERVAL", 0.1)
    monkeypatch.setattr(publisher, "STUCK", 0.5)
    monkeypatch.setattr(sockets.BoundedSocket, "usual", 0.5)


def message(body: bytes = b"{}") -> Message:
    return Message(
        exchange=TOPOLOGY.dispatch,
        routing_key="trigger_instance",
        body=body,
        content_type="application/json",
        content_encoding="utf-8",
        id="m1",
    )


def ended(work: Any) -> BaseException:
    """Return the error that some work raises within the patience of tests."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as exception:  # noqa: BLE001 (the test looks at it)
            raised.append(exception)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SOON)
    assert not thread.is_alive(), "it waits forever"
    assert raised, "it has not failed"
    return raised[0]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", [{}, {"trickle": True}, {"noise": True}], ids=["silent", "trickle", "heartbeats"])
@pytest.mark.parametrize("step", STEPS)
def test_a_broker_that_falls_silent_at_any_step_is_given_up(step: str, how: dict[str, Any]) -> None:
    with closing(FakeBroker(step, **how)) as broker:
        transport = AmqpTransport(Broker(urls=(broker.url,)), TOPOLOGY)

        def publish() -> None:
            with closing(transport.publisher()) as made:
                made.connect()
                made.publish([message()])

        raised = ended(publish)
        assert isinstance(raised, BrokerUnavailable)
        assert "in time" in str(raised) or "confirmed nothing" in str(raised)
        assert "hush" not in str(raised)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", [{}, {"noise": True}], ids=["silent", "heartbeats"])
def test_a_broker_that_stops_reading_is_given_up(how: dict[str, Any]) -> None:
    with closing(FakeBroker("publish", **how)) as broker:
        made = AmqpTransport(Broker(urls=(broker.url,)), TOPOLOGY).publisher()
        made.connect()
        raised = ended(lambda: made.publish([message(b"x" * 20_000_000)]))
        assert isinstance(raised, BrokerUnavailable)
        made.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", [{}, {"trickle": True}, {"noise": True}], ids=["silent", "trickle", "heartbeats"])
@pytest.mark.parametrize("step", ["queue", "bind", "consume"])
def test_a_reader_gives_a_silent_broker_up(step: str, how: dict[str, Any]) -> None:
    with closing(FakeBroker(step, **how)) as broker:
        reader = AmqpTransport(Broker(urls=(broker.url,)), TOPOLOGY).subscription([TOPOLOGY.dispatch])
        raised = ended(reader.connect)
        assert isinstance(raised, BrokerUnavailable)


@pytest.mark.parametrize("step", [*STEPS, "connect"])
def test_a_command_waits_for_all_of_it_together(step: str) -> None:
    with closing(FakeBroker(step, noise=step != "connect")) as broker:
        transport = AmqpTransport(Broker(urls=(broker.url,)), TOPOLOGY)

        def publish() -> None:
            with closing(transport.publisher(1.0)) as made:
                made.connect()
                made.publish([message()])

        assert isinstance(ended(publish), BrokerUnavailable)


@pytest.mark.usefixtures("impatient")
def test_the_next_broker_of_a_cluster_is_tried_when_one_is_silent() -> None:
    with closing(FakeBroker("exchange")) as silent, closing(FakeBroker()) as well:
        transport = AmqpTransport(Broker(urls=(silent.url, well.url)), TOPOLOGY)
        with closing(transport.publisher()) as made:
            made.connect()
            made.publish([message()])
        assert well.published == 1


@pytest.fixture
def blocking() -> Iterator[FakeBroker]:
    """Says that it is blocked at the first publish, and confirms nothing."""
    broker = FakeBroker("publish", noise=True)
    broker.say = lambda send: send(BLOCKED, "s", ("low on memory\x1b[2J",))
    with closing(broker):
        yield broker


@pytest.mark.usefixtures("impatient")
def test_a_broker_that_blocks_is_waited_for_and_told_until_it_unblocks(
    blocking: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    made = AmqpTransport(Broker(urls=(blocking.url,)), TOPOLOGY).publisher()
    made.connect()
    thread = threading.Thread(target=lambda: made.publish([message()]), daemon=True)
    thread.start()
    eventually("it is told", lambda: "blocks its publishers (low on memory?[2J)" in made.health.reason, SOON)
    assert blocking.connections == 1
    blocking.speak(UNBLOCKED, "", ())
    blocking.speak((60, 80), "Lb", (1, False), channel=1)
    thread.join(SOON)
    assert not thread.is_alive()
    assert made.health.ok
    assert "blocks its publishers" in caplog.text
    assert "accepts messages again" in caplog.text
    made.close()


def test_a_command_says_that_the_broker_blocks(blocking: FakeBroker) -> None:
    made = AmqpTransport(Broker(urls=(blocking.url,)), TOPOLOGY).publisher(2.0)
    made.connect()
    raised = ended(lambda: made.publish([message(), message(b"x" * 10_000_000)]))
    assert isinstance(raised, BrokerUnavailable)
    assert "blocks its publishers" in str(raised)
    made.close()


def test_a_slow_confirm_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "STALL_CHECK_INTERVAL", 0.05)
    monkeypatch.setattr(publisher, "CONFIRM_LIMIT", 0.1)
    with closing(FakeBroker("publish", noise=True)) as broker:
        made = AmqpTransport(Broker(urls=(broker.url,)), TOPOLOGY).publisher()
        made.connect()
        thread = threading.Thread(target=lambda: made.publish([message()]), daemon=True)
        thread.start()
        eventually("it is told", lambda: "has not confirmed" in made.health.reason, SOON)
        broker.speak((60, 80), "Lb", (1, False), channel=1)
        thread.join(SOON)
        assert made.health.ok
        made.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"AMQP\x00\x00\x09\x01",
        b"\x01\x00\x00\xff\xff\xff\xff" + b"x" * 64,
        b"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x0a\xce",
        b"\x01\x00\x07\x00\x00\x00\x04\x00\x0a\x00\x0a\xce",
        b"\x02\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x0a\xce",
        b"\x01\x00\x00\x00\x00\x00\x00\xce",
    ],
)
def test_what_is_no_amqp_is_a_broker_that_cannot_be_reached(garbage: bytes) -> None:
    with closing(FakeBroker("start")) as broker:
        broker.greeting = garbage
        made = AmqpTransport(Broker(urls=(broker.url,)), TOPOLOGY).publisher()
        raised = ended(made.connect)
        assert isinstance(raised, BrokerUnavailable)
        made.close()


@pytest.mark.usefixtures("impatient")
def test_a_name_server_that_hangs_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(*_: Any, **__: Any) -> list[Any]:
        released.wait(SOON)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    made = AmqpTransport(Broker(urls=("amqp://broker.example//",)), TOPOLOGY).publisher()
    raised = ended(made.connect)
    released.set()
    assert "name server" in str(raised)


def test_a_message_that_is_too_long_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "LONGEST_ANNOUNCEMENT", 1000)
    with closing(FakeBroker()) as broker:
        transport = AmqpTransport(Broker(urls=(broker.url,)), TOPOLOGY)
        for exchange, fits in ((TOPOLOGY.triggers, False), (TOPOLOGY.dispatch, True)):
            with closing(transport.subscription([exchange])) as reader:
                reader.connect()
                broker.deliver(exchange, b"x" * 1001)
                if fits:
                    (received,) = reader.receive(SOON)
                    assert len(received.body) == 1001
                else:
                    with pytest.raises(BrokerUnavailable, match="1001 bytes"):
                        reader.receive(SOON)
