"""The exit code and the log line of a sensor that calls exit(), or whose debugger ends."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import Optional

from st2sensor.wrapper.loading import remedy

FAILED = 1
"""Exit code of a sensor that failed."""

LONGEST = 200
"""Maximum number of characters of the message of an exit()."""


def code_of(exit_: SystemExit, log: logging.Logger, file: str) -> int:
    """Return the exit code, as the interpreter would. If it is a failure, log where the sensor called exit().

    :param file: the sensor's file.
    """
    code = _code(exit_)
    if code != 0:
        frame = _own_frame(exit_, file)
        place = "" if frame is None else f" at {frame.filename}:{frame.lineno}"
        log.error("the sensor failed: it called exit()%s%s", place, _reason(exit_, code))
    return code


def is_end_of_debugger(error: BaseException) -> bool:
    """Return whether the debugger that breakpoint() starts has ended. Its module is not imported here."""
    return type(error).__module__ == "bdb" and type(error).__name__ == "BdbQuit"


def debugger_needs_terminal(ref: str) -> str:
    """Return what to do if breakpoint() was called without a terminal, where the debugger ends at once."""
    return f"breakpoint() needs a terminal; run the sensor in one with: st2sensor run {ref}"


def _reason(exit_: SystemExit, code: int) -> str:
    """Return the message of the exit(), or a remedy."""
    if not isinstance(exit_.code, int):
        return f": {str(exit_.code)[:LONGEST]}"
    return f", with exit code {code}; raise an exception that says why"


def _code(exit_: SystemExit) -> int:
    if exit_.code is None:
        return 0
    if isinstance(exit_.code, int):
        return exit_.code & 0xFF
    sys.stderr.write(f"{exit_.code}\n")
    return FAILED


def _own_frame(exit_: SystemExit, file: str) -> Optional[traceback.FrameSummary]:
    """Return the innermost frame of the pack in the call of exit(), which a library may have called."""
    pack = os.path.join(remedy.pack_of(file), "")
    frames = [frame for frame in traceback.extract_tb(exit_.__traceback__) if frame.filename.startswith(pack)]
    return frames[-1] if frames else None
