"""The route of an event through the broker: its exchange, and the queues that are bound to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """A queue.

    :param bindings: the routing keys with which it is bound to the exchange; None if they are not known.
    :param messages: number of messages that wait in it; None if it is not known.
    :param consumers: number of its consumers; None if it is not known.
    """

    name: str
    bindings: tuple[str, ...] | None
    messages: int | None
    consumers: int | None

    def gets(self, routing_key: str) -> bool:
        """Return whether the queue gets messages with a routing key. Unknown bindings are taken for `#`."""
        return self.bindings is None or any(fits(pattern, routing_key) for pattern in self.bindings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The answers of a broker.

    :param address: the broker's URL without passwords.
    :param virtual_host: as RabbitMQ names it.
    :param exists: whether the exchange exists.
    :param queues: the known queues; all bound queues if `is_complete`.
    :param others: exchanges of other prefixes or virtual hosts with the same end of the name, as `vhost name`.
    :param note: why less is known than the configuration promises; empty otherwise.
    """

    address: str
    virtual_host: str
    exchange: str
    exists: bool
    queues: tuple[QueueState, ...]
    is_complete: bool
    others: tuple[str, ...] = ()
    note: str = ""


def fits(pattern: str, routing_key: str) -> bool:
    """Return whether a topic exchange's binding fits a routing key."""
    places = {0}
    """The numbers of words of the pattern that may have been used so far."""
    words = pattern.split(".")

    def widened(found: set[int]) -> set[int]:
        for place in sorted(found):
            while place < len(words) and words[place] == "#":
                place += 1
                found.add(place)
        return found

    places = widened(places)
    for word in routing_key.split("."):
        following: set[int] = set()
        for place in places:
            if place < len(words) and words[place] == "#":
                following.add(place)
            elif place < len(words) and words[place] in ("*", word):
                following.add(place + 1)
        places = widened(following)
    return len(words) in places
