"""StackStorm's names for what a sensor is given in a test."""

from st2sensor.testing.mocks import MockSensorService, MockSensorWrapper

__all__ = ["MockSensorService", "MockSensorWrapper"]
