"""Recordings: files with a trigger instance per line, as JSON. --record writes them, `st2sensor replay` reads them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NoReturn

from st2sensor.cli.events.instance import Instance
from st2sensor.errors import ConfigError, RecordingError
from st2sensor.portable import isotime

Record = Callable[[Instance], None]

FIELDS = tuple(field.name for field in fields(Instance))


@contextmanager
def recorder(path: Path | None) -> Iterator[Record]:
    """Append each instance to a file and flush it. If there is no path, do nothing.

    Raises ConfigError when the file cannot be opened.
    """
    if path is None:
        yield lambda instance: None  # noqa: ARG005
        return
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as exception:
        raise ConfigError(f"cannot record to {path}: {exception.strerror}; name another file") from exception

    def record(instance: Instance) -> None:
        file.write(json.dumps(asdict(instance)) + "\n")
        file.flush()

    with file:
        yield record


def read(path: Path) -> list[tuple[int, Instance]]:
    """Return the recorded instances with their line numbers. Raises RecordingError if any line is malformed."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exception:
        raise RecordingError(f"{path} cannot be read: {exception}; name a file that --record wrote") from exception
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append((number, _instance(json.loads(line, parse_constant=_refuse))))
        except (ValueError, RecursionError) as exception:
            raise RecordingError(
                f"{path}:{number}: {exception}; correct or remove the line. Nothing was published"
            ) from exception
    return found


def _instance(item: Any) -> Instance:
    """Raises ValueError."""
    if not isinstance(item, dict):
        raise ValueError("the line is not a JSON object")
    if item.keys() != set(FIELDS):
        raise ValueError(f"the line must have exactly these keys: {', '.join(FIELDS)}")
    for name, value in item.items():
        if not FITS[name](value):
            raise ValueError(f"{name}: {value!r} is not a value that --record writes")
    isotime.parse(item["time"])
    return Instance(**item)


def _is_trace(value: Any) -> bool:
    return value is None or (
        isinstance(value, Mapping)
        and value.keys() == {"id_", "trace_tag"}
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


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
