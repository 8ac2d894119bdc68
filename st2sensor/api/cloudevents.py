"""Events of the history as CloudEvents 1.0, in their JSON format.

Source: the CloudEvents specification 1.0, and its JSON event format.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from st2sensor.history.event import Recorded
from st2sensor.portable import isotime

CONTENT_TYPE = "application/cloudevents+json"

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "time", "datacontenttype", "data"],
    "properties": {
        "specversion": {"type": "string", "enum": ["1.0"]},
        "id": {"type": "string", "minLength": 1, "description": "The message_id. It stays the same when repeated."},
        "source": {"type": "string", "format": "uri-reference", "description": "/NODE/SENSOR"},
        "type": {"type": "string", "minLength": 1, "description": "The reference of the trigger type."},
        "time": {"type": "string", "format": "date-time", "description": "When the sensor dispatched the event."},
        "datacontenttype": {"type": "string", "enum": ["application/json"]},
        "st2trigger": {"type": "string", "description": "The reference of the trigger, if it is not the type's."},
        "st2late": {"type": "boolean", "description": "Set if another node may have been running the sensor."},
        "data": {
            "type": "object",
            "required": ["payload", "trace_tag"],
            "properties": {
                "payload": {"description": "The payload; null if it was not kept."},
                "trace_tag": {"type": "string", "nullable": True},
                "withheld": {"type": "string", "description": "Why the payload is null."},
            },
        },
    },
}
"""The schema of an event, in the form of OpenAPI 3.0."""

NOT_KEPT = "the payloads of this sensor are not kept: see `payloads` in [history] and in overrides"
NOT_JSON = "the payload is not JSON"


def text_of(event: Recorded) -> str:
    """Return an event of the history as the JSON of a CloudEvent."""
    found = cloud_event(event)
    try:
        return json.dumps(found, separators=(",", ":"))
    except RecursionError:
        # Around the payload there are more levels than when it was read.
        found["data"] |= {"payload": None, "withheld": NOT_JSON}
        return json.dumps(found, separators=(",", ":"))


def cloud_event(event: Recorded) -> dict[str, Any]:
    """Return an event of the history as a CloudEvent."""
    data: dict[str, Any] = {"payload": None, "trace_tag": event.trace_tag}
    if event.body is None:
        data["withheld"] = NOT_KEPT
    else:
        try:
            data["payload"] = event.payload
        except (ValueError, KeyError, TypeError, RecursionError):
            data["withheld"] = NOT_JSON
    found: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.message_id,
        "source": f"/{quote(event.node, safe='')}/{quote(event.sensor, safe='')}",
        "type": event.trigger_type,
        "time": isotime.format(event.created, offset=False),
        "datacontenttype": "application/json",
        "data": data,
    }
    if event.trigger != event.trigger_type:
        found["st2trigger"] = event.trigger
    if event.is_late:
        found["st2late"] = True
    return found
