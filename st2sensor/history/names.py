"""The repeated names in the history, which are stored once: of sensors, triggers, nodes, exchanges and routing keys."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

NAMES_LIMIT = 10_000
"""Number of names that are remembered, and from which unused ones are deleted. A sensor may invent names of triggers
without end."""

TIDY_INTERVAL = 3600.0
"""Seconds between two deletions of unused names."""

UNUSED = (
    "DELETE FROM names WHERE id NOT IN (SELECT sensor FROM events UNION SELECT trigger FROM events"
    " UNION SELECT trigger_type FROM events UNION SELECT node FROM events"
    " UNION SELECT exchange FROM events WHERE exchange IS NOT NULL"
    " UNION SELECT routing_key FROM events WHERE routing_key IS NOT NULL)"
)


class Names:
    """The numbers of names. For one connection; after a rollback call `forget`. Methods raise sqlite3.Error.

    :param clock: the monotonic clock, in seconds.
    """

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._numbers: dict[str, int] = {}
        self._tidy_at = clock() + TIDY_INTERVAL

    def number(self, text: str) -> int:
        """Return the number that stands for a name; store the name if it is new. Inside a transaction."""
        known = self._numbers.get(text)
        if known is not None:
            return known
        if len(self._numbers) >= NAMES_LIMIT:
            self._numbers.clear()
        self._connection.execute("INSERT OR IGNORE INTO names (text) VALUES (?)", (text,))
        (number,) = self._connection.execute("SELECT id FROM names WHERE text = ?", (text,)).fetchone()
        self._numbers[text] = int(number)
        return int(number)

    def forget(self) -> None:
        """Discard the state in memory after a rollback."""
        self._numbers.clear()

    def tidy(self) -> None:
        """Delete unused names, if there are many, and if some time has passed. Outside of transactions."""
        if self._clock() < self._tidy_at:
            return
        self._tidy_at = self._clock() + TIDY_INTERVAL
        (number,) = self._connection.execute("SELECT count(*) FROM names").fetchone()
        if number > NAMES_LIMIT:
            self.forget()
            self._connection.execute(UNUSED)
