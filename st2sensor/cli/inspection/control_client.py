"""The client of a running container's control socket."""

from __future__ import annotations

import grp
import itertools
import pwd
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from st2sensor.errors import (
    ContainerAway,
    ContainerForbidden,
    ContainerGone,
    RpcError,
    SensorNotFound,
    St2SensorError,
)
from st2sensor.portable import rpc
from st2sensor.reports import CONTROL_SOCKET

CHUNK = 65536

CONTROL_ANSWER_TIMEOUT = 30.0
"""Seconds within which a container must answer."""

REFUSALS: dict[str, type[Exception]] = {"SensorNotFound": SensorNotFound, "ValueError": ValueError}
"""Errors of the container that are raised here as the same type, by name."""


class ControlClient:
    """A connection, for one thread. All methods raise ContainerGone if it is lost.

    Raises ContainerAway if no container is listening, and ContainerForbidden if this user has no access.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(CONTROL_ANSWER_TIMEOUT)
        self._ids = itertools.count(1)
        self._lines = rpc.LineBuffer()
        self._received: list[bytes] = []
        try:
            self._socket.connect(str(path))
        except OSError as exception:
            self._socket.close()
            raise _away(path, exception) from exception

    def call(self, method: str, *bodies: bytes, **params: Any) -> Any:
        """Send a request and return the answer. Raises SensorNotFound, RpcError, ValueError if it is refused.

        :param bodies: results of `rpc.body`.
        """
        request = rpc.request(next(self._ids), method, params, bodies)
        try:
            self._socket.sendall(request)
        except OSError as exception:
            raise ContainerGone(f"the container at {self._path} has ended: {exception}") from exception
        while True:
            message = self._receive()
            if "method" not in message:
                return _answer(message)

    def follow(self, kinds: list[str], sensor: str | None = None) -> None:
        """Subscribe to events from now on; `events` yields them.

        :param kinds: names of event kinds, as in container.broadcast.
        :param sensor: the sensor whose events are wanted; None for all.
        """
        self.call("follow", kinds=kinds, ref=sensor)
        self._socket.settimeout(None)

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events since `follow`, until the container ends."""
        while True:
            try:
                yield self._receive()["params"]
            except ContainerGone:
                return

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> rpc.Message:
        while not self._received:
            try:
                data = self._socket.recv(CHUNK)
            except OSError as exception:
                raise ContainerGone(f"the container at {self._path} does not answer: {exception}") from exception
            if not data:
                raise ContainerGone(f"the container at {self._path} has ended")
            self._received = self._lines.feed(data)
        return rpc.decode(self._received.pop(0))


@contextmanager
def reached(state_dir: Path, ref: str | None = None) -> Iterator[ControlClient]:
    """Connect to the container of a state directory, or to the one that runs only a given sensor.

    Raises ContainerAway, ContainerForbidden.

    :param ref: the sensor. A container that runs only this one is preferred.
    """
    with closing(_connected(state_dir, ref)) as container:
        yield container


def all_reached(state_dir: Path) -> list[Path]:
    """Return the control sockets of a state directory, including those of containers that run a single sensor.

    The first one may not exist.
    """
    return [state_dir / CONTROL_SOCKET, *sorted(state_dir.glob(f"*/{CONTROL_SOCKET}"))]


def _connected(state_dir: Path, ref: str | None) -> ControlClient:
    if ref is not None:
        with suppress(ContainerAway):
            return ControlClient(state_dir / ref / CONTROL_SOCKET)
    return ControlClient(state_dir / CONTROL_SOCKET)


def _answer(message: rpc.Message) -> Any:
    refusal = message.get("error")
    if refusal is None:
        return message.get("result")
    kind = REFUSALS.get((refusal.get("data") or {}).get("type", ""), RpcError)
    raise kind(refusal["message"])


def _away(path: Path, exception: OSError) -> St2SensorError:
    if isinstance(exception, PermissionError):
        group, user = _owners(path)
        return ContainerForbidden(f"{path}: {exception.strerror}; become a member of {group}, or run this as {user}")
    return ContainerAway(
        f"no container is listening at {path}; st2ctl start starts one, and the log of the last one says why it ended"
    )


def _owners(path: Path) -> tuple[str, str]:
    """Return the group and the user that may use a control socket, in words."""
    group, user = "the group that owns it", "the container's user"
    # This user may not look into the folder, and an id may have no name.
    with suppress(OSError, KeyError):
        status = path.stat()
        group = f"the group {grp.getgrgid(status.st_gid).gr_name}"
        user = f"its user {pwd.getpwuid(status.st_uid).pw_name}"
    return group, user
