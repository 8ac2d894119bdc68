"""The modules that a zygote imports for its forks."""

from __future__ import annotations

import subprocess
import sys

from st2sensor.wrapper.forking.imports import USUAL

EXCLUDED = ("asyncio", "concurrent.futures", "multiprocessing", "sysconfig", "zoneinfo")

CODE = """
import os, sys
from st2sensor.wrapper.forking.imports import USUAL
from st2sensor.wrapper.loading import loader

def state():
    return sorted(os.listdir("/proc/self/task")), sorted(os.listdir("/proc/self/fd")), dict(os.environ), sys.path[:]

before = state()
loader.preload([*USUAL, "a module that no interpreter has"])
assert state() == before, (before, state())
print(*sys.modules)
"""


def test_importing_them_does_nothing_else() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", CODE], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert set(USUAL) <= loaded
    assert not loaded.intersection(EXCLUDED)
