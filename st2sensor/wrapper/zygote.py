"""The zygote: forks wrappers for its container, from a process that has imported all that they need.

It is the warden, too: when the container is gone, however it went, it kills the process groups of all sensors.

A wrapper is forked twice and thereby left to the container, which is a subreaper: it outlives the zygote, and its exit
is the container's to see. Only one thread runs here, because a lock that another holds at a fork stays locked.

Whatever this process writes to its memory between two forks is a page that the next child shares with nobody. So the
process in between does nearly all of the work: it takes the request, forks, and answers.
"""

from __future__ import annotations

import ctypes
import gc
import glob
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, Dict, NamedTuple, Optional, Sequence, Set, Tuple

from st2sensor.wrapper import environment, loader
from st2sensor.wrapper.title import Title

PACKET = 65536
"""Bytes of the longest message."""

GO = b"g"

NEVER_BORN = 70
"""Exit code of a wrapper whose zygote died before it could begin."""

LIBC = ctypes.PyDLL(None, use_errno=True)


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
    """Serves a container. Both sockets are SOCK_SEQPACKET: a message of JSON a packet, file descriptors beside it.

    :param births: requests for wrappers come here, and are answered.
    :param groups: the container tells of process groups to hold and to forget.
    :param outputs: the file descriptors that become a wrapper's output.
    """

    def __init__(self, births: socket.socket, groups: socket.socket, outputs: Sequence[int], title: Title) -> None:
        self._births = births
        self._groups = groups
        self._outputs = outputs
        self._title = title
        self._held: Set[int] = set()
        """Process groups of live sensors."""
        self._cgroups: Optional[str] = None
        """How the paths of the sensors' control groups begin."""

    def serve(self) -> Optional[Birth]:
        """Serve until the container is gone, then kill what is left and return None.

        In a forked process it returns what that is to become.
        """
        environment.list_folders(sys.path)
        loader.preload()
        # What is shared now stays shared: the collector of a child would write to each object it looks at.
        gc.collect()
        gc.freeze()
        poll = select.poll()
        poll.register(self._groups, select.POLLIN)
        poll.register(self._births, select.POLLIN)
        asks = self._births.fileno()
        while True:
            for fd, _ in poll.poll():
                if fd != asks:
                    if not self._hear():
                        self._kill_all()
                        return None
                elif self._fork():
                    return self._be_born()

    def _hear(self) -> bool:
        """Take what the container tells of groups; False when it is gone."""
        try:
            data = self._groups.recv(PACKET)
        except OSError:
            return False
        if data:
            message = json.loads(data)
            self._held.update(message.get("hold", ()))
            self._held.difference_update(message.get("forget", ()))
            self._cgroups = message.get("cgroups", self._cgroups)
        return bool(data)

    def _fork(self) -> bool:
        """Fork twice; True in the wrapper-to-be."""
        report, self._reporting = os.pipe()
        self._waiting, go = os.pipe()
        try:
            between = _fork()
        except OSError as error:
            self._refuse(f"cannot fork: {error}")
            between = 0
            os.write(self._reporting, b"0")
        else:
            if between == 0:
                os.close(report)
                os.close(go)
                if self._fork_again():
                    return True
                os._exit(0)
        os.close(self._reporting)
        os.close(self._waiting)
        pid = int(os.read(report, 16) or b"0")
        os.close(report)
        if between:
            # Once the one between is gone, the container is the parent.
            os.waitpid(between, 0)
        if pid:
            self._held.add(pid)
            os.write(go, GO)
        os.close(go)
        return False

    def _fork_again(self) -> bool:
        """In the process between: take the request, fork the wrapper, answer; True in the wrapper."""
        request, self._output = self._receive()
        if request is None:
            return False
        self._birth = Birth(**request["birth"])
        # Before the fork that makes the wrapper, so that nobody ever sees it under another name.
        self._title.show_sensor(self._birth.ref)
        try:
            pid = _fork()
        except OSError as error:
            self._send({"id": request["id"], "error": f"cannot fork: {error}"})
            return False
        if pid == 0:
            return True
        try:
            os.setpgid(pid, pid)
            handle = os.pidfd_open(pid)
        except OSError as error:
            # Unreported it is never told to go.
            self._send({"id": request["id"], "error": f"no handle of its process: {error}"})
            return False
        self._send({"id": request["id"], "pid": pid}, handle)
        os.write(self._reporting, b"%d" % pid)
        return False

    def _be_born(self) -> Birth:
        """In the wrapper: wait until it may begin. A zygote that dies before means that it never may."""
        self._births.close()
        self._groups.close()
        os.close(self._reporting)
        if os.read(self._waiting, 1) != GO:
            os._exit(NEVER_BORN)
        os.close(self._waiting)
        # What Python would have done after os.fork().
        if "random" in sys.modules:
            sys.modules["random"].seed()
        for fd in self._outputs:
            os.dup2(self._output, fd, inheritable=fd in (1, 2))
        os.close(self._output)
        return self._birth

    def _receive(self) -> Tuple[Optional[Dict[str, Any]], int]:
        try:
            data, fds, _, _ = socket.recv_fds(self._births, PACKET, 1, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return None, -1
        return (json.loads(data), fds[0]) if data else (None, -1)

    def _refuse(self, error: str) -> None:
        """Answer a request that this process has to take itself."""
        request, output = self._receive()
        if request is not None:
            os.close(output)
            self._send({"id": request["id"], "error": error})

    def _send(self, message: Dict[str, Any], *fds: int) -> None:
        # A container that is gone is noticed by the next poll.
        with suppress(OSError):
            socket.send_fds(self._births, [json.dumps(message).encode()], fds)

    def _kill_all(self) -> None:
        for group in self._held:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        for path in glob.glob(f"{self._cgroups}*/cgroup.kill") if self._cgroups else ():
            with suppress(OSError), open(path, "w") as file:
                file.write("1")


def serve(births: int, groups: int, outputs: Sequence[int]) -> Optional[Birth]:
    """Serve on two inherited sockets: see `Zygote.serve`.

    :param outputs: the file descriptors that become a wrapper's output.
    """
    title = Title()
    title.show("st2sensor zygote", "st2sensor")
    with socket.socket(fileno=births) as asked, socket.socket(fileno=groups) as told:
        return Zygote(asked, told, outputs, title).serve()


def _fork() -> int:
    """fork(), past the handlers that Python runs after os.fork().

    They mend the locks of threads that are gone, of which a zygote has none, seed `random`, which `_be_born` does, and
    write to a tenth of the memory that a wrapper would otherwise share. Raises OSError.
    """
    pid: int = LIBC.fork()
    if pid == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return pid
