"""Converts outcomes to rows of the history's file, and rows to recorded events."""

from __future__ import annotations

from typing import Any

from st2sensor.history.event import Outcome, Recorded, State, trace_tag_of
from st2sensor.history.file import shown_id, stored_id
from st2sensor.history.names import Names

MICROSECONDS = 1_000_000

STATES = (State.CONFIRMED, State.UNROUTED, State.DEAD)
"""The states by the number that stands for them in the file."""

NUMBERS = {state: number for number, state in enumerate(STATES)}

COLUMNS = (
    "message_id, sensor, trigger, trigger_type, created, committed, settled, state, node, fence, exchange, routing_key,"
    " attempts, is_late, tagged, trace, reason, problem, body"
)
INSERT = f"INSERT OR IGNORE INTO events ({COLUMNS}) VALUES ({', '.join('?' * 19)})"

SELECT = (
    "SELECT seq, message_id, sensor.text, trigger.text, type.text, created, committed, settled, state, node.text,"
    " fence, exchange.text, routing.text, attempts, is_late, tagged, trace, reason, problem, body FROM events"
    " LEFT JOIN names AS sensor ON sensor.id = events.sensor LEFT JOIN names AS trigger ON trigger.id = events.trigger"
    " LEFT JOIN names AS type ON type.id = events.trigger_type LEFT JOIN names AS node ON node.id = events.node"
    " LEFT JOIN names AS exchange ON exchange.id = events.exchange"
    " LEFT JOIN names AS routing ON routing.id = events.routing_key"
)


def row_of(outcome: Outcome, names: Names, node: str, *, with_body: bool) -> tuple[object, ...]:
    """Return an outcome's values of COLUMNS."""
    entry = outcome.entry
    created = _microseconds(entry.created)
    return (
        stored_id(entry.message_id),
        names.number(entry.sensor),
        names.number(entry.trigger),
        names.number(entry.trigger_type),
        created,
        None if outcome.committed is None else _microseconds(outcome.committed) - created,
        _microseconds(outcome.settled) - created,
        NUMBERS[outcome.state],
        names.number(node),
        entry.fence,
        names.number(outcome.exchange) if outcome.exchange else None,
        names.number(outcome.routing_key) if outcome.routing_key else None,
        outcome.attempts,
        outcome.is_late,
        entry.tagged,
        trace_tag_of(entry.body),
        outcome.reason or None,
        outcome.problem or None,
        entry.body if with_body else None,
    )


def recorded_of(row: tuple[Any, ...]) -> Recorded:
    """Return the event in a row of SELECT."""
    (seq, message_id, sensor, trigger, trigger_type, created, committed, settled, state, node) = row[:10]
    (fence, exchange, routing_key, attempts, is_late, tagged, trace, reason, problem, body) = row[10:]
    return Recorded(
        seq=seq,
        message_id=shown_id(message_id),
        sensor=sensor or "",
        trigger=trigger or "",
        trigger_type=trigger_type or "",
        created=created / MICROSECONDS,
        committed=None if committed is None else (created + committed) / MICROSECONDS,
        settled=(created + settled) / MICROSECONDS,
        state=STATES[state],
        reason=reason or "",
        node=node or "",
        fence=fence,
        exchange=exchange or "",
        routing_key=routing_key or "",
        attempts=attempts,
        problem=problem or "",
        is_late=bool(is_late),
        trace_tag=trace,
        tagged=bool(tagged),
        body=body,
    )


def _microseconds(seconds: float) -> int:
    return int(seconds * MICROSECONDS)
