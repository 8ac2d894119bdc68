"""The arguments of a sensor's constructor, and a check that the constructor accepts them."""

from __future__ import annotations

import inspect
from typing import Any, Dict, Optional, Type

from st2sensor.wrapper.loading.loader import LoadError, derives

INTERVAL = "poll_interval"


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
    try:
        signature.bind(**passed)
    except TypeError as error:
        code = getattr(sensor_class.__init__, "__code__", None)
        raise LoadError(
            f"the constructor of {sensor_class.__name__} cannot be called with {', '.join(passed)}: {error}; "
            f"{_remedy(signature, passed)}",
            kind="constructor",
            file=file if code is None else code.co_filename,
            line=None if code is None else code.co_firstlineno,
        ) from None


def _remedy(signature: inspect.Signature, passed: Dict[str, Any]) -> str:
    if INTERVAL in signature.parameters and INTERVAL not in passed:
        return f"give {INTERVAL} a default value, or set it in the metadata"
    optional = f", {INTERVAL}=None" if INTERVAL in passed else ""
    remedy = f"write it as __init__(self, sensor_service, config=None{optional}), and pass these to super().__init__()"
    return f"{remedy}, or remove {INTERVAL} from the metadata" if optional else remedy
