"""The zygote: forks wrappers for its container, from a process that has imported all that they need.

It is the warden, too: when the container is gone, however it went, it kills the process groups of all sensors.

A wrapper is forked twice and thereby left to the container, which is a subreaper: it outlives the zygote, and its exit
is the container's to see. Only one thread runs here, because a lock that another holds at a fork stays locked.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
from contextlib import suppress
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

from st2sensor.wrapper.title import show

PACKET = 65536
"""Bytes of the longest message."""

GO = b"g"

Request = Dict[str, Any]


class Birth(NamedTuple):
    """What a forked process is to become.

    :param interpreter: whose environment it runs in.
    :param execute: whether it has to be executed anew, because a fork would not do.
    :param variables: of the environment, beside those of the zygote.
    :param limits: see `environment.limit`.
    """

    ref: str
    interpreter: str
    execute: bool
    variables: Dict[str, str]
    limits: Dict[str, Any]


class Zygote:
    """Serves a container.

    :param channel: a SOCK_SEQPACKET socket: a message of JSON a packet, file descriptors beside it.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._groups: Set[int] = set()
        """Process groups of live sensors."""

    def serve(self) -> Optional[Birth]:
        """Serve until the container is gone, then kill what is left and return None.

        In a forked process it returns what that is to become.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # What is shared now stays shared: the collector of a child would write to each object it looks at.
        gc.collect()
        gc.freeze()
        while True:
            request, fds = self._receive()
            if request is None:
                self._kill_all()
                return None
            if request["do"] == "start":
                birth = self._start(request, fds[0])
                if birth is not None:
                    return birth
            elif request["do"] == "hold":
                self._groups.update(request["groups"])
            else:
                self._groups.discard(request["group"])

    def _receive(self) -> Tuple[Optional[Request], List[int]]:
        try:
            data, fds, _, _ = socket.recv_fds(self._channel, PACKET, 1, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return None, []
        return (json.loads(data) if data else None), fds

    def _start(self, request: Request, output: int) -> Optional[Birth]:
        report, reporting = os.pipe()
        waiting, go = os.pipe()
        try:
            between = os.fork()
        except OSError as error:
            self._send({"id": request["id"], "error": f"cannot fork: {error}"})
            for fd in (report, reporting, waiting, go, output):
                os.close(fd)
            return None
        if between == 0:
            # Before the fork that makes the wrapper, so that nobody ever sees it under another name.
            show(request["birth"]["ref"])
            if _fork_again(reporting):
                for fd in (report, reporting, go):
                    os.close(fd)
                _await_go(waiting)
                _attach(output)
                return Birth(**request["birth"])
            os._exit(0)
        for fd in (reporting, waiting, output):
            os.close(fd)
        said = os.read(report, PACKET).decode()
        os.close(report)
        # Once the one between is gone, the container is the parent.
        os.waitpid(between, 0)
        self._announce(request["id"], said)
        with suppress(OSError):
            os.write(go, GO)
        os.close(go)
        return None

    def _announce(self, identifier: int, said: str) -> None:
        """Tell the container of the process before it may do anything."""
        if not said.isdigit():
            self._send({"id": identifier, "error": f"cannot fork: {said}"})
            return
        pid = int(said)
        try:
            handle = os.pidfd_open(pid)
        except OSError as error:
            self._send({"id": identifier, "error": f"process {pid} has gone: {error}"})
            return
        self._groups.add(pid)
        self._send({"id": identifier, "pid": pid}, handle)
        os.close(handle)

    def _send(self, message: Dict[str, Any], *fds: int) -> None:
        # A container that is gone is noticed by the next receive.
        with suppress(OSError):
            socket.send_fds(self._channel, [json.dumps(message).encode()], fds)

    def _kill_all(self) -> None:
        for group in self._groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)


def _fork_again(reporting: int) -> bool:
    """Fork the wrapper itself, in a process group of its own; whether this is it."""
    try:
        pid = os.fork()
    except OSError as error:
        os.write(reporting, str(error).encode())
        return False
    if pid == 0:
        return True
    os.setpgid(pid, pid)
    os.write(reporting, str(pid).encode())
    return False


def _await_go(waiting: int) -> None:
    """Wait until the container has a handle on this process; a zygote that dies before means that it never will."""
    if os.read(waiting, 1) != GO:
        os._exit(0)
    os.close(waiting)


def _attach(output: int) -> None:
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
