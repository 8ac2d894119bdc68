"""The sensor service of tests: the real one, on a container in memory."""

from __future__ import annotations

from typing import List

from st2sensor.testing.memory import Dispatched, MemoryConnection, MemoryContainer
from st2sensor.wrapper import audit
from st2sensor.wrapper.service import SensorService


class MemorySensorService(SensorService):
    """What a sensor is given in a test, with what the test looks at it by.

    :param sensor: its reference, PACK.CLASS: its keys begin so, and its loggers.
    """

    def __init__(self, sensor: str = "tests.Sensor") -> None:
        audit.install()
        self._container = MemoryContainer()
        super().__init__(MemoryConnection(self._container, sensor), sensor)

    @property
    def dispatched(self) -> List[Dispatched]:
        """What was dispatched, in order."""
        return self._container.dispatched

    def advance(self, seconds: float) -> None:
        """Let time pass for the keys that have a ttl; it passes no other way."""
        self._container.advance(seconds)

    def wait_for(self, count: int, timeout: float = 30) -> List[Dispatched]:
        """What was dispatched, once it is so many: for sensors that have threads.

        :param timeout: seconds, after which AssertionError is raised.
        """
        return self._container.wait_for(count, timeout)
