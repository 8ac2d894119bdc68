"""Checks that the serializer fits the consumers of the rules engine's queue. For the publisher's thread.

StackStorm's rules engine accepts only pickles. It drops all other messages, with an error in its own log. No other
consumer accepts pickles.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from st2sensor.health import Health, changed
from st2sensor.transport.base import Publisher

LOG = logging.getLogger("st2sensor.delivery")

INTERVAL = 15.0
"""Seconds between two checks."""


def misfit(serializer: str, queue: str, consumers: int | None) -> str:
    """Describe how the serializer does not fit the consumers of a queue, with the remedy. Empty if it fits.

    :param serializer: `pickle` or `json`.
    :param queue: the rules engine's queue.
    :param consumers: the number of its consumers; None if it is unknown.
    """
    if consumers is None:
        return ""
    if serializer == "json" and consumers:
        who = "1 consumer is" if consumers == 1 else f"{consumers} consumers are"
        return (
            f"[messaging] serializer = json does not fit: {who} on {queue}, the queue of StackStorm's rules engine, "
            "which drops JSON; set serializer = pickle, or bind a queue of your own"
        )
    if serializer == "pickle" and not consumers:
        return (
            f"[messaging] serializer = pickle does not fit: nobody consumes {queue}, and only StackStorm's rules "
            "engine accepts pickles; start it, or set serializer = json"
        )
    return ""


class Audience:
    """Remembers the result of the last check.

    :ivar health: whether the serializer fits; replaced by the publisher's thread, read by any thread.
    """

    def __init__(self, serializer: str, queue: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._serializer = serializer
        self._queue = queue
        self._clock = clock
        self._look_at = clock()
        self.health = Health(reason="")

    def look(self, publisher: Publisher) -> None:
        """Count the consumers, if a check is due. Raises BrokerUnavailable."""
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + INTERVAL
        reason = misfit(self._serializer, self._queue, publisher.consumers())
        if reason and self.health.ok:
            LOG.warning("%s", reason)
        elif not reason and not self.health.ok:
            LOG.info("[messaging] serializer = %s fits the consumers of %s again", self._serializer, self._queue)
        self.health = changed(self.health, reason)
