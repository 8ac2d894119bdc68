"""Listens for announcements. Each is only a hint to read storage: its body is never decoded."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from st2sensor import backoff
from st2sensor.errors import BrokerUnavailable
from st2sensor.transport.base import Subscription, Transport

LOG = logging.getLogger("st2sensor.storage")

STOP_CHECK_INTERVAL = 1.0
"""Maximum number of seconds before checking whether to stop."""


class Watch:
    """Listens in a thread of its own.

    :param exchanges: the exchanges to listen on.
    :param changed: called in the thread after announcements, and after a reconnect, since some may have been missed.
    :param retry_wait: maximum number of seconds between attempts to reach the broker.
    """

    def __init__(
        self, transport: Transport, exchanges: Sequence[str], changed: Callable[[], None], *, retry_wait: float
    ) -> None:
        self._subscription = transport.subscription(exchanges)
        self._changed = changed
        self._retry_wait = retry_wait
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop within STOP_CHECK_INTERVAL seconds. Does not wait."""
        self._closing.set()

    def _run(self) -> None:
        failures = 0
        while not self._closing.is_set():
            try:
                self._subscription.connect()
                failures = 0
                self._listen(self._subscription)
            except BrokerUnavailable as exception:
                failures += 1
                LOG.debug("%s; changes are noticed at the next resync", exception)
                self._closing.wait(backoff.reconnect(failures, self._retry_wait))
            except Exception:
                failures += 1
                LOG.exception("cannot listen for announcements now; changes are noticed at the next resync")
                self._closing.wait(backoff.reconnect(failures, self._retry_wait))
        self._subscription.close()

    def _listen(self, subscription: Subscription) -> None:
        self._changed()
        while not self._closing.is_set():
            if subscription.receive(STOP_CHECK_INTERVAL):
                self._changed()
