"""Publishes the outbox: one thread, in order, without an end. While the broker is unreachable, the outbox only grows.

Messages whose routing key the broker refuses are held back, in order. All others are still published.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from st2sensor import backoff
from st2sensor.delivery.audience import Audience
from st2sensor.delivery.courses import Courses
from st2sensor.delivery.held_back import HeldBack, Key
from st2sensor.delivery.sender import Sender
from st2sensor.delivery.statsd import NONE, Metrics
from st2sensor.dispatch.traffic import Traffic
from st2sensor.errors import BrokerUnavailable, MessageNotTaken, MessageRefused, OutboxError, RoutingKeyForbidden
from st2sensor.health import Health, changed
from st2sensor.history.event import State
from st2sensor.history.writer import Record
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.incoming import Lane
from st2sensor.outbox.outbox import Outbox
from st2sensor.outbox.tail import Row
from st2sensor.transport.base import Message, Publisher, Transport

LOG = logging.getLogger("st2sensor.delivery")

WINDOW = 500
"""Number of messages that are published before their confirms are awaited."""

STOP_TIMEOUT = 2.0
"""Seconds that `close` waits for a broker that does not answer. Unconfirmed messages are sent at the next start."""

FEW = 100
"""Number of messages in a window. After a smaller window the next one is delayed by LINGER, so that it holds more."""

LINGER = 0.01
"""Seconds."""

IDLE = 1.0
"""Seconds between heartbeats while there is nothing to publish."""


class PublisherThread:
    """Owns the thread.

    :param encode: makes the message of an outbox entry.
    :param retry_wait: maximum number of seconds between two attempts to reach the broker.
    :param metrics: notified of each window of messages that the broker has confirmed.
    :param traffic: counts confirmed messages, and dead letters that this thread makes.
    :param readable: masks a sensor's secrets in a reason, because a property's name may be a secret.
    :param audience: checks the consumers of the messages; None for no check.
    :param history: records messages that leave the outbox; None to record none.
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
        history: Record | None = None,
    ) -> None:
        self._outbox = outbox
        self._transport = transport
        self._retry_wait = retry_wait
        self._audience = audience
        self._sender = Sender(
            outbox, encode, metrics=metrics, traffic=traffic or Traffic(), readable=readable, courses=Courses(history)
        )
        self._health = Health(reason="the broker has not been reached yet")
        """Health of the connection; replaced by the publisher's thread."""
        self._publisher = transport.publisher()
        self._closing = threading.Event()
        self._cursor = outbox.cursor
        """Id of the last row that is settled or held back."""
        self._suspects = 0
        """Number of rows to publish singly, because the broker has refused one of them."""
        self._held = HeldBack(outbox.limits)
        self.held_back = Health(reason="")
        """Health of the routing keys; replaced by the publisher's thread, read by any thread."""
        self.held_by_sensor: Mapping[str, str] = {}
        """Texts that describe the messages held back, by sensor. The publisher's thread replaces the mapping."""
        self._restricted: frozenset[Lane] = frozenset()
        self._report_at = 0.0
        """When `held_back` and `held_by_sensor` are updated next, on the monotonic clock."""
        self._failures = 0
        """Number of attempts in a row that delivered nothing."""
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    @property
    def health(self) -> Health:
        """Health of the broker: whether it can be reached, and accepts messages."""
        return self._publisher.health if self._health.ok else self._health

    @property
    def unrouted_keys(self) -> Sequence[str]:
        """The routing keys that no queue takes now."""
        return self._sender.unrouted.keys

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop once the messages in transit are confirmed, or after STOP_TIMEOUT."""
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
                # The message is settled already; the broker has closed the channel because of it.
                continue
            except (BrokerUnavailable, OutboxError) as exception:
                self._failed(exception)
            except Exception as exception:
                LOG.exception("the publisher failed, and continues")
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
            if (due := self._held.next()) is not None:
                self._retry(publisher, *due)
            self._report_held()
            if self._audience is not None:
                self._audience.look(publisher)
            # The events of a window may be large: none is kept in memory during the wait for the next ones.
            published = self._deliver_window(publisher)
            if 0 < published < FEW and not self._held.is_catching_up:
                # A lone sensor waits for each of its commits. Publishing each message at once would slow it down.
                self._closing.wait(LINGER)

    def _deliver_window(self, publisher: Publisher) -> int:
        """Publish the next rows, once there are some; return their number."""
        rows = self._outbox.read(
            self._cursor, 1 if self._suspects else WINDOW, 0.0 if self._held.is_catching_up else IDLE
        )
        if not rows:
            publisher.keep_alive()
            self._failures = 0
            return 0
        try:
            taken = self._publish_next(publisher, rows)
        except MessageNotTaken:
            # Publish singly from now on, so that the messages behind it do not overtake it again.
            self._suspects = len(rows)
            raise
        except (MessageRefused, BrokerUnavailable, OutboxError):
            raise
        except Exception:
            # A single message may be the cause: find it by publishing singly.
            self._suspects = max(self._suspects, len(rows))
            raise
        self._failures = 0
        self._suspects = max(0, self._suspects - len(rows))
        self._cursor = rows[-1].id
        self._sender.leave(taken, State.CONFIRMED, are_window=True)
        return len(rows)

    def _publish_next(self, publisher: Publisher, rows: Sequence[Row]) -> Sequence[Row]:
        """Publish rows, except those that are held back or become dead letters.

        Return the rows that a queue has taken and that are not settled yet.
        """
        messages = self._sender.messages(rows)
        left = [row for row in rows if row.id in messages]
        while True:
            left = self._not_held(left, messages)
            try:
                return self._sender.publish(publisher, left, messages)
            except RoutingKeyForbidden as refusal:
                left = self._not_confirmed(left, messages, refusal)
                self._forbidden(refusal)
            except MessageRefused as refusal:
                # Publish singly until the refused message is found, which then becomes a dead letter.
                if len(left) > 1:
                    self._suspects = len(left)
                else:
                    self._sender.leave(left, State.DEAD, str(refusal))
                    self._suspects = max(0, self._suspects - 1)
                raise

    # Messages that are held back.

    def _not_held(self, rows: Sequence[Row], messages: Mapping[int, Message]) -> list[Row]:
        """Hold back the rows whose routing key the broker refuses, behind earlier ones; return the others."""
        held = [row for row in rows if messages[row.id].routing_key in self._held]
        for row in held:
            self._held.add(messages[row.id].routing_key, [row])
        if held:
            self._outbox.hold_back(held)
            self._restrict()
        return [row for row in rows if messages[row.id].routing_key not in self._held]

    def _not_confirmed(
        self,
        rows: Sequence[Row],
        messages: Mapping[int, Message],
        refusal: RoutingKeyForbidden,
        *,
        were_held: bool = False,
    ) -> list[Row]:
        """Take the rows that were confirmed before a refusal out of the outbox, and return the others."""
        confirmed = set(refusal.confirmed)
        done = [index for index in range(len(rows)) if index in confirmed]
        unrouted = set(refusal.unrouted)
        places = [place for place, index in enumerate(done) if index in unrouted]
        taken = self._sender.routed([rows[index] for index in done], places, messages, were_held=were_held)
        self._sender.leave(taken, State.CONFIRMED, were_held=were_held)
        return [row for index, row in enumerate(rows) if index not in confirmed]

    def _forbidden(self, refusal: RoutingKeyForbidden) -> None:
        if self._held.refused(refusal.routing_key):
            LOG.warning("%s; triggers with this key are held back, and all others are sent", refusal)
            self._report_at = 0.0

    def _retry(self, publisher: Publisher, key: str, held: Key) -> None:
        """Publish the first message that a key holds back, or a window if the broker accepts the key again."""
        rows = self._outbox.read_back(held.first(WINDOW if held.is_open and not held.singly else 1))
        messages = self._sender.messages(rows, were_held=True)
        left = [row for row in rows if row.id in messages]
        # The others are dead letters by now, even if this attempt fails.
        held.left([row for row in rows if row.id not in messages])
        try:
            taken = self._sender.publish(publisher, left, messages, were_held=True)
        except RoutingKeyForbidden as refusal:
            self._not_confirmed(left, messages, refusal, were_held=True)
            held.left([left[index] for index in refusal.confirmed])
            self._forbidden(refusal)
            return
        except MessageRefused as refusal:
            if len(left) > 1:
                held.singly = len(left)
            else:
                self._sender.leave(left, State.DEAD, str(refusal), were_held=True)
                held.left(left)
            raise
        except BrokerUnavailable:
            held.singly = len(left)
            raise
        self._sender.leave(taken, State.CONFIRMED, were_held=True)
        held.left(left)
        held.singly = max(0, held.singly - len(rows))
        if not rows:
            held.skip(1)
        if not held.is_open:
            LOG.info("the broker accepts the routing key %s again", key)
            held.is_open = True
            self._report_at = 0.0
        if not len(held):
            self._held.forget(key)
            self._report_at = 0.0
        self._restrict()

    def _restrict(self) -> None:
        lanes = self._held.too_many()
        if lanes != self._restricted:
            self._restricted = lanes
            self._outbox.restrict(lanes)

    def _report_held(self) -> None:
        now = time.monotonic()
        if now >= self._report_at:
            self._report_at = now + IDLE
            self.held_back = changed(self.held_back, self._held.told())
            self.held_by_sensor = self._held.by_sensor()
