"""Forks processes that are not this one's children, but its parent's: they outlive it, and their exit is its parent's
to see."""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import suppress
from functools import partial
from typing import Optional

LIBC = ctypes.PyDLL(None, use_errno=True)

PR_GET_TID_ADDRESS = 40

CLONE_PARENT, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID = 0x00008000, 0x00200000, 0x01000000
SIGCHLD = 17

CLONE = {"x86_64": 56, "aarch64": 220}
"""The number of the system call, whose arguments are the same on these. Other machines fork twice."""


class Siblings:
    """Past the handlers that Python and libc run for os.fork(): for a process with a single thread.

    Those mend the locks of threads that are gone, of which it has none, and write to a tenth of the memory that a child
    would otherwise share.
    """

    def __init__(self) -> None:
        place = _place_of_thread_id()
        number = CLONE.get(os.uname().machine) if place is not None and struct.calcsize("P") == 8 else None
        flags = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD
        # The place is the fourth argument or, as on ARM, the fifth; nothing looks at the other one.
        arguments = (ctypes.c_long(number or 0), ctypes.c_ulong(flags), None, None, *[ctypes.c_void_p(place)] * 2)
        # Made once: what is made between two forks is memory that a child does not share.
        self._clone = None if number is None else partial(LIBC.syscall, *arguments)

    def fork(self) -> int:
        """The process id; 0 in the new process. Raises OSError."""
        return _fork_twice() if self._clone is None else _checked(self._clone())


def _place_of_thread_id() -> Optional[int]:
    """Where libc keeps the main thread's id: a process that clone makes has to find its own there, for clocks and
    locks. None when that cannot be told."""
    place = ctypes.c_void_p()
    if LIBC.prctl(PR_GET_TID_ADDRESS, ctypes.byref(place), None, None, None) != 0 or not place.value:
        return None
    # Another libc than glibc keeps something else at this place.
    return place.value if ctypes.c_int.from_address(place.value).value == os.getpid() else None


def _fork_twice() -> int:
    """An orphan is left to the nearest subreaper, which the parent has to be."""
    told, telling = os.pipe()
    between = LIBC.fork()
    if between == 0:
        with suppress(OSError):
            pid = _checked(LIBC.fork())
            if pid == 0:
                os.close(told)
                os.close(telling)
                return 0
            os.write(telling, b"%d" % pid)
        os._exit(0)
    os.close(telling)
    with open(told, "rb", buffering=0) as pipe:
        os.waitpid(_checked(between), 0)
        pid = int(pipe.read(16) or b"0")
    if pid == 0:
        raise OSError("the process between could not fork")
    return pid


def _checked(result: int) -> int:
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
