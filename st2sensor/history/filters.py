"""Filters choose the events to show, replay or consume."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from st2sensor.errors import ConfigError
from st2sensor.history.event import Recorded, State
from st2sensor.history.file import stored_id
from st2sensor.history.rows import MICROSECONDS, STATES

CONDITION = re.compile(r"\s*(?P<path>[^\s=!<>~]+)\s*(?P<operator><=|>=|==|!=|=|<|>|~)\s*(?P<value>.*?)\s*", re.DOTALL)
"""The form of a condition, such as `payload.disk.percent>90`."""

ROOTS = ("payload", "trace_tag", "sensor", "trigger", "trigger_type", "node")
"""First parts of the paths of conditions."""


def _equal(found: Any, wanted: Any) -> bool:
    if isinstance(found, str) and not isinstance(wanted, str):
        return found == json.dumps(wanted)
    return isinstance(found, bool) is isinstance(wanted, bool) and bool(found == wanted)


def _unequal(found: Any, wanted: Any) -> bool:
    return not _equal(found, wanted)


def _contains(found: Any, wanted: Any) -> bool:
    if isinstance(found, str):
        return (wanted if isinstance(wanted, str) else json.dumps(wanted)) in found
    return wanted in found


OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": _equal,
    "==": _equal,
    "!=": _unequal,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "~": _contains,
}

MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition on a value of an event.

    :param path: the names that lead to the value.
    :param operator: a key of OPERATORS; `~` means that a text or a list contains the value.
    :param value: what the value is compared with.
    """

    path: tuple[str, ...]
    operator: str
    value: Any

    def holds(self, event: Recorded) -> bool:
        """Return whether the condition holds. It does not hold for a missing value."""
        found = _found(event, self.path)
        if found is MISSING:
            return False
        try:
            return bool(OPERATORS[self.operator](found, self.value))
        except TypeError:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Chooses events, or dead letters. An empty field means: all.

    :param sensor: reference of a sensor, or its class alone.
    :param triggers: references of triggers or trigger types; an event has one of them.
    :param since: seconds since the epoch; the event was dispatched then or later.
    :param until: seconds since the epoch; the event was dispatched before.
    """

    message_id: str = ""
    sensor: str = ""
    triggers: frozenset[str] = frozenset()
    trace_tag: str = ""
    since: float | None = None
    until: float | None = None
    states: frozenset[State] = frozenset()
    conditions: tuple[Condition, ...] = ()

    def query(self, *, in_order: bool) -> tuple[str, list[object]]:
        """Return the part of the filters that SQLite checks, as an expression and its values.

        :param in_order: whether events are read in the order of their `seq`, so that no other index may be used. (A
            plus sign keeps SQLite from using an index.) A message_id or a trace tag has few events, and is always
            looked up.
        """
        plus = "+" if in_order else ""
        parts: list[str] = []
        values: list[object] = []
        if self.message_id:
            parts.append("message_id = ?")
            values.append(stored_id(self.message_id))
        if self.sensor:
            # A class alone stands for the class of this name in each pack.
            name = "text" if "." in self.sensor else "substr(text, instr(text, '.') + 1)"
            parts.append(f"{plus}events.sensor IN (SELECT id FROM names WHERE {name} = ?)")
            values.append(self.sensor)
        if self.triggers:
            marks = ", ".join("?" * len(self.triggers))
            wanted = f"(SELECT id FROM names WHERE text IN ({marks}))"
            parts.append(f"({plus}trigger_type IN {wanted} OR events.trigger IN {wanted})")
            values += [*sorted(self.triggers)] * 2
        if self.trace_tag:
            parts.append("trace = ?")
            values.append(self.trace_tag)
        if self.since is not None:
            parts.append(f"{plus}created >= ?")
            values.append(int(self.since * MICROSECONDS))
        if self.until is not None:
            parts.append(f"{plus}created < ?")
            values.append(int(self.until * MICROSECONDS))
        if self.states:
            numbers = [number for number, state in enumerate(STATES) if state in self.states]
            parts.append(f"state IN ({', '.join(map(str, numbers))})")
        return " AND ".join(parts) or "1", values

    def accepts(self, event: Recorded) -> bool:
        """Return whether the filters accept an event that is not in the history."""
        return (
            self.message_id in ("", event.message_id)
            and self.accepts_sensor(event.sensor)
            and (not self.triggers or bool(self.triggers & {event.trigger, event.trigger_type}))
            and self.trace_tag in ("", event.trace_tag)
            and (self.since is None or event.created >= self.since)
            and (self.until is None or event.created < self.until)
            and (not self.states or event.state in self.states)
            and self.holds(event)
        )

    def accepts_sensor(self, ref: str) -> bool:
        """Return whether the filters accept events of a sensor."""
        return self.sensor in ("", ref, ref.partition(".")[2])

    def holds(self, event: Recorded) -> bool:
        """Return whether the conditions hold, which SQLite does not check."""
        return all(condition.holds(event) for condition in self.conditions)


def condition(text: str) -> Condition:
    """Return the condition that a text such as `payload.disk.percent>90` describes.

    The value is JSON, or else text. Raises ConfigError for another form.
    """
    match = CONDITION.fullmatch(text)
    path = tuple(match["path"].split(".")) if match else ()
    if match is None or path[0] not in ROOTS or not all(path) or (path[0] != "payload" and len(path) > 1):
        raise ConfigError(
            f"{text!r} is not a condition: write PATH OPERATOR VALUE, for example payload.disk.percent>90. PATH begins"
            f" with one of {', '.join(ROOTS)}; OPERATOR is one of {', '.join(OPERATORS)}"
        )
    return Condition(path=path, operator=match["operator"], value=_value(match["value"]))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _found(event: Recorded, path: tuple[str, ...]) -> Any:
    """Return the value at a path; MISSING if there is none."""
    try:
        found: Any = getattr(event, path[0])
    except (ValueError, RecursionError):
        return MISSING
    for name in path[1:]:
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isascii() and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            return MISSING
    return MISSING if found is None and len(path) == 1 else found
