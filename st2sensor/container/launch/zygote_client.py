"""The container's side of a zygote: the process that forks wrappers and, as their warden, outlives the container."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import itertools
import json
import logging
import os
import resource
import signal
import socket
import subprocess
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from st2sensor.container.launch.handle import Handle
from st2sensor.container.launch.spec import WRAPPER, Inherited, LaunchSpec
from st2sensor.sharing.clocks import Moment

LOG = logging.getLogger("st2sensor.supervision")

PACKET = 65536
"""Maximum number of bytes of a message."""

FORK_TIMEOUT = 10.0
"""Seconds that a fork may take. A zygote that takes longer counts as hanging, and is replaced."""

GROUPS = 1000
"""Maximum number of process groups in one message."""

CONNECT_PAUSE = 0.05
"""Seconds until a message that did not fit into the socket is sent again."""

EXIT_TIMEOUT = 1.0
"""Seconds within which a zygote must end on its own."""

ROOM_FOR_TITLE = "_" * 200
"""An argument that the process's title overwrites."""


class ZygoteClient:
    """For the loop's thread, which must be the main thread: PDEATHSIG is sent when the parent's thread ends.

    :param interpreter: the zygote's interpreter.
    :param common: environment variables that most of the zygote's children have.
    :param sensors: the settings that the zygote's children inherit.
    :param died: called when the zygote ends without being asked to.

    Raises OSError if the zygote cannot be started.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        interpreter: Path,
        common: Mapping[str, str],
        sensors: Inherited,
        died: Callable[[ZygoteClient], None],
    ) -> None:
        self._loop = loop
        self._died = died
        self._pending: dict[int, tuple[LaunchSpec, int, Future[Handle]]] = {}
        self._ids = itertools.count(1)
        self._answered_at = loop.time()
        self._answered_id = 0
        """The last answered request."""
        self._hung = False
        self._unsent: deque[bytes] = deque()
        """Messages about groups that have not been sent yet."""
        self._retry: asyncio.TimerHandle | None = None
        """Set while messages are waiting for space in the socket."""
        # The zygote holds variables that nearly all sensors have, so that they do not take memory in each sensor.
        self._environment = {**sensors.environment(os.environ), **common}
        self._births, their_births = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._groups, their_groups = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with their_births, their_groups:
            theirs = their_births.fileno(), their_groups.fileno()
            try:
                self._process = subprocess.Popen(
                    [interpreter, WRAPPER, "--zygote", *map(str, theirs), ROOM_FOR_TITLE],
                    stdin=subprocess.DEVNULL,
                    env=self._environment,
                    pass_fds=theirs,
                    process_group=0,
                    umask=sensors.umask,
                )
                self._handle = os.pidfd_open(self._process.pid)
            except OSError:
                self._births.close()
                self._groups.close()
                raise
        resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, sensors.open_files)
        self._births.setblocking(False)
        self._groups.setblocking(False)
        # End of file on the sockets would come too late: a forked process keeps the zygote's ends open for a while.
        loop.add_reader(self._handle, self._ended)
        loop.add_reader(self._births, self._readable)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def start(self, launch: LaunchSpec, *, execute: bool) -> Handle:
        """Start a wrapper. Raises OSError when it cannot be started.

        :param execute: whether the wrapper's interpreter is executed; otherwise the zygote forks.
        """
        output, theirs = os.pipe()
        os.set_blocking(output, False)
        identifier = next(self._ids)
        settled: Future[Handle] = self._loop.create_future()
        self._pending[identifier] = (launch, output, settled)
        cgroup = None if launch.cgroup is None else str(launch.cgroup.path)
        birth = {
            "ref": launch.ref,
            "interpreter": str(launch.interpreter),
            "execute": execute,
            "variables": {
                name: value for name, value in launch.environment().items() if self._environment.get(name) != value
            },
            "limits": {name: value for name, value in {**launch.limits, "cgroup": cgroup}.items() if value is not None},
        }
        try:
            socket.send_fds(self._births, [json.dumps({"id": identifier, "birth": birth}).encode()], [theirs])
        except OSError as error:
            self._fail(identifier, error)
        finally:
            os.close(theirs)
        while not (await asyncio.wait([settled], timeout=FORK_TIMEOUT))[0]:
            if self._answered_id > identifier:
                # The zygote handles requests in order, and has already answered a later one: the process for this
                # request died without an answer.
                self._fail(identifier, OSError("the forked process died before it became the sensor"))
            elif self._loop.time() >= self._answered_at + FORK_TIMEOUT and not self._hung:
                LOG.error("zygote %d did not answer within %g s: killed", self.pid, FORK_TIMEOUT)
                # The zygote's end settles all requests.
                self._hung = True
                self._process.kill()
        return settled.result()

    def guard(self, prefix: Path) -> None:
        """Tell the zygote to kill also all processes in control groups with this prefix once the container is gone."""
        self._queue({"cgroups": str(prefix)})

    def limit(self, end: Moment) -> None:
        """Tell the zygote to kill all groups as soon as either clock reaches a moment. A later call replaces that
        moment."""
        if self._unsent and b"deadline" in self._unsent[-1]:
            # An earlier moment that has not been sent yet is out of date.
            self._unsent.pop()
        self._queue({"deadline": [end.boot, end.wall]})

    def hold(self, groups: Iterable[int]) -> None:
        """Tell the zygote to guard process groups that another zygote has started."""
        numbers = list(groups)
        for start in range(0, len(numbers), GROUPS):
            self._queue({"hold": numbers[start : start + GROUPS]})

    def forget(self, group: int) -> None:
        """Tell the zygote to drop a process group that has ended."""
        self._queue({"forget": [group]})

    def close(self) -> None:
        """End the zygote and the process groups that it still holds."""
        self._end(OSError("the container is stopping"))

    def _queue(self, message: dict[str, Any]) -> None:
        self._unsent.append(json.dumps(message).encode())
        self._send()

    def _send(self) -> None:
        try:
            while self._unsent:
                self._groups.send(self._unsent[0])
                self._unsent.popleft()
        except BlockingIOError:
            self._retry = self._retry or self._loop.call_later(CONNECT_PAUSE, self._send_again)
        except OSError:
            # The zygote has died; its successor will be given all groups.
            self._unsent.clear()

    def _send_again(self) -> None:
        self._retry = None
        self._send()

    def _readable(self) -> None:
        """Take every answer at once: a wrapper may connect as soon as the zygote has answered."""
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._births, PACKET, 1, socket.MSG_CMSG_CLOEXEC)
            except OSError:
                return
            if not data:
                return
            answer = json.loads(data)
            self._answered_at = self._loop.time()
            self._answered_id = max(self._answered_id, answer["id"])
            self._settle(answer, fds)

    def _settle(self, answer: dict[str, Any], fds: list[int]) -> None:
        if "error" in answer:
            self._fail(answer["id"], OSError(answer["error"]))
        elif fds and answer["id"] in self._pending:
            launch, output, settled = self._pending.pop(answer["id"])
            settled.set_result(Handle(answer["pid"], fds[0], output, launch.command))
        else:
            # No file descriptor was free for the process's handle, without which it cannot be supervised; or its start
            # was given up.
            with suppress(ProcessLookupError):
                os.killpg(answer["pid"], signal.SIGKILL)
            self.forget(answer["pid"])
            for fd in fds:
                os.close(fd)
            self._fail(answer["id"], OSError(errno.EMFILE, os.strerror(errno.EMFILE)))

    def _fail(self, identifier: int, error: OSError) -> None:
        if identifier in self._pending:
            _, output, settled = self._pending.pop(identifier)
            os.close(output)
            settled.set_exception(error)

    def _ended(self) -> None:
        self._end(OSError("its zygote died"))
        self._died(self)

    def _end(self, reason: OSError) -> None:
        # Processes that the zygote started before it died are still valid sensors.
        self._readable()
        self._loop.remove_reader(self._births)
        self._loop.remove_reader(self._handle)
        os.close(self._handle)
        self._births.close()
        self._groups.close()
        for identifier in list(self._pending):
            self._fail(identifier, reason)
        try:
            # When its socket is closed, the zygote kills the groups that it still holds, and ends.
            self._process.wait(EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def empty_environment(base: Path, folder: Path) -> Path:
    """Make an empty virtualenv, in which a fork can activate any other virtualenv. Return its interpreter.

    :param base: the interpreter that the virtualenvs were made from.
    :param folder: the parent folder of the new virtualenv.

    Raises OSError.
    """
    home = folder / f"{base.name}-{hashlib.sha256(os.fsencode(base)).hexdigest()[:8]}"
    interpreter = home / "bin" / "python"
    interpreter.parent.mkdir(parents=True, exist_ok=True)
    (home / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    if not interpreter.is_symlink() or interpreter.readlink() != base:
        interpreter.unlink(missing_ok=True)
        interpreter.symlink_to(base)
    return interpreter
