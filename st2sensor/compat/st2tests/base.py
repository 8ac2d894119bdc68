"""StackStorm's name for the base class of tests of sensors."""

from st2sensor.testing.case import BaseSensorTestCase

__all__ = ["BaseSensorTestCase"]
