"""An outside consumer that records the sensors' messages, with a queue and a thread of its own."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import Any, Self

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic, BasicProperties

from tests.plugins.patience import SOON
from tests.support.servers.rabbitmq import UNREACHABLE, parameters

ROUTING_KEY = "trigger_instance"

FENCE_HEADER = "st2sensor-fence"
LATE_HEADER = "st2sensor-late"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A message.

    :param number: in the order of arrival; :param arrived: CLOCK_BOOTTIME, seconds.
    :param header: the fence in the header; :param late: whether the header says that the sender holds no lease.
    :param fence: the fence in the payload, as for the other fields; :param at: when the sensor made the payload.
    """

    number: int
    arrived: float
    message_id: str
    header: int | None
    late: bool
    sensor: str
    fence: int | None
    n: int
    at: float
    pid: int


class Ledger:
    """A context manager that consumes from entry to exit; messages wait in the queue while it is not connected.

    :param trigger: whose messages count.
    """

    def __init__(self, url: str, exchange: str, trigger: str) -> None:
        self._parameters = parameters(url)
        self._exchange = exchange
        self._queue = f"{exchange}.ledger"
        self._trigger = trigger
        self._records: list[Record] = []
        self._closing = threading.Event()
        self._bound = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._bound.wait(SOON), "the ledger's queue could not be bound"
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(SOON)

    def records(self, after: int = 0) -> list[Record]:
        """Return all records until now, except for a number of the first ones."""
        return self._records[after:]

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                self._consume()
            except UNREACHABLE:
                self._closing.wait(0.5)

    def _consume(self) -> None:
        with pika.BlockingConnection(self._parameters) as connection:
            channel = connection.channel()
            channel.exchange_declare(self._exchange, "topic", durable=True)
            channel.queue_declare(self._queue, durable=True)
            channel.queue_bind(self._queue, self._exchange, ROUTING_KEY)
            channel.basic_consume(self._queue, self._on_message)
            self._bound.set()
            while not self._closing.is_set():
                connection.process_data_events(time_limit=0.1)
            channel.queue_delete(self._queue)

    def _on_message(
        self, channel: BlockingChannel, method: Basic.Deliver, properties: BasicProperties, body: bytes
    ) -> None:
        message = json.loads(body)
        if message["trigger"] == self._trigger:
            self._records.append(_record(len(self._records), properties, message["payload"]))
        channel.basic_ack(method.delivery_tag)


def _record(number: int, properties: BasicProperties, payload: dict[str, Any]) -> Record:
    headers = properties.headers or {}
    fence = headers.get(FENCE_HEADER)
    return Record(
        number=number,
        arrived=now(),
        message_id=str(properties.message_id),
        header=None if fence is None else int(fence),
        late=headers.get(LATE_HEADER) == "true",
        **payload,
    )


def now() -> float:
    """Return CLOCK_BOOTTIME, which all time stamps use, also those of sensors."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
