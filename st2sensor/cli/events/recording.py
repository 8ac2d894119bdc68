"""Recordings: files with a trigger instance per line, as JSON. --record writes them, `st2sensor replay` reads them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NoReturn, TextIO

from st2sensor.cli.events.instance import Instance
from st2sensor.dispatch.catalogue import name_of
from st2sensor.errors import AccessDenied, ConfigError, RecordingError
from st2sensor.packs.bundled import core_trigger_types
from st2sensor.portable import isotime, rpc

Record = Callable[[Instance], None]

FIELDS = tuple(field.name for field in fields(Instance))

NEEDED = frozenset({"trigger", "payload"})
"""Keys without which a line cannot be published."""

FORMAT = "st2sensor_recording"
"""Key of a line that names the version of the file's format. Such a line is not a trigger."""

VERSION = 1

LONGEST = 64 * 1024 * 1024
"""Maximum number of characters in a line."""


@contextmanager
def recorder(path: Path | None, wanted: Collection[str] = ()) -> Iterator[Record]:
    """Append each instance to a file and flush it. If there is no path, do nothing.

    Internal triggers are left out, because a replay would publish them where they are not true.

    :param wanted: internal trigger types to record all the same.

    Raises ConfigError when the file cannot be opened.
    """
    if path is None:
        yield lambda instance: None  # noqa: ARG005
        return
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as exception:
        raise ConfigError(f"cannot record to {path}: {exception.strerror}; name another file") from exception

    left_out = _internal().difference(wanted)

    def record(instance: Instance) -> None:
        if instance.trigger_type in left_out:
            return
        file.write(json.dumps(asdict(instance)) + "\n")
        file.flush()

    with file:
        yield record


def _internal() -> frozenset[str]:
    """Return the trigger types that a container or StackStorm itself emits. Timers and webhooks have parameters."""
    return frozenset(item.ref for item in core_trigger_types() if not item.parameters_schema)


def read(path: Path) -> list[tuple[int, Instance]]:
    """Return the recorded instances with their line numbers.

    Only a newline ends a line: text in JSON may contain the other characters at which Python's splitlines() splits.
    Unknown keys are ignored, and all keys except NEEDED may be absent. A byte order mark at the beginning is skipped.
    Raises RecordingError if any line is malformed, and AccessDenied.
    """
    found = []
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(_lines(file), start=1):
                instance = _read(f"{path}:{number}", line)
                if instance is not None:
                    found.append((number, instance))
    except PermissionError as exception:
        raise AccessDenied(f"{path}: {exception.strerror}; run this as a user who may read it") from exception
    except (OSError, UnicodeDecodeError) as exception:
        raise RecordingError(f"{path} cannot be read: {exception}; name a file that --record wrote") from exception
    return found


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(LONGEST):
        yield line


def _read(place: str, line: str) -> Instance | None:
    """Return the instance in a line; None for an empty line, or a mark. Raises RecordingError.

    :param place: file and line.
    """
    if not line.strip():
        return None
    try:
        item = json.loads(line, parse_constant=_refuse, parse_float=_finite)
        if isinstance(item, dict) and FORMAT in item:
            _check_version(item[FORMAT])
            return None
        return _instance(item)
    except (ValueError, RecursionError, OverflowError) as exception:
        remedy = "correct or remove the line. Nothing was published"
        if isinstance(exception, json.JSONDecodeError) and line.strip() in ("{", "["):
            # As jq prints without -c, and editors after formatting.
            remedy = "write each trigger on one line, as jq -c does. Nothing was published"
        reason = f"not JSON: {exception}" if isinstance(exception, json.JSONDecodeError) else exception
        raise RecordingError(f"{place}: {reason}; {remedy}") from exception


def _check_version(version: Any) -> None:
    """Raises ValueError."""
    if version != VERSION or isinstance(version, bool):
        raise ValueError(f"{FORMAT}: version {version!r} is not known; this st2sensor reads version {VERSION}")


def _instance(item: Any) -> Instance:
    """Raises ValueError."""
    if not isinstance(item, dict):
        raise ValueError("the line is not a JSON object")
    missing = sorted(NEEDED - item.keys())
    if missing:
        raise ValueError(f"the line lacks {' and '.join(missing)}")
    known = {name: item[name] for name in FIELDS if name in item}
    for name, value in known.items():
        if not FITS[name](value):
            raise ValueError(f"{name}: {value!r} is not a value that --record writes")
    found: dict[str, Any] = {
        "time": UNTIMED,
        "trigger_type": _type_of(known["trigger"]),
        "trace_context": None,
        "message_id": None,
    }
    found |= known
    isotime.parse(found["time"])
    instance = Instance(**found)
    # Texts may hold half of a surrogate pair, and numbers may be too large to be sent.
    rpc.body({"trigger": instance.trigger, "payload": instance.payload, "trace_context": instance.trace_context})
    return instance


def _type_of(trigger: Any) -> str:
    """Return the type of a trigger that was written by hand. Raises ValueError."""
    if isinstance(trigger, str):
        return trigger
    found = trigger.get("type") or name_of(trigger)
    if not isinstance(found, str):
        raise ValueError("trigger: its type is not text")
    return found


def _is_trace(value: Any) -> bool:
    return value is None or (
        isinstance(value, Mapping)
        and value.keys() <= {"id_", "trace_tag"}
        and all(part is None or isinstance(part, str) for part in value.values())
    )


FITS: dict[str, Callable[[Any], bool]] = {
    "time": lambda value: isinstance(value, str),
    "trigger": lambda value: isinstance(value, str | Mapping) and bool(value),
    "trigger_type": lambda value: isinstance(value, str),
    "payload": lambda value: isinstance(value, Mapping),
    "trace_context": _is_trace,
    "message_id": lambda value: value is None or isinstance(value, str),
}
"""For each field, a check of whether it may hold a value."""


UNTIMED = "1970-01-01T00:00:00.000000Z"
"""The time of a line that has none: it is published together with the line before it."""


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    """Return a number. Raises ValueError for text such as 1e999, which a reader would take for infinity."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is larger than any number that can be sent")
    return number
