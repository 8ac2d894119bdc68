"""SensorService: what a sensor is given to dispatch triggers, log, and use the datastore. Every thread may call it.

Methods, signatures and results follow StackStorm's SensorService.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any, Dict, List, Optional, Sequence, Union

from st2sensor.payload import pack
from st2sensor.rpc import NotJson
from st2sensor.wrapper.connection import Caller

SYSTEM_SCOPE = "st2kv.system"


_ANY: Any = object()
"""Stands for no expectation: None is one."""


class Value(str):
    """A datastore value: the string itself, which also carries what StackStorm's key-value objects have.

    :ivar name: as it is stored, namespace included.
    :ivar secret: whether it is stored encrypted; `encrypted`: whether this is the ciphertext.
    :ivar expire_timestamp: when it ceases to be, as in `2026-01-31T12:00:00.000000Z`; None for never.
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
        self.fence = fence

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

        Raises TypeError, which names the key, for a payload that cannot travel: beside JSON's types, datetime, date,
        time, bytes, set, Decimal, UUID and Enum do. A trigger that is not registered, or a payload that does not fit
        its schema, raises nothing, as in StackStorm: the container keeps it as a dead letter.
        """
        self._dispatch(_event(trigger, payload, trace_tag))

    def dispatch_with_context(
        self,
        trigger: Union[str, Dict[str, Any]],
        payload: Optional[Dict[str, Any]] = None,
        trace_context: Any = None,
    ) -> None:
        """Inject a trigger, as `dispatch` does.

        :param trace_context: an object or dict with `id_` and `trace_tag`.
        """
        event = _event(trigger, payload)
        self._dispatch({**event, "trace_context": None if trace_context is None else _trace(trace_context)})

    def _dispatch(self, event: Dict[str, Any]) -> None:
        # Not in the handler: to a sensor it is no second error.
        with suppress(NotJson):
            self._connection.call("dispatch", event)
            return
        self._connection.call("dispatch", _packed(event))

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
        events = [_event(*trigger) for trigger in triggers]
        params = {
            "events": events,
            "name": name,
            "value": str(value),
            "local": local,
            "is_expected": expected is not _ANY,
            "expected": None if expected is _ANY or expected is None else str(expected),
        }
        with suppress(NotJson):
            return bool(self._connection.call("datastore.dispatch_and_set", params))
        packed = {**params, "events": [_packed(event) for event in events]}
        return bool(self._connection.call("datastore.dispatch_and_set", packed))

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

        :param ttl: seconds until the key ceases to be; None for never.
        :param encrypt: store a secret.

        Raises DatastoreUnavailable when the database cannot be reached in time, DatastoreError when there is no key to
        encrypt with, DatastoreRefused for a key that the sensor may not change, and ValueError for what cannot be
        stored.
        """
        params = {
            "name": name,
            "value": str(value),
            "ttl": ttl,
            "local": local,
            "scope": scope,
            "encrypt": encrypt,
        }
        stored: bool = self._connection.call("datastore.set", params)
        return stored

    def compare_and_set(
        self, name: str, expected: Optional[str], value: Any, ttl: Optional[float] = None, local: bool = True
    ) -> bool:
        """Store `str(value)` if the key has the value `expected`, in one step; False when it has another.

        Beyond StackStorm. A secret has no value to compare with.

        :param expected: as it was read; None: there must be no such key.

        Raises what `set_value` does. After DatastoreUnavailable it may have been done.
        """
        params = {
            "name": name,
            "expected": None if expected is None else str(expected),
            "value": str(value),
            "ttl": ttl,
            "local": local,
        }
        done: bool = self._connection.call("datastore.compare_and_set", params)
        return done

    def delete_value(self, name: str, local: bool = True, scope: str = SYSTEM_SCOPE) -> bool:
        """Delete a key; False when there was none.

        Raises DatastoreUnavailable when the database cannot be reached in time; then it may have been done.
        """
        deleted: bool = self._connection.call("datastore.delete", {"name": name, "local": local, "scope": scope})
        return deleted


def _event(
    trigger: Union[str, Dict[str, Any]], payload: Optional[Dict[str, Any]] = None, trace_tag: Optional[str] = None
) -> Dict[str, Any]:
    """A trigger as it is dispatched."""
    return {
        "trigger": trigger,
        "payload": {} if payload is None else payload,
        "trace_context": {"id": None, "tag": trace_tag} if trace_tag else None,
    }


def _packed(event: Dict[str, Any]) -> Dict[str, Any]:
    """An event whose payload holds more than JSON. Raises TypeError for what cannot travel."""
    return {**event, "payload": pack(event["payload"]), "tagged": True}


def _trace(context: Any) -> Dict[str, Any]:
    fields = context if isinstance(context, dict) else vars(context)
    return {"id": fields.get("id_"), "tag": fields.get("trace_tag")}
