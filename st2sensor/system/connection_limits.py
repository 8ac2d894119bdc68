"""Who is connected to a port or socket: how many may be, and how long one may stay that has not said what it wants.

Those who have are left alone, however idle they are. Beyond the limit one goes of the origin that has the most
connections, so that a hog harms itself. For one event loop's thread.
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
"""Seconds that a visitor has for its first request."""

GRACE = 2.0
"""Seconds more, in which a loop that was busy reads what has come meanwhile."""

HOG = 8
"""Connections of one origin from which on one of them goes for a newcomer, though it has asked for something."""

SAID_AGAIN = 60.0
"""Seconds between two warnings of the same kind."""


class Priority(enum.IntEnum):
    """What a connection is worth, from the one that goes first."""

    UNKNOWN = 0
    """It has not said what it wants."""
    IDLE = 1
    """It has been answered."""
    BUSY = 2
    """It waits for an answer, or is told what happens."""


class Peer:
    """One connection.

    :param close: hangs up. :param standing: what it is worth now.
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
        """The connection is closed."""
        self._visitors.forget(self)


class ConnectionLimits:
    """:param limit: of connections at the same time.

    :param where: what they are connected to, for the log.
    :param patience: seconds that one has for its first request.
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
        """Let one in; None when it has to go, and nothing was closed.

        :param origin: the process or host that it comes from.
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
        """Hang up on everybody."""
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
        """The one that goes for a newcomer: the oldest of the origin that has the most."""
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
    """A limit of connections: a part of the file descriptors that this process may have; the rest is for its work.

    :param part: as in 8 for an eighth.
    """
    return max(8, min(most, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // part))
