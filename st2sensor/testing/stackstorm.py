"""StackStorm's base class for tests of sensors, with its mocks, as in `st2tests.base`."""

from __future__ import annotations

import inspect
import os
import unittest
from typing import Any, Dict, List, Optional

from st2sensor.testing.mocks import MockSensorService, MockSensorWrapper


class BaseSensorTestCase(unittest.TestCase):
    """Tests one sensor class, without a container.

    :cvar sensor_cls: the class.
    :ivar sensor_service: the service of its instances.
    """

    sensor_cls: Any = None
    sensor_service: Any

    def setUp(self) -> None:
        super().setUp()
        name = getattr(self.sensor_cls, "__name__", "Sensor")
        self.sensor_service = self.make_sensor_service(name)

    def make_sensor_service(self, class_name: str) -> Any:
        """Return the service for instances of a class."""
        return MockSensorService(MockSensorWrapper(pack="tests", class_name=class_name))

    def get_sensor_instance(
        self, config: Optional[Dict[str, Any]] = None, poll_interval: Optional[float] = None
    ) -> Any:
        """Return a new instance of the class.

        :param poll_interval: seconds; None keeps the default of the class.
        """
        arguments: Dict[str, Any] = {"sensor_service": self.sensor_service}
        if config:
            arguments["config"] = config
        if poll_interval is not None:
            arguments["poll_interval"] = poll_interval
        return self.sensor_cls(**arguments)

    def get_dispatched_triggers(self) -> List[Dict[str, Any]]:
        found: List[Dict[str, Any]] = self.sensor_service.dispatched_triggers
        return found

    def get_last_dispatched_trigger(self) -> Dict[str, Any]:
        return self.get_dispatched_triggers()[-1]

    def assertTriggerDispatched(
        self, trigger: str, payload: Optional[Dict[str, Any]] = None, trace_context: Any = None
    ) -> bool:
        """Assert that such a trigger was dispatched. Omitted arguments are not compared. Raises AssertionError."""
        wanted: Dict[str, Any] = {"trigger": trigger}
        wanted.update({"payload": payload} if payload else {})
        wanted.update({"trace_context": trace_context} if trace_context else {})
        for dispatched in self.sensor_service.dispatched_triggers:
            if all(dispatched[name] == value for name, value in wanted.items()):
                return True
        raise AssertionError(f"{wanted} was not among what was dispatched: {self.sensor_service.dispatched_triggers}")

    def get_fixture_content(self, fixture_path: str) -> str:
        """Return the content of a file in the `fixtures` folder next to the test. Raises OSError."""
        folder = os.path.dirname(os.path.abspath(inspect.getfile(type(self))))
        with open(os.path.join(folder, "fixtures", fixture_path), encoding="utf-8") as file:
            return file.read()
