"""A container in memory, which answers the wrapper protocol and keeps the dispatched triggers."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Union

from st2sensor.errors import RpcError
from st2sensor.portable import payload, rpc
from st2sensor.portable.keyspace import SYSTEM_SCOPE, Asker
from st2sensor.testing.datastore import Clock, MemoryDatastore


@dataclass(frozen=True)
class Dispatched:
    """A trigger as it was sent.

    :param trigger: a reference, or a trigger's fields as add_trigger() received them.
    :param payload: as consumers receive it: tuples have become lists, and keys are text. Objects that are not JSON but
        can be sent, such as a datetime, are unchanged.
    :param trace_id: the id of its trace, if it was dispatched with one.
    """

    trigger: Union[str, Dict[str, Any]]
    payload: Any
    trace_tag: Optional[str] = None
    trace_id: Optional[str] = None


class MemoryContainer:
    """The container that the sensors of one test share. Every thread may use it.

    :param user: the `[system_user]`.
    :ivar dispatched: the dispatched triggers, in order.
    """

    def __init__(self, user: str = "stanley") -> None:
        self.dispatched: List[Dispatched] = []
        self._user = user
        self._clock = Clock()
        self._datastore = MemoryDatastore(self._clock)
        self._changed = threading.Condition()
        self._methods: Dict[str, Callable[..., Any]] = {
            "user.info": self._user_info,
            "schema": lambda asker, trigger: {"digest": "", "program": None},  # noqa: ARG005 (any payload fits)
            "dispatch": self._dispatch,
            "dispatch_many": self._dispatch_many,
            "datastore.get": self._datastore.get,
            "datastore.list": self._datastore.list,
            "datastore.set": self._datastore.set,
            "datastore.compare_and_set": self._datastore.compare_and_set,
            "datastore.delete": self._datastore.delete,
            "datastore.dispatch_and_set": self._dispatch_and_set,
        }

    def advance(self, seconds: float) -> None:
        """Let time pass for keys with a ttl."""
        with self._changed:
            self._clock.advance(seconds)

    def wait_for(self, count: int, timeout: float) -> List[Dispatched]:
        """Wait for `count` dispatched triggers, and return them. Raises AssertionError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while len(self.dispatched) < count:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(
                        f"{len(self.dispatched)} triggers, not {count}, were dispatched in {timeout} seconds"
                    )
                self._changed.wait(left)
            return list(self.dispatched)

    def answer(self, sensor: str, data: bytes) -> bytes:
        """Return the answer to a sensor's request, both encoded as on the wire."""
        requests = rpc.Requests()
        message = [requests.add(line) for line in rpc.LineBuffer().feed(data)][-1]
        assert message is not None
        method = self._methods.get(message["method"])
        if method is None:
            error = RpcError(f"there is no method {message['method']!r}")
            return rpc.error(message["id"], error, rpc.METHOD_NOT_FOUND)
        try:
            with self._changed:
                result = method(Asker(sensor), **_parameters(message))
        except Exception as exception:  # noqa: BLE001 (the sensor gets the error, as from a container)
            return rpc.error(message["id"], exception)
        return rpc.result(message["id"], result)

    def _user_info(self, asker: Asker) -> Dict[str, Any]:  # noqa: ARG002 (one for all)
        return {
            "username": self._user,
            "rbac": {"enabled": False, "roles": [], "is_admin": False},
            "authentication": {"method": "system user", "location": None},
        }

    def _dispatch(self, asker: Asker, **event: Any) -> None:  # noqa: ARG002
        self._keep([_dispatched(event)])

    def _dispatch_many(self, asker: Asker, events: List[Dict[str, Any]]) -> None:  # noqa: ARG002
        self._keep([_dispatched(event) for event in events])

    def _dispatch_and_set(
        self,
        asker: Asker,
        *,
        events: List[Dict[str, Any]],
        name: str,
        value: str,
        local: bool,
        is_expected: bool,
        expected: Optional[str],
    ) -> bool:
        kept = [_dispatched(event) for event in events]
        if not self._datastore.settable(asker, name, value, local=local, is_expected=is_expected, expected=expected):
            return False
        self._keep(kept)
        return self._datastore.set(asker, name, value, local=local, scope=SYSTEM_SCOPE, ttl=None, encrypt=False)

    def _keep(self, kept: List[Dispatched]) -> None:
        self.dispatched += kept
        self._changed.notify_all()


class MemoryConnection:
    """A sensor's connection to a container in memory. Messages are encoded as on the wire.

    :param sensor: its reference.
    """

    def __init__(self, container: MemoryContainer, sensor: str) -> None:
        self._container = container
        self._sensor = sensor

    def call(self, method: str, params: rpc.Message, bodies: Sequence[bytes] = ()) -> Any:
        """Make a request. Raises the error that the container answers with, and TypeError when params are not JSON."""
        return rpc.answer_of(rpc.decode(self._container.answer(self._sensor, rpc.request(1, method, params, bodies))))

    def notify(self, method: str, params: rpc.Message) -> None:
        """Send a notification, which the container ignores. Raises TypeError when params are not JSON."""
        rpc.notification(method, params)


def _parameters(message: rpc.Message) -> Dict[str, Any]:
    """Return a request's parameters, with the contents of its bodies."""
    params, bodies = dict(message["params"]), [json.loads(body) for body in message["bodies"]]
    names = params.pop("texts", [])
    texts, payloads = dict(zip(names, bodies)), bodies[len(names) :]
    if message["method"] == "dispatch":
        return {**params, "payload": payloads[0]}
    if "events" in params:
        declared = [event for event in params["events"] for _ in range(event.get("times", 1))]
        params["events"] = [{**event, "payload": payload} for event, payload in zip(declared, payloads)]
    return {**params, **texts}


def _dispatched(event: Dict[str, Any]) -> Dispatched:
    trace = event["trace_context"] or {}
    return Dispatched(
        trigger=event["trigger"],
        payload=payload.objects(event["payload"]) if event.get("tagged") else event["payload"],
        trace_tag=trace.get("tag"),
        trace_id=trace.get("id"),
    )
