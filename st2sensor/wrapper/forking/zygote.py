"""The zygote: forks wrappers for its container, from a process that has imported everything they need.

It is also the warden: when the container has ended, for any reason, it kills the process groups of all sensors. Where
containers share sensors, it also kills them at a deadline that the container sets and keeps moving. A container that is
paused does not move the deadline, and another container then starts the sensors.

A wrapper is a child of the container, not of this process: it outlives the zygote, and the container sees its exit.
Only one thread runs here, because a lock that another thread holds at a fork stays locked.

A child no longer shares a page of memory that this process has written between two forks. So the new process does
nearly all of the work itself: it reads its request, and answers.
"""

from __future__ import annotations

import gc
import glob
import json
import math
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from st2sensor.wrapper.forking import environment
from st2sensor.wrapper.forking.imports import USUAL
from st2sensor.wrapper.forking.rehearsal import rehearse
from st2sensor.wrapper.forking.sibling import Siblings
from st2sensor.wrapper.forking.title import Title
from st2sensor.wrapper.loading import loader

PACKET = 65536
"""Maximum number of bytes of a message."""

DESCRIPTOR = 4
"""Bytes of a file descriptor that is sent with a message."""

ROOM_FOR_DESCRIPTOR = socket.CMSG_SPACE(DESCRIPTOR)

LEASE_CHECK_INTERVAL = 1000
"""Maximum number of milliseconds between two checks of the clock while there is a deadline."""

NEVER_BORN = 70
"""Exit code of a process whose handle could not be sent to the container."""


class Birth(NamedTuple):
    """Describes the wrapper that a forked process becomes.

    :param interpreter: the interpreter whose environment it runs in.
    :param execute: whether to execute the interpreter, because a fork is not enough.
    :param variables: environment variables besides those of the zygote.
    :param limits: see `environment.limit`.
    """

    ref: str
    interpreter: str
    execute: bool
    variables: Dict[str, str]
    limits: Dict[str, Any]


class Zygote:
    """Serves a container. Both sockets are SOCK_SEQPACKET: each packet is a JSON message, with file descriptors.

    :param births: the socket for requests for wrappers, and for the answers.
    :param groups: the socket on which the container names process groups to hold and to forget.
    :param outputs: the file descriptors that become a wrapper's output.
    """

    def __init__(self, births: socket.socket, groups: socket.socket, outputs: Sequence[int], title: Title) -> None:
        self._births = births
        self._groups = groups
        self._outputs = outputs
        self._title = title
        self._request = bytearray(PACKET)
        self._held: Set[int] = set()
        """Process groups of live sensors."""
        self._cgroups: Optional[str] = None
        """The beginning of the paths of the sensors' control groups."""
        self._deadline: Optional[List[float]] = None
        """When to kill all sensors, on CLOCK_BOOTTIME and on CLOCK_REALTIME: the earlier of the two counts."""

    def serve(self) -> Optional[Birth]:
        """Serve until the container has ended, then kill the remaining sensors, and return None.

        In a forked process, return the description of its wrapper.
        """
        environment.list_folders(sys.path)
        loader.preload(USUAL)
        rehearse(
            lambda: Birth(
                **json.loads(b'{"ref": "", "interpreter": "", "execute": false, "variables": {}, "limits": {}}')
            ),
            lambda: self._title.show("st2sensor zygote", "st2sensor"),
        )
        self._siblings = Siblings()
        # Keep shared memory shared: the garbage collector of a child would write to each object that it visits.
        gc.collect()
        gc.freeze()
        poll = select.poll()
        poll.register(self._groups, select.POLLIN)
        poll.register(self._births, select.POLLIN)
        asks = self._births.fileno()
        while True:
            ready = [fd for fd, _ in poll.poll(self._milliseconds_left())]
            # Read all messages before anything else: a later one may have moved the deadline.
            if not self._hear():
                self._kill_all()
                return None
            if self._deadline is not None and not self._milliseconds_left():
                self._deadline = None
                self._kill_all()
            if asks in ready and self._fork():
                return self._be_born()

    def _milliseconds_left(self) -> Optional[int]:
        """Return the milliseconds until the deadline or the next check: waiting stops while the host is suspended."""
        if self._deadline is None:
            return None
        # Boot time may stand still while a hypervisor pauses the host. The wall clock is set right after that.
        boot, wall = self._deadline
        left = min(boot - time.clock_gettime(time.CLOCK_BOOTTIME), wall - time.clock_gettime(time.CLOCK_REALTIME))
        return max(0, min(LEASE_CHECK_INTERVAL, math.ceil(left * 1000)))

    def _hear(self) -> bool:
        """Read all messages of the container. Return False if it has ended."""
        while True:
            try:
                data = self._groups.recv(PACKET, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            message = json.loads(data)
            self._held.update(message.get("hold", ()))
            self._held.difference_update(message.get("forget", ()))
            self._cgroups = message.get("cgroups", self._cgroups)
            self._deadline = message.get("deadline", self._deadline)

    def _fork(self) -> bool:
        """Fork a process for the next request. Return True in that process, which becomes the wrapper."""
        try:
            length, ancillary, _, _ = self._births.recvmsg_into([self._request], ROOM_FOR_DESCRIPTOR)
        except OSError:
            return False
        if not length:
            return False
        if not ancillary:
            self._refuse(json.loads(self._request[:length])["id"], "no file descriptor for its output was received")
            return False
        self._output = int.from_bytes(ancillary[0][2], sys.byteorder)
        try:
            pid = self._siblings.fork()
        except OSError as error:
            self._refuse(json.loads(self._request[:length])["id"], f"cannot fork: {error}")
        else:
            if pid == 0:
                self._announce(json.loads(self._request[:length]))
                return True
            self._held.add(pid)
        os.close(self._output)
        return False

    def _announce(self, request: Dict[str, Any]) -> None:
        """Answer the request, in the new process."""
        self._birth = Birth(**request["birth"])
        self._title.show_sensor(self._birth.ref)
        try:
            os.setpgid(0, 0)
            handle = os.pidfd_open(os.getpid())
        except OSError as error:
            self._refuse(request["id"], f"cannot open a process handle: {error}")
            os._exit(NEVER_BORN)
        # Not with json: each module that is used here writes to memory that a child then no longer shares.
        answer = b'{"id": %d, "pid": %d}' % (request["id"], os.getpid())
        self._send(answer, (socket.SOL_SOCKET, socket.SCM_RIGHTS, handle.to_bytes(DESCRIPTOR, sys.byteorder)))
        os.close(handle)

    def _be_born(self) -> Birth:
        """Take on the output of the wrapper, in the new process."""
        self._births.close()
        self._groups.close()
        # Python does this after os.fork().
        if "random" in sys.modules:
            sys.modules["random"].seed()
        for fd in self._outputs:
            os.dup2(self._output, fd, inheritable=fd in (1, 2))
        os.close(self._output)
        return self._birth

    def _refuse(self, identifier: int, error: str) -> None:
        self._send(json.dumps({"id": identifier, "error": error}).encode())

    def _send(self, message: bytes, *ancillary: Tuple[int, int, bytes]) -> None:
        # If the container has ended, the next poll notices it.
        with suppress(OSError):
            self._births.sendmsg([message], ancillary)

    def _kill_all(self) -> None:
        for group in self._held:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        for path in glob.glob(f"{self._cgroups}*/cgroup.kill") if self._cgroups else ():
            with suppress(OSError), open(path, "w") as file:
                file.write("1")


def serve(births: int, groups: int, outputs: Sequence[int]) -> Optional[Birth]:
    """Serve on two inherited sockets, as `Zygote.serve` does.

    :param outputs: the file descriptors that become a wrapper's output.
    """
    title = Title()
    with socket.socket(fileno=births) as requests, socket.socket(fileno=groups) as held:
        return Zygote(requests, held, outputs, title).serve()
