"""Events of the history as commands show them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from st2sensor.cli.events.masking import Masks
from st2sensor.cli.text import units
from st2sensor.cli.text.printable import in_line
from st2sensor.history.event import Recorded, State
from st2sensor.portable import isotime

SHOWN_ID = 10
"""Number of characters of a message_id in a table. They nearly always suffice to find the event."""

COLOURS = {
    State.CONFIRMED: "green",
    State.WAITING: "yellow",
    State.HELD: "yellow",
    State.UNROUTED: "yellow",
    State.DEAD: "red",
}


def fields(event: Recorded, masks: Masks) -> dict[str, Any]:
    """Return an event for JSON. Times are ISO 8601, in UTC."""
    return {
        "message_id": event.message_id,
        "state": event.state,
        "sensor": event.sensor,
        "trigger": event.trigger,
        "trigger_type": event.trigger_type,
        "dispatched": time(event.created),
        "committed": time(event.committed),
        "settled": time(event.settled),
        "reason": event.reason or None,
        "node": event.node or None,
        "fence": event.fence,
        "exchange": event.exchange or None,
        "routing_key": event.routing_key or None,
        "attempts": event.attempts,
        "problem": event.problem or None,
        "late": event.is_late,
        "trace_tag": event.trace_tag,
        "payload": masks.payload(event),
    }


def time(at: float | None) -> str | None:
    """Return a time for JSON; None for None."""
    return None if at is None else isotime.format(at, offset=False)


def table() -> Table:
    """Return a table for events; its last column takes the space that is left."""
    found = Table(box=None, pad_edge=False, expand=True)
    for name in ("time", "state", "id"):
        found.add_column(name, no_wrap=True)
    found.add_column("trigger", no_wrap=True, overflow="ellipsis", max_width=24)
    found.add_column("payload", no_wrap=True, overflow="ellipsis", ratio=1)
    return found


def row(event: Recorded, masks: Masks) -> tuple[Text, ...]:
    """Return an event as a row of `table`."""
    return (
        Text(units.clock(event.created)),
        Text(event.state, COLOURS[event.state]),
        Text(in_line(event.message_id[:SHOWN_ID])),
        Text(in_line(event.trigger_type)),
        Text(in_line(event.reason) if event.state is State.DEAD else summary(event, masks)),
    )


def line(event: Recorded, masks: Masks) -> Text:
    """Return an event as a line, for commands that follow."""
    time_, state, identifier, trigger, last = row(event, masks)
    return Text("  ").join([time_, state, identifier, trigger, last])


def summary(event: Recorded, masks: Masks) -> str:
    """Return a payload in one line."""
    payload = masks.payload(event)
    if event.body is None:
        return "(not kept)"
    if not isinstance(payload, Mapping):
        return in_line(json.dumps(payload, ensure_ascii=False))
    return "  ".join(
        in_line(f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
        for name, value in payload.items()
    )
