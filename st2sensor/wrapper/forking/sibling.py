"""Forks processes that are children of this process's parent. They outlive this process, and the parent sees their
exit. Normally one clone with CLONE_PARENT does that; where it cannot be used, the process is forked twice."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import struct
import time
from contextlib import suppress
from functools import partial
from typing import Callable, NamedTuple, Optional, Tuple

LIBC = ctypes.PyDLL(None, use_errno=True)

PR_GET_TID_ADDRESS = 40

CLONE_PARENT, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID = 0x00008000, 0x00200000, 0x01000000
SIGCHLD = 17

OLDEST_GLIBC = (2, 25)
"""Older versions cached the process id: a process that glibc had not forked itself took its parent's id for its own."""

REFUSALS = (errno.EINVAL, errno.ENOSYS, errno.EPERM)
"""Errors from clone which mean that it cannot be used."""


class Calls(NamedTuple):
    """Numbers of system calls."""

    clone: int
    set_robust_list: int
    get_robust_list: int


CALLS = {"x86_64": Calls(56, 273, 274), "aarch64": Calls(220, 99, 100)}
"""The numbers on machines where clone takes the arguments used here. On other machines, processes fork twice."""


class Siblings:
    """Forks without the handlers that Python and libc run for os.fork(). Those handlers repair the locks of threads
    that the fork loses, and in doing so write to a tenth of the memory that a child would otherwise share.

    If clone cannot be used, or another thread exists when this object is made, it forks twice; then the parent has to
    be a subreaper.
    """

    def __init__(self) -> None:
        self._clone: Optional[Callable[[], int]] = None
        self._register: Callable[[], int]
        calls = CALLS.get(os.uname().machine) if struct.calcsize("P") == 8 and _glibc() >= OLDEST_GLIBC else None
        place = _place_of_thread_id()
        if calls is not None and place is not None and len(os.listdir("/proc/self/task")) == 1:
            flags = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD
            # The place is the fourth argument or, as on ARM, the fifth; the other one is ignored. All objects are made
            # once: each object created between two forks would use memory that the children cannot share.
            self._clone = _prepared(calls.clone, flags, 0, 0, place, place)
            self._register = _registration_of_robust_locks(calls)

    def fork(self) -> int:
        """Fork, and return the process id, or 0 in the new process. Raises OSError."""
        if self._clone is None:
            return _fork_twice()
        try:
            pid = _checked(self._clone())
        except OSError as error:
            if error.errno not in REFUSALS:
                raise
            self._clone = None
            return _fork_twice()
        if pid == 0:
            # The kernel forgets the list of robust locks at a fork. libc would register the list again, but it does not
            # know of this fork.
            self._register()
        return pid


def _prepared(number: int, *arguments: int) -> Callable[[], int]:
    return partial(LIBC.syscall, ctypes.c_long(number), *map(ctypes.c_ulong, arguments))


def _registration_of_robust_locks(calls: Calls) -> Callable[[], int]:
    """Return the call that tells the kernel where libc keeps the list of locks to release when their owner dies."""
    head, size = ctypes.c_ulong(), ctypes.c_ulong()
    LIBC.syscall(ctypes.c_long(calls.get_robust_list), ctypes.c_long(0), ctypes.byref(head), ctypes.byref(size))
    return _prepared(calls.set_robust_list, head.value, size.value)


def _place_of_thread_id() -> Optional[int]:
    """Return where libc keeps the main thread's id, or None if that is not known.

    A process that clone makes must find its own id there, for clocks and locks.
    """
    place = ctypes.c_void_p()
    if LIBC.prctl(PR_GET_TID_ADDRESS, ctypes.byref(place), None, None, None) != 0 or not place.value:
        return None
    # A libc other than glibc keeps something else here.
    return place.value if ctypes.c_int.from_address(place.value).value == os.getpid() else None


def _glibc() -> Tuple[int, ...]:
    """Return the version of glibc; empty for another libc."""
    try:
        return tuple(map(int, re.findall(r"\d+", os.confstr("CS_GNU_LIBC_VERSION") or "")))
    except (OSError, ValueError):
        return ()


def _fork_twice() -> int:
    """Fork a process that is orphaned at once and becomes a child of this process's parent, if that is a subreaper."""
    reading, writing = os.pipe()
    between = LIBC.fork()
    if between == 0:
        with suppress(OSError):
            between = os.getpid()
            pid = _checked(LIBC.fork())
            if pid == 0:
                os.close(reading)
                os.close(writing)
                while os.getppid() == between:
                    time.sleep(0.0001)
                return 0
            os.write(writing, b"%d" % pid)
        os._exit(0)
    os.close(writing)
    with open(reading, "rb", buffering=0) as pipe:
        os.waitpid(_checked(between), 0)
        pid = int(pipe.read(16) or b"0")
    if pid == 0:
        raise OSError("the intermediate process could not fork")
    return pid


def _checked(result: int) -> int:
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
