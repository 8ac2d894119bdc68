"""Show the log of a container, which includes the records and output of its sensors."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO

from st2sensor.cli.development.folder import Folder
from st2sensor.cli.development.output import Output
from st2sensor.packs.code.virtualenv import IN_PROGRESS

LEVELS = {7: "debug", 6: "info", 4: "warning", 3: "error"}
"""Kinds of lines by GELF severity. Others are critical."""

OWN = "st2sensor."
"""Prefix of the container's loggers."""

OF_NO_USE = (f"{OWN}cli", f"{OWN}delivery")
"""Loggers whose INFO records say nothing about a pack, such as the path of the configuration."""

SHOWN_OTHERWISE = " is kept as a dead letter: "
"""Text in log lines about invalid triggers, which are shown separately with their payload."""

KEEPS_FAILING = "keeps failing: "
"""Beginning of the warning about a sensor that cannot start."""

STARTED = "started, pid "
"""Beginning of the line about a sensor that has started."""

TRACEBACK = "Traceback (most recent call last):"

LAST_LINES = 5
"""Lines of the container that are shown again if it dies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A log record.

    :param moment: seconds since the epoch; None if unknown.
    :param kind: kind of line, as in Screen.
    :param name: name of the logger; empty for plain output.
    :param below: further lines, such as a traceback.
    """

    moment: float | None
    kind: str
    name: str
    text: str
    below: str = ""


class Log:
    """Shows the output of a container. Runs in a thread of its own."""

    def __init__(self, folder: Folder, screen: Output) -> None:
        self._folder = folder
        self._screen = screen
        self._sensor = re.compile(rf"((?:{'|'.join(map(re.escape, folder.packs))})\.\w+(?:@[\w-]+)?):? (.*)", re.DOTALL)
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        """The last lines of the container itself."""
        self._waiting: set[str] = set()
        """Sensors that cannot start yet because requirements are being installed. Lines about pip say so."""

    def follow(self, stream: IO[bytes]) -> None:
        """Show each record until the stream ends, and close it."""
        with stream:
            for record in _records(stream):
                self._show(record)

    def _show(self, record: Record) -> None:
        text = self._folder.as_given(record.text)
        if SHOWN_OTHERWISE in text:
            return
        kind, name = record.kind, record.name
        if name.startswith(OWN) or not name:
            self.last.append(text)
            if kind == "info" and name.startswith(OF_NO_USE):
                return
            kind, name, text = self._of_container(kind, text)
        else:
            # Many loggers are named after the class, below the sensor's own logger.
            ref, _, rest = name.rpartition(".")
            name = ref if ref.endswith(f".{rest}") else name
        if self._waits(name, text):
            return
        self._screen.show(kind, name, text, below=self._folder.as_given(record.below), moment=record.moment)

    def _waits(self, name: str, text: str) -> bool:
        """Return whether a line only says that a sensor waits until its requirements are installed."""
        if IN_PROGRESS in text:
            self._waiting.add(name)
            return True
        if text.startswith(STARTED):
            self._waiting.discard(name)
        return name in self._waiting and text.startswith(KEEPS_FAILING)

    def _of_container(self, kind: str, text: str) -> tuple[str, str, str]:
        """Return kind, name and text of a record of the container. It may be about a sensor."""
        about = self._sensor.fullmatch(text)
        if about is None:
            return ("container", "", text) if kind == "info" else (kind, "container", text)
        return "sensor" if kind == "info" else kind, about[1], about[2]


def _records(stream: IO[bytes]) -> Iterator[Record]:
    """Yield each record. The lines of a traceback that a sensor prints become one record."""
    traces: dict[str, Record] = {}
    for line in stream:
        record = _record(line.decode("utf-8", "replace").rstrip("\n"))
        begun = traces.pop(record.name, None)
        if begun is not None:
            begun = replace(begun, below=f"{begun.below}\n{record.text}".lstrip("\n"))
            if record.text.startswith(" "):
                traces[record.name] = begun
            else:
                # The last line of a traceback is the exception.
                yield replace(begun, kind="error")
        elif record.text == TRACEBACK and not record.below:
            traces[record.name] = record
        else:
            yield record
    yield from traces.values()


def _record(line: str) -> Record:
    try:
        fields = json.loads(line)
        name = str(fields["_python"]["name"])
        text, _, below = str(fields["full_message"]).partition("\n")
        kind = LEVELS.get(fields["level"], "critical")
        return Record(moment=float(fields["timestamp_f"]), kind=kind, name=name, text=text, below=below)
    except (ValueError, TypeError, KeyError):
        # Output from before the log is configured, or from code that does not use it.
        return Record(moment=None, kind="info", name="", text=line)
