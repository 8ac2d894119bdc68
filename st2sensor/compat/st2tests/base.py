"""StackStorm's name for the base class of tests of sensors."""

from st2sensor.testing.stackstorm import BaseSensorTestCase
from st2sensor.wrapper.loading import absent

__all__ = ["BaseSensorTestCase"]


def __getattr__(name: str) -> object:
    if name.startswith("_"):
        raise AttributeError(name)
    raise ImportError(f"cannot import name {name!r} from {__name__!r}: {absent.what_to_do(__name__)}", name=__name__)
