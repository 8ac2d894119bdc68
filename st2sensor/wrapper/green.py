"""The connection of a sensor that eventlet has patched: each native thread has its own.

There, locks and sockets belong to the hub of a native thread: one that another thread holds is waited for by nobody.
"""

from __future__ import annotations

import sys
from typing import Any, Callable, Dict, Sequence

from st2sensor.portable.rpc import Message
from st2sensor.wrapper.connection import Connection


class GreenConnection:
    """What the sensor's service calls instead of a `Connection`.

    :param first: the main thread's.
    :param connect: makes another one.
    """

    def __init__(self, first: Connection, connect: Callable[[], Connection]) -> None:
        # As it was before it was patched: the number of the native thread, not of the green one.
        self._ident: Callable[[], int] = sys.modules["eventlet"].patcher.original("threading").get_ident
        self._connect = connect
        self._connections: Dict[int, Connection] = {self._ident(): first}

    def call(self, method: str, params: Message, bodies: Sequence[bytes] = ()) -> Any:
        """As `Connection.call`."""
        return self._mine().call(method, params, bodies)

    def notify(self, method: str, params: Message) -> None:
        """As `Connection.notify`."""
        self._mine().notify(method, params)

    def _mine(self) -> Connection:
        ident = self._ident()
        if ident not in self._connections:
            # For good: the system gives the number to a later thread.
            self._connections[ident] = self._connect()
        return self._connections[ident]
