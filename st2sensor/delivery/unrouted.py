"""Remembers which routing keys no queue takes, and warns once about each. For the publisher's thread."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from st2sensor.outbox.tail import Row
from st2sensor.transport.base import Message

LOG = logging.getLogger("st2sensor.delivery")

MOST_KEYS = 1000
"""Maximum number of routing keys that are remembered. Beyond it, all of them are forgotten, and are then warned about
again."""

NAMED = 3
"""Maximum number of routing keys that a text names."""


class Unrouted:
    """The routing keys whose newest message no queue has taken.

    :ivar keys: these keys, sorted. The publisher's thread replaces the tuple, and any thread reads it.
    """

    def __init__(self) -> None:
        self.keys: tuple[str, ...] = ()
        self._keys: set[str] = set()

    def returned(self, rows: Sequence[Row], messages: Mapping[int, Message]) -> str:
        """Note messages that the broker has returned, and return the reason why they are kept."""
        exchange, keys = messages[rows[0].id].exchange, {messages[row.id].routing_key for row in rows}
        fresh = keys - self._keys
        for key in sorted(fresh):
            LOG.warning(
                "no queue on the exchange %s takes the routing key %s. These triggers are kept as unrouted; all others "
                "are sent. Declare a durable queue, bind it, and run st2sensor dead-letters replay",
                *(exchange, key),
            )
        if fresh:
            if len(self._keys) >= MOST_KEYS:
                self._keys.clear()
            self._keys |= fresh
            self.keys = tuple(sorted(self._keys))
        return f"no queue on the exchange {exchange} takes the routing key"

    def taken(self, keys: Iterable[str]) -> None:
        """Note the routing keys of messages that a queue has taken."""
        if not self._keys:
            return
        for key in sorted(self._keys.intersection(keys)):
            LOG.info("a queue takes the routing key %s again", key)
            self._keys.discard(key)
            self.keys = tuple(sorted(self._keys))


def told(kept: int, keys: Sequence[str]) -> str:
    """Describe the unrouted triggers that are kept. Empty if there are none.

    :param kept: their number.
    :param keys: the routing keys that no queue takes now.
    """
    if not kept:
        return ""
    named = ", ".join(keys[:NAMED]) + (f" and {len(keys) - NAMED} more" if len(keys) > NAMED else "")
    which = f" (routing key{'s' if len(keys) > 1 else ''} {named})" if keys else ""
    triggers, them = ("1 trigger", "it") if kept == 1 else (f"{kept} triggers", "them")
    return (
        f"no queue took {triggers}{which}; declare a durable queue and bind it, then send {them} with st2sensor "
        "dead-letters replay --all --state unrouted"
    )
