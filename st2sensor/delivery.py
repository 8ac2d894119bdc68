"""Publishes the outbox: one thread, in order, for ever. A broker that is away is a longer queue, nothing else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from st2sensor import backoff
from st2sensor.errors import BrokerUnavailable
from st2sensor.outbox import Entry, Outbox
from st2sensor.transport.base import Message, Publisher, Transport

LOG = logging.getLogger(__name__)

WINDOW = 500
"""Messages published before their confirms are waited for."""

PATIENCE = 2.0
"""Seconds that the end waits for a broker that does not answer; what it has not confirmed is sent at the next start."""

IDLE = 1.0
"""Seconds between heartbeats while there is nothing to publish."""

FIRST_RETRY, LAST_RETRY = 0.25, 15.0
"""Seconds between attempts to reach the broker, doubling."""


class Delivery:
    """:param encode: makes the message of an outbox entry."""

    def __init__(self, outbox: Outbox, transport: Transport, encode: Callable[[Entry], Message]) -> None:
        self._outbox = outbox
        self._transport = transport
        self._encode = encode
        self._closing = threading.Event()
        self._cursor = 0
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop after the messages that are on their way."""
        self._closing.set()
        self._outbox.wake()
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        publisher = self._transport.publisher()
        failures = 0
        while not self._closing.is_set():
            try:
                publisher.connect()
                LOG.info("connected to %s", self._transport.address)
                failures = 0
                self._publish(publisher)
            except BrokerUnavailable as exception:
                failures += 1
                if failures == 1:
                    LOG.warning("%s; triggers wait in the outbox", exception)
                self._closing.wait(backoff.delay(failures, first=FIRST_RETRY, cap=LAST_RETRY))
        publisher.close()

    def _publish(self, publisher: Publisher) -> None:
        while not self._closing.is_set():
            rows = self._outbox.read(self._cursor, WINDOW, IDLE)
            if not rows:
                publisher.keep_alive()
                continue
            publisher.publish([self._encode(row.entry) for row in rows])
            self._cursor = rows[-1].id
            self._outbox.confirm(self._cursor, len(rows))
