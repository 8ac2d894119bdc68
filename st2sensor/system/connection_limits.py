"""Limits the connections to a port or socket: their number, and the time until each has sent a complete request.

A connection that has done so may stay idle. When the limit is exceeded, the origin with the most connections loses one,
so that an origin that opens too many harms only itself. For one event loop's thread.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import resource
from collections import Counter
from collections.abc import Callable, Hashable

LOG = logging.getLogger("st2sensor.http")

REQUEST_TIMEOUT = 8.0
"""Seconds within which a peer must send its first request."""

GRACE = 2.0
"""Extra seconds that give a busy loop time to read what has already arrived."""

HOG = 8
"""Once one origin has this many connections, a newcomer replaces one of them, even if all have sent a request."""

SAID_AGAIN = 60.0
"""Seconds between two warnings of the same kind."""


class Priority(enum.IntEnum):
    """The priority of a connection. The lowest is closed first."""

    UNKNOWN = 0
    """The peer has not sent a complete request."""
    IDLE = 1
    """The peer's requests have been answered."""
    BUSY = 2
    """The peer is waiting for an answer, or following a stream."""


class Peer:
    """One connection.

    :param origin: the process or host that it comes from.
    :param close: closes it.
    :param standing: returns its current priority.
    """

    def __init__(
        self, visitors: ConnectionLimits, origin: Hashable, close: Callable[[], None], standing: Callable[[], Priority]
    ) -> None:
        self.origin = origin
        self.close = close
        self.standing = standing
        self._visitors = visitors
        self.timer: asyncio.TimerHandle | None = None

    def left(self) -> None:
        """Forget the connection, because it is closed."""
        self._visitors.forget(self)


class ConnectionLimits:
    """The connections to one port or socket.

    :param where: the name of the port or socket, for the log.
    :param limit: maximum number of connections at the same time.
    :param patience: seconds within which each must send its first request.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, where: str, limit: int, *, patience: float = REQUEST_TIMEOUT
    ) -> None:
        self._loop = loop
        self._patience = patience
        self._where = where
        self._limit = limit
        self._present: dict[Peer, None] = {}
        self._silent_until = 0.0

    def enter(self, origin: Hashable, close: Callable[[], None], standing: Callable[[], Priority]) -> Peer | None:
        """Admit a connection, closing another one if necessary. Return None when the new one must be closed.

        :param origin: the process or host that it comes from.
        :param close: closes it.
        :param standing: returns its current priority.
        """
        visitor = Peer(self, origin, close, standing)
        if len(self._present) >= self._limit:
            self._complain()
            excess = self._excess(origin)
            if excess is None:
                return None
            self._hang_up(excess)
        self._present[visitor] = None
        visitor.timer = self._loop.call_later(self._patience, self._overdue, visitor, GRACE)
        return visitor

    def forget(self, visitor: Peer) -> None:
        self._present.pop(visitor, None)
        if visitor.timer is not None:
            visitor.timer.cancel()

    def close(self) -> None:
        """Close all connections."""
        for visitor in list(self._present):
            self._hang_up(visitor)

    def _overdue(self, visitor: Peer, grace: float) -> None:
        if visitor.standing() is not Priority.UNKNOWN:
            return
        if grace:
            visitor.timer = self._loop.call_later(grace, self._overdue, visitor, 0.0)
        else:
            self._hang_up(visitor)

    def _excess(self, newcomer: Hashable) -> Peer | None:
        """Return the connection to close for a newcomer: the oldest one of the origin that has the most connections.

        Return None if none may be closed.
        """
        worth = {visitor: visitor.standing() for visitor in self._present}
        least = min(worth.values())
        candidates = [visitor for visitor, standing in worth.items() if standing == least]
        counted = Counter(visitor.origin for visitor in candidates)
        counted[newcomer] += 1
        origin, count = max(counted.items(), key=lambda item: item[1])
        if least is not Priority.UNKNOWN and count < HOG:
            return None
        return next((visitor for visitor in candidates if visitor.origin == origin), None)

    def _hang_up(self, visitor: Peer) -> None:
        self.forget(visitor)
        visitor.close()

    def _complain(self) -> None:
        if self._loop.time() >= self._silent_until:
            self._silent_until = self._loop.time() + SAID_AGAIN
            LOG.warning("%s: more than %d connections; the excess is closed", self._where, self._limit)


def share_of_files(part: int, most: int) -> int:
    """Return a limit for connections: a part of this process's file descriptors. The rest is for its work.

    :param part: the divisor, for example 8 for an eighth.
    :param most: the highest limit.
    """
    return max(8, min(most, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // part))
