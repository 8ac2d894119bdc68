"""One suite for every transport."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pika
import pytest

from st2sensor.errors import BrokerUnavailable, MessageNotTaken, RoutingKeyForbidden
from st2sensor.transport import local
from st2sensor.transport.amqp.connection import Broker
from st2sensor.transport.amqp.transport import AmqpTransport
from st2sensor.transport.base import CREATED, Message, Subscription, Transport
from st2sensor.transport.codec import introduction
from st2sensor.transport.local import LocalTransport
from st2sensor.transport.topology import Topology
from tests.plugins.patience import SOON
from tests.support.servers.rabbitmq import RabbitMQ, parameters

TOPOLOGY = Topology(f"t{uuid.uuid4().hex[:8]}")


@pytest.fixture(params=["amqp", "local"])
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transport]:
    if request.param == "local":
        yield LocalTransport(tmp_path / "st2.db")
    else:
        yield AmqpTransport(Broker(urls=(request.getfixturevalue("rabbit_server").url,)), TOPOLOGY)


def message(number: int, exchange: str = TOPOLOGY.dispatch, routing_key: str = "trigger_instance") -> Message:
    return Message(
        exchange=exchange,
        routing_key=routing_key,
        body=f"{number}".encode(),
        content_type="application/json",
        content_encoding="utf-8",
        id=f"m{number}",
    )


def received_until(subscription: Subscription, last: Message) -> list[Message]:
    """What comes, up to the message that is the last."""
    found: list[Message] = []
    deadline = time.monotonic() + SOON
    while last not in found and time.monotonic() < deadline:
        found += subscription.receive(0.1)
    return found


def received(subscription: Subscription, count: int) -> list[Message]:
    """At least so many messages, or those that came in time."""
    found: list[Message] = []
    deadline = time.monotonic() + SOON
    while len(found) < count and time.monotonic() < deadline:
        found += subscription.receive(0.1)
    return found


def test_a_subscription_gets_what_is_published_from_then_on_in_order(transport: Transport) -> None:
    with (
        closing(transport.publisher()) as publisher,
        closing(transport.subscription([TOPOLOGY.dispatch])) as subscription,
    ):
        publisher.connect()
        publisher.publish([message(0)])
        subscription.connect()
        sent = [message(number) for number in range(1, 1201)]
        for start in range(0, len(sent), 400):
            publisher.publish(sent[start : start + 400])
        assert received(subscription, len(sent)) == sent
        last = message(1201)
        publisher.publish([last])
        assert received(subscription, 1) == [last]


def test_the_time_of_dispatch_is_sent(transport: Transport) -> None:
    with (
        closing(transport.publisher()) as publisher,
        closing(transport.subscription([TOPOLOGY.dispatch])) as subscription,
    ):
        publisher.connect()
        subscription.connect()
        publisher.publish([replace(message(1), created=1_800_000_000.25), message(2)])
        found = received(subscription, 2)
        assert [item.headers.get(CREATED) for item in found] == ["1800000000250000", None]


def test_other_amqp_clients_read_the_time_of_dispatch(rabbit_server: RabbitMQ) -> None:
    with (
        closing(AmqpTransport(Broker(urls=(rabbit_server.url,)), TOPOLOGY).publisher()) as publisher,
        closing(pika.BlockingConnection(parameters(rabbit_server.url))) as connection,
    ):
        publisher.connect()
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, TOPOLOGY.dispatch, routing_key="#")
        headers = {"st2sensor-fence": "7"}
        publisher.publish([replace(message(1), created=1_800_000_000.25, headers=headers)])
        _, properties, _ = channel.basic_get(queue)
        assert (properties.timestamp, properties.message_id) == (1_800_000_000, "m1")
        assert properties.headers == {CREATED: "1800000000250000", **headers}


def test_each_subscription_gets_everything_of_its_exchanges_and_nothing_else(transport: Transport) -> None:
    with (
        closing(transport.publisher()) as publisher,
        closing(transport.subscription([TOPOLOGY.sensors, TOPOLOGY.triggers])) as both,
        closing(transport.subscription([TOPOLOGY.sensors])) as one,
    ):
        publisher.connect()
        both.connect()
        one.connect()
        sent = [message(1, TOPOLOGY.sensors, "create"), message(2, TOPOLOGY.triggers, "delete"), message(3)]
        publisher.publish(sent)
        assert received(both, 2) == sent[:2]
        assert received(one, 1) == sent[:1]
        last = message(4, TOPOLOGY.sensors, "update")
        publisher.publish([last])
        assert received(both, 1) == received(one, 1) == [last]


def test_a_page_of_other_exchanges_hides_no_message(transport: Transport) -> None:
    with (
        closing(transport.publisher()) as publisher,
        closing(transport.subscription([TOPOLOGY.sensors])) as subscription,
    ):
        publisher.connect()
        subscription.connect()
        publisher.publish([message(number) for number in range(1000)])
        publisher.publish([message(1000, TOPOLOGY.sensors, "create")])
        assert [item.id for item in received(subscription, 1)] == ["m1000"]


@pytest.mark.parametrize("serializer", ["pickle", "json"])
def test_introductions_of_containers_arrive_with_long_headers(transport: Transport, serializer: str) -> None:
    sent = introduction(TOPOLOGY, serializer, {"h": "x" * 32_000})
    with closing(transport.subscription([TOPOLOGY.sensors])) as subscription:
        subscription.connect()
        with closing(transport.publisher()) as publisher:
            publisher.connect()
            publisher.publish([sent])
        assert received(subscription, 1) == [sent]


def test_publishing_before_connecting_is_refused(transport: Transport) -> None:
    with pytest.raises(BrokerUnavailable):
        transport.publisher().publish([message(1)])
    with pytest.raises(BrokerUnavailable):
        transport.subscription([TOPOLOGY.dispatch]).receive(0.01)


def test_a_publisher_connects_again_after_it_was_closed(transport: Transport) -> None:
    with (
        closing(transport.publisher()) as publisher,
        closing(transport.subscription([TOPOLOGY.dispatch])) as subscription,
    ):
        subscription.connect()
        for number in (1, 2):
            publisher.connect()
            publisher.publish([message(number)])
            publisher.keep_alive()
            publisher.close()
        assert [item.body for item in received(subscription, 2)] == [b"1", b"2"]


def test_the_local_bus_forgets_the_oldest_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "KEPT", 100)
    monkeypatch.setattr(local, "PRUNED_EVERY", 50)
    transport = LocalTransport(tmp_path / "st2.db")
    with (
        closing(transport.publisher()) as publisher,
        closing(transport.subscription([TOPOLOGY.dispatch])) as subscription,
    ):
        publisher.connect()
        subscription.connect()
        for number in range(500):
            publisher.publish([message(number)])
        bodies = [int(item.body) for item in received_until(subscription, message(499))]
    assert 100 <= len(bodies) <= 150
    assert bodies == list(range(bodies[0], 500))


def test_a_broker_that_is_not_there_is_unavailable_and_no_password_is_told() -> None:
    transport = AmqpTransport(Broker(urls=("amqp://me:hush@127.0.0.1:1//",)), TOPOLOGY)
    with pytest.raises(BrokerUnavailable, match=r"cannot reach the broker at amqp://me:\*\*@127") as caught:
        transport.publisher().connect()
    assert "hush" not in str(caught.value)


LIMITED = Topology(f"t{uuid.uuid4().hex[:8]}")

CLOSED = Topology(f"closed{uuid.uuid4().hex[:8]}")


@pytest.mark.parametrize(
    ("login", "vhost", "remedy"),
    [("guest:wrong", "/", "check user and password"), ("guest:guest", "nowhere", "check the virtual host")],
)
def test_a_wrong_password_and_a_wrong_virtual_host_are_told_with_the_remedy(
    rabbit_server: RabbitMQ, login: str, vhost: str, remedy: str
) -> None:
    url = f"amqp://{login}@{rabbit_server.address}:{rabbit_server.port}/{vhost}"
    with closing(AmqpTransport(Broker(urls=(url,)), TOPOLOGY).publisher()) as publisher:
        with pytest.raises(BrokerUnavailable, match=f"answers but refuses: .*; {remedy}") as told:
            publisher.connect()
        assert "wrong" not in str(told.value)


@pytest.fixture(scope="module")
def limited_url(rabbit_server: RabbitMQ) -> Iterator[str]:
    """The broker's address for a user who may not publish to CLOSED, and to LIMITED only routing keys `good...`.

    One user for all tests: each command to the broker starts an Erlang machine, which takes seconds.
    """
    user = f"u{uuid.uuid4().hex[:8]}"
    rabbit_server.control("add_user", user, "pw")
    # Queues are written to when they are bound.
    rabbit_server.control("set_permissions", user, ".*", f"^(?!{CLOSED.prefix})|rules_engine$", ".*")
    rabbit_server.control("set_topic_permissions", user, LIMITED.dispatch, "^good", ".*")
    yield f"amqp://{user}:pw@{rabbit_server.address}:{rabbit_server.port}//"
    rabbit_server.control("delete_user", user)


@pytest.mark.parametrize("bad", ["bad.t", "it's ' in exchange 'x", "b" * 255, "bad.€"])
def test_a_refused_routing_key_is_told_and_nothing_is_published_twice(limited_url: str, bad: str) -> None:
    limited, dispatch = AmqpTransport(Broker(urls=(limited_url,)), LIMITED), LIMITED.dispatch
    keys = ["good.a", "good.a", "good.b", bad, "good.a"]
    batch = [message(number, dispatch, key) for number, key in enumerate(keys)]
    with closing(limited.publisher()) as publisher, closing(limited.subscription([dispatch])) as subscription:
        subscription.connect()
        publisher.connect()
        for _ in range(2):
            with pytest.raises(RoutingKeyForbidden, match="topic permission") as caught:
                publisher.publish(batch)
            assert caught.value.routing_key == bad
            batch = [item for index, item in enumerate(batch) if index not in caught.value.confirmed]
        assert [item.id for item in batch] == ["m3", "m4"]
        publisher.publish(batch[1:])
        assert [item.id for item in received(subscription, 4)] == ["m0", "m1", "m2", "m4"]


def test_a_refused_exchange_is_an_outage(limited_url: str) -> None:
    with closing(AmqpTransport(Broker(urls=(limited_url,)), CLOSED).publisher()) as publisher:
        publisher.connect()
        with pytest.raises(BrokerUnavailable) as caught:
            publisher.publish([message(1, CLOSED.dispatch, "good")])
        assert not isinstance(caught.value, RoutingKeyForbidden)


LONELY = Topology(f"lonely{uuid.uuid4().hex[:8]}", feeds_stackstorm=False)


def test_messages_that_no_queue_takes_are_reported_and_the_others_arrive(rabbit_server: RabbitMQ) -> None:
    transport = AmqpTransport(Broker(urls=(rabbit_server.url,)), LONELY, drops_unrouted=True)
    with closing(transport.publisher()) as publisher:
        publisher.connect()
        batch = [
            replace(message(number, LONELY.dispatch, key), mandatory=True, body=b"x" * 20_000)
            for number in range(200)
            for key in ("wanted", "lost")
        ]
        assert list(publisher.publish(batch)) == list(range(400))
        with pika.BlockingConnection(parameters(rabbit_server.url)) as connection:
            channel = connection.channel()
            with pytest.raises(pika.exceptions.ChannelClosedByBroker):
                channel.queue_declare(LONELY.rules_engine, passive=True)
            channel = connection.channel()
            queue = channel.queue_declare("", exclusive=True).method.queue
            channel.queue_bind(queue, LONELY.dispatch, "wanted")
            assert list(publisher.publish(batch)) == list(range(1, 400, 2))
            arrived = [channel.basic_get(queue, auto_ack=True)[1].message_id for _ in range(200)]
            assert arrived == [f"m{number}" for number in range(200)]
        assert publisher.health.ok


def test_a_publisher_that_keeps_unrouted_messages_reports_a_problem(rabbit_server: RabbitMQ) -> None:
    transport = AmqpTransport(Broker(urls=(rabbit_server.url,)), LONELY)
    with closing(transport.publisher()) as publisher:
        publisher.connect()
        with pytest.raises(MessageNotTaken, match="has no queue for lost"):
            publisher.publish([replace(message(1, LONELY.dispatch, "lost"), mandatory=True)])
