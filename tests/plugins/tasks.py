"""Tasks that worker processes run in tests."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

STATE = {"calls": 0}


def double(value: int) -> int:
    return value * 2


def calls() -> list[int]:
    """Return how often this process has been called so far, and its pid."""
    STATE["calls"] += 1
    return [STATE["calls"], os.getpid()]


def spin() -> None:
    """Never end, and never let another thread of the process run."""
    re.match(r"(a+)+$", "a" * 64 + "b")


def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


def fill(size: int) -> int:
    return len(b"x" * size)


def text(length: int) -> str:
    return "x" * length


def fail() -> None:
    raise ValueError("a secret")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def situation() -> dict[str, object]:
    """Return properties of the process."""
    ignored = [
        number for number in ("SIGINT", "SIGTERM") if signal.getsignal(getattr(signal, number)) is signal.SIG_IGN
    ]
    return {
        "ignored": ignored,
        "leads_group": os.getpgid(0) == os.getpid(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "variables": sorted(os.environ),
        "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    }
