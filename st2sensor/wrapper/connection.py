"""The wrapper's connection to its container. Every thread of the sensor may use it, also after a fork.

A thread that waits for an answer reads it from the socket itself. When several threads wait, one reads for all.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
from contextlib import nullcontext
from typing import Any, Callable, ContextManager, Dict, Iterator, List, NoReturn, Optional, Protocol, Sequence

from st2sensor.portable import rpc

CHUNK = 65536
"""Maximum number of bytes to read at once."""


class _Call:
    """A request that waits for its answer."""

    __slots__ = ("answer", "turn")

    def __init__(self) -> None:
        self.answer: Optional[rpc.Message] = None
        self.turn = threading.Lock()
        """Held until the answer has arrived, or until it is the waiting thread's turn to read."""
        self.turn.acquire()

    def wake(self) -> None:
        """Let the waiting thread check again. The caller holds the state lock."""
        if self.turn.locked():
            self.turn.release()


class Caller(Protocol):
    """An object that makes calls to the container."""

    def call(self, method: str, params: rpc.Message, bodies: Sequence[bytes] = ()) -> Any:
        """Send a request and wait for its answer."""

    def notify(self, method: str, params: rpc.Message) -> None:
        """Send a notification."""


class Connection:
    """One session with the container.

    :param path: the container's socket.
    :param token: identifies the sensor.
    :param gone: called when the container has ended; it does not return.
    :param shield: entered around each call, so that a stop does not interrupt it.
    """

    def __init__(
        self,
        path: str,
        token: str,
        gone: Callable[[], NoReturn],
        shield: Optional[ContextManager[None]] = None,
    ) -> None:
        self._path = path
        self._token = token
        self._gone = gone
        self._shield = shield or nullcontext()
        self._socket: Optional[socket.socket] = None
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        """Forget the socket and the locks. A forked process opens a session of its own at its first call."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._greeted = False
        self._opening = threading.Lock()
        self._sending = threading.Lock()
        self._state = threading.Lock()
        self._calls: Dict[int, _Call] = {}
        self._reading = False
        self._ids = itertools.count(1)
        self._lines = rpc.LineBuffer()

    def hello(self) -> None:
        """Open the session."""
        self._ensure_open()

    def call(self, method: str, params: rpc.Message, bodies: Sequence[bytes] = ()) -> Any:
        """Send a request and wait for its answer.

        :param bodies: results of `rpc.body`.

        Raises the error that the container answers with, and TypeError when params are not JSON.
        """
        with self._shield:
            self._ensure_open()
            return self._request(method, params, bodies)

    def notify(self, method: str, params: rpc.Message) -> None:
        """Send a notification."""
        data = rpc.notification(method, params)
        # A stop in the middle would leave half a line, and the container would close the session.
        with self._shield:
            self._ensure_open()
            self._send(data)

    def notifications(self) -> Iterator[rpc.Message]:
        """Yield the container's notifications, without end. For one thread, on a connection that makes no calls."""
        while True:
            for line in self._read():
                yield rpc.decode(line)

    def _ensure_open(self) -> None:
        # An open socket is not enough: while one thread sends hello, the others must wait.
        if not self._greeted:
            with self._opening:
                if not self._greeted:
                    self._open()

    def _open(self) -> None:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            opened.connect(self._path)
        except OSError:
            self._gone()
        self._socket = opened
        self._request("hello", {"version": rpc.PROTOCOL_VERSION, "token": self._token})
        self._greeted = True

    def _request(self, method: str, params: rpc.Message, bodies: Sequence[bytes] = ()) -> Any:
        call = _Call()
        identifier = next(self._ids)
        # Encode the request before registering it: one that cannot be encoded leaves no trace.
        data = rpc.request(identifier, method, params, bodies)
        with self._state:
            self._calls[identifier] = call
        try:
            self._send(data)
            return rpc.answer_of(self._wait(call))
        finally:
            # A signal handler of the sensor may raise in the middle, while another thread waits for its turn.
            with self._state:
                self._calls.pop(identifier, None)
                self._hand_over()

    def _wait(self, call: _Call) -> rpc.Message:
        while True:
            with self._state:
                if call.answer is not None:
                    return call.answer
                reads = not self._reading
                if reads:
                    self._reading = True
            if not reads:
                call.turn.acquire()
                continue
            try:
                while call.answer is None:
                    for line in self._read():
                        self._settle(rpc.decode(line))
            finally:
                with self._state:
                    self._reading = False

    def _hand_over(self) -> None:
        """Wake one waiting thread if no thread reads. The caller holds the state lock."""
        if not self._reading:
            heir = next(iter(self._calls.values()), None)
            if heir is not None:
                heir.wake()

    def _settle(self, message: rpc.Message) -> None:
        with self._state:
            call = self._calls.pop(message.get("id", 0), None)
            if call is not None:
                call.answer = message
                call.wake()

    def _send(self, data: bytes) -> None:
        assert self._socket is not None
        try:
            with self._sending:
                self._socket.sendall(data)
        except OSError:
            self._gone()

    def _read(self) -> List[bytes]:
        assert self._socket is not None
        try:
            data = self._socket.recv(CHUNK)
        except OSError:
            data = b""
        if not data:
            self._gone()
        return self._lines.feed(data)
