"""Requests of one session that wait for their answers: so many, and so many bytes, before it is not read any more."""

from __future__ import annotations

import threading

MOST = 256
"""Requests."""

MOST_BYTES = 20_000_000
"""Bytes of requests, at most, but for a single one."""


class Unanswered:
    """Requests are added by the loop's thread, and answered by any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sizes: dict[int, list[int]] = {}
        """Of requests by id, which a sensor may use twice."""
        self._count = self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether the next request has to wait."""
        return self._count >= MOST or self._bytes >= MOST_BYTES

    def add(self, identifier: int, size: int) -> None:
        with self._lock:
            self._sizes.setdefault(identifier, []).append(size)
            self._count += 1
            self._bytes += size

    def remove(self, identifier: int) -> None:
        """It is answered."""
        with self._lock:
            sizes = self._sizes.get(identifier)
            if not sizes:
                return
            self._count -= 1
            self._bytes -= sizes.pop()
            if not sizes:
                del self._sizes[identifier]
