"""Asks a broker about the route of events, and changes nothing there: it declares only passively.

AMQP cannot list bindings, so without the management API only the rules engine's queue is checked.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import amqp

from st2sensor.config.brokers import broker_url
from st2sensor.errors import BrokerUnavailable
from st2sensor.settings import Messaging
from st2sensor.transport.amqp.connection import Broker
from st2sensor.transport.amqp.management import Management
from st2sensor.transport.amqp.wire import Wire
from st2sensor.transport.base import COMMAND
from st2sensor.transport.route import QueueState, Route
from st2sensor.transport.topology import Topology


def probe(settings: Messaging) -> Route:
    """Return the route. Raises BrokerUnavailable."""
    topology = Topology(settings.prefix)
    broker = Broker(urls=settings.urls, tls=settings.tls, login_method=settings.login_method)
    virtual_host = broker_url(settings.urls[0], settings.tls, settings.login_method).virtual_host
    with broker.failures(), closing(_Closing(broker.opened(None, COMMAND))) as connection:
        exists = _declared(connection.wire, "exchange_declare", topology.dispatch, "topic") is not None
        answer = _declared(connection.wire, "queue_declare", topology.rules_engine)
    queues = [] if answer is None else [_queue(answer)]
    route = Route(
        address=broker.address,
        virtual_host=virtual_host,
        exchange=topology.dispatch,
        exists=exists,
        queues=tuple(queues),
        is_complete=False,
    )
    return route if settings.management_url is None else Management(settings.management_url).completed(route)


class _Closing:
    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def close(self) -> None:
        self.wire.drop()


def _declared(wire: Wire, method: str, *arguments: str) -> Any:
    """Return the broker's answer about an exchange or a queue, or None if it does not exist.

    Raises BrokerUnavailable, also if the user may not see it, or if it is another connection's exclusive queue.

    """
    channel = wire.channel()
    try:
        answer = getattr(channel, method)(*arguments, passive=True) or True
    except amqp.exceptions.NotFound:
        return None
    except amqp.exceptions.AccessRefused as refusal:
        raise BrokerUnavailable(
            f"the broker's user may not inspect {arguments[0]}: {refusal.reply_text}; it needs a permission for it "
            "(rabbitmqctl set_permissions)"
        ) from refusal
    channel.close()
    return answer


def _queue(answer: Any) -> QueueState:
    return QueueState(name=answer.queue, bindings=None, messages=answer.message_count, consumers=answer.consumer_count)
