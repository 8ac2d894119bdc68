"""Which messages of a channel the broker has confirmed, and how long the others have waited."""

from __future__ import annotations

from collections.abc import Sequence


class Confirms:
    """Delivery tags count from 1. The clock is the caller's."""

    def __init__(self) -> None:
        self.sent = 0
        """The newest tag."""
        self.problem = ""
        """Why the broker did not take a message since `begin`; empty if it took all."""
        self._waiting: set[int] = set()
        self._began = self._moved = 0.0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def begin(self, now: float) -> None:
        """A batch leaves."""
        self.problem = ""
        self._began = self._moved = now

    def add(self) -> None:
        """A message leaves."""
        self.sent += 1
        self._waiting.add(self.sent)

    def moved(self, now: float) -> None:
        """The broker has done something, or is excused for doing nothing."""
        self._moved = now

    def ack(self, delivery_tag: int, multiple: bool) -> None:
        if multiple:
            self._waiting = {tag for tag in self._waiting if tag > delivery_tag}
        else:
            self._waiting.discard(delivery_tag)

    def waited(self, now: float) -> float:
        """Seconds since the batch left."""
        return now - self._began

    def stuck(self, now: float) -> float:
        """Seconds since anything moved."""
        return now - self._moved

    def split(self, before: int) -> tuple[tuple[int, ...], Sequence[int]]:
        """The messages that left after the first `before`, by index: those that are confirmed, and those that wait."""
        sent = range(self.sent - before)
        confirmed = tuple(index for index in sent if before + index + 1 not in self._waiting)
        return confirmed, [index for index in sent if before + index + 1 in self._waiting]
