"""SensorService: what a sensor is given to dispatch triggers, log, and use the datastore. Every thread may call it.

Methods, signatures and results follow StackStorm's SensorService.
"""

from __future__ import annotations

import logging
from typing import Any, Dict, List, Optional, Union

from st2sensor.payload import pack
from st2sensor.rpc import NotJson
from st2sensor.wrapper.connection import Caller

SYSTEM_SCOPE = "st2kv.system"


class Value(str):
    """A datastore value: the string itself, which also carries what StackStorm's key-value objects have."""

    name: str
    value: str
    secret: bool
    expire_timestamp: Optional[str]

    def __new__(cls, entry: Dict[str, Any]) -> Value:
        value = super().__new__(cls, entry["value"])
        value.name = entry["name"]
        value.value = entry["value"]
        value.secret = entry["secret"]
        value.expire_timestamp = entry["expire_timestamp"]
        return value


class SensorService:
    """:param connection: to the container; :param logger_name: parent of the sensor's loggers."""

    def __init__(self, connection: Caller, logger_name: str) -> None:
        self._connection = connection
        self._logger = logging.getLogger(logger_name)

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
        self._dispatch(trigger, payload, {"id": None, "tag": trace_tag} if trace_tag else None)

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
        params = {"trigger": trigger, "payload": {} if payload is None else payload, "trace_context": trace}
        try:
            self._connection.call("dispatch", params)
        except NotJson:
            packed = {**params, "payload": pack(params["payload"]), "tagged": True}
            self._connection.call("dispatch", packed)

    def list_values(self, local: bool = True, prefix: Optional[str] = None) -> List[Value]:
        """The datastore's values, by name.

        :param local: only this sensor's own keys; otherwise all.
        :param prefix: only keys that start with it.
        """
        return [Value(entry) for entry in self._connection.call("datastore.list", {"local": local, "prefix": prefix})]

    def get_value(
        self, name: str, local: bool = True, scope: str = SYSTEM_SCOPE, decrypt: bool = False
    ) -> Optional[Value]:
        """A value of the datastore, or None when there is no such key.

        Raises DatastoreUnavailable when the database cannot be reached.
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
        """Store `str(value)`; returns True.

        Raises DatastoreUnavailable when the database cannot be reached.
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

    def delete_value(self, name: str, local: bool = True, scope: str = SYSTEM_SCOPE) -> bool:
        """Delete a key; False when there was none.

        Raises DatastoreUnavailable when the database cannot be reached.
        """
        deleted: bool = self._connection.call("datastore.delete", {"name": name, "local": local, "scope": scope})
        return deleted


def _trace(context: Any) -> Dict[str, Any]:
    fields = context if isinstance(context, dict) else vars(context)
    return {"id": fields.get("id_"), "tag": fields.get("trace_tag")}
