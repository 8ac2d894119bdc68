"""Turns a request into the payload that rules expect."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

from st2sensor.core_pack.webhooks.refusal import Refusal
from st2sensor.models import CORE_PACK
from st2sensor.packs.bundled import core_trigger_types
from st2sensor.schemas.dialect import Compiled

JSON, FORM = "application/json", "application/x-www-form-urlencoded"

TYPE = f"{CORE_PACK}.st2.webhook"

CREDENTIALS = frozenset({"st2-api-key", "x-auth-token", "cookie"})
"""Headers that are kept out of payloads, as in StackStorm."""

FIELDS = 10_000
"""Maximum number of fields of a form."""

SCHEMA = Compiled(next(item.payload_schema or {} for item in core_trigger_types() if item.ref == TYPE))


def payload_of(headers: Iterable[tuple[str, str]], body: Any) -> dict[str, Any]:
    """Return a trigger's payload. Raises Refusal if it does not fit the trigger type's schema.

    `headers` has the names as StackStorm's servers write them, as in X-Github-Event; `headers_lower` has them in lower
    case.
    """
    seen: dict[str, str] = {}
    for name, value in headers:
        if name.lower() not in CREDENTIALS:
            titled = name.title()
            seen[titled] = f"{seen[titled]}, {_text(value)}" if titled in seen else _text(value)
    payload = {
        "headers": seen,
        "headers_lower": {name.lower(): value for name, value in seen.items()},
        "body": body,
    }
    if not isinstance(body, dict | list):
        raise Refusal(400, f"the body must be an object, an array or a form, not {json.dumps(body)[:100]}")
    problem = SCHEMA.violation(payload)
    if problem is not None:
        raise Refusal(400, f"the body does not fit trigger type {TYPE}: {problem}")
    return payload


def body_of(content_type: str, raw: bytes) -> Any:
    """Parse a body by its content type: JSON, which is the default, or a form. Raises Refusal.

    As in StackStorm, the fields of a form are lists.
    """
    kind = content_type.partition(";")[0].strip().lower() or JSON
    try:
        if kind == FORM:
            return parse_qs(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS)
        if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
            raise Refusal(415, f"a body of type {kind} is not understood: send {JSON} or {FORM}")
        body = json.loads(raw.decode(), parse_constant=_refuse_constant) if raw else {}
        # Python accepts some text that JSON in UTF-8 cannot hold: half of a surrogate pair, 1e999.
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as exception:
        what = "a valid form" if kind == FORM else "valid JSON"
        raise Refusal(400, f"the body is not {what}: {exception}") from None
    return body


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _text(value: str) -> str:
    """Return a header's value as valid text, because headers may hold any bytes."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
