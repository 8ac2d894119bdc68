"""The arguments of a sensor's constructor, and a check that the constructor accepts them."""

from __future__ import annotations

import inspect
from typing import Any, Dict, Optional, Type

from st2sensor.portable.methods import INTERVAL, constructor_refusal
from st2sensor.wrapper.loading.loader import LoadError, derives


def arguments(
    sensor_class: Type[Any], service: Any, config: Dict[str, Any], poll_interval: Optional[float]
) -> Dict[str, Any]:
    """Return the arguments that the class is called with, as in StackStorm.

    :param poll_interval: the interval from the metadata; if None, a polling sensor keeps the default of its class.
    """
    found: Dict[str, Any] = {"sensor_service": service, "config": config}
    if poll_interval is not None and derives(sensor_class, "PollingSensor"):
        found[INTERVAL] = poll_interval
    return found


def check(sensor_class: Type[Any], poll_interval: Optional[float], file: str) -> None:
    """Raise LoadError if the constructor does not accept these arguments.

    :param file: the sensor's file.
    """
    passed = arguments(sensor_class, None, {}, poll_interval)
    try:
        # If the constructor is decorated, the decorator's function is called: its signature counts.
        signature = inspect.signature(sensor_class, follow_wrapped=False)
    except (TypeError, ValueError):
        return
    message = constructor_refusal(sensor_class.__name__, signature, passed)
    if message is not None:
        code = getattr(sensor_class.__init__, "__code__", None)
        raise LoadError(
            message,
            kind="constructor",
            file=file if code is None else code.co_filename,
            line=None if code is None else code.co_firstlineno,
        )
