"""Secrets that configurations use, each kept for a while: a thousand sensors with one secret cause one read."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Protocol

from st2sensor.errors import SecretError, SecretUnavailable
from st2sensor.secrets.call import Call

LOG = logging.getLogger("st2sensor.secrets")

FAILURE_KEPT = 1.0
"""Seconds for which Vault is not called again after it could not be reached, so that starts do not queue for it."""


class Reader(Protocol):
    """The sources of secrets. For any thread."""

    def read(self, call: Call) -> str:
        """Return a secret; blocks. Raises SecretError."""


class Values:
    """For any thread. Values are kept in memory only.

    :param interval: seconds for which a value counts as new.
    :param clock: monotonic, in seconds.
    """

    def __init__(self, reader: Reader, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._interval = interval
        self._clock = clock
        self._lock = Lock()
        self._known: dict[Call, tuple[str, float]] = {}
        """Values, and when they were read."""
        self._failing: dict[Call, str] = {}
        """Calls whose last read failed, and why."""
        self._vault_failure: tuple[SecretUnavailable, float] | None = None

    def get(self, call: Call) -> str:
        """Return a secret: a new one, or the last one while its source fails. Raises SecretError."""
        with self._lock:
            known = self._known.get(call)
        if known is not None and self._clock() < known[1] + self._interval:
            return known[0]
        try:
            return self._read(call)
        except SecretError:
            if known is None:
                raise
            return known[0]

    def refresh(self, calls: Iterable[Call]) -> dict[Call, str]:
        """Read some secrets now, forget all others, and return those that are known; blocks.

        A read that fails changes nothing. It is logged once, and so is its end.
        """
        wanted = set(calls)
        with self._lock:
            self._known = {call: known for call, known in self._known.items() if call in wanted}
            self._failing = {call: why for call, why in self._failing.items() if call in wanted}
        for call in wanted:
            try:
                self._read(call)
            except SecretError:
                continue
            except Exception:
                LOG.exception("%s cannot be read", call)
        with self._lock:
            return {call: known[0] for call, known in self._known.items() if call in wanted}

    def _read(self, call: Call) -> str:
        try:
            self._spare_vault(call)
            value = self._reader.read(call)
        except SecretError as error:
            self._failed(call, error)
            raise
        with self._lock:
            self._known[call] = (value, self._clock())
            was_failing = self._failing.pop(call, None) is not None
            if call.source == "vault":
                self._vault_failure = None
        if was_failing:
            LOG.info("%s can be read again", call)
        return value

    def _failed(self, call: Call, error: SecretError) -> None:
        with self._lock:
            if call.source == "vault" and isinstance(error, SecretUnavailable) and self._vault_failure is None:
                self._vault_failure = (error, self._clock())
            is_news = self._failing.get(call) != str(error)
            self._failing[call] = str(error)
            is_used = call in self._known
        if is_news and is_used:
            LOG.warning("%s cannot be read: %s; until then its last value stays in use", call, error)

    def _spare_vault(self, call: Call) -> None:
        """Raise the last failure of Vault if it is recent."""
        with self._lock:
            failure = self._vault_failure if call.source == "vault" else None
            if failure is not None and self._clock() >= failure[1] + FAILURE_KEPT:
                failure = self._vault_failure = None
        if failure is not None:
            raise SecretUnavailable(str(failure[0]))
