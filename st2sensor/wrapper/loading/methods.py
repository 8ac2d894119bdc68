"""Checks that calls of a sensor's methods run their code."""

from __future__ import annotations

import inspect
from typing import Any, Iterator, Tuple, Type

from st2sensor.portable.methods import ESSENTIAL, TAKES, asynchronous, generating, refusal, uncallable
from st2sensor.wrapper.loading.loader import LoadError, derives


def check(sensor_class: Type[Any], file: str) -> None:
    """Raise LoadError for a method that is a coroutine or a generator, and for one without which nothing runs.

    :param file: the sensor's file.
    """
    for kind, method, message in _problems(sensor_class):
        code = getattr(inspect.unwrap(getattr(sensor_class, method)), "__code__", None)
        raise LoadError(
            message,
            kind=kind,
            file=file if code is None else code.co_filename,
            line=None if code is None else code.co_firstlineno,
        )


def _problems(sensor_class: Type[Any]) -> Iterator[Tuple[str, str, str]]:
    """Yield kind, method and message of each problem."""
    name = sensor_class.__name__
    for method in TAKES:
        found = getattr(sensor_class, method, None)
        if found is None or (method == "poll" and not derives(sensor_class, "PollingSensor")):
            continue
        if inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found):
            yield "async-method", method, asynchronous(name, method)
        elif inspect.isgeneratorfunction(found):
            yield "generator", method, generating(name, method)
        elif method in ESSENTIAL and inspect.isfunction(inspect.getattr_static(sensor_class, method)):
            reason = refusal(method, inspect.signature(found, follow_wrapped=False))
            if reason is not None:
                yield "signature", method, uncallable(name, method, reason)
