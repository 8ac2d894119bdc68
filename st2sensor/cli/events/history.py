"""Events of the history as commands show them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from st2sensor.cli.text import units
from st2sensor.cli.text.printable import in_line
from st2sensor.history.event import State
from st2sensor.portable import isotime

SHOWN_ID = 10
"""Number of characters of a message_id in a table. They nearly always suffice to find the event."""

COLOURS: Mapping[str, str] = {
    State.CONFIRMED: "green",
    State.WAITING: "yellow",
    State.HELD: "yellow",
    State.UNROUTED: "yellow",
    State.DEAD: "red",
}


def table() -> Table:
    """Return a table for events; its last column takes the space that is left."""
    found = Table(box=None, pad_edge=False, expand=True)
    for name in ("time", "state", "id"):
        found.add_column(name, no_wrap=True)
    found.add_column("trigger", no_wrap=True, overflow="ellipsis", max_width=24)
    found.add_column("payload", no_wrap=True, overflow="ellipsis", ratio=1)
    return found


def row(event: Mapping[str, Any]) -> tuple[Text, ...]:
    """Return the fields of an event as a row of `table`. They may come from another node."""
    state = str(event["state"])
    text = in_line(str(event["reason"] or "")) if state == State.DEAD else summary(event)
    return (
        Text(units.clock(at(event["dispatched"]))),
        Text(in_line(state), COLOURS.get(state, "")),
        Text(in_line(str(event["message_id"])[:SHOWN_ID])),
        Text(in_line(str(event["trigger_type"]))),
        Text(text),
    )


def line(event: Mapping[str, Any]) -> Text:
    """Return an event as a line, for commands that follow."""
    return Text("  ").join(row(event))


def summary(event: Mapping[str, Any]) -> str:
    """Return a payload in one line."""
    payload = event["payload"]
    if not event["kept"]:
        return "(not kept)"
    if not isinstance(payload, Mapping):
        return in_line(json.dumps(payload, ensure_ascii=False))
    return "  ".join(
        in_line(f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
        for name, value in payload.items()
    )


def at(time: str | None) -> float | None:
    """Return a time of an event's fields in seconds since the epoch."""
    return None if time is None else isotime.parse(time).timestamp()
