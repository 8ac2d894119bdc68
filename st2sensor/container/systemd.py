"""If systemd has asked for it, reports that the container is ready, its status, and that its loop is alive."""

from __future__ import annotations

import logging
import os
import socket
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Mapping

LOG = logging.getLogger("st2sensor.container")


class Systemd:
    """For the loop's thread.

    :param environment: has NOTIFY_SOCKET if the unit has Type=notify, and WATCHDOG_USEC if the unit has WatchdogSec.
    """

    def __init__(self, loop: AbstractEventLoop, environment: Mapping[str, str]) -> None:
        self._loop = loop
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self._is_ready = False
        self._status = ""
        self._timer: TimerHandle | None = None
        self._interval = 0.0
        """Seconds between two signs of life; 0 for none."""
        if self._address and environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            # systemd recommends half of its limit.
            self._interval = int(environment.get("WATCHDOG_USEC", 0)) / 2_000_000
        if self._interval:
            self._notify_alive()

    def ready(self) -> None:
        """Report, once, that every sensor's first start has been attempted."""
        if not self._is_ready:
            self._is_ready = True
            self._notify("READY=1")

    def status(self, line: str) -> None:
        """Set the line that `systemctl status` shows."""
        if line != self._status:
            self._status = line
            self._notify(f"STATUS={line}")

    def stopping(self) -> None:
        """Report that the container is stopping."""
        self._notify("STOPPING=1")

    def close(self) -> None:
        """End the signs of life."""
        if self._timer is not None:
            self._timer.cancel()

    def _notify_alive(self) -> None:
        self._timer = self._loop.call_later(self._interval, self._notify_alive)
        self._notify("WATCHDOG=1")

    def _notify(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.setblocking(False)
                notify.sendto(message.encode(), self._address)
        except OSError as exception:
            LOG.debug("cannot send %s to systemd at %s: %s", message, self._address, exception)
