"""Checks that a sensor's code loads, in a child process with the pack's own interpreter."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import st2sensor
from st2sensor.errors import ContentError
from st2sensor.packs.code.location import Code
from st2sensor.system.environment import handed_on

CHECK_TIMEOUT = 10.0
"""Seconds that importing a sensor's code may take."""

LONGEST = 65_536
"""Maximum number of bytes at the end of the output of that process that are read."""

WRAPPER = Path(st2sensor.__file__).parent / "wrapper" / "__main__.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The reason why a sensor's class cannot be loaded.

    :param kind: a short name of the problem.
    :param in_metadata: whether to correct the metadata file rather than the code.
    """

    kind: str
    message: str
    file: str
    line: int | None
    in_metadata: bool = False


def check_code(code: Code, *, metadata_file: str, deadline: float = CHECK_TIMEOUT) -> None:
    """Import a sensor's code and find its class and constructor. Raises ContentError with cause and remedy."""
    problem = problem_of(code, deadline=deadline)
    if problem is None:
        return
    if problem.in_metadata:
        raise ContentError(problem.message, file=metadata_file)
    raise ContentError(problem.message, file=problem.file, line=problem.line)


def problem_of(code: Code, *, deadline: float = CHECK_TIMEOUT, keep_compiled: bool = True) -> Problem | None:
    """Import a sensor's code and return the problem, or None. Raises ContentError if the import has no result.

    :param keep_compiled: whether to keep the compiled files next to the code, for the container.
    """
    try:
        output = _run(code, deadline, keep_compiled)
    except OSError as exception:
        raise ContentError(
            f"cannot run the pack's interpreter {code.interpreter}: {exception}; make the virtualenv again",
            file=str(code.file),
        ) from exception
    except subprocess.TimeoutExpired as exception:
        raise ContentError(
            f"importing it took more than {deadline:g} s; move code that waits from the module into setup()",
            file=str(code.file),
        ) from exception
    try:
        return _problem_in(output)
    except (ValueError, LookupError, TypeError, RecursionError):
        raise ContentError(
            "the process that imported it ended without a result; an import must not end the process",
            file=str(code.file),
        ) from None


def _problem_in(output: bytes) -> Problem | None:
    """Return the problem in the last line, or None. Raises an error for what `wrapper/loading/check.py` never writes:
    the code has written it."""
    verdict = json.loads(output.splitlines()[-1])
    if verdict["problem"] is None:
        return None
    line = verdict["line"]
    return Problem(
        kind=str(verdict["kind"]),
        message=str(verdict["problem"]),
        file=str(verdict["file"]),
        line=line if line is None else int(line),
        in_metadata=bool(verdict["in_metadata"]),
    )


def _run(code: Code, deadline: float, keep_compiled: bool) -> bytes:
    with subprocess.Popen(
        [code.interpreter, *([] if keep_compiled else ["-B"]), WRAPPER, "--check"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=handed_on(os.environ),
        start_new_session=True,
    ) as process:
        try:
            description = {**code.for_wrapper(), "poll_interval": code.poll_interval}
            assert process.stdin is not None
            with suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(json.dumps(description).encode())
            assert process.stdout is not None
            return last_output(process.stdout.fileno(), deadline)
        finally:
            # This also ends the processes that the imported code has started.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def last_output(pipe: int, deadline: float) -> bytes:
    """Return the end of a process's output. Raises subprocess.TimeoutExpired."""
    until, output = time.monotonic() + deadline, b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while selector.select(max(0.0, until - time.monotonic())):
            piece = os.read(pipe, LONGEST)
            if not piece:
                return output
            output = (output + piece)[-LONGEST:]
    raise subprocess.TimeoutExpired(WRAPPER, deadline)
