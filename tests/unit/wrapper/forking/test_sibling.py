"""Forks that become children of their parent's parent, in separate processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.plugins.patience import SOON


@pytest.mark.parametrize("known", [True, False], ids=["by clone", "by forking twice"])
def test_a_sibling_is_the_parents_child_and_knows_itself(known: bool) -> None:
    script = f"""
import ctypes, os, threading, time
from st2sensor.wrapper.forking import sibling
{"" if known else "sibling.CALLS.clear()"}
ctypes.CDLL(None).prctl(36, 1)
PARENT = os.getpid()
if os.fork():
    ended = dict(os.wait() for _ in range(2))
    print(*[(pid, os.waitstatus_to_exitcode(status)) for pid, status in ended.items()])
else:
    pid = sibling.Siblings().fork()
    if pid == 0:
        # The clock of this thread by the id that libc has kept: there is none if that is the parent's id.
        time.clock_gettime(time.pthread_getcpuclockid(threading.get_ident()))
        # The kernel also has to know the list of locks to release when this process dies.
        head, size = ctypes.c_ulong(), ctypes.c_ulong()
        get = {{"x86_64": 274, "aarch64": 100}}.get(os.uname().machine)
        if get is not None:
            ctypes.CDLL(None).syscall(get, 0, ctypes.byref(head), ctypes.byref(size))
            assert head.value and size.value
        assert os.getppid() == PARENT
        os._exit(6)
    print(pid, flush=True)
    os._exit(0)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=SOON, check=True)
    pid, ended = run.stdout.splitlines()
    assert f"({pid}, 6)" in ended
