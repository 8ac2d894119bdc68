"""pytest fixtures for the tests of sensors. pytest finds this module by itself if st2sensor is installed."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

import pytest

from st2sensor.testing.service import MemorySensorService


@pytest.fixture
def sensor_ref() -> str:
    """PACK.CLASS, with which a sensor's keys in the datastore begin. A pack's tests may override this fixture."""
    return "tests.Sensor"


@pytest.fixture
def sensor_service(sensor_ref: str) -> MemorySensorService:
    """The sensor service with a container in memory. Tests use its `dispatched`, `advance(seconds)` and
    `wait_for(count)`."""
    return MemorySensorService(sensor_ref)


@pytest.fixture
def make_sensor(sensor_service: MemorySensorService) -> Callable[..., Any]:
    """Makes instances of a sensor, with `sensor_service`: make_sensor(Class, config=None, poll_interval=None)."""

    def make(
        sensor_class: Callable[..., Any],
        config: Optional[Dict[str, Any]] = None,
        poll_interval: Optional[float] = None,
    ) -> Any:
        arguments: Dict[str, Any] = {"sensor_service": sensor_service, "config": config or {}}
        if poll_interval is not None:
            arguments["poll_interval"] = poll_interval
        return sensor_class(**arguments)

    return make
