"""The OpenAPI document that the endpoint publishes about itself."""

from __future__ import annotations

from typing import Any

from st2sensor import __version__
from st2sensor.core_pack.webhooks.access import API_KEY, TOKEN
from st2sensor.core_pack.webhooks.payload import FORM, JSON

REASON = {"type": "object", "properties": {"faultstring": {"type": "string"}}, "required": ["faultstring"]}

REFUSALS = {
    400: "The body, or the request, is malformed; the reason says how.",
    401: "An API key or a signature is missing or wrong.",
    404: "No rule asks for this URL.",
    405: "The method is not POST.",
    408: "The body did not arrive in time.",
    413: "The body is too long.",
    415: "The body is neither JSON nor a form.",
    429: "Too many requests for this URL; Retry-After says when to try again.",
    503: "The event cannot be stored at the moment; send it again later.",
}


def document(prefix: str, *, needs_key: bool) -> dict[str, Any]:
    """Return the document.

    :param prefix: the endpoint's path, before the webhook's URL.
    :param needs_key: whether senders need an API key.
    """
    body = {"anyOf": [{"type": "object"}, {"type": "array"}]}
    form = {"type": "object", "additionalProperties": {"type": "string"}}
    answers = {str(status): _answer(text, REASON) for status, text in REFUSALS.items()}
    answers["429"]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    post = {
        "summary": "Post to a webhook",
        "description": "An answer of 202 means that every rule that asks for this URL will receive the event.",
        "operationId": "post_webhook",
        "parameters": [
            {
                "name": "url",
                "in": "path",
                "required": True,
                "description": "The url of a core.st2.webhook trigger. It may have slashes in it.",
                "schema": {"type": "string", "minLength": 1},
            },
            {
                "name": "St2-Trace-Tag",
                "in": "header",
                "description": "Links the trigger instance to others with the same tag.",
                "schema": {"type": "string"},
            },
        ],
        "requestBody": {"content": {JSON: {"schema": body}, FORM: {"schema": form}}},
        "responses": {
            "202": _answer("The event is on disk. The answer repeats the body as it was parsed.", body),
            **answers,
        },
    }
    keys = {name: {"type": "apiKey", "in": "header", "name": name} for name in (API_KEY, TOKEN)}
    return {
        "openapi": "3.0.3",
        "info": {"title": "st2sensor webhooks", "version": __version__},
        "servers": [{"url": "/"}],
        "paths": {f"{prefix}{{url}}": {"post": post}},
        "components": {"securitySchemes": keys},
        "security": [*([] if needs_key else [{}]), *({name: []} for name in keys)],
    }


def _answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {JSON: {"schema": schema}}}
