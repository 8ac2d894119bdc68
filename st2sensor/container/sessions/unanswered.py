"""Counts the unanswered requests of one session, to limit how many are read ahead."""

from __future__ import annotations

import threading

MOST_REQUESTS = 256
"""Maximum number of unanswered requests before the next one must wait."""

MOST_BYTES = 20_000_000
"""Maximum total size, in bytes, of the unanswered requests before the next one must wait. A single request may be
larger."""


class Unanswered:
    """The loop's thread adds requests; any thread may remove them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sizes: dict[int, list[int]] = {}
        """Sizes of requests by id. A sensor may use an id more than once."""
        self._count = self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether the next request must wait."""
        return self._count >= MOST_REQUESTS or self._bytes >= MOST_BYTES

    def add(self, identifier: int, size: int) -> None:
        """Count a request.

        :param size: its size in bytes.
        """
        with self._lock:
            self._sizes.setdefault(identifier, []).append(size)
            self._count += 1
            self._bytes += size

    def remove(self, identifier: int) -> None:
        """Stop counting a request that has been answered. Does nothing for an unknown request."""
        with self._lock:
            sizes = self._sizes.get(identifier)
            if not sizes:
                return
            self._count -= 1
            self._bytes -= sizes.pop()
            if not sizes:
                del self._sizes[identifier]
