"""Read a container's reports: JSON from the control socket becomes typed values."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from st2sensor.cli.inspection.control_client import ControlClient
from st2sensor.errors import RpcError
from st2sensor.reports import PAGE, NodeReport, SensorReport
from st2sensor.trouble import judged

Report = TypeVar("Report")

Convert = Callable[[Any], Any]
"""Turns a JSON value into the value of a field. Raises TypeError if it has the wrong type."""


def node_of(container: ControlClient) -> NodeReport:
    """Return a container's report on itself. Raises RpcError."""
    return parsed(NodeReport, container.call("node"))


def sensor_of(container: ControlClient, ref: str) -> SensorReport | None:
    """Return a container's report on one sensor; None if it does not know that sensor. Raises RpcError."""
    found = container.call("sensor", ref=ref)
    return None if found is None else judged(parsed(SensorReport, found))


def sensors_of(container: ControlClient) -> list[SensorReport]:
    """Return a container's reports on all its sensors, fetched page by page. Raises RpcError."""
    found: list[SensorReport] = []
    page = container.call("sensors")
    while page:
        found += [judged(parsed(SensorReport, item)) for item in page]
        if len(page) % PAGE:
            break
        page = container.call("sensors", after=found[-1].ref)
    return found


def parsed(kind: type[Report], item: object) -> Report:
    """Return a dataclass from the JSON form of its fields.

    Unknown keys are ignored, because the container may be newer. A field that has a default may be absent, because the
    container may be older. Raises RpcError if another field is absent, or if a value has the wrong type.
    """
    try:
        made: Report = _record(kind, item)
    except ValueError as exception:
        raise RpcError(
            f"cannot read the container's answer: {exception}; if the container runs another version of st2sensor, "
            "st2ctl restart starts the installed one"
        ) from exception
    return made


def _record(kind: Any, item: object) -> Any:
    if not isinstance(item, Mapping):
        raise ValueError(f"{kind.__name__} is {item!r}, not an object")
    values = {}
    for name, convert, is_required in _fields_of(kind):
        if name in item:
            try:
                values[name] = convert(item[name])
            except TypeError:
                raise ValueError(f"{kind.__name__}: {name} has the invalid value {item[name]!r}") from None
        elif is_required:
            raise ValueError(f"{kind.__name__} has no {name}")
    return kind(**values)


@functools.cache
def _fields_of(kind: Any) -> tuple[tuple[str, Convert, bool], ...]:
    """Return the name of each field, its converter, and whether it is required."""
    hints = get_type_hints(kind)
    return tuple((field.name, _converter(hints[field.name]), field.default is MISSING) for field in fields(kind))


def _converter(hint: Any) -> Convert:
    """Return the converter for a type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        (inner,) = (_converter(argument) for argument in arguments if argument is not NoneType)
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        each = _converter(arguments[0])
        return lambda value: tuple(each(item) for item in _exactly(list, value))
    if origin is Mapping:
        key, entry = map(_converter, arguments)
        return lambda value: {key(name): entry(item) for name, item in _exactly(dict, value).items()}
    if is_dataclass(hint):
        return functools.partial(_record, hint)
    if hint is float:
        # JSON does not distinguish 1 from 1.0.
        return lambda value: float(value if type(value) is int else _exactly(float, value))
    return functools.partial(_exactly, hint)


def _exactly(kind: type[Any], value: Any) -> Any:
    # A subclass does not count: bool is a subclass of int.
    if type(value) is not kind:
        raise TypeError
    return value
