"""Encodes the bodies of trigger instances and announcements, as StackStorm's pickles or as JSON.

Pickles of plain data are written, because StackStorm's consumers accept nothing else. No pickle is ever read.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from st2sensor.errors import Undeliverable
from st2sensor.portable.payload import for_stackstorm, plain
from st2sensor.transport import rules_engine
from st2sensor.transport.base import Message
from st2sensor.transport.topology import CONTAINERS, Topology

PICKLE_PROTOCOL = 4
JSON_TYPE = "application/json"
PICKLE_TYPE = "application/x-python-serialize"

Encode = Callable[[str, str, bool], bytes]
"""Function that encodes a body, given the serializer, the body, and whether it is tagged."""

OBJECT_ID = re.compile("[0-9a-f]{24}")
"""Matches the id of a document as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An object of a class that need not be importable here.

    :param module: the module of the class.
    :param name: the name of the class.
    :param state: the state of the object, for its __setstate__ or __dict__.
    :param items: the items of an object that is a mapping.
    """

    module: str
    name: str
    state: Any
    items: Mapping[str, Any] | None = None


def trigger_message(
    body: str,
    *,
    tagged: bool,
    topology: Topology,
    serializer: str,
    routing_key: str,
    message_id: str,
    created: float | None = None,
    headers: Mapping[str, str] | None = None,
    encode: Encode | None = None,
) -> Message:
    """Return the message of a trigger instance. Raises ValueError for a body that is not JSON, and Undeliverable.

    :param body: the trigger instance as JSON.
    :param tagged: whether the payload contains types that JSON lacks.
    :param serializer: `pickle` or `json`.
    :param created: the time of its dispatch, in seconds since the epoch; None if it is unknown.
    :param encode: function that encodes the body elsewhere, for example in a worker process.
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
        created=created,
    )


def announcement(exchange: str, event: str, fields: Mapping[str, str]) -> Message:
    """Return an announcement that something has changed. Receivers read the change itself from the database.

    :param event: `create`, `update` or `delete`.
    """
    body = json.dumps(dict(fields)).encode()
    return Message(exchange=exchange, routing_key=event, body=body, content_type=JSON_TYPE, content_encoding="utf-8")


def database_announcement(
    exchange: str, event: str, *, module: str, name: str, document: Mapping[str, Any], identifier: str | None
) -> Message:
    """Return an announcement in the form that StackStorm's services accept: an object of a database class.

    :param event: `create`, `update` or `delete`.
    :param module: the module of the class.
    :param name: the name of the class.
    :param document: the object's document without its id.
    :param identifier: the id as text; None when it is unknown.
    """
    items = dict(document)
    if identifier is not None and OBJECT_ID.fullmatch(identifier):
        known = Instance(module="bson.objectid", name="ObjectId", state=bytes.fromhex(identifier))
        items = {"_id": known, **items}
    data = Instance(module="bson.son", name="SON", state={"_SON__keys": list(items)}, items=items)
    body = _pickled(Instance(module=module, name=name, state={"_data": data}))
    return Message(exchange=exchange, routing_key=event, body=body, content_type=PICKLE_TYPE, content_encoding="binary")


def introduction(topology: Topology, serializer: str, headers: Mapping[str, str]) -> Message:
    """Return a message from a container to other containers.

    :param serializer: `pickle` or `json`, which StackStorm's watchers must be able to decode.
    :param headers: the content. The body is empty, because bodies are never decoded here.
    """
    _, content_type, content_encoding = SERIALIZERS[serializer]
    return Message(
        exchange=topology.sensors,
        routing_key=CONTAINERS,
        body=b"{}" if serializer == "json" else pickle.dumps({}, protocol=PICKLE_PROTOCOL),
        content_type=content_type,
        content_encoding=content_encoding,
        headers=dict(headers),
    )


def encoded(serializer: str, body: str, tagged: bool) -> bytes:
    """Return the encoded body of a trigger instance's message.

    Raises ValueError for a body that is not JSON, and Undeliverable for one that its consumers cannot accept.
    """
    encode, _, _ = SERIALIZERS[serializer]
    data: bytes = encode(body, tagged)
    return data


def encoded_text(serializer: str, body: str, tagged: bool) -> str | dict[str, str] | None:
    """Return the result of `encoded` in base64, for a worker process; None when it equals the body.

    For a body that its consumers cannot accept, return `{"undeliverable": reason}`.
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
        # orjson rejects lone surrogates.
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
        # Python refuses to read integers with thousands of digits.
        raise rules_engine.refused("payload", "has a value that cannot be read") from error
    rules_engine.check(decoded)
    trace = decoded["trace_context"]
    if trace is None:
        return pickle.dumps(decoded, protocol=PICKLE_PROTOCOL)
    state = {"id_": trace["id_"], "trace_tag": trace["trace_tag"]}
    decoded["trace_context"] = Instance(module="st2common.models.api.trace", name="TraceContext", state=state)
    return _pickled(decoded)


def _pickled(value: Any) -> bytes:
    buffer = io.BytesIO()
    _StackStormPickler(buffer, protocol=PICKLE_PROTOCOL).dump(value)
    return buffer.getvalue()


_PurePickler: Any = vars(pickle)["_Pickler"]


class _StackStormPickler(_PurePickler):  # type: ignore[misc]
    """Writes an Instance as an object of the class that it names.

    It derives from the pure Python pickler, because the C one refuses classes that it cannot import.
    """

    def save_instance(self, instance: Instance) -> None:
        self.save(instance.module)
        self.save(instance.name)
        self.write(pickle.STACK_GLOBAL)
        # This object represents the class in the memo.
        self.memoize(object())
        self.write(pickle.EMPTY_TUPLE + pickle.NEWOBJ)
        self.memoize(instance)
        for key, value in (instance.items or {}).items():
            self.save(key)
            self.save(value)
            self.write(pickle.SETITEM)
        self.save(instance.state)
        self.write(pickle.BUILD)

    dispatch: ClassVar[dict[type, Any]] = {**_PurePickler.dispatch, Instance: save_instance}


SERIALIZERS = {"json": (_encode_json, JSON_TYPE, "utf-8"), "pickle": (_encode_pickle, PICKLE_TYPE, "binary")}
"""Encoding function, content type and content encoding by serializer."""
