"""Finds events in the history of this node, which has the events that have left the outbox. Only reads."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from st2sensor.errors import HistoryError
from st2sensor.history.event import Recorded, State
from st2sensor.history.filters import Filters
from st2sensor.history.reader import History
from st2sensor.why.life import Attempt, EventLife
from st2sensor.why.local_lives import PAGE


class RecordedLives:
    """Implements Lives, but raises HistoryError.

    :param path: the history's file. Without it, there are no events.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def named(self, identifier: str) -> list[EventLife]:
        """Return the event with a message_id, or with its beginning. Raises EventNotFound if several begin with it."""
        if not self._is_there():
            return []
        with closing(History(self._path)) as history:
            found = history.beginning(identifier)
            # If several events match, `get` raises an error that explains it.
            return [_life(history.get(identifier), history)] if found else []

    def traced(self, tag: str) -> list[EventLife]:
        return self._newest(Filters(trace_tag=tag))

    def of_trigger(self, ref: str) -> list[EventLife]:
        return self._newest(Filters(triggers=frozenset({ref})))

    def _is_there(self) -> bool:
        try:
            return self._path.is_file()
        except OSError as error:
            raise HistoryError(f"cannot read the history {self._path}: {error.strerror}") from error

    def _newest(self, filters: Filters) -> list[EventLife]:
        if not self._is_there():
            return []
        with closing(History(self._path)) as history:
            return [_life(event, history) for event in reversed(history.newest(filters, PAGE))]


def _life(event: Recorded, history: History) -> EventLife:
    failed = event.attempts if event.state is State.DEAD else event.attempts - 1
    replays = history.replays(event.message_id)
    return EventLife(
        message_id=event.message_id,
        sensor=event.sensor,
        trigger=event.trigger,
        trigger_type=event.trigger_type,
        created=event.created,
        payload=_payload(event),
        trace_tag=event.trace_tag,
        committed=event.committed,
        attempts=(Attempt(at=None, refusal=event.problem, times=failed),) if event.problem and failed > 0 else (),
        confirmed=event.settled if event.state is State.CONFIRMED else None,
        unrouted=event.settled if event.state is State.UNROUTED else None,
        is_dead=event.state is State.DEAD,
        reason=event.reason if event.state is State.DEAD else "",
        dead=event.settled if event.state is State.DEAD else None,
        node=event.node or None,
        fence=event.fence,
        replayed=replays[-1][0] if replays else None,
        is_late=event.is_late,
        source="history",
    )


def _payload(event: Recorded) -> Mapping[str, object] | None:
    try:
        payload = event.payload
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return payload if isinstance(payload, Mapping) else None
