"""Measures the memory of a sensor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CHECK_INTERVAL = 2.0
"""Seconds between two checks of a sensor that has a limit."""

PROC = Path("/proc")


class Used(NamedTuple):
    """Bytes.

    :param total: PSS, which splits shared pages among those that share them.
    :param own: pages that no other process shares.
    """

    total: int
    own: int


def used_by(pid: int) -> int:
    """Return the bytes that a process and its descendants use: PSS. 0 if it has ended."""
    return measured(pid).total


def measured(pid: int) -> Used:
    """Return what a process and its descendants use. Zeros if it has ended."""
    found = [_alone(member) for member in _family(pid)]
    return Used(sum(item.total for item in found), sum(item.own for item in found))


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
    return _alone(pid).total


def _alone(pid: int) -> Used:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return Used(0, 0)
    sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines[1:])}
    own = sum(sizes.get(name, 0) for name in ("Private_Clean", "Private_Dirty"))
    return Used(sizes.get("Pss", 0), own)
