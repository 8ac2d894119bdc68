"""The wrapper's connection, with a server that answers as each test wants."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from st2sensor.errors import DatastoreUnavailable
from st2sensor.portable import rpc
from st2sensor.wrapper.connection import Connection
from tests.plugins.patience import AT_LAST, SOON

Answer = Callable[["Peer", rpc.Message], None]


class Gone(BaseException):
    pass


class Peer:
    """One accepted connection."""

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)


class Server:
    """Accepts connections, greets them, and leaves the rest to `answer`."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.path = path
        self.hellos: list[dict[str, Any]] = []
        self.peers: list[Peer] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer = Peer(self._listener.accept()[0])
                self.peers.append(peer)
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: Peer) -> None:
        lines = rpc.LineBuffer()
        with contextlib.suppress(OSError):
            while data := peer.socket.recv(65536):
                for line in lines.feed(data):
                    message = rpc.decode(line)
                    if message["method"] == "hello":
                        self.hellos.append(message["params"])
                        peer.send(rpc.result(message["id"], {}))
                    else:
                        self._answer(peer, message)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.socket.shutdown(socket.SHUT_RDWR)
            peer.socket.close()


@pytest.fixture
def serve(folder: Path) -> Iterator[Callable[[Answer], tuple[Server, Connection]]]:
    servers: list[Server] = []
    connections: list[Connection] = []

    def gone() -> NoReturn:
        raise Gone

    def make(answer: Answer) -> tuple[Server, Connection]:
        server = Server(folder / "s.sock", answer)
        connection = Connection(str(server.path), "token", gone)
        servers.append(server)
        connections.append(connection)
        return server, connection

    yield make
    for connection in connections:
        if connection._socket is not None:
            connection._socket.close()
    for server in servers:
        server.close()


def echo(peer: Peer, message: rpc.Message) -> None:
    peer.send(rpc.result(message["id"], message["params"]["n"]))


def test_a_call_says_hello_first_and_returns_its_answer(
    serve: Callable[[Answer], tuple[Server, Connection]],
) -> None:
    server, connection = serve(echo)
    assert connection.call("echo", {"n": 1}) == 1
    assert connection.call("echo", {"n": 2}) == 2
    assert server.hellos == [{"version": rpc.PROTOCOL_VERSION, "token": "token"}]


def test_answers_in_any_order_find_the_threads_that_wait(
    serve: Callable[[Answer], tuple[Server, Connection]],
) -> None:
    held: list[rpc.Message] = []
    lock = threading.Lock()

    def answer_last_first(peer: Peer, message: rpc.Message) -> None:
        with lock:
            held.append(message)
            if len(held) == 8:
                for waiting in reversed(held):
                    echo(peer, waiting)
                held.clear()

    _, connection = serve(answer_last_first)
    results: dict[int, list[int]] = {}

    def work(number: int) -> None:
        results[number] = [connection.call("echo", {"n": number * 1000 + turn}) for turn in range(200)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert results == {number: [number * 1000 + turn for turn in range(200)] for number in range(8)}


def test_an_error_is_raised_and_the_next_call_works(serve: Callable[[Answer], tuple[Server, Connection]]) -> None:
    def answer(peer: Peer, message: rpc.Message) -> None:
        if message["method"] == "fail":
            peer.send(rpc.error(message["id"], DatastoreUnavailable("away")))
        else:
            echo(peer, message)

    _, connection = serve(answer)
    with pytest.raises(DatastoreUnavailable, match="away"):
        connection.call("fail", {})
    assert connection.call("echo", {"n": 3}) == 3


def test_what_is_not_json_is_a_type_error_and_harms_no_later_call(
    serve: Callable[[Answer], tuple[Server, Connection]],
) -> None:
    _, connection = serve(echo)
    with pytest.raises(TypeError):
        connection.call("echo", {"n": object()})
    assert connection.call("echo", {"n": 4}) == 4


def test_a_signal_handler_that_raises_in_the_middle_leaves_other_threads_their_answers(
    serve: Callable[[Answer], tuple[Server, Connection]],
) -> None:
    asked = threading.Event()
    both = threading.Event()
    held: list[tuple[Peer, rpc.Message]] = []

    def hold(peer: Peer, message: rpc.Message) -> None:
        held.append((peer, message))
        asked.set()
        if len(held) == 2:
            both.set()

    class Alarm(Exception):
        pass

    def on_alarm(*_: object) -> None:
        raise Alarm

    _, connection = serve(hold)
    results: list[int] = []
    other = threading.Thread(target=lambda: results.append(connection.call("echo", {"n": 1})))

    def interrupt() -> None:
        # By now the main thread reads for both, or waits for its turn. Either way it is interrupted.
        if both.wait(AT_LAST):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    previous = signal.signal(signal.SIGALRM, on_alarm)
    interrupter = threading.Thread(target=interrupt)
    other.start()
    assert asked.wait(SOON)
    interrupter.start()
    try:
        with pytest.raises(Alarm):
            connection.call("echo", {"n": 2})
    finally:
        interrupter.join(SOON)
        signal.signal(signal.SIGALRM, previous)
    for peer, message in held:
        echo(peer, message)
    other.join(SOON)
    assert results == [1]
    held.clear()


def test_a_forked_process_opens_a_session_of_its_own(serve: Callable[[Answer], tuple[Server, Connection]]) -> None:
    server, connection = serve(echo)
    assert connection.call("echo", {"n": 1}) == 1
    pid = os.fork()
    if pid == 0:
        os._exit(0 if connection.call("echo", {"n": 7}) == 7 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert connection.call("echo", {"n": 2}) == 2
    assert len(server.hellos) == 2


def test_the_end_of_the_container_ends_every_call(serve: Callable[[Answer], tuple[Server, Connection]]) -> None:
    def hang_up(peer: Peer, message: rpc.Message) -> None:  # noqa: ARG001
        peer.socket.shutdown(socket.SHUT_RDWR)

    _, connection = serve(hang_up)
    with pytest.raises(Gone):
        connection.call("echo", {"n": 1})
