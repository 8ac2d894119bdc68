"""Finds events of this node: those in its history, and those that still wait in its outbox."""

from __future__ import annotations

from pathlib import Path

from st2sensor.errors import EventNotFound
from st2sensor.history.event import Recorded
from st2sensor.history.filters import Filters
from st2sensor.history.reader import History
from st2sensor.history.waiting import waiting


def newest(history: History, outbox: Path, filters: Filters, limit: int) -> list[Recorded]:
    """Return the events that filters accept and that were dispatched last, oldest first. Raises HistoryError."""
    waits = [event for event in waiting(outbox) if filters.accepts(event)]
    return sorted([*history.newest(filters, limit), *waits], key=lambda event: event.created)[-limit:]


def one(history: History, outbox: Path, identifier: str) -> Recorded:
    """Return an event by its message_id, or by its beginning. Raises HistoryError, EventNotFound."""
    try:
        return history.get(identifier)
    except EventNotFound:
        for waits in waiting(outbox):
            if waits.message_id.startswith(identifier):
                return waits
        raise
