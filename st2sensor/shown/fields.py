"""An event as JSON, for commands, the page, and commands on other nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from st2sensor.history.event import Recorded
from st2sensor.portable import isotime
from st2sensor.shown.masks import Masks
from st2sensor.shown.timeline import steps


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
        "kept": event.body is not None,
        "payload": masks.payload(event),
    }


def whole(event: Recorded, masks: Masks, replays: Sequence[tuple[float, str]]) -> dict[str, Any]:
    """Return an event for JSON, with its timeline."""
    timeline = [{"time": time(at), "text": text} for at, text in steps(event, replays)]
    return {**fields(event, masks), "timeline": timeline}


def time(at: float | None) -> str | None:
    """Return a time for JSON; None for None."""
    return None if at is None else isotime.format(at, offset=False)
