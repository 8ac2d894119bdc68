"""The position of a target in the history, in a file that survives crashes."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from st2sensor.system import private_file

LOG = logging.getLogger("st2sensor.push")

SAVE_INTERVAL = 0.2
"""Seconds between two writes of the file while the target accepts events. After a crash, the events of this time come
twice."""

CURSOR = re.compile(r"\w+\.\d+", re.ASCII)

DAMAGED = "damaged.0"
"""Stands for a cursor that cannot be read. It belongs to no history, so its target continues with the oldest event."""

LONGEST = 200
"""Maximum number of characters of a cursor."""


class Position:
    """The cursor of a target. It is only saved once the target has taken all events before it.

    :param path: the file.
    :param clock: monotonic, in seconds.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._saved_at = clock() - SAVE_INTERVAL
        self.cursor = self._load()
        """None if the target is new."""
        self._saved = self.cursor
        self.problem = ""
        """Why the file cannot be written; empty while it can."""

    def move(self, cursor: str) -> None:
        """Move on. The file is written now or, if it was written a moment ago, with a later call."""
        self.cursor = cursor
        if self._clock() - self._saved_at >= SAVE_INTERVAL:
            self.save()

    def save(self) -> None:
        """Write the file if the cursor has moved. It is replaced as a whole, so a crash leaves the old or the new."""
        if self.cursor is None or self.cursor == self._saved:
            return
        temporary = self._path.with_name(f"{self._path.name}.new")
        self._saved_at = self._clock()
        try:
            with suppress(FileNotFoundError):
                temporary.unlink()
            private_file.create(temporary)
            with temporary.open("w") as file:
                file.write(f"{self.cursor}\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError as error:
            if not self.problem:
                LOG.error("cannot write %s: %s; after a restart, events come twice", self._path, error)
            self.problem = f"cannot write {self._path}: {error.strerror}"
        else:
            self.problem = ""
            self._saved = self.cursor

    def _load(self) -> str | None:
        """Return the stored cursor; DAMAGED if there is something else in the file."""
        try:
            with self._path.open(errors="replace") as file:
                found = file.read(LONGEST).strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            LOG.error("cannot read %s: %s", self._path, error)
            return DAMAGED
        return found if CURSOR.fullmatch(found) else DAMAGED
