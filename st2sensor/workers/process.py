"""A worker process. It does one task after another, until its parent closes the socket or ends.

It imports a function's module at the first call. The module stays loaded, so later calls see any state that it
keeps.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from st2sensor.system.lazy import resolve
from st2sensor.workers.frames import TooLong, receive, send

PR_SET_DUMPABLE = 4

LONGEST_NAME = 100
"""Maximum length of a function's name, in bytes."""

FIRST_TO_GO = b"1000"
"""The score of the process that the kernel kills first when the host runs out of memory."""


def main(settings: dict[str, Any]) -> None:
    """Serve on the inherited descriptors.

    :param settings: `functions`, a table of `package.module:function` by name; `line`, the descriptor of the socket;
        `life`, the descriptor of a pipe whose only writer is the parent; `memory`, `request` and `answer`, the limits.
    """
    _protect()
    _die_with_parent(settings["life"])
    _limit_memory(settings["memory"])
    with socket.socket(fileno=settings["line"]) as line, suppress(OSError):
        _serve(line, settings)


def _serve(line: socket.socket, settings: dict[str, Any]) -> None:
    functions: dict[str, Callable[..., Any]] = {}
    while True:
        name = receive(line, LONGEST_NAME)
        if name is None:
            return
        answer = b"{}"
        function = None
        try:
            function = functions.setdefault(name.decode(), resolve(settings["functions"][name.decode()]))
        except MemoryError:
            answer = _answer("exceeded", "memory")
        except Exception as exception:  # noqa: BLE001
            answer = _answer("failed", f"{type(exception).__name__}: {exception}")
        send(line, answer)
        if function is not None:
            send(line, _call(function, line, settings))


def _call(function: Callable[..., Any], line: socket.socket, settings: dict[str, Any]) -> bytes:
    """Return the answer to one call. If a limit was exceeded, the pool then ends this process."""
    try:
        request = receive(line, settings["request"])
        arguments = json.loads(request or b"[]")
        del request
        answer = json.dumps({"value": function(*arguments)}).encode()
    except TooLong:
        return _answer("exceeded", "request")
    except MemoryError:
        return _answer("exceeded", "memory")
    except Exception as exception:  # noqa: BLE001
        # The exception's text may quote the arguments.
        return _answer("failed", type(exception).__name__)
    return answer if len(answer) <= settings["answer"] else _answer("exceeded", "answer")


def _answer(kind: str, detail: str) -> bytes:
    return json.dumps({kind: detail}).encode()


def _protect() -> None:
    """Ignore signals that are meant for the container, hide memory from other processes, and become the process that
    the kernel kills first when the host runs out of memory."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(FIRST_TO_GO)
    # This comes last: afterwards root owns this process's files in /proc.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _limit_memory(most: int) -> None:
    """Limit the address space, unless the parent's own limit is lower."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _die_with_parent(life: int) -> None:
    """Make the kernel end this process when the last writer of a pipe is gone, no matter what runs here at that time.

    PDEATHSIG would not work: it is sent as soon as the thread that started this process ends.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(life, 0)
    if poll.poll(0):
        # The parent has already ended.
        os._exit(1)
