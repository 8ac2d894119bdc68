"""One HTTP request with a deadline for all of it, no matter what the server does. Redirects are not followed."""

from __future__ import annotations

import http.client
import io
import json
import socket
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from st2sensor.system.resolver import resolved

MAX_ANSWER = 1_048_576
"""Maximum size of an answer in bytes."""


class HttpFailed(Exception):
    """There is no usable answer. The message says why, and holds nothing that was received."""


def exchange(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None, *, ca_file: Path | None, timeout: float
) -> tuple[int, bytes]:
    """Return the status and the body of an answer. Raises HttpFailed.

    :param ca_file: certificates to trust in place of the system's.
    :param timeout: seconds for everything, from the name lookup to the last byte.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    until = time.monotonic() + timeout
    try:
        with _connected(host, port, until) as plain:
            sock = _secured(plain, host, ca_file) if parts.scheme == "https" else plain
            with sock:
                return _exchanged(sock, until, method, f"{host}:{port}", parts.path, headers, body)
    except TimeoutError:
        raise HttpFailed(f"it has not answered within {timeout:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise HttpFailed(f"its certificate is not trusted: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise HttpFailed(f"TLS failed: {error.reason or 'the server does not speak TLS on this port'}") from None
    except OSError as error:
        raise HttpFailed(error.strerror or str(error) or type(error).__name__) from None
    except (http.client.HTTPException, ValueError) as error:
        raise HttpFailed(f"its answer is not HTTP ({type(error).__name__})") from None


def json_of(body: bytes) -> Mapping[str, Any]:
    """Return an object of JSON; an empty one for anything else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _connected(host: str, port: int, until: float) -> socket.socket:
    last: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in resolved(host, port, _left(until)):
        opened = socket.socket(family, kind, protocol)
        try:
            opened.settimeout(_left(until))
            opened.connect(address)
            # This timeout limits the whole handshake, and each whole write.
            opened.settimeout(_left(until))
        except OSError as error:
            opened.close()
            last = error
        else:
            return opened
    raise last


def _secured(plain: socket.socket, host: str, ca_file: Path | None) -> socket.socket:
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:
        raise HttpFailed(f"[secrets] vault_ca_file cannot be used: {error.strerror or error}") from None
    return context.wrap_socket(plain, server_hostname=host)


def _exchanged(
    sock: socket.socket,
    until: float,
    method: str,
    host: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes | None,
) -> tuple[int, bytes]:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", "Accept: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    sock.settimeout(_left(until))
    sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii") + (body or b""))
    with io.BufferedReader(_Received(sock, until)) as reader:
        response = http.client.HTTPResponse(_Reading(reader), method=method)  # type: ignore[arg-type]
        response.begin()
        received = response.read(MAX_ANSWER + 1)
    if len(received) > MAX_ANSWER:
        raise HttpFailed(f"its answer has more than {MAX_ANSWER:,} bytes")
    return response.status, received


class _Reading:
    """The part of a socket that HTTPResponse uses."""

    def __init__(self, reader: io.BufferedReader) -> None:
        self._reader = reader

    def makefile(self, _mode: str) -> io.BufferedReader:
        return self._reader


class _Received(io.RawIOBase):
    """The bytes that a socket receives before a deadline, no matter how slowly they arrive."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock = sock
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._until))
        return self._sock.recv_into(buffer)
