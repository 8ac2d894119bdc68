"""How many requests a URL takes: a bucket of tokens each, filled at a steady rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic

from st2sensor.core_pack.webhooks.refusal import Refusal


class Rates:
    """:param rate: requests a second, in the long run; 0 for any number.
    :param clock: gives seconds.

    A bucket holds as much as comes in a second, and one request at least.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._room = max(1.0, rate)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        """By URL: tokens, and when that was."""

    def take(self, url: str) -> None:
        """Count a request. Raises Refusal for one too many."""
        if not self._rate:
            return
        now = self._clock()
        tokens, then = self._buckets.get(url, (self._room, now))
        tokens = min(self._room, tokens + (now - then) * self._rate)
        if tokens < 1:
            wait = math.ceil((1 - tokens) / self._rate)
            raise Refusal(429, f"more than {self._rate:g} requests a second", {"Retry-After": str(wait)})
        self._buckets[url] = (tokens - 1, now)
