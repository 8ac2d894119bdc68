"""The base class for tests of sensors, with the real sensor service and a container in memory."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from st2sensor.portable import payload as payload_forms
from st2sensor.portable.trace import TraceContext
from st2sensor.testing import stackstorm
from st2sensor.testing.memory import Dispatched
from st2sensor.testing.service import MemorySensorService


class BaseSensorTestCase(stackstorm.BaseSensorTestCase):
    """Tests one sensor class. The methods are StackStorm's; the sensor service behaves as in a container.

    :cvar sensor_cls: the class.
    :cvar pack: the pack's name, with which the sensor's keys in the datastore begin.
    :ivar sensor_service: the service of its instances.
    """

    pack: str = "tests"
    sensor_service: MemorySensorService

    def make_sensor_service(self, class_name: str) -> Any:
        return MemorySensorService(f"{self.pack}.{class_name}")

    def get_dispatched_triggers(self) -> List[Dict[str, Any]]:
        """Return dicts of `trigger`, `payload` and `trace_context`, in order."""
        return [_fields(dispatched) for dispatched in self.sensor_service.dispatched]

    def get_last_dispatched_trigger(self) -> Dict[str, Any]:
        return self.get_dispatched_triggers()[-1]

    def assertTriggerDispatched(
        self, trigger: str, payload: Optional[Dict[str, Any]] = None, trace_context: Any = None
    ) -> bool:
        """Assert that such a trigger was dispatched. Omitted arguments are not compared. Raises AssertionError.

        :param payload: compared in the form that consumers receive, in which a tuple is a list.
        :param trace_context: a TraceContext, or a dict with `id_` and `trace_tag`.
        """
        wanted = _as_it_travels(payload)
        for found in self.sensor_service.dispatched:
            if (
                found.trigger == trigger
                and (not payload or found.payload == wanted)
                and (not trace_context or (found.trace_id, found.trace_tag) == _trace(trace_context))
            ):
                return True
        shown = {"trigger": trigger, "payload": payload, "trace_context": trace_context}
        raise AssertionError(f"{shown} was not among what was dispatched: {self.sensor_service.dispatched}")


def _as_it_travels(sent: Any) -> Any:
    try:
        return payload_forms.objects(payload_forms.pack(sent))
    except (TypeError, payload_forms.TooDeep):
        # The payload holds an object that only serves for comparisons, such as mock.ANY.
        return sent


def _trace(context: Any) -> Tuple[Optional[str], Optional[str]]:
    fields = context if isinstance(context, dict) else vars(context)
    return fields.get("id_"), fields.get("trace_tag")


def _fields(dispatched: Dispatched) -> Dict[str, Any]:
    trace = None
    if dispatched.trace_id or dispatched.trace_tag:
        trace = TraceContext(id_=dispatched.trace_id, trace_tag=dispatched.trace_tag)
    return {"trigger": dispatched.trigger, "payload": dispatched.payload, "trace_context": trace}
