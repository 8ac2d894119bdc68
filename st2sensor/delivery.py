"""Publishes the outbox: one thread, in order, for ever. A broker that is away is a longer queue, nothing else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from st2sensor import backoff
from st2sensor.errors import BrokerUnavailable, MessageNotTaken, MessageRefused, OutboxError
from st2sensor.health import Health, changed
from st2sensor.logs import of_sensor
from st2sensor.metrics import NONE, Metrics
from st2sensor.outbox import Outbox, Row
from st2sensor.outbox_file import Entry
from st2sensor.settings import Messaging
from st2sensor.traffic import Traffic
from st2sensor.transport.base import Message, Publisher, Transport
from st2sensor.transport.codec import Encode, trigger_message
from st2sensor.transport.topology import TRIGGER_INSTANCE, Topology

LOG = logging.getLogger(__name__)

WINDOW = 500
"""Messages published before their confirms are waited for."""

PATIENCE = 2.0
"""Seconds that the end waits for a broker that does not answer; what it has not confirmed is sent at the next start."""

FEW = 100
"""Messages; so few in one window are published a little later, with those that have come by then."""

LINGER = 0.01
"""Seconds of that."""

FENCE, LATE = "st2sensor-fence", "st2sensor-late"
"""Headers of what a shared sensor dispatched: its lease's fence, and whether that was over when it was published."""

ROUTING_KEY_LIMIT = 255
"""Bytes."""

IDLE = 1.0
"""Seconds between heartbeats while there is nothing to publish."""


class Delivery:
    """:param encode: makes the message of an outbox entry.
    :param retry_wait: seconds between attempts to reach the broker, at the most.
    :param metrics: told of each round of messages that the broker has confirmed.
    :param traffic: counts these, and what becomes a dead letter here.
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
    ) -> None:
        self._outbox = outbox
        self._transport = transport
        self._encode = encode
        self._retry_wait = retry_wait
        self._metrics = metrics
        self._traffic = traffic or Traffic()
        self._health = Health(reason="the broker has not been reached yet")
        """Of the connection; replaced by the publisher's thread."""
        self._publisher = transport.publisher()
        self._closing = threading.Event()
        self._cursor = outbox.cursor
        """Id of the last row that is settled."""
        self._suspects = 0
        """How many rows to publish singly, because one of them was refused."""
        self._failures = 0
        """Attempts in a row that delivered nothing."""
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
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        publisher = self._publisher
        while not self._closing.is_set():
            try:
                publisher.connect()
                LOG.info("connected to %s", self._transport.address)
                self._health = changed(self._health, "")
                self._publish(publisher)
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

    def _publish(self, publisher: Publisher) -> None:
        while not self._closing.is_set():
            rows = self._outbox.read(self._cursor, 1 if self._suspects else WINDOW, IDLE)
            if not rows:
                publisher.keep_alive()
                self._failures = 0
                continue
            messages, unfit = self._messages(rows)
            began = time.monotonic()
            try:
                publisher.publish(messages)
            except MessageNotTaken:
                # Singly, so that those behind it do not overtake it again.
                self._suspects = len(rows)
                raise
            except MessageRefused as refusal:
                self._refused(rows, refusal)
                raise
            self._settled(rows, unfit)
            if messages:
                seconds = time.monotonic() - began
                self._metrics.published(messages[0].exchange, len(messages), seconds)
                self._traffic.published(seconds)
            if len(rows) < FEW:
                # A lone sensor waits for its commits: publishing each message at once would only take turns from it.
                self._closing.wait(LINGER)

    def _messages(self, rows: list[Row]) -> tuple[list[Message], list[Entry]]:
        """The messages of some rows, and the entries that have none, with the reason."""
        messages, unfit = [], []
        for row in rows:
            try:
                messages.append(self._encode(row.entry))
            except Exception as error:  # noqa: BLE001 (whatever a wrapper sent: it must not stop those behind it)
                unfit.append(replace(row.entry, reason=f"it cannot be encoded: {error!r}"))
        return messages, unfit

    def _refused(self, rows: list[Row], refusal: MessageRefused) -> None:
        """Publish singly until the message that the broker refuses is found; that one is a dead letter."""
        if len(rows) > 1:
            self._suspects = len(rows)
        else:
            self._settled(rows, [replace(rows[0].entry, reason=str(refusal))])

    def _settled(self, rows: list[Row], unfit: list[Entry]) -> None:
        """Rows are done with: the broker has them, or they are dead letters on disk. Raises OutboxError."""
        for entry in unfit:
            self._traffic.refused(entry)
            said = of_sensor(entry.sensor)
            LOG.warning("%s of %s is kept as a dead letter: %s", entry.trigger, entry.sensor, entry.reason, extra=said)
        self._outbox.put(unfit)
        self._failures = 0
        self._suspects = max(0, self._suspects - len(rows))
        self._cursor = rows[-1].id
        self._outbox.confirm(self._cursor, len(rows))


def message_of(entry: Entry, messaging: Messaging, *, late: bool = False, encode: Encode | None = None) -> Message:
    """The message that consumers get of an outbox entry. Raises ValueError for a body that is not JSON.

    :param late: whether another container may run the sensor by now.
    :param encode: encodes it elsewhere.
    """
    headers = {} if entry.fence is None else {FENCE: str(entry.fence)}
    return trigger_message(
        entry.body,
        tagged=entry.tagged,
        topology=Topology(messaging.prefix),
        serializer=messaging.serializer,
        routing_key=ROUTING_KEYS[messaging.routing_key](entry),
        message_id=entry.message_id,
        headers=headers | ({LATE: "true"} if late else {}),
        encode=encode,
    )


def _type_key(entry: Entry) -> str:
    """The reference of the trigger's type, as much of it as AMQP takes."""
    return entry.trigger_type.encode()[:ROUTING_KEY_LIMIT].decode(errors="ignore")


ROUTING_KEYS: dict[str, Callable[[Entry], str]] = {"trigger_instance": lambda _: TRIGGER_INSTANCE, "trigger": _type_key}
