"""Listens for announcements. Each is only a hint to look into storage: its body is never decoded."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from st2sensor import backoff
from st2sensor.errors import BrokerUnavailable
from st2sensor.transport.base import Subscription, Transport

LOG = logging.getLogger("st2sensor.storage")

STOP_CHECK_INTERVAL = 1.0
"""Seconds until a wait looks whether to end."""


class Watch:
    """One thread.

    :param exchanges: to listen on.
    :param changed: called in the thread after announcements, and after a reconnect, since some may have been missed.
    :param retry_wait: seconds between attempts to reach the broker, at the most.
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
        self._thread.start()

    def close(self) -> None:
        """End within STOP_CHECK_INTERVAL, without waiting for it."""
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
                LOG.exception("announcements are not heard for now; changes are noticed at the next resync")
                self._closing.wait(backoff.reconnect(failures, self._retry_wait))
        self._subscription.close()

    def _listen(self, subscription: Subscription) -> None:
        self._changed()
        while not self._closing.is_set():
            if subscription.receive(STOP_CHECK_INTERVAL):
                self._changed()
