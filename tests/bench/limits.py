"""Measures the container's CPU for the limits of an event, as the difference between runs with and without limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

from tests.bench.delivery import Run, measure
from tests.bench.figures import Row, Sample
from tests.support.workspace import Workspace

NEW = Run(title="50 sensors", sensors=50, threads=1, count=400, durability="full")

STORM = replace(NEW, repeats=10)

WIDE: dict[str, Any] = {
    "rate": "1000000/s",
    "burst": 1_000_000,
    "dedupe": {"key": ["payload.n"], "window": "1h"},
}
"""Limits that let every new event through. Without repeats, both runs send the same events, and each is remembered."""

ROWS = (
    Row(key="storm", title="CPU of an event's limits, 90 % repeats", unit="us", goal=20),
    Row(key="storm_without_limits", title="CPU of an event without limits, 90 % repeats", unit="us"),
    Row(key="new", title="CPU of an event's limits, no repeats", unit="us"),
    Row(key="new_without_limits", title="CPU of an event without limits", unit="us"),
)


def repetitions(workspace: Workspace) -> Iterator[Sample]:
    """Yield the figures of one repetition after the other."""
    number = 0
    while True:
        number += 1
        cost = {
            (name, is_limited): _cost(workspace, chosen, f"{number}{name}{'on' if is_limited else 'off'}")
            for name, run in (("storm", STORM), ("new", NEW))
            for is_limited, chosen in ((False, run), (True, replace(run, limits=WIDE)))
        }
        yield {
            "storm": cost["storm", True] - cost["storm", False],
            "storm_without_limits": cost["storm", False],
            "new": cost["new", True] - cost["new", False],
            "new_without_limits": cost["new", False],
        }


def _cost(workspace: Workspace, run: Run, name: str) -> float:
    """Return the container's CPU of an event in microseconds. Each run has a state directory of its own, so that no
    event repeats one of another run."""
    folder = workspace.folder / name
    folder.mkdir()
    with closing(Workspace(folder, database=workspace.database, messaging=workspace.messaging)) as own:
        return 1e6 * measure(own, run, folder / "run").container
