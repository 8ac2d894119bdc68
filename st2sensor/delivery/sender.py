"""Publishes one window of rows: makes their messages, and takes the rows out of the outbox once their outcome is known.
For the publisher's thread.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from st2sensor.delivery.courses import Courses
from st2sensor.delivery.statsd import Metrics
from st2sensor.delivery.unrouted import Unrouted
from st2sensor.dispatch.traffic import Traffic
from st2sensor.errors import BrokerUnavailable, MessageRefused, Undeliverable
from st2sensor.history.event import State
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
    :param courses: records the rows that leave the outbox.
    """

    def __init__(
        self,
        outbox: Outbox,
        encode: Callable[[Entry], Message],
        *,
        metrics: Metrics,
        traffic: Traffic,
        readable: Callable[[str, str], str],
        courses: Courses,
    ) -> None:
        self._outbox = outbox
        self._encode = encode
        self._metrics = metrics
        self._traffic = traffic
        self._readable = readable
        self._courses = courses
        self.unrouted = Unrouted()
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
                reason = self._readable(row.entry.sensor, str(error))
                self.leave([row], State.DEAD, reason, were_held=were_held)
            except Exception as error:  # noqa: BLE001 (a wrapper may send anything: it must not stop later entries)
                reason = f"it cannot be encoded: {type(error).__name__}"
                self.leave([row], State.DEAD, reason, were_held=were_held)
        self._courses.made(messages)
        return messages

    def publish(
        self, publisher: Publisher, rows: Sequence[Row], messages: Mapping[int, Message], *, were_held: bool = False
    ) -> Sequence[Row]:
        """Publish rows in order; return those that a queue has taken. The others have left the outbox as unrouted.

        Raises the errors of Publisher.publish.

        A single message that makes the publisher fail unexpectedly UNEXPECTED_LIMIT times counts as refused.
        """
        if not rows:
            return rows
        began = time.monotonic()
        try:
            unrouted = publisher.publish([messages[row.id] for row in rows])
        except (BrokerUnavailable, MessageRefused) as exception:
            self._courses.failed(rows, exception)
            raise
        except Exception as exception:
            self._courses.failed(rows, exception)
            self._unexpected += 1
            if len(rows) > 1 or self._unexpected < UNEXPECTED_LIMIT:
                raise
            self._unexpected = 0
            raise MessageRefused(f"it cannot be published: {type(exception).__name__}") from exception
        self._unexpected = 0
        seconds = time.monotonic() - began
        self._metrics.published(messages[rows[0].id].exchange, len(rows), seconds)
        self._traffic.published(seconds)
        return self.routed(rows, unrouted, messages, were_held=were_held)

    def routed(
        self,
        rows: Sequence[Row],
        unrouted: Sequence[int],
        messages: Mapping[int, Message],
        *,
        were_held: bool = False,
    ) -> Sequence[Row]:
        """Take unrouted rows out of the outbox, and return the others.

        :param rows: rows that the broker has confirmed.
        :param unrouted: indexes of those that no queue has taken.
        """
        if unrouted:
            dropped = [rows[index] for index in unrouted]
            self.leave(dropped, State.UNROUTED, self.unrouted.returned(dropped, messages), were_held=were_held)
            gone = set(unrouted)
            rows = [row for index, row in enumerate(rows) if index not in gone]
        self.unrouted.taken(messages[row.id].routing_key for row in rows)
        return rows

    def leave(
        self,
        rows: Sequence[Row],
        state: State,
        reason: str | None = None,
        *,
        were_held: bool = False,
        are_window: bool = False,
    ) -> None:
        """Take rows out of the outbox. Every row leaves through this method.

        :param reason: why they are kept as dead letters or as unrouted; None for confirmed rows.
        :param were_held: whether the rows were held back.
        :param are_window: whether these are all rows that `Outbox.read` last returned and that have not left yet.
        """
        if not rows:
            return
        for row in rows if state is State.DEAD else ():
            entry, sensor = row.entry, of_sensor(row.entry.sensor)
            self._traffic.refused(entry)
            LOG.warning("%s of %s is kept as a dead letter: %s", entry.trigger, entry.sensor, reason, extra=sensor)
        for row in rows if state is State.UNROUTED else ():
            self._traffic.unrouted(row.entry)
        first = self._courses.ended(rows, state, reason)
        if are_window and state is State.CONFIRMED:
            self._outbox.confirm(rows[-1].id, len(rows), first)
        else:
            is_unrouted = state is State.UNROUTED
            self._outbox.settle(rows, reason, were_held=were_held, is_unrouted=is_unrouted, first=first)
