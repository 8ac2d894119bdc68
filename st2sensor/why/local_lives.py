"""Finds events in the outbox and among the dead letters of this node, whose container may be running. Only reads."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from st2sensor.errors import OutboxError
from st2sensor.outbox.database.rows import COLUMNS, committed_column, entry_of
from st2sensor.outbox.entry import Entry
from st2sensor.portable.payload import plain
from st2sensor.why.life import EventLife

PAGE = 20
"""Maximum number of events that are returned."""

PREFIX = 8
"""Minimum number of characters of a message_id's beginning."""

TIMEOUT = 5.0
"""Seconds that one search may take."""

CHECKED_EVERY = 20_000
"""Number of SQLite's instructions between two checks of the clock."""

QUERIES = {
    "outbox": f"SELECT NULL, {{committed}}, {COLUMNS} FROM outbox WHERE {{where}} ORDER BY id DESC LIMIT {PAGE}",
    "dead letters": f"SELECT reason, NULL, {COLUMNS} FROM dead_letters WHERE {{where}} ORDER BY id DESC LIMIT {PAGE}",
}


class LocalLives:
    """Implements Lives.

    :param path: the outbox database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def named(self, identifier: str) -> list[EventLife]:
        """Return the events with a message_id; or, if it has PREFIX characters or more, those that begin with it."""
        if len(identifier) < PREFIX:
            return self._found("message_id = ?", (identifier,), lambda _: True)
        condition = "substr(message_id, 1, ?) = ?"
        return self._found(condition, (len(identifier), identifier), lambda _: True)

    def traced(self, tag: str) -> list[EventLife]:
        # The tag is compared as JSON shows it; what is found is then read.
        quoted = json.dumps(tag)
        return self._found("instr(body, ?) > 0", (quoted,), lambda life: life.trace_tag == tag)

    def of_trigger(self, ref: str) -> list[EventLife]:
        return self._found('"trigger" = ? OR trigger_type = ?', (ref, ref), lambda _: True)

    def _found(
        self, condition: str, values: tuple[str | int, ...], fits: Callable[[EventLife], bool]
    ) -> list[EventLife]:
        if not self._is_there():
            return []
        found: list[EventLife] = []
        with self._open() as connection:
            committed = committed_column(connection)
            for source, query in QUERIES.items():
                rows = connection.execute(query.format(where=condition, committed=committed), values)
                found += [life_of(entry_of(row[2:], reason=row[0]), source, row[1]) for row in rows]
        return sorted(filter(fits, found), key=lambda life: -life.created)[:PAGE]

    def _is_there(self) -> bool:
        try:
            return self._path.is_file()
        except OSError as error:
            raise OutboxError(f"cannot read the outbox {self._path}: {error.strerror}") from error

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        until = time.monotonic() + TIMEOUT
        try:
            address = f"file:{quote(str(self._path.absolute()))}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, timeout=TIMEOUT)) as connection:
                connection.text_factory = lambda raw: raw.decode(errors="replace")
                connection.set_progress_handler(lambda: time.monotonic() > until, CHECKED_EVERY)
                yield connection
        except sqlite3.OperationalError as error:
            slow = f"searching it takes more than {TIMEOUT:g} s; name the event by its trigger"
            raise OutboxError(
                f"cannot read the outbox {self._path}: {slow if 'interrupted' in str(error) else error}"
            ) from error
        except sqlite3.Error as error:
            raise OutboxError(f"cannot read the outbox {self._path}: {error}") from error


def life_of(entry: Entry, source: str, committed: float | None = None) -> EventLife:
    """Return the event in an entry of the outbox.

    :param source: `outbox` or `dead letters`.
    :param committed: when the outbox had it on disk, in seconds since the epoch, if that is known.
    """
    body = _body(entry.body)
    trace, payload = body.get("trace_context"), body.get("payload")
    shown = plain(payload) if entry.tagged else payload
    return EventLife(
        message_id=entry.message_id,
        sensor=entry.sensor,
        trigger=entry.trigger,
        trigger_type=entry.trigger_type,
        created=entry.created,
        payload=shown if isinstance(shown, Mapping) else None,
        trace_tag=trace.get("trace_tag") if isinstance(trace, Mapping) else None,
        is_waiting=entry.reason is None,
        committed=committed,
        is_dead=entry.reason is not None,
        reason=entry.reason or "",
        fence=entry.fence,
        source=source,
    )


def _body(text: str) -> Mapping[str, Any]:
    """Return a body's parts; none if it cannot be read."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}
