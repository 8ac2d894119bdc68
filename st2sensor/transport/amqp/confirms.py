"""Tracks which messages of a channel the broker has confirmed, and how long the others have waited."""

from __future__ import annotations

from collections.abc import Sequence


class Confirms:
    """The confirms of one channel. Delivery tags count from 1. Callers pass the time."""

    def __init__(self) -> None:
        self.sent = 0
        """The newest tag."""
        self.problem = ""
        """Why the broker has not accepted a message since `begin`; empty if it has accepted all."""
        self._waiting: set[int] = set()
        self._began = self._moved = 0.0

    def __len__(self) -> int:
        """Return the number of unconfirmed messages."""
        return len(self._waiting)

    def begin(self, now: float) -> None:
        """Note that a batch is being sent."""
        self.problem = ""
        self._began = self._moved = now

    def add(self) -> None:
        """Note that a message is being sent."""
        self.sent += 1
        self._waiting.add(self.sent)

    def moved(self, now: float) -> None:
        """Note that the broker has made progress, or has a reason not to."""
        self._moved = now

    def ack(self, delivery_tag: int, multiple: bool) -> None:
        """Note that a message is confirmed and, if `multiple`, all earlier ones as well."""
        if multiple:
            self._waiting = {tag for tag in self._waiting if tag > delivery_tag}
        else:
            self._waiting.discard(delivery_tag)

    def waited(self, now: float) -> float:
        """Return the seconds since the batch was sent."""
        return now - self._began

    def stuck(self, now: float) -> float:
        """Return the seconds since the last progress."""
        return now - self._moved

    def split(self, before: int) -> tuple[tuple[int, ...], Sequence[int]]:
        """Return the indexes of the messages sent after the first `before`: those confirmed, and the others."""
        sent = range(self.sent - before)
        confirmed = tuple(index for index in sent if before + index + 1 not in self._waiting)
        return confirmed, [index for index in sent if before + index + 1 in self._waiting]
