"""Makes a sensor of its class, and tells a constructor that cannot be called as every container calls it."""

from __future__ import annotations

import inspect
from typing import Any, Dict, Optional, Type

from st2sensor.wrapper.loading.loader import LoadError, derives

INTERVAL = "poll_interval"


def arguments(
    sensor_class: Type[Any], service: Any, config: Dict[str, Any], poll_interval: Optional[float]
) -> Dict[str, Any]:
    """What the class is called with, as in StackStorm.

    :param poll_interval: of the metadata; without one a polling sensor keeps its class's own default.
    """
    found: Dict[str, Any] = {"sensor_service": service, "config": config}
    if poll_interval is not None and derives(sensor_class, "PollingSensor"):
        found[INTERVAL] = poll_interval
    return found


def check(sensor_class: Type[Any], poll_interval: Optional[float], file: str) -> None:
    """Raises LoadError for a constructor that does not take these arguments.

    :param file: the sensor's.
    """
    passed = arguments(sensor_class, None, {}, poll_interval)
    try:
        # What stands around a constructor is what is called.
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
        return f"give {INTERVAL} a default there, or set it in the metadata"
    optional = f", {INTERVAL}=None" if INTERVAL in passed else ""
    remedy = f"write it as __init__(self, sensor_service, config=None{optional}), and hand these to super().__init__()"
    return f"{remedy}, or remove {INTERVAL} from the metadata" if optional else remedy
