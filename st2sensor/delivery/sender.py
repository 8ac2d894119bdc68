"""Publishes one window of rows: makes their messages, counts them, and turns those that can never be published into
dead letters. For the publisher's thread.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from st2sensor.delivery.statsd import Metrics
from st2sensor.dispatch.traffic import Traffic
from st2sensor.errors import BrokerUnavailable, MessageRefused, Undeliverable
from st2sensor.logs.setup import of_sensor
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.outbox import Outbox
from st2sensor.outbox.tail import Row
from st2sensor.transport.base import Message, Publisher

LOG = logging.getLogger("st2sensor.delivery")

UNEXPECTED_LIMIT = 3
"""Number of attempts after which a message that makes the publisher fail unexpectedly becomes a dead letter."""


class Sender:
    """Publishes rows.

    :param encode: makes the message of an outbox entry.
    :param metrics: notified of each window of messages that the broker has confirmed.
    :param traffic: counts confirmed messages, and dead letters.
    :param readable: masks a sensor's secrets in a reason, because a property's name may be a secret.
    """

    def __init__(
        self,
        outbox: Outbox,
        encode: Callable[[Entry], Message],
        *,
        metrics: Metrics,
        traffic: Traffic,
        readable: Callable[[str, str], str],
    ) -> None:
        self._outbox = outbox
        self._encode = encode
        self._metrics = metrics
        self._traffic = traffic
        self._readable = readable
        self._unexpected = 0
        """Number of unexpected failures of the publisher in a row."""

    def messages(self, rows: Sequence[Row], *, were_held: bool = False) -> dict[int, Message]:
        """Return the messages of rows by id. Rows that cannot be encoded become dead letters.

        :param were_held: whether the rows were held back.
        """
        messages: dict[int, Message] = {}
        for row in rows:
            try:
                messages[row.id] = self._encode(row.entry)
            except Undeliverable as error:
                self.bury([row], self._readable(row.entry.sensor, str(error)), were_held=were_held)
            except Exception as error:  # noqa: BLE001 (a wrapper may send anything: it must not stop later entries)
                self.bury([row], f"it cannot be encoded: {type(error).__name__}", were_held=were_held)
        return messages

    def publish(self, publisher: Publisher, rows: Sequence[Row], messages: Mapping[int, Message]) -> None:
        """Publish rows in order; return once the broker has all of them. Raises what Publisher.publish raises.

        A single message that makes the publisher fail unexpectedly UNEXPECTED_LIMIT times counts as refused.
        """
        if not rows:
            return
        began = time.monotonic()
        try:
            publisher.publish([messages[row.id] for row in rows])
        except (BrokerUnavailable, MessageRefused):
            raise
        except Exception as exception:
            self._unexpected += 1
            if len(rows) > 1 or self._unexpected < UNEXPECTED_LIMIT:
                raise
            self._unexpected = 0
            raise MessageRefused(f"it cannot be published: {type(exception).__name__}") from exception
        self._unexpected = 0
        seconds = time.monotonic() - began
        self._metrics.published(messages[rows[0].id].exchange, len(rows), seconds)
        self._traffic.published(seconds)

    def bury(self, rows: Sequence[Row], reason: str, *, were_held: bool = False) -> None:
        """Make rows dead letters.

        :param were_held: whether the rows were held back.
        """
        for row in rows:
            entry, sensor = row.entry, of_sensor(row.entry.sensor)
            self._traffic.refused(entry)
            LOG.warning("%s of %s is kept as a dead letter: %s", entry.trigger, entry.sensor, reason, extra=sensor)
        self._outbox.settle(rows, reason, were_held=were_held)
