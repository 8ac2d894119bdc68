"""A broker that follows AMQP up to the point where a test makes it fall silent, trickle, or send nonsense."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

from amqp.serialization import dumps

START, TUNE, OPEN_OK = (10, 10), (10, 30), (10, 41)
BLOCKED, UNBLOCKED = (10, 60), (10, 61)

REPLIES: dict[tuple[int, int], tuple[tuple[int, int], str, tuple[object, ...]]] = {
    (10, 11): (TUNE, "BlB", (2047, 131072, 10)),
    (10, 40): (OPEN_OK, "s", ("",)),
    (20, 10): ((20, 11), "S", ("",)),
    (20, 40): ((20, 41), "", ()),
    (40, 10): ((40, 11), "", ()),
    (50, 10): ((50, 11), "sll", ("q", 0, 0)),
    (50, 20): ((50, 21), "", ()),
    (60, 20): ((60, 21), "s", ("tag",)),
    (85, 10): ((85, 11), "", ()),
}
"""The answer to each method."""

METHODS = {
    "connect": None,
    "start": (10, 0),
    "tune": (10, 11),
    "open": (10, 40),
    "channel": (20, 10),
    "channel.close": (20, 40),
    "exchange": (40, 10),
    "queue": (50, 10),
    "bind": (50, 20),
    "consume": (60, 20),
    "confirm": (85, 10),
    "publish": (60, 40),
}
"""Points where the broker may fall silent, by a name for tests; (10, 0) stands for the protocol's header."""


class FakeBroker:
    """:param silent: the name of a method; neither it nor anything after it is answered.

    :param trickle: whether that method's answer is sent at one byte a second, and never completely.
    :param noise: whether heartbeats are sent continuously, so that the broker never looks dead.
    :param context: for TLS.
    """

    def __init__(
        self,
        silent: str | None = None,
        *,
        trickle: bool = False,
        noise: bool = False,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._context = context
        self._silent = METHODS[silent] if silent else ()
        self._trickle, self._noise = trickle, noise
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.url = f"amqp://guest:hush@127.0.0.1:{self.port}//"
        self.connections = 0
        self.published = 0
        self._channel = 0
        """The channel of the newest request."""
        self.greeting = b""
        """Bytes sent before anything else."""
        self._closing = threading.Event()
        self._sockets: list[socket.socket] = []
        self.say: Callable[[Callable[..., None]], None] = lambda _: None
        """Called before a publish is answered, with a function that sends a method."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        for each in [self._socket, *self._sockets]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def speak(self, method: tuple[int, int], form: str, values: tuple[object, ...], channel: int = 0) -> None:
        """Send a method on the newest connection."""
        _send(self._sockets[-1], channel, method, form, values)

    def deliver(self, exchange: str, body: bytes) -> None:
        """Deliver a message on the newest connection, whose reader uses its last channel."""
        channel = self._channel
        self.speak((60, 60), "sLbss", ("tag", 1, False, exchange, "key"), channel)
        header = struct.pack(">HHQH", 60, 0, len(body), 0)
        for kind, payload in ((2, header), (3, body)):
            self._sockets[-1].sendall(struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce")

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with suppress(OSError, EOFError):
            if self._silent is None:
                return
            if self._context is not None:
                peer = self._context.wrap_socket(peer, server_side=True)
                self._sockets[-1] = peer
            if self._noise:
                threading.Thread(target=self._hum, args=(peer,), daemon=True).start()
            peer.sendall(self.greeting)
            _exactly(peer, 8)
            table = {"capabilities": {"connection.blocked": True, "publisher_confirms": True, "basic.nack": True}}
            if not self._answer(peer, (10, 0), START, "ooFSS", (0, 9, table, "PLAIN AMQPLAIN", "en_US")):
                return
            while not self._closing.is_set():
                kind, channel, size = struct.unpack(">BHI", _exactly(peer, 7))
                body = _exactly(peer, size + 1)[:-1]
                if kind != 1:
                    continue
                self._channel = channel
                method = (int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big"))
                if method == (60, 40):
                    self.published += 1
                    self.say(lambda *said: _send(peer, 0, *said))
                    if self._answer(peer, method, (60, 80), "Lb", (self.published, False), channel):
                        continue
                    return
                if method in REPLIES and not self._answer(peer, method, *REPLIES[method], channel):
                    return

    def _answer(
        self,
        peer: socket.socket,
        asked: tuple[int, int],
        method: tuple[int, int],
        form: str,
        values: tuple[object, ...],
        channel: int = 0,
    ) -> bool:
        """Answer, unless the broker is to fall silent here."""
        if asked != self._silent:
            _send(peer, channel, method, form, values)
            return True
        if self._trickle:
            frame = _frame(channel, method, form, values)
            while not self._closing.wait(0.05):
                peer.sendall(frame[:1])
                frame = frame[1:] if len(frame) > 2 else frame
        return False

    def _hum(self, peer: socket.socket) -> None:
        with suppress(OSError):
            while not self._closing.wait(0.05):
                peer.sendall(struct.pack(">BHIB", 8, 0, 0, 0xCE))


def _send(peer: socket.socket, channel: int, method: tuple[int, int], form: str, values: tuple[object, ...]) -> None:
    peer.sendall(_frame(channel, method, form, values))


def _frame(channel: int, method: tuple[int, int], form: str, values: tuple[object, ...]) -> bytes:
    payload = struct.pack(">HH", *method) + (dumps(form, values) if form else b"")
    return struct.pack(">BHI", 1, channel, len(payload)) + payload + b"\xce"


def _exactly(peer: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = peer.recv(size - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found
