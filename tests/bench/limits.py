"""Measures the container's CPU for the limits of an event, as the difference between runs with and without limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

from tests.bench.delivery import Run, measure
from tests.bench.figures import Row, Sample
from tests.support.workspace import Workspace

OFF = Run(title="50 sensors", sensors=50, threads=1, count=400, durability="full")

WIDE: dict[str, Any] = {
    "rate": "1000000/s",
    "burst": 1_000_000,
    "dedupe": {"key": ["payload.n"], "window": "1h"},
}
"""Limits that let every event through, so that both runs send the same events, and each is remembered."""

ROWS = (
    Row(key="limits", title="CPU of an event's limits: dedupe and rate", unit="us", goal=20),
    Row(key="without_limits", title="CPU of an event without limits", unit="us"),
)


def repetitions(workspace: Workspace) -> Iterator[Sample]:
    """Yield the figures of one repetition after the other. Each has new state directories, without repeats."""
    number = 0
    while True:
        number += 1
        folder = workspace.folder / str(number)
        folder.mkdir()
        with closing(Workspace(folder, database=workspace.database, messaging=workspace.messaging)) as own:
            without = measure(own, OFF, folder / "off").container
            limited = measure(own, replace(OFF, limits=WIDE), folder / "on").container
        yield {"limits": 1e6 * (limited - without), "without_limits": 1e6 * without}
