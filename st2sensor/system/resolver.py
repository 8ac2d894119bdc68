"""Looks up the addresses of a host, with a deadline."""

from __future__ import annotations

import os
import queue
import socket
import threading
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

Addresses = list[tuple[Any, ...]]


class Unresolved(OSError):
    """The name server has not answered in time."""


def resolved(host: str, port: int, timeout: float) -> Addresses:
    """Return the addresses of a host. Raises OSError, even if the resolver does not answer in time.

    Resolvers have no deadline of their own. A resolver that hangs is left behind in its thread.
    """
    with suppress(ValueError):
        ip_address(host.partition("%")[0])
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    answers: queue.SimpleQueue[Addresses | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as exception:
            answers.put(exception if isinstance(exception, OSError) else OSError(str(exception)))

    threading.Thread(target=ask, name=f"resolve-{os.getpid()}", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        raise Unresolved(f"the address of {host} was not found in time; does the name server answer?") from None
    if isinstance(answer, OSError):
        raise answer
    return answer
