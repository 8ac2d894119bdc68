"""Finds out which messages of a batch the broker has returned because no queue takes them."""

from __future__ import annotations

from collections.abc import Sequence

from st2sensor.transport.base import Message


class Returned:
    """The returned messages of one batch.

    :param messages: the batch. The broker returns messages in the order of publishing.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._places: dict[tuple[str | None, str], list[int]] | None = None
        """Indexes of the messages, by id and routing key, in reverse order. Built when the first message is
        returned."""
        self._indexes: set[int] = set()

    def add(self, identifier: str | None, routing_key: str) -> None:
        """Note a returned message."""
        if self._places is None:
            self._places = {}
            for index in reversed(range(len(self._messages))):
                message = self._messages[index]
                self._places.setdefault((message.id, message.routing_key), []).append(index)
        places = self._places.get((identifier, routing_key))
        if places:
            self._indexes.add(places.pop())

    @property
    def indexes(self) -> tuple[int, ...]:
        """Indexes of the returned messages, in ascending order."""
        return tuple(sorted(self._indexes))
