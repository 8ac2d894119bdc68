"""Sends `[metrics]`: counts and times of published messages, under StackStorm's names."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from statsd import StatsClient

from st2sensor.settings import Metrics as Settings

LOG = logging.getLogger("st2sensor.delivery")

LOOK_UP_AGAIN = 60.0
"""Seconds until the lookup of a host that was not found is retried."""

PUBLISHED = "amqp.pool_publisher.publish_with_retries"


class Metrics(Protocol):
    """A destination of metrics. Methods neither raise nor wait."""

    def published(self, exchange: str, count: int, seconds: float) -> None:
        """Report messages that were published together.

        :param count: the number of messages.
        :param seconds: the time that the broker took to confirm them.
        """


class _None:
    def published(self, exchange: str, count: int, seconds: float) -> None:
        pass


NONE: Metrics = _None()
"""Drops every metric."""


class _Echo:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def published(self, exchange: str, count: int, seconds: float) -> None:
        LOG.info("%s: %d in %.6f s", _named(self._settings, exchange), count, seconds)


class _Statsd:
    """Sends one datagram for each metric. As usual with statsd, a datagram that no server receives is lost."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: StatsClient | None = None
        self._look_up_at = 0.0

    def published(self, exchange: str, count: int, seconds: float) -> None:
        name, rate = _named(self._settings, exchange), self._settings.sample_rate
        if time.monotonic() < self._look_up_at:
            return
        try:
            if self._client is None:
                # The client looks up its host, which may take a long time.
                self._look_up_at = time.monotonic() + LOOK_UP_AGAIN
                self._client = StatsClient(host=self._settings.host, port=self._settings.port)
                self._look_up_at = 0.0
            self._client.incr(name, count, rate)
            self._client.timing(name, seconds * 1000, rate)
        except (OSError, ValueError) as exception:
            LOG.warning("[metrics] %s:%d: %s", self._settings.host, self._settings.port, exception)


def open_metrics(settings: Settings) -> Metrics:
    """Return the destination that `[metrics]` configures."""
    return DRIVERS[settings.driver](settings)


DRIVERS: dict[str, Callable[[Settings], Metrics]] = {"noop": lambda _: NONE, "echo": _Echo, "statsd": _Statsd}


def _named(settings: Settings, exchange: str) -> str:
    return ".".join(part for part in ("st2", settings.prefix, PUBLISHED, exchange) if part)
