"""StackStorm's name for the base class of tests of sensors."""

from st2sensor.testing.stackstorm import BaseSensorTestCase

__all__ = ["BaseSensorTestCase"]
