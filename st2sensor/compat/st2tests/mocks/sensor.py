"""StackStorm's names for the objects that a sensor receives in a test."""

from st2sensor.testing.mocks import MockSensorService, MockSensorWrapper

__all__ = ["MockSensorService", "MockSensorWrapper"]
