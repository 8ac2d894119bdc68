"""Publishes the outbox: one thread, in order, forever. A broker that is away is a longer queue, nothing else.

What the broker refuses because of its routing key is held back alone, in order; everything else goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from st2sensor import backoff
from st2sensor.delivery.audience import Audience
from st2sensor.delivery.held_back import HeldBack, Key
from st2sensor.delivery.statsd import NONE, Metrics
from st2sensor.dispatch.traffic import Traffic
from st2sensor.errors import (
    BrokerUnavailable,
    MessageNotTaken,
    MessageRefused,
    OutboxError,
    RoutingKeyForbidden,
    Undeliverable,
)
from st2sensor.health import Health, changed
from st2sensor.logs.setup import of_sensor
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.incoming import Lane
from st2sensor.outbox.outbox import Outbox
from st2sensor.outbox.tail import Row
from st2sensor.transport.base import Message, Publisher, Transport

LOG = logging.getLogger("st2sensor.delivery")

WINDOW = 500
"""Messages published before their confirms are waited for."""

STOP_TIMEOUT = 2.0
"""Seconds that the end waits for a broker that does not answer; what it has not confirmed is sent at the next start."""

FEW = 100
"""Messages; so few in one window are published a little later, with those that have come by then."""

LINGER = 0.01
"""Seconds of that."""

SURPRISES = 3
"""Attempts after which a message that the publisher fails over, in a way that nobody expects, is a dead letter."""

IDLE = 1.0
"""Seconds between heartbeats while there is nothing to publish."""


class PublisherThread:
    """:param encode: makes the message of an outbox entry.
    :param retry_wait: seconds between attempts to reach the broker, at the most.
    :param metrics: told of each round of messages that the broker has confirmed.
    :param traffic: counts these, and what becomes a dead letter here.
    :param readable: a reason as it may be told of a sensor, whose secrets may be names in a payload.
    :param audience: looks at who takes the messages; None for nobody to look.
    """

    def __init__(
        self,
        outbox: Outbox,
        transport: Transport,
        encode: Callable[[Entry], Message],
        *,
        retry_wait: float = 10.0,
        metrics: Metrics = NONE,
        traffic: Traffic | None = None,
        readable: Callable[[str, str], str] = lambda _, reason: reason,
        audience: Audience | None = None,
    ) -> None:
        self._outbox = outbox
        self._transport = transport
        self._encode = encode
        self._retry_wait = retry_wait
        self._metrics = metrics
        self._traffic = traffic or Traffic()
        self._readable = readable
        self._audience = audience
        self._health = Health(reason="the broker has not been reached yet")
        """Of the connection; replaced by the publisher's thread."""
        self._publisher = transport.publisher()
        self._closing = threading.Event()
        self._cursor = outbox.cursor
        """Id of the last row that is settled."""
        self._suspects = 0
        """How many rows to publish singly, because one of them was refused."""
        self._held = HeldBack(outbox.limits)
        self.held_back = Health(reason="")
        """Of routing keys that the broker refuses, and `held_by_sensor` in words; both are replaced by the publisher's
        thread."""
        self.held_by_sensor: Mapping[str, str] = {}
        self._restricted: frozenset[Lane] = frozenset()
        self._tell_at = 0.0
        """When what is held back is told again, on the monotonic clock."""
        self._failures = 0
        """Attempts in a row that delivered nothing."""
        self._surprises = 0
        """How often in a row the publisher failed in a way that nobody expects."""
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    @property
    def health(self) -> Health:
        """Of the broker: whether it can be reached, and takes messages."""
        return self._publisher.health if self._health.ok else self._health

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop after the messages that are on their way."""
        self._closing.set()
        self._outbox.wake()
        self._thread.join(STOP_TIMEOUT)

    def _run(self) -> None:
        publisher = self._publisher
        while not self._closing.is_set():
            try:
                publisher.connect()
                LOG.info("connected to %s", self._transport.address)
                self._health = changed(self._health, "")
                self._deliver(publisher)
            except MessageRefused:
                # It has been dealt with; the broker has closed the channel over it.
                continue
            except (BrokerUnavailable, OutboxError) as exception:
                self._failed(exception)
            except Exception as exception:
                LOG.exception("the publisher failed, and goes on")
                self._failed(exception)
            self._closing.wait(backoff.reconnect(max(1, self._failures), self._retry_wait))
        publisher.close()

    def _failed(self, exception: Exception) -> None:
        self._failures += 1
        self._health = changed(self._health, str(exception))
        if self._failures == 1:
            LOG.warning("%s; triggers wait in the outbox", exception)

    def _deliver(self, publisher: Publisher) -> None:
        while not self._closing.is_set():
            if (held := self._held.next()) is not None:
                self._try_again(publisher, *held)
            self._tell_held()
            if self._audience is not None:
                self._audience.look(publisher)
            rows = self._outbox.read(
                self._cursor, 1 if self._suspects else WINDOW, 0.0 if self._held.is_catching_up else IDLE
            )
            if not rows:
                publisher.keep_alive()
                self._failures = 0
                continue
            try:
                taken = self._publish_next(publisher, rows)
            except MessageNotTaken:
                # Singly, so that those behind it do not overtake it again.
                self._suspects = len(rows)
                raise
            except (MessageRefused, BrokerUnavailable, OutboxError):
                raise
            except Exception:
                # One message may be what it fails over.
                self._suspects = max(self._suspects, len(rows))
                raise
            self._failures = 0
            self._suspects = max(0, self._suspects - len(rows))
            self._cursor = rows[-1].id
            self._outbox.confirm(self._cursor, taken)
            if len(rows) < FEW and not self._held.is_catching_up:
                # A lone sensor waits for its commits: publishing each message at once would only take turns from it.
                self._closing.wait(LINGER)

    def _publish_next(self, publisher: Publisher, rows: Sequence[Row]) -> int:
        """Publish rows, except for those that are held back or become dead letters; returns how many the broker has
        that are not settled yet."""
        messages = self._messages(rows)
        left = [row for row in rows if row.id in messages]
        while True:
            left = self._not_held(left, messages)
            try:
                self._publish(publisher, left, messages)
            except RoutingKeyForbidden as refusal:
                taken = set(refusal.confirmed)
                self._outbox.settle([left[index] for index in taken])
                left = [row for index, row in enumerate(left) if index not in taken]
                self._forbidden(refusal)
            except MessageRefused as refusal:
                # Singly, until the message that the broker refuses is found; that one is a dead letter.
                if len(left) > 1:
                    self._suspects = len(left)
                else:
                    self._bury(left, str(refusal))
                    self._suspects = max(0, self._suspects - 1)
                raise
            else:
                return len(left)

    def _publish(self, publisher: Publisher, rows: Sequence[Row], messages: Mapping[int, Message]) -> None:
        if not rows:
            return
        began = time.monotonic()
        try:
            publisher.publish([messages[row.id] for row in rows])
        except (BrokerUnavailable, MessageRefused):
            raise
        except Exception as exception:
            self._surprises += 1
            if len(rows) > 1 or self._surprises < SURPRISES:
                raise
            self._surprises = 0
            raise MessageRefused(f"it cannot be published: {type(exception).__name__}") from exception
        self._surprises = 0
        seconds = time.monotonic() - began
        self._metrics.published(messages[rows[0].id].exchange, len(rows), seconds)
        self._traffic.published(seconds)

    def _messages(self, rows: Sequence[Row], *, were_held: bool = False) -> dict[int, Message]:
        """The messages of some rows, by id; those that have none become dead letters."""
        messages: dict[int, Message] = {}
        for row in rows:
            try:
                messages[row.id] = self._encode(row.entry)
            except Undeliverable as error:
                self._bury([row], self._readable(row.entry.sensor, str(error)), were_held=were_held)
            except Exception as error:  # noqa: BLE001 (whatever a wrapper sent: it must not stop those behind it)
                self._bury([row], f"it cannot be encoded: {type(error).__name__}", were_held=were_held)
        return messages

    def _bury(self, rows: Sequence[Row], reason: str, *, were_held: bool = False) -> None:
        for row in rows:
            entry, said = row.entry, of_sensor(row.entry.sensor)
            self._traffic.refused(entry)
            LOG.warning("%s of %s is kept as a dead letter: %s", entry.trigger, entry.sensor, reason, extra=said)
        self._outbox.settle(rows, reason, were_held=were_held)

    # What is held back.

    def _not_held(self, rows: Sequence[Row], messages: Mapping[int, Message]) -> list[Row]:
        """Hold back those whose routing key the broker refuses, behind those before them; returns the others."""
        held = [row for row in rows if messages[row.id].routing_key in self._held]
        for row in held:
            self._held.add(messages[row.id].routing_key, [row])
        if held:
            self._outbox.hold_back(held)
            self._restrict()
        return [row for row in rows if messages[row.id].routing_key not in self._held]

    def _forbidden(self, refusal: RoutingKeyForbidden) -> None:
        if self._held.refused(refusal.routing_key):
            LOG.warning("%s; triggers with this key are held back, and all others go on", refusal)
            self._tell_at = 0.0

    def _try_again(self, publisher: Publisher, key: str, held: Key) -> None:
        """Publish the first that a key holds back, or more once the broker takes them again."""
        rows = self._outbox.read_back(held.first(WINDOW if held.is_open and not held.singly else 1))
        messages = self._messages(rows, were_held=True)
        left = [row for row in rows if row.id in messages]
        try:
            self._publish(publisher, left, messages)
        except RoutingKeyForbidden as refusal:
            taken = len(refusal.confirmed)
            self._outbox.settle(left[:taken], were_held=True)
            held.left([row for row in rows if row.id not in messages] + left[:taken])
            self._forbidden(refusal)
            return
        except MessageRefused as refusal:
            if len(left) > 1:
                held.singly = len(left)
            else:
                self._bury(left, str(refusal), were_held=True)
                held.left(rows)
            raise
        except BrokerUnavailable:
            held.singly = len(left)
            raise
        self._outbox.settle(left, were_held=True)
        held.left(rows)
        held.singly = max(0, held.singly - len(rows))
        if not rows:
            held.skip(1)
        if not held.is_open:
            LOG.info("the broker takes the routing key %s again", key)
            held.is_open = True
            self._tell_at = 0.0
        if not len(held):
            self._held.forget(key)
            self._tell_at = 0.0
        self._restrict()

    def _restrict(self) -> None:
        lanes = self._held.too_many()
        if lanes != self._restricted:
            self._restricted = lanes
            self._outbox.restrict(lanes)

    def _tell_held(self) -> None:
        now = time.monotonic()
        if now >= self._tell_at:
            self._tell_at = now + IDLE
            self.held_back = changed(self.held_back, self._held.told())
            self.held_by_sensor = self._held.by_sensor()
