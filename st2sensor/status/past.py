"""The newest events of a container, so that a page shows the events before it was opened."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import count
from typing import Any

from st2sensor.container import broadcast
from st2sensor.container.broadcast import Event

KEPT = 100
"""Maximum number of failures that are kept, and of other events. Triggers never push a failure out."""

TEXT_LIMIT = 300
"""Maximum number of characters of a text, so that all events together stay below a few hundred kilobytes."""

FAILED_STATES = frozenset({"backoff", "refused"})

FIELDS = ("kind", "at", "sensor", "state", "trigger", "message_id")
"""Fields of events that are kept as they are."""


class Past:
    """A watcher of the broadcast that keeps the newest events. For the loop's thread."""

    kinds = frozenset({broadcast.STATE, broadcast.TRIGGER, broadcast.INVALID, broadcast.ERROR})

    def __init__(self) -> None:
        self._numbers = count(1)
        self._failures: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._others: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.last = 0
        """Number of the newest event; 0 before the first."""

    def see(self, event: Event) -> None:
        """Keep an event, under the next number."""
        self.last = next(self._numbers)
        kept = {"id": self.last, **{name: event[name] for name in FIELDS if name in event}}
        if "reason" in event:
            kept["reason"] = _short(str(event["reason"]).partition("\n")[0])
        if "text" in event:
            # The message of a traceback is in its last line.
            kept["text"] = _short(str(event["text"]).rstrip().rpartition("\n")[2])
        (self._failures if is_failure(kept) else self._others).append(kept)

    def after(self, number: int) -> list[dict[str, Any]]:
        """Return the kept events that are newer than the one with a number, oldest first."""
        return sorted(
            [item for ring in (self._failures, self._others) for item in _newer(ring, number)],
            key=lambda item: int(item["id"]),
        )


def is_failure(event: Event) -> bool:
    """Return whether an event is a failure: an error, a dead letter, or the end of a failed process."""
    return event["kind"] in (broadcast.ERROR, broadcast.INVALID) or event.get("state") in FAILED_STATES


def _newer(ring: deque[dict[str, Any]], number: int) -> Iterable[dict[str, Any]]:
    for item in reversed(ring):
        if item["id"] <= number:
            return
        yield item


def _short(text: str) -> str:
    return text if len(text) <= TEXT_LIMIT else f"{text[: TEXT_LIMIT - 1]}…"
