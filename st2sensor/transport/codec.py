"""Message bodies: trigger instances as StackStorm's pickle or as JSON, announcements as JSON.

Pickles are written, of plain data, because StackStorm's consumers take nothing else. None is ever read.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import orjson

from st2sensor.errors import Undeliverable
from st2sensor.models import TraceContext
from st2sensor.payload import for_stackstorm, plain
from st2sensor.transport import rules_engine
from st2sensor.transport.base import Message
from st2sensor.transport.topology import Topology

PICKLE_PROTOCOL = 4
JSON_TYPE = "application/json"
PICKLE_TYPE = "application/x-python-serialize"

Encode = Callable[[str, str, bool], bytes]
"""Encodes with a serializer a body, which is tagged or not."""

TRACE_CONTEXT_MODULE, TRACE_CONTEXT_CLASS = "st2common.models.api.trace", "TraceContext"
TRACE_CONTEXT_CLASS_MARK = object()
"""Stands in the pickler's memo for StackStorm's class."""


def trigger_message(
    body: str,
    *,
    tagged: bool,
    topology: Topology,
    serializer: str,
    routing_key: str,
    message_id: str,
    headers: Mapping[str, str] | None = None,
    encode: Encode | None = None,
) -> Message:
    """Encode a trigger instance for its consumers. Raises ValueError for a body that is not JSON, and Undeliverable.

    :param body: its JSON form.
    :param tagged: whether its payload holds more than JSON.
    :param serializer: `pickle` or `json`.
    :param encode: encodes it elsewhere.
    """
    _, content_type, content_encoding = SERIALIZERS[serializer]
    return Message(
        exchange=topology.dispatch,
        routing_key=routing_key,
        body=(encode or encoded)(serializer, body, tagged),
        content_type=content_type,
        content_encoding=content_encoding,
        id=message_id,
        headers=dict(headers or {}),
        mandatory=True,
    )


def announcement(exchange: str, event: str, fields: Mapping[str, str]) -> Message:
    """Encode a hint that something changed: receivers look into the database.

    :param event: `create`, `update` or `delete`.
    """
    body = json.dumps(dict(fields)).encode()
    return Message(exchange=exchange, routing_key=event, body=body, content_type=JSON_TYPE, content_encoding="utf-8")


def encoded(serializer: str, body: str, tagged: bool) -> bytes:
    """The body of a trigger instance's message. Raises ValueError for one that is not JSON, and Undeliverable for one
    that its consumers cannot take."""
    encode, _, _ = SERIALIZERS[serializer]
    data: bytes = encode(body, tagged)
    return data


def encoded_text(serializer: str, body: str, tagged: bool) -> str | dict[str, str] | None:
    """The same in base64, for a worker process; None where it is the body itself.

    `{"undeliverable": reason}` for one that its consumers cannot take.
    """
    try:
        data = encoded(serializer, body, tagged)
    except Undeliverable as error:
        return {"undeliverable": str(error)}
    return None if data == body.encode() else base64.b64encode(data).decode()


def _encode_json(body: str, tagged: bool) -> bytes:
    if tagged:
        decoded = json.loads(body)
        return json.dumps({**decoded, "payload": plain(decoded["payload"])}).encode()
    data = body.encode()
    try:
        orjson.loads(data)
    except ValueError:
        # It takes no lone surrogates.
        json.loads(body)
    return data


def _encode_pickle(body: str, tagged: bool) -> bytes:
    try:
        decoded = json.loads(body)
        if tagged:
            decoded["payload"] = for_stackstorm(decoded["payload"])
    except RecursionError:
        raise rules_engine.refused("payload", rules_engine.TOO_DEEP) from None
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        # Python reads no integers of thousands of digits.
        raise rules_engine.refused("payload", "has a value that cannot be read") from error
    rules_engine.check(decoded)
    trace = decoded["trace_context"]
    if trace is None:
        return pickle.dumps(decoded, protocol=PICKLE_PROTOCOL)
    decoded["trace_context"] = TraceContext(id=trace["id_"], tag=trace["trace_tag"])
    buffer = io.BytesIO()
    _StackStormPickler(buffer, protocol=PICKLE_PROTOCOL).dump(decoded)
    return buffer.getvalue()


_PurePickler: Any = vars(pickle)["_Pickler"]


class _StackStormPickler(_PurePickler):  # type: ignore[misc]
    """Writes our TraceContext as an instance of StackStorm's class, which need not be importable here.

    Derived from the pure Python pickler: the C one refuses to name a class that it cannot import.
    """

    def save_trace_context(self, context: TraceContext) -> None:
        self.save(TRACE_CONTEXT_MODULE)
        self.save(TRACE_CONTEXT_CLASS)
        self.write(pickle.STACK_GLOBAL)
        self.memoize(TRACE_CONTEXT_CLASS_MARK)
        self.write(pickle.EMPTY_TUPLE + pickle.NEWOBJ)
        self.memoize(context)
        self.save({"id_": context.id, "trace_tag": context.tag})
        self.write(pickle.BUILD)

    dispatch: ClassVar[dict[type, Any]] = {**_PurePickler.dispatch, TraceContext: save_trace_context}


SERIALIZERS = {"json": (_encode_json, JSON_TYPE, "utf-8"), "pickle": (_encode_pickle, PICKLE_TYPE, "binary")}
"""What encodes, the content type, and the content encoding."""
