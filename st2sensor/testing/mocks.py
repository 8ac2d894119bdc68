"""A sensor service for tests that keeps dispatched triggers and stored values, as StackStorm's mock does."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Union
from unittest.mock import Mock

from st2sensor.portable.sending import page
from st2sensor.portable.trace import TraceContext
from st2sensor.wrapper import audit

SEPARATOR = ":"


@dataclass
class MockSensorWrapper:
    """Names the pack and the class of the sensor."""

    pack: str
    class_name: str


@dataclass
class Item:
    """An entry of the datastore."""

    name: str
    value: Any


class MockSensorService:
    """The service of a sensor in a test.

    It follows StackStorm: values of the datastore keep their type, and loggers are mocks.

    :ivar dispatched_triggers: dicts of `trigger`, `payload` and `trace_context`, in order.
    """

    def __init__(self, sensor_wrapper: MockSensorWrapper) -> None:
        audit.install()
        self._sensor_wrapper = sensor_wrapper
        self._logger = Mock(spec=logging.RootLogger(logging.DEBUG))
        self._items: Dict[str, Item] = {}
        self.dispatched_triggers: List[Dict[str, Any]] = []

    @property
    def datastore_service(self) -> MockSensorService:
        """The object with the datastore's methods: this one."""
        return self

    def get_logger(self, name: str) -> Mock:  # noqa: ARG002 (one for all names)
        return self._logger

    def get_user_info(self) -> Dict[str, Any]:
        """Return the `[system_user]` that a container has by default."""
        return {"username": "stanley", "rbac": {"is_admin": False, "roles": [], "enabled": False}}

    def dispatch(
        self,
        trigger: Union[str, Dict[str, Any]],
        payload: Optional[Dict[str, Any]] = None,
        trace_tag: Optional[str] = None,
    ) -> None:
        context = TraceContext(trace_tag=trace_tag) if trace_tag else None
        self.dispatch_with_context(trigger, payload, context)

    def dispatch_with_context(
        self,
        trigger: Union[str, Dict[str, Any]],
        payload: Optional[Dict[str, Any]] = None,
        trace_context: Any = None,
    ) -> None:
        self.dispatched_triggers.append({"trigger": trigger, "payload": payload, "trace_context": trace_context})

    def dispatch_many(self, triggers: Sequence[Sequence[Any]]) -> None:
        """Keep triggers, each `(trigger, payload)` or `(trigger, payload, trace_tag)`. Beyond StackStorm."""
        for trigger in triggers:
            self.dispatch(*trigger)

    def list_values(
        self,
        local: bool = True,
        prefix: Optional[str] = None,
        limit: Optional[int] = None,
        offset: Optional[int] = None,
    ) -> List[Item]:
        limit, first = page(limit, offset)
        start = self._stored("", local) + (prefix or "")
        found = [item for name, item in sorted(self._items.items()) if name.startswith(start)]
        return found[first:] if limit is None else found[first : first + limit]

    def get_value(self, name: str, local: bool = True, scope: str = "", decrypt: bool = False) -> Any:  # noqa: ARG002
        """Return a value, or None when there is no such key."""
        item = self._items.get(self._stored(name, local))
        return None if item is None else item.value

    def set_value(
        self,
        name: str,
        value: Any,
        ttl: Optional[float] = None,  # noqa: ARG002
        local: bool = True,
        scope: str = "",  # noqa: ARG002
        encrypt: bool = False,  # noqa: ARG002
    ) -> bool:
        stored = self._stored(name, local)
        self._items[stored] = Item(stored, value)
        return True

    def delete_value(self, name: str, local: bool = True, scope: str = "") -> bool:  # noqa: ARG002
        return self._items.pop(self._stored(name, local), None) is not None

    def _stored(self, name: str, local: bool) -> str:
        wrapper = self._sensor_wrapper
        return f"{wrapper.pack}.{wrapper.class_name}{SEPARATOR}{name}" if local else name
