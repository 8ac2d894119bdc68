"""Follows events from the outbox to the broker, and records what happens to them. For the publisher's thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from st2sensor.delivery.messages import LATE
from st2sensor.errors import RoutingKeyForbidden
from st2sensor.history.event import Outcome, State
from st2sensor.history.writer import NoHistory, Record
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.outbox import First
from st2sensor.outbox.tail import Row
from st2sensor.transport.base import Message

FAILED_LIMIT = 10_000
"""Number of events whose failed attempts are remembered. The newest are forgotten last."""


class _Failed(NamedTuple):
    attempts: int
    problem: str


class _Route(NamedTuple):
    """The destination of a message. Its body is not kept: it may be large, and the next window may be a long time
    away."""

    exchange: str
    routing_key: str
    is_late: bool


_NOWHERE = _Route(exchange="", routing_key="", is_late=False)
"""The route of a row without a message."""


class Courses:
    """The courses of the events that are being published.

    :param history: records them when they leave the outbox.
    :param clock: seconds since the epoch.
    """

    def __init__(self, history: Record | None = None, clock: Callable[[], float] = time.time) -> None:
        self._history = history or NoHistory()
        self._clock = clock
        self._routes: Mapping[int, _Route] = {}
        """The routes of the messages that were made last, by id of their row."""
        self._failed: dict[int, _Failed] = {}
        """The failed attempts of rows by id."""

    def made(self, messages: Mapping[int, Message]) -> None:
        """Note the messages of rows that are published next."""
        self._routes = {
            row: _Route(message.exchange, message.routing_key, LATE in message.headers)
            for row, message in messages.items()
        }

    def failed(self, rows: Sequence[Row], problem: Exception) -> None:
        """Note that publishing rows has failed."""
        text = str(problem)
        confirmed = set(problem.confirmed) if isinstance(problem, RoutingKeyForbidden) else set()
        for row in [row for index, row in enumerate(rows) if index not in confirmed]:
            before = self._failed.pop(row.id, None)
            self._failed[row.id] = _Failed(1 if before is None else before.attempts + 1, text)
        while len(self._failed) > FAILED_LIMIT:
            del self._failed[next(iter(self._failed))]

    def ended(self, rows: Sequence[Row], state: State, reason: str | None) -> First:
        """Return a function that records rows which leave the outbox, and then lets them be deleted."""
        now = self._clock()
        return partial(self._history.record, [self._outcome(row, state, reason, now) for row in rows])

    def _outcome(self, row: Row, state: State, reason: str | None, now: float) -> Outcome:
        failed = self._failed.pop(row.id, None) if self._failed else None
        route = self._routes.get(row.id, _NOWHERE)
        attempts = 0 if failed is None else failed.attempts
        return Outcome(
            entry=row.entry,
            state=state,
            settled=now,
            committed=row.committed,
            reason=reason or "",
            exchange=route.exchange,
            routing_key=route.routing_key,
            attempts=attempts if state is State.DEAD else attempts + 1,
            problem="" if failed is None else failed.problem,
            is_late=route.is_late,
        )


def buried(entries: Sequence[Entry]) -> list[Outcome]:
    """Return the outcomes of entries that became dead letters just now, without having been in the outbox."""
    now = time.time()
    return [
        Outcome(entry=entry, state=State.DEAD, settled=now, committed=now, reason=entry.reason or "")
        for entry in entries
    ]
