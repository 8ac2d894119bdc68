"""Limits the rate of requests to a URL with a token bucket."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic

from st2sensor.core_pack.webhooks.refusal import Refusal


class Rates:
    """Counts requests by URL. A bucket holds the requests of one second, and at least one request.

    :param rate: requests per second in the long run; 0 for no limit.
    :param clock: returns seconds.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._room = max(1.0, rate)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        """By URL: the tokens left, and the time of that count."""

    def take(self, url: str) -> None:
        """Count a request. Raises Refusal if it exceeds the limit."""
        if not self._rate:
            return
        now = self._clock()
        tokens, then = self._buckets.get(url, (self._room, now))
        tokens = min(self._room, tokens + (now - then) * self._rate)
        if tokens < 1:
            wait = math.ceil((1 - tokens) / self._rate)
            raise Refusal(429, f"more than {self._rate:g} requests a second", {"Retry-After": str(wait)})
        self._buckets[url] = (tokens - 1, now)
