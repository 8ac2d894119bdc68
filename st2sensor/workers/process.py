"""A worker process: does one task after the other, until the one that has started it closes the line, or is gone.

It imports what a function needs when that is first called. What a function keeps in its module stays for later calls.
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
"""Characters of a function's name."""

FIRST_TO_GO = b"1000"
"""Of all processes, when the host runs out of memory."""


def main(settings: dict[str, Any]) -> None:
    """Serve on the inherited descriptors.

    :param settings: `functions`, a table of `package.module:function` by name; `line` and `life`, the descriptors of
        the socket and of a pipe that nobody writes to; `memory`, `request` and `answer`, the limits.
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
            answer = _told("exceeded", "memory")
        except Exception as exception:  # noqa: BLE001
            answer = _told("failed", f"{type(exception).__name__}: {exception}")
        send(line, answer)
        if function is not None:
            send(line, _call(function, line, settings))


def _call(function: Callable[..., Any], line: socket.socket, settings: dict[str, Any]) -> bytes:
    """The answer. After one that exceeded something this process is ended by the other side."""
    try:
        request = receive(line, settings["request"])
        arguments = json.loads(request or b"[]")
        del request
        answer = json.dumps({"value": function(*arguments)}).encode()
    except TooLong:
        return _told("exceeded", "request")
    except MemoryError:
        return _told("exceeded", "memory")
    except Exception as exception:  # noqa: BLE001
        # Its text may quote what the task is about.
        return _told("failed", type(exception).__name__)
    return answer if len(answer) <= settings["answer"] else _told("exceeded", "answer")


def _told(what: str, detail: str) -> bytes:
    return json.dumps({what: detail}).encode()


def _protect() -> None:
    """Keep signals for others away, keep what is in memory from others, and be the first that the kernel kills."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(FIRST_TO_GO)
    # Last: afterwards its files in /proc are root's.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _limit_memory(most: int) -> None:
    """Unless the one that has started this process has less itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _die_with_parent(life: int) -> None:
    """Have the kernel end this process when the last writer of a pipe is gone, whatever runs here just then.

    PDEATHSIG would not do: it is sent when the thread ends that has started this process.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(life, 0)
    if poll.poll(0):
        # It was gone before.
        os._exit(1)
