"""The methods of a sensor that the container calls, and the messages about methods whose call cannot work.

Standard library only, CPython 3.9: this module is part of the wrapper.
"""

from __future__ import annotations

import inspect
from typing import Collection, Optional

TAKES = {
    "setup": "",
    "run": "",
    "poll": "",
    "cleanup": "",
    "add_trigger": "trigger",
    "update_trigger": "trigger",
    "remove_trigger": "trigger",
    "triggers_known": "",
}
"""The methods, each with the parameter that it gets; empty for none. A method for a trigger may omit it."""

ESSENTIAL = ("setup", "run", "poll")
"""Methods without which a sensor does no work."""


INTERVAL = "poll_interval"
"""The argument that the constructor of a polling sensor gets if the metadata set it."""


def asynchronous(class_name: str, method: str) -> str:
    """Return the message about a method that is a coroutine: a call would not run its code."""
    remedy = "call asyncio.run() inside run()"
    if method == "run":
        remedy = "have it call asyncio.run() with the coroutine that does the work"
    elif method == "poll":
        remedy = "have it call asyncio.run() with the coroutine that does the work of one poll"
    return (
        f"{method}() of {class_name} is an async def: calling it runs none of its code; write {_header(method)}, and "
        f"{remedy}"
    )


def generating(class_name: str, method: str) -> str:
    """Return the message about a method that is a generator: a call would not run its code."""
    return (
        f"{method}() of {class_name} contains yield: calling it runs none of its code; remove yield, and use "
        "self.sensor_service.dispatch() to emit triggers"
    )


def refusal(method: str, signature: inspect.Signature) -> Optional[str]:
    """Return the error of calling a method that has a signature, or None if a call works.

    A trigger is passed by name, by position, or not at all, depending on the method's parameters.

    :param signature: of the function, with self.
    """
    takes = TAKES[method]
    found = _error(signature, None)
    if found is None or not takes:
        return found
    by_name, by_position = _error(signature, None, **{takes: None}), _error(signature, None, None)
    if by_name is None or by_position is None:
        return None
    return by_name if takes in signature.parameters else by_position


def _error(signature: inspect.Signature, *positional: object, **named: object) -> Optional[str]:
    try:
        signature.bind(*positional, **named)
    except TypeError as error:
        return str(error)
    return None


def uncallable(class_name: str, method: str, reason: str) -> str:
    """Return the message about a method that does not accept its arguments.

    :param reason: the error that a call would raise.
    """
    return (
        f"{method}() of {class_name} cannot be called with {TAKES[method] or 'no arguments'}: {reason}; write it as "
        f"{_header(method)}"
    )


def constructor_refusal(class_name: str, signature: inspect.Signature, passed: Collection[str]) -> Optional[str]:
    """Return the message about a constructor that does not accept its arguments, or None if it does.

    :param signature: without self.
    :param passed: names of the arguments.
    """
    reason = _error(signature, **dict.fromkeys(passed))
    if reason is None:
        return None
    told = f"the constructor of {class_name} cannot be called with {', '.join(passed)}: {reason}"
    if INTERVAL in signature.parameters and INTERVAL not in passed:
        return f"{told}; give {INTERVAL} a default value, or set it in the metadata"
    optional = f", {INTERVAL}=None" if INTERVAL in passed else ""
    told += f"; write it as __init__(self, sensor_service, config=None{optional}), and pass these to super().__init__()"
    return f"{told}, or remove {INTERVAL} from the metadata" if optional else told


def _header(method: str) -> str:
    return f"def {method}({', '.join(filter(None, ('self', TAKES[method])))})"
