"""Measures the container's CPU for the limits of an event, as the difference between runs with and without limits."""

from __future__ import annotations

from collections.abc import Iterator
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
    """Yield the figures of one repetition after the other."""
    number = 0
    while True:
        number += 1
        without = measure(workspace, OFF, workspace.folder / f"off{number}").container
        limited = measure(workspace, replace(OFF, limits=WIDE), workspace.folder / f"on{number}").container
        yield {"limits": 1e6 * (limited - without), "without_limits": 1e6 * without}
