"""The soak ring: cases that take a long time, in an order that changes with the commit, until the time is over.

`@pytest.mark.soak(minutes=3)` marks a case and says how long it takes. With `--soak-minutes 15` a case starts only if
it ends within these 15 minutes; the summary names the cases that did not fit in.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from pathlib import Path

import pytest

BEGAN = "ST2SENSOR_SOAK_BEGAN"
"""The variable that tells all workers when the run began, in seconds of the monotonic clock."""

USUAL = 1.0
"""Minutes that a case takes unless its mark says otherwise."""


def add_option(parser: pytest.Parser) -> None:
    parser.addoption("--soak-minutes", type=float, help="start only the soak cases that end within this many minutes")


class Soak:
    """A pytest plugin for a run of soak cases."""

    def __init__(self, minutes: float | None, root: Path) -> None:
        self._minutes = minutes
        self._commit = commit(root)
        self._began = float(os.environ.setdefault(BEGAN, str(time.monotonic())))

    def pytest_report_header(self) -> str:
        limit = "all of them" if self._minutes is None else f"those that fit into {self._minutes:g} minutes"
        return f"soak: cases in the order of commit {self._commit}, {limit}"

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: place(self._commit, item.nodeid))
        for item in items:
            # Each wait in the case has a deadline of its own.
            item.add_marker(pytest.mark.timeout(0))

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self._minutes is None:
            return
        needed = minutes_of(item)
        left = self._minutes - (time.monotonic() - self._began) / 60
        if needed > left:
            pytest.skip(f"it takes {needed:g} min, {max(0.0, left):.1f} are left: make soak runs all, MINUTES=N more")


def minutes_of(item: pytest.Item) -> float:
    mark = item.get_closest_marker("soak")
    return USUAL if mark is None else float(mark.kwargs.get("minutes", USUAL))


def place(commit: str, case: str) -> str:
    """Return a sort key: the order is the same for one commit, and practically random over many commits."""
    return hashlib.sha256(f"{commit} {case}".encode()).hexdigest()


def commit(root: Path) -> str:
    """Return the short commit of the checkout, or `none` outside of a checkout."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "none"
