"""StackStorm's name for the public sensor API."""

from st2sensor.sensor import BaseSensor, PollingSensor, Sensor

__all__ = ["BaseSensor", "PollingSensor", "Sensor"]
