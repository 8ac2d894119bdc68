"""The sensor service for tests: the real one, with a container in memory."""

from __future__ import annotations

from typing import List

from st2sensor.testing.memory import Dispatched, MemoryConnection, MemoryContainer
from st2sensor.wrapper import audit
from st2sensor.wrapper.service import SensorService


class MemorySensorService(SensorService):
    """The service of a sensor in a test, with methods for the test itself.

    :param sensor: its reference, PACK.CLASS; the names of the sensor's keys and loggers start with it.
    """

    def __init__(self, sensor: str = "tests.Sensor") -> None:
        audit.install()
        self._container = MemoryContainer()
        super().__init__(MemoryConnection(self._container, sensor), sensor)

    @property
    def dispatched(self) -> List[Dispatched]:
        """The dispatched triggers, in order."""
        return self._container.dispatched

    def advance(self, seconds: float) -> None:
        """Let time pass for keys with a ttl. For these keys, time passes only when this is called."""
        self._container.advance(seconds)

    def wait_for(self, count: int, timeout: float = 30) -> List[Dispatched]:
        """Wait until `count` triggers have been dispatched, and return them. Use this for sensors with threads.

        :param timeout: seconds, after which AssertionError is raised.
        """
        return self._container.wait_for(count, timeout)
