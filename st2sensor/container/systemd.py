"""What systemd is told of the container, where it asks to be: ready, a line of status, that the loop is alive."""

from __future__ import annotations

import logging
import os
import socket
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Mapping

LOG = logging.getLogger("st2sensor.container")


class Systemd:
    """For the loop's thread.

    :param environment: with NOTIFY_SOCKET, where the unit has Type=notify, and WATCHDOG_USEC.
    """

    def __init__(self, loop: AbstractEventLoop, environment: Mapping[str, str]) -> None:
        self._loop = loop
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self._is_ready = False
        self._status = ""
        self._timer: TimerHandle | None = None
        self._interval = 0.0
        if self._address and environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            # Half of what systemd waits, as it recommends.
            self._interval = int(environment.get("WATCHDOG_USEC", 0)) / 2_000_000
        if self._interval:
            self._alive()

    def ready(self) -> None:
        """The first start of every sensor was attempted."""
        if not self._is_ready:
            self._is_ready = True
            self._tell("READY=1")

    def status(self, line: str) -> None:
        """What `systemctl status` shows."""
        if line != self._status:
            self._status = line
            self._tell(f"STATUS={line}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def close(self) -> None:
        """Say nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _alive(self) -> None:
        self._timer = self._loop.call_later(self._interval, self._alive)
        self._tell("WATCHDOG=1")

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.setblocking(False)
                notify.sendto(message.encode(), self._address)
        except OSError as exception:
            LOG.debug("systemd at %s is not told %s: %s", self._address, message, exception)
