"""The OpenAPI document of the API for consumers."""

from __future__ import annotations

from typing import Any

from st2sensor import __version__
from st2sensor.api.cloudevents import SCHEMA

JSON = "application/json"

EVENTS, TRIGGER_TYPES, DOCUMENT = "/v1/events", "/v1/trigger-types", "/v1/openapi.json"
"""Paths."""

LARGEST_LIMIT, LONGEST_WAIT = 1000, 60
"""Maximum number of events in an answer, and of seconds that a request waits."""

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "oldest": {"type": "string"}},
}

PARAMETERS: tuple[dict[str, Any], ...] = (
    {
        "name": "after",
        "description": "The cursor of an earlier answer. Without it, begin with the oldest event that is kept.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{8}[.][0-9]{1,18}$"},
    },
    {
        "name": "trigger",
        "description": "Only events of this trigger or trigger type. May be repeated.",
        "schema": {"type": "array", "items": {"type": "string", "minLength": 1}},
        "explode": True,
    },
    {"name": "sensor", "description": "Only events of this sensor.", "schema": {"type": "string", "minLength": 1}},
    {
        "name": "limit",
        "description": "Maximum number of events.",
        "schema": {"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT, "default": 100},
    },
    {
        "name": "wait",
        "description": "Seconds to wait for an event if there is none.",
        "schema": {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT, "default": 20},
    },
)


def document(*, needs_token: bool) -> dict[str, Any]:
    """Return the document.

    :param needs_token: whether a token is configured.
    """
    refusals = {
        "400": _answer("A parameter is wrong; the error says which.", ERROR),
        "401": {"description": "The token is missing or wrong."},
        "503": _answer("No events are kept, or too many consumers are waiting; the error says which.", ERROR),
    }
    events = {
        "summary": "Consume events, in the order in which they left the outbox",
        "operationId": "events",
        "parameters": [{**parameter, "in": "query", "required": False} for parameter in PARAMETERS],
        "responses": {
            "200": {
                "description": "Events, and the cursor with which to ask for the next ones. With `Accept: "
                "text/event-stream`, a stream of server-sent events, whose ids are cursors.",
                "content": {
                    JSON: {"schema": _page()},
                    "text/event-stream": {"schema": {"type": "string"}},
                },
            },
            "410": _answer("Events after the cursor are no longer kept; `oldest` is the oldest cursor.", ERROR),
            **refusals,
        },
    }
    types = {
        "summary": "The registered trigger types, with their schemas",
        "operationId": "trigger_types",
        "responses": {"200": _answer("The trigger types.", _types()), "401": refusals["401"]},
    }
    return {
        "openapi": "3.0.3",
        "info": {"title": "st2sensor events", "version": __version__},
        "servers": [{"url": "/"}],
        "paths": {EVENTS: {"get": events}, TRIGGER_TYPES: {"get": types}},
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}] if needs_token else [{}],
    }


def _page() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["events", "cursor"],
        "properties": {"events": {"type": "array", "items": SCHEMA}, "cursor": {"type": "string", "minLength": 1}},
    }


def _types() -> dict[str, Any]:
    text = {"type": "string", "nullable": True}
    schema = {"type": "object", "nullable": True}
    item = {
        "type": "object",
        "required": ["ref", "pack", "name", "description", "payload_schema", "parameters_schema"],
        "properties": {
            "ref": {"type": "string"},
            "pack": {"type": "string"},
            "name": {"type": "string"},
            "description": text,
            "payload_schema": schema,
            "parameters_schema": schema,
        },
    }
    return {
        "type": "object",
        "required": ["trigger_types"],
        "properties": {"trigger_types": {"type": "array", "items": item}},
    }


def _answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {JSON: {"schema": schema}}}
