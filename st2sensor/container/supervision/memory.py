"""Measures the memory of a sensor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

CHECK_INTERVAL = 2.0
"""Seconds between two checks of a sensor that has a limit."""

PROC = Path("/proc")


def used_by(pid: int) -> int:
    """Return the bytes that a process and its descendants use: PSS, which splits shared pages. 0 if it has ended."""
    return sum(used_alone(member) for member in _family(pid))


def shown(size: int) -> str:
    """Return a size in words."""
    return f"{size / 2**20:.0f} MB"


def _family(pid: int) -> Iterator[int]:
    yield pid
    for member in _children(pid):
        yield from _family(member)


def _children(pid: int) -> list[int]:
    try:
        lists = [path.read_text() for path in (PROC / str(pid) / "task").glob("*/children")]
    except OSError:
        # The process, or one of its threads, has just ended.
        return []
    return [int(child) for text in lists for child in text.split()]


def used_alone(pid: int) -> int:
    """Return the bytes that a process uses without its descendants: PSS. 0 if it has ended."""
    try:
        with (PROC / str(pid) / "smaps_rollup").open() as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:")), 0)
    except OSError:
        return 0
