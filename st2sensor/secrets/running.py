"""Runs a program as the child of a worker process, because the container collects every child of its own that ends."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

PIECE = 65_536
"""Maximum number of bytes of one read."""


def run(command: Sequence[str], environment: Mapping[str, str], timeout: float, most: int) -> dict[str, Any]:
    """Run a program without a shell, and return its `output` in hexadecimal, with its exit `code`.

    Return `error` instead of both: `time` or `size` if the program exceeds a limit, otherwise why it cannot be started.

    :param timeout: seconds that it may take.
    :param most: maximum number of bytes of its output.
    """
    until = time.monotonic() + timeout
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # Its messages may hold secrets.
            stderr=subprocess.DEVNULL,
            env=dict(environment),
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        return {"error": error.strerror or "it cannot be started"}
    try:
        output = _output(process, until, most)
        code = process.wait(max(0.0, until - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired):
        return {"error": "time"}
    except ValueError:
        return {"error": "size"}
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return {"code": code, "output": output.hex()}


def _output(process: subprocess.Popen[bytes], until: float, most: int) -> bytes:
    """Return all output. Raises TimeoutError, and ValueError if there is too much."""
    assert process.stdout is not None
    output = b""
    with selectors.DefaultSelector() as selector, process.stdout as pipe:
        selector.register(pipe, selectors.EVENT_READ)
        while selector.select(max(0.0, until - time.monotonic())):
            piece = os.read(pipe.fileno(), PIECE)
            output += piece
            if len(output) > most:
                raise ValueError("too much output")
            if not piece:
                return output
    raise TimeoutError
