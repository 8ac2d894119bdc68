"""The connection of a sensor that eventlet has patched: each native thread has its own.

With eventlet, locks and sockets belong to the hub of a native thread. A thread cannot wait for a lock that another
native thread holds.
"""

from __future__ import annotations

import sys
from typing import Any, Callable, Dict, Sequence

from st2sensor.portable.rpc import Message
from st2sensor.wrapper.connection import Connection


class GreenConnection:
    """Stands in for a `Connection`, for the sensor's service.

    :param first: the main thread's connection.
    :param connect: makes another connection.
    """

    def __init__(self, first: Connection, connect: Callable[[], Connection]) -> None:
        # The unpatched function: it identifies the native thread, not the green one.
        self._ident: Callable[[], int] = sys.modules["eventlet"].patcher.original("threading").get_ident
        self._connect = connect
        self._connections: Dict[int, Connection] = {self._ident(): first}

    def call(self, method: str, params: Message, bodies: Sequence[bytes] = ()) -> Any:
        """Send a request and wait for its answer, as `Connection.call` does."""
        return self._mine().call(method, params, bodies)

    def notify(self, method: str, params: Message) -> None:
        """Send a notification, as `Connection.notify` does."""
        self._mine().notify(method, params)

    def _mine(self) -> Connection:
        ident = self._ident()
        if ident not in self._connections:
            # The connection is kept when the thread ends. A later thread with the same number uses it again.
            self._connections[ident] = self._connect()
        return self._connections[ident]
