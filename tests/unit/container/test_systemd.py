"""Messages to systemd's socket, in virtual time."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from st2sensor.container.systemd import Systemd
from tests.support.virtual_time import run_in_virtual_time


class Manager:
    """systemd's end of the socket."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "notify.sock")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    yield manager
    manager.close()


def test_ready_is_said_once_and_a_status_when_it_changes(manager: Manager) -> None:
    async def main() -> None:
        systemd = Systemd(asyncio.get_running_loop(), {"NOTIFY_SOCKET": manager.path})
        for line in ("1 starting", "1 running", "1 running"):
            systemd.ready()
            systemd.status(line)
        systemd.stopping()
        systemd.close()

    run_in_virtual_time(main())
    assert manager.heard() == ["READY=1", "STATUS=1 starting", "STATUS=1 running", "STOPPING=1"]


@pytest.mark.parametrize(("of_this_process", "signs"), [(True, 3), (False, 0)])
def test_signs_of_life_come_twice_within_the_limit_until_the_end(
    manager: Manager, of_this_process: bool, signs: int
) -> None:
    async def main() -> None:
        pid = os.getpid() if of_this_process else 1
        environment = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(pid)}
        systemd = Systemd(asyncio.get_running_loop(), environment)
        await asyncio.sleep(31)
        systemd.close()
        await asyncio.sleep(100)

    run_in_virtual_time(main())
    assert manager.heard() == ["WATCHDOG=1"] * signs


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nonexistent/notify.sock"}, {"WATCHDOG_USEC": "1000"}])
def test_without_systemd_nothing_happens(environment: dict[str, str]) -> None:
    async def main() -> None:
        systemd = Systemd(asyncio.get_running_loop(), environment)
        systemd.ready()
        systemd.status("1 running")
        systemd.stopping()
        systemd.close()

    run_in_virtual_time(main())
