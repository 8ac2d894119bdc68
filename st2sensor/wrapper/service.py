"""SensorService, with which a sensor dispatches triggers, logs, and uses the datastore. Every thread may call it.

Methods, signatures and results follow StackStorm's SensorService.
"""

from __future__ import annotations

import logging
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from st2sensor.portable.rpc import body
from st2sensor.portable.sending import body_of, check_total, page, tagged, trace
from st2sensor.wrapper.connection import Caller
from st2sensor.wrapper.schemas import Schemas

SYSTEM_SCOPE = "st2kv.system"
"""The scope of keys that all users share."""

_ANY: Any = object()
"""Means that no value is expected. None cannot mean this: it means that the key is expected to be missing."""


class Value(str):
    """A datastore value: a string that also has the attributes of StackStorm's key-value objects.

    :ivar name: the stored name, with its namespace.
    :ivar secret: whether the value is stored encrypted; `encrypted`: whether this is the ciphertext.
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

    :ivar fence: where containers share sensors, a number that grows each time another container takes this sensor. Send
    it to the systems that the sensor writes to, and let them refuse a number smaller than one that they have seen.
        None where containers do not share sensors.
    """

    def __init__(self, connection: Caller, logger_name: str, fence: Optional[int] = None) -> None:
        self._connection = connection
        self._logger = logging.getLogger(logger_name)
        self._schemas = Schemas(lambda trigger: connection.call("schema", {"trigger": trigger}))
        self.fence = fence

    @property
    def datastore_service(self) -> SensorService:
        """The object with the datastore's methods: this one. In StackStorm it is a separate object."""
        return self

    def get_logger(self, name: str) -> logging.Logger:
        """Return a logger of this sensor, whose lines go to the container's log."""
        logger = logging.getLogger(f"{self._logger.name}.{name}")
        logger.propagate = True
        return logger

    def get_user_info(self) -> Dict[str, Any]:
        """Return the user that the sensor acts as: `username`, `rbac`, `authentication`."""
        info: Dict[str, Any] = self._connection.call("user.info", {})
        return info

    def dispatch(
        self,
        trigger: Union[str, Dict[str, Any]],
        payload: Optional[Dict[str, Any]] = None,
        trace_tag: Optional[str] = None,
    ) -> None:
        """Inject a trigger. Returns once it is on disk.

        :param trigger: reference `pack.name`, or a trigger's fields as add_trigger() received them.
        :param payload: a description of the event; None counts as empty.
        :param trace_tag: links the trigger instance to others with the same tag.

        Raises TypeError, which names the key, for a payload that cannot be represented in JSON. Besides JSON's types,
        datetime, date, time, bytes, set, Decimal, UUID and Enum are allowed. As in StackStorm, no error is raised for a
        trigger that is not registered, a payload that does not fit its schema, and an event that cannot be delivered:
        the container keeps such events as dead letters.
        """
        self._dispatch(trigger, payload, tagged(trace_tag))

    def dispatch_with_context(
        self,
        trigger: Union[str, Dict[str, Any]],
        payload: Optional[Dict[str, Any]] = None,
        trace_context: Any = None,
    ) -> None:
        """Inject a trigger, as `dispatch` does.

        :param trace_context: an object or dict with `id_` and `trace_tag`.
        """
        self._dispatch(trigger, payload, None if trace_context is None else trace(trace_context))

    def _dispatch(self, trigger: Any, payload: Any, context: Optional[Dict[str, Any]]) -> None:
        event, body = self._event(trigger, payload, context)
        self._schemas.learn(trigger, self._connection.call("dispatch", event, [body]))

    def _event(self, trigger: Any, payload: Any, context: Optional[Dict[str, Any]]) -> Tuple[Dict[str, Any], bytes]:
        """Return an event for the container, and its payload. Raises TypeError for one that JSON cannot represent."""
        sent, is_tagged, withheld = body_of({} if payload is None else payload)
        event = {"trigger": trigger, "trace_context": context, "tagged": is_tagged}
        if withheld is not None:
            return {**event, "withheld": withheld}, sent
        schema, key = self._schemas.fitting(trigger, sent, is_tagged)
        return {**event, "schema": schema, **({} if key is None else {"key": key})}, sent

    def dispatch_many(self, triggers: Sequence[Sequence[Any]]) -> None:
        """Inject triggers in one step, such as the events of a poll. Returns once all are on disk. Not in StackStorm.

        Either all of them are on disk or none, even after a crash. An event that cannot be published becomes a dead
        letter in the same step, as with `dispatch`. This is much faster than one dispatch() for each event.

        :param triggers: tuples `(trigger, payload)` or `(trigger, payload, trace_tag)`, as for `dispatch`.

        Raises the errors of `dispatch`, and ValueError for more than 10,000 triggers or 31 MiB of payloads: dispatch
        them in parts. If it raises an error, no trigger is dispatched.
        """
        events = [self._batched(*trigger) for trigger in triggers]
        if not events:
            return
        payloads = [body for _, body in events]
        check_total(payloads)
        # Events in a row that differ only in their payloads share their parameters.
        runs: List[Dict[str, Any]] = []
        last: Optional[Dict[str, Any]] = None
        for event, _ in events:
            key = event.pop("key", None)
            if event == last:
                runs[-1]["times"] += 1
            else:
                runs.append({**event, "times": 1, "keys": []})
                last = event
            runs[-1]["keys"].append(key)
        for run in runs:
            if not any(run["keys"]):
                del run["keys"]
        for number, schema in self._connection.call("dispatch_many", {"events": runs}, payloads) or ():
            self._schemas.learn(runs[number]["trigger"], schema)

    def dispatch_and_set(
        self,
        triggers: Sequence[Sequence[Any]],
        name: str,
        value: Any,
        local: bool = True,
        expected: Optional[str] = _ANY,
    ) -> bool:
        """Dispatch triggers and store `str(value)`, such as a poll's events and its cursor.

        Either both happen or neither, even after a crash. Not in StackStorm.

        :param triggers: tuples `(trigger, payload)` or `(trigger, payload, trace_tag)`, as for `dispatch`.
        :param expected: the value that was read and is to be replaced; None if there was no key.

        Returns False, and does nothing, if the key does not have the value `expected`, or was changed during the call.
        After DatastoreUnavailable, either both have happened or neither: read the key again to find out.
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
        check_total(payloads)
        return bool(self._call_with("datastore.dispatch_and_set", params, texts, payloads))

    def _batched(
        self, trigger: Any, payload: Any = None, trace_tag: Optional[str] = None
    ) -> Tuple[Dict[str, Any], bytes]:
        return self._event(trigger, payload, tagged(trace_tag))

    def _call_with(
        self, method: str, params: Dict[str, Any], texts: Dict[str, str], payloads: Sequence[bytes] = ()
    ) -> Any:
        """Send a request with its texts, which may be long, as bodies."""
        bodies = [body(text) for text in texts.values()]
        return self._connection.call(method, {**params, "texts": list(texts)}, [*bodies, *payloads])

    def list_values(
        self,
        local: bool = True,
        prefix: Optional[str] = None,
        limit: Optional[int] = None,
        offset: Optional[int] = None,
    ) -> List[Value]:
        """Return the datastore's values, sorted by name. Secrets are ciphertext.

        :param local: only this sensor's own keys; otherwise all.
        :param prefix: only keys that start with it.
        :param limit: maximum number of values; None, 0 and -1 for all. :param offset: number of values to skip first.
        """
        limit, offset = page(limit, offset)
        params = {"local": local, "prefix": prefix, "limit": limit, "offset": offset}
        return [Value(entry) for entry in self._connection.call("datastore.list", params)]

    def get_value(
        self, name: str, local: bool = True, scope: str = SYSTEM_SCOPE, decrypt: bool = False
    ) -> Optional[Value]:
        """Return a value of the datastore, or None when there is no such key.

        :param decrypt: return the text of a secret, not its ciphertext.

        Raises DatastoreUnavailable when the database cannot be reached in time, DatastoreError for a secret that cannot
        be decrypted, and DatastoreRefused for a secret that the sensor may not read.
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
        """Store `str(value)`, and return True. Store values other than text as `json.dumps(value)`.

        :param ttl: seconds until the key expires; None and 0 for never.
        :param scope: `st2kv.system`, or its other name, `system`.
        :param encrypt: store a secret.

        Raises DatastoreUnavailable when the database cannot be reached in time, DatastoreError when there is no key to
        encrypt with, DatastoreRefused for a key that the sensor may not change, and ValueError for a name or value that
        cannot be stored.
        """
        params = {"name": name, "ttl": ttl, "local": local, "scope": scope, "encrypt": encrypt}
        stored: bool = self._call_with("datastore.set", params, {"value": str(value)})
        return stored

    def compare_and_set(
        self, name: str, expected: Optional[str], value: Any, ttl: Optional[float] = None, local: bool = True
    ) -> bool:
        """Store `str(value)` if the key has the value `expected`, in one step. Otherwise return False.

        Not in StackStorm. A secret cannot be compared.

        :param expected: the value that was read; None: there must be no such key.

        Raises the errors of `set_value`. After DatastoreUnavailable the value may have been stored.
        """
        params = {"name": name, "expected": None, "ttl": ttl, "local": local}
        texts = {"value": str(value)}
        if expected is not None:
            texts["expected"] = str(expected)
        done: bool = self._call_with("datastore.compare_and_set", params, texts)
        return done

    def delete_value(self, name: str, local: bool = True, scope: str = SYSTEM_SCOPE) -> bool:
        """Delete a key, and return False when there was none.

        Raises DatastoreUnavailable when the database cannot be reached in time. The key may be deleted nevertheless.
        """
        deleted: bool = self._connection.call("datastore.delete", {"name": name, "local": local, "scope": scope})
        return deleted
