"""The sockets that wrappers connect to: who may connect, and what happens to a file that is deleted."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from st2sensor.container.sessions import endpoint as module
from st2sensor.container.sessions.endpoint import PATH_LIMIT, Endpoint, Endpoints
from st2sensor.container.sessions.session import Session
from st2sensor.errors import ConfigError
from st2sensor.portable import rpc
from st2sensor.system.connection_limits import ConnectionLimits, Priority
from tests.plugins.patience import SOON
from tests.unit.container.sessions.fakes import until

QUICKLY = 0.01
"""Seconds between two checks of the file, and until connections are accepted again."""


class Hears:
    """Keeps the sessions whose messages it gets."""

    def __init__(self) -> None:
        self.heard: list[tuple[Session, str]] = []
        self.ended: list[Session] = []

    def handle(self, session: Session, message: rpc.Message) -> None:
        self.heard.append((session, message["method"]))

    def closed(self, session: Session) -> None:
        self.ended.append(session)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOCKET_CHECK_INTERVAL", QUICKLY)
    monkeypatch.setattr(module, "ACCEPT_RETRY", QUICKLY)


def in_loop(play: Callable[[asyncio.AbstractEventLoop, Hears], Any]) -> None:
    async def run() -> None:
        async with asyncio.timeout(SOON):
            await play(asyncio.get_running_loop(), Hears())

    asyncio.run(run())


def connect(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(str(path))
    return made


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_each_connection_becomes_a_session_and_the_file_has_the_given_mode(folder: Path) -> None:
    path = folder / "deep" / "wrapper.sock"

    async def play(loop: asyncio.AbstractEventLoop, hears: Hears) -> None:
        endpoint = Endpoint(loop, path, hears, mode=0o640, trusted=True)
        assert mode_of(path) == 0o640
        with connect(path) as first, connect(path) as second:
            first.sendall(rpc.request(1, "first", {}))
            second.sendall(rpc.request(1, "second", {}))
            await until(lambda: len(hears.heard) == 2)
        assert {method for _, method in hears.heard} == {"first", "second"}
        assert len({session for session, _ in hears.heard}) == 2
        await until(lambda: len(hears.ended) == 2)
        endpoint.close()
        assert not path.exists()

    in_loop(play)


def test_the_umask_of_the_process_stays(folder: Path) -> None:
    async def play(loop: asyncio.AbstractEventLoop, hears: Hears) -> None:
        before = os.umask(0o027)
        try:
            Endpoint(loop, folder / "s", hears).close()
            assert os.umask(0o027) == 0o027
        finally:
            os.umask(before)

    in_loop(play)


def test_a_path_that_is_too_long_for_a_socket_is_an_error_of_the_configuration(folder: Path) -> None:
    async def play(loop: asyncio.AbstractEventLoop, hears: Hears) -> None:
        fits = folder / ("x" * (PATH_LIMIT - len(str(folder)) - 1))
        Endpoint(loop, fits, hears).close()
        with pytest.raises(ConfigError, match="is too long for a socket; use a shorter path"):
            Endpoint(loop, fits.with_name(f"{fits.name}x"), hears)

    in_loop(play)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_lost_file_is_made_again_and_given_to_its_users_again(
    folder: Path, replaced: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path, admitted = folder / "s", [0]

    def admit() -> None:
        admitted[0] += 1

    async def play(loop: asyncio.AbstractEventLoop, hears: Hears) -> None:
        endpoint = Endpoint(loop, path, hears, admit=admit, trusted=True)
        path.unlink()
        if replaced:
            path.write_text("")
        while admitted[0] < 2:
            await asyncio.sleep(QUICKLY)
        with connect(path) as made:
            made.sendall(rpc.request(1, "again", {}))
            await until(lambda: bool(hears.heard))
        endpoint.close()

    in_loop(play)
    assert caplog.text.count(f"{path} was deleted or replaced while in use; it is being created again") == 1


def test_a_file_that_cannot_be_made_again_is_tried_again(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, refusals = folder / "s", [OSError("no"), OSError("still no")]
    admitted = [0]

    def admit() -> None:
        admitted[0] += 1
        if admitted[0] > 1 and refusals:
            raise refusals.pop()

    async def play(loop: asyncio.AbstractEventLoop, hears: Hears) -> None:
        endpoint = Endpoint(loop, path, hears, admit=admit)
        path.unlink()
        while admitted[0] < 4:
            await asyncio.sleep(QUICKLY)
        assert path.is_socket()
        endpoint.close()

    in_loop(play)
    assert caplog.text.count("was deleted or replaced") == 1
    assert f"nobody can connect to {path}: still no" in caplog.text


def test_a_first_file_that_cannot_be_given_to_its_users_is_removed(folder: Path) -> None:
    def admit() -> None:
        raise PermissionError("not yours")

    async def play(loop: asyncio.AbstractEventLoop, hears: Hears) -> None:
        with pytest.raises(PermissionError):
            Endpoint(loop, folder / "s", hears, admit=admit)
        assert not (folder / "s").exists()

    in_loop(play)


def test_without_file_descriptors_connections_wait(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Full:
        """A listening socket that fails a few times."""

        def __init__(self, real: socket.socket) -> None:
            self.real = real
            self.failures = [errno.EMFILE, errno.ENFILE, errno.ECONNABORTED]

        def accept(self) -> Any:
            if self.failures:
                raise OSError(self.failures.pop(), "no")
            return self.real.accept()

        def fileno(self) -> int:
            return self.real.fileno()

        def close(self) -> None:
            self.real.close()

    async def play(loop: asyncio.AbstractEventLoop, hears: Hears) -> None:
        endpoint = Endpoint(loop, folder / "s", hears, trusted=True)
        full: Any = Full(endpoint._socket)
        endpoint._socket = full
        with connect(folder / "s") as made:
            made.sendall(rpc.request(1, "waited", {}))
            while not hears.heard:
                await asyncio.sleep(QUICKLY)
        assert full.failures == []
        endpoint.close()

    in_loop(play)
    assert caplog.text.count("raise the limit of open files (LimitNOFILE)") == 2


def test_connections_beyond_the_limit_are_closed(folder: Path) -> None:
    async def play(loop: asyncio.AbstractEventLoop, hears: Hears) -> None:
        limits = ConnectionLimits(loop, "the socket", 1)
        endpoint = Endpoint(
            loop,
            folder / "s",
            hears,
            limits,
            priority=lambda _: Priority.BUSY,
            trusted=True,
        )
        with connect(folder / "s") as first, connect(folder / "s") as second:
            first.sendall(rpc.request(1, "admitted", {}))
            second.setblocking(False)
            assert await loop.sock_recv(second, 1) == b""
            await until(lambda: bool(hears.heard))
        endpoint.close()

    in_loop(play)


def test_wrappers_that_have_not_shown_a_token_are_closed_first(folder: Path) -> None:
    async def play(loop: asyncio.AbstractEventLoop, hears: Hears) -> None:
        endpoint = Endpoint(loop, folder / "s", hears, trusted=True)
        with connect(folder / "s") as made:
            made.sendall(rpc.request(1, "hello", {}))
            await until(lambda: bool(hears.heard))
        ((session, _),) = hears.heard
        assert module._of_wrapper(session) is Priority.UNKNOWN
        session.ref = "p.S"
        assert module._of_wrapper(session) is Priority.BUSY
        endpoint.close()

    in_loop(play)


def test_each_user_has_one_endpoint_which_this_user_may_pass_through_to(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Path, int, int]] = []
    monkeypatch.setattr(os, "chown", lambda path, user, group: given.append((path, user, group)))

    async def play(loop: asyncio.AbstractEventLoop, hears: Hears) -> None:
        endpoints = Endpoints(loop, hears)
        own, other = folder / "own.sock", folder / "other" / "other.sock"
        (folder / "other").mkdir(mode=0o700)
        for _ in range(2):
            endpoints.ensure(own, None)
            endpoints.ensure(other, (1234, 5678, []))
        assert given == [(other, 1234, 5678)]
        assert mode_of(other.parent) == 0o701
        assert own.is_socket()
        assert other.is_socket()
        endpoints.close()
        assert not own.exists()
        assert not other.exists()

    in_loop(play)
