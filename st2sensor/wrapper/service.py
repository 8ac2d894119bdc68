"""SensorService: what a sensor is given to dispatch triggers, log, and use the datastore. Every thread may call it.

Methods, signatures and results follow StackStorm's SensorService.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from st2sensor.portable.payload import TooDeep, pack
from st2sensor.portable.rpc import MAX_REQUEST_BYTES, MAX_REQUEST_TOTAL_BYTES, NotJson, body
from st2sensor.wrapper.connection import Caller
from st2sensor.wrapper.schemas import Schemas

SYSTEM_SCOPE = "st2kv.system"


LARGEST = MAX_REQUEST_TOTAL_BYTES - MAX_REQUEST_BYTES
"""Bytes of a payload that fits into a request. A larger one is withheld: the dead letter has the reason alone."""

NULL = b"null"

_ANY: Any = object()
"""Stands for no expectation: None is one."""


class Value(str):
    """A datastore value: the string itself, which also carries what StackStorm's key-value objects have.

    :ivar name: as it is stored, namespace included.
    :ivar secret: whether it is stored encrypted; `encrypted`: whether this is the ciphertext.
    :ivar expire_timestamp: when it expires, as in `2026-01-31T12:00:00.000000Z`; None for never.
    """

    name: str
    value: str
    secret: bool
    encrypted: bool
    expire_timestamp: Optional[str]

    def __new__(cls, entry: Dict[str, Any]) -> Value:
        value = super().__new__(cls, entry["value"])
        value.name = entry["name"]
        value.value = entry["value"]
        value.secret = entry["secret"]
        value.encrypted = entry["encrypted"]
        value.expire_timestamp = entry["expire_timestamp"]
        return value


class SensorService:
    """:param connection: to the container; :param logger_name: parent of the sensor's loggers.

    :ivar fence: where containers share sensors, a number that grows each time that another one takes this sensor: give
        it to systems that are written to, and have them refuse smaller ones than they have seen. None elsewhere.
    """

    def __init__(self, connection: Caller, logger_name: str, fence: Optional[int] = None) -> None:
        self._connection = connection
        self._logger = logging.getLogger(logger_name)
        self._schemas = Schemas(lambda trigger: connection.call("schema", {"trigger": trigger}))
        self.fence = fence

    @property
    def datastore_service(self) -> SensorService:
        """What has the datastore's methods: this object. StackStorm has another one for them."""
        return self

    def get_logger(self, name: str) -> logging.Logger:
        """A logger of this sensor, whose lines go to the container's log."""
        logger = logging.getLogger(f"{self._logger.name}.{name}")
        logger.propagate = True
        return logger

    def get_user_info(self) -> Dict[str, Any]:
        """The user the sensor acts as: `username`, `rbac`, `authentication`."""
        info: Dict[str, Any] = self._connection.call("user.info", {})
        return info

    def dispatch(
        self,
        trigger: Union[str, Dict[str, Any]],
        payload: Optional[Dict[str, Any]] = None,
        trace_tag: Optional[str] = None,
    ) -> None:
        """Inject a trigger; returns once it is on disk.

        :param trigger: reference `pack.name`, or a trigger's fields as add_trigger() got them.
        :param payload: what happened; None counts as empty.
        :param trace_tag: links the trigger instance to others of the same tag.

        Raises TypeError, which names the key, for a payload that has no form in JSON: besides JSON's types, datetime,
        date, time, bytes, set, Decimal, UUID and Enum have one. A trigger that is not registered, a payload that does
        not fit its schema, or one that cannot be delivered raises nothing, as in StackStorm: the container keeps it as
        a dead letter.
        """
        self._dispatch(trigger, payload, _tagged(trace_tag))

    def dispatch_with_context(
        self,
        trigger: Union[str, Dict[str, Any]],
        payload: Optional[Dict[str, Any]] = None,
        trace_context: Any = None,
    ) -> None:
        """Inject a trigger, as `dispatch` does.

        :param trace_context: an object or dict with `id_` and `trace_tag`.
        """
        self._dispatch(trigger, payload, None if trace_context is None else _trace(trace_context))

    def _dispatch(self, trigger: Any, payload: Any, trace: Optional[Dict[str, Any]]) -> None:
        event, body = self._event(trigger, payload, trace)
        self._schemas.learn(trigger, self._connection.call("dispatch", event, [body]))

    def _event(self, trigger: Any, payload: Any, trace: Optional[Dict[str, Any]]) -> Tuple[Dict[str, Any], bytes]:
        """An event as it is dispatched, and its payload. Raises TypeError for what cannot travel."""
        body, tagged, withheld = _body({} if payload is None else payload)
        event = {"trigger": trigger, "trace_context": trace, "tagged": tagged}
        if withheld is not None:
            return {**event, "withheld": withheld}, body
        return {**event, "schema": self._schemas.fitting(trigger, body, tagged)}, body

    def dispatch_and_set(
        self,
        triggers: Sequence[Sequence[Any]],
        name: str,
        value: Any,
        local: bool = True,
        expected: Optional[str] = _ANY,
    ) -> bool:
        """Dispatch triggers and store `str(value)`, both or neither, whatever crashes: a poll's events and its cursor.

        Beyond StackStorm.

        :param triggers: `(trigger, payload)` or `(trigger, payload, trace_tag)` each, as `dispatch` takes them.
        :param expected: the value that is replaced, as it was read; None where there was none.

        False, with nothing done, when the key has another value than `expected`, or was changed while this ran. After
        DatastoreUnavailable it is not known here whether it was done: read the key again, which tells.
        """
        events = [self._batched(*trigger) for trigger in triggers]
        params = {
            "events": [event for event, _ in events],
            "name": name,
            "local": local,
            "is_expected": expected is not _ANY,
            "expected": None,
        }
        texts = {"value": str(value)}
        if expected is not _ANY and expected is not None:
            texts["expected"] = str(expected)
        payloads = [body for _, body in events]
        return bool(self._call_with("datastore.dispatch_and_set", params, texts, payloads))

    def _batched(
        self, trigger: Any, payload: Any = None, trace_tag: Optional[str] = None
    ) -> Tuple[Dict[str, Any], bytes]:
        return self._event(trigger, payload, _tagged(trace_tag))

    def _call_with(
        self, method: str, params: Dict[str, Any], texts: Dict[str, str], payloads: Sequence[bytes] = ()
    ) -> Any:
        """Make a request whose texts, which may be long, go as bodies."""
        bodies = [body(text) for text in texts.values()]
        return self._connection.call(method, {**params, "texts": list(texts)}, [*bodies, *payloads])

    def list_values(
        self, local: bool = True, prefix: Optional[str] = None, limit: Optional[int] = None, offset: int = 0
    ) -> List[Value]:
        """The datastore's values, by name; secrets are ciphertext.

        :param local: only this sensor's own keys; otherwise all.
        :param prefix: only keys that start with it.
        :param limit: so many at the most; None for all. :param offset: after so many others.
        """
        params = {"local": local, "prefix": prefix, "limit": limit, "offset": offset}
        return [Value(entry) for entry in self._connection.call("datastore.list", params)]

    def get_value(
        self, name: str, local: bool = True, scope: str = SYSTEM_SCOPE, decrypt: bool = False
    ) -> Optional[Value]:
        """A value of the datastore, or None when there is no such key.

        :param decrypt: give the text of a secret, not its ciphertext.

        Raises DatastoreUnavailable when the database cannot be reached in time, DatastoreError for a secret that cannot
        be decrypted, DatastoreRefused for one that the sensor may not.
        """
        params = {"name": name, "local": local, "scope": scope, "decrypt": decrypt}
        entry = self._connection.call("datastore.get", params)
        return None if entry is None else Value(entry)

    def set_value(
        self,
        name: str,
        value: Any,
        ttl: Optional[float] = None,
        local: bool = True,
        scope: str = SYSTEM_SCOPE,
        encrypt: bool = False,
    ) -> bool:
        """Store `str(value)`; returns True. Of what is not text, store `json.dumps(value)`, and read it so.

        :param ttl: seconds until the key expires; None and 0 for never.
        :param scope: `st2kv.system`, or its other name, `system`.
        :param encrypt: store a secret.

        Raises DatastoreUnavailable when the database cannot be reached in time, DatastoreError when there is no key to
        encrypt with, DatastoreRefused for a key that the sensor may not change, and ValueError for what cannot be
        stored.
        """
        params = {"name": name, "ttl": ttl, "local": local, "scope": scope, "encrypt": encrypt}
        stored: bool = self._call_with("datastore.set", params, {"value": str(value)})
        return stored

    def compare_and_set(
        self, name: str, expected: Optional[str], value: Any, ttl: Optional[float] = None, local: bool = True
    ) -> bool:
        """Store `str(value)` if the key has the value `expected`, in one step; False when it has another.

        Beyond StackStorm. A secret has no value to compare with.

        :param expected: as it was read; None: there must be no such key.

        Raises what `set_value` does. After DatastoreUnavailable it may have been done.
        """
        params = {"name": name, "expected": None, "ttl": ttl, "local": local}
        texts = {"value": str(value)}
        if expected is not None:
            texts["expected"] = str(expected)
        done: bool = self._call_with("datastore.compare_and_set", params, texts)
        return done

    def delete_value(self, name: str, local: bool = True, scope: str = SYSTEM_SCOPE) -> bool:
        """Delete a key; False when there was none.

        Raises DatastoreUnavailable when the database cannot be reached in time; then it may have been done.
        """
        deleted: bool = self._connection.call("datastore.delete", {"name": name, "local": local, "scope": scope})
        return deleted


def _body(payload: Any) -> Tuple[bytes, bool, Optional[str]]:
    """A payload's JSON, whether it is tagged, because it holds more than JSON, and why it is withheld, if it is.

    What has a form in JSON that cannot be sent is null. Raises TypeError for what has none.
    """
    sent, tagged = None, False
    # Not in the handler: to a sensor it is no second error.
    with suppress(NotJson):
        sent = body(payload)
    if sent is None:
        packed, tagged = _packed(payload), True
        with suppress(NotJson):
            sent = None if packed is None else body(packed)
    if sent is None:
        return NULL, False, "is nested too deeply to be sent, or has an integer of too many digits"
    if len(sent) > LARGEST:
        return NULL, False, f"has {len(sent):,} bytes, too many to be sent"
    return sent, tagged, None


def _packed(payload: Any) -> Any:
    """None for what is nested too deeply. Raises TypeError."""
    try:
        return pack(payload)
    except TooDeep:
        return None


def _tagged(trace_tag: Optional[str]) -> Optional[Dict[str, Any]]:
    return {"id": None, "tag": trace_tag} if trace_tag else None


def _trace(context: Any) -> Dict[str, Any]:
    fields = context if isinstance(context, dict) else vars(context)
    return {"id": fields.get("id_"), "tag": fields.get("trace_tag")}
