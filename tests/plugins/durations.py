"""Shows where the suite spends its time: `make test DURATIONS=1` prints it by file, by fixture and by test.

Wall time and CPU time of each phase are measured in the process that runs the test. CPU time includes child processes
that have ended, but neither forks of tests.support.forks nor shared servers: `time make test` shows the total.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

MOST = 40
"""Maximum number of rows per table."""

Cost = tuple[float, float]
"""Seconds of wall time, seconds of CPU time."""


def _now() -> Cost:
    times = os.times()
    return time.monotonic(), times.user + times.system + times.children_user + times.children_system


@contextmanager
def _measured(kept: dict[str, Cost], name: str) -> Iterator[None]:
    wall, cpu = _now()
    yield
    ended, used = _now()
    before = kept.get(name, (0.0, 0.0))
    kept[name] = (before[0] + ended - wall, before[1] + used - cpu)


@dataclass(eq=False)
class Durations:
    """A pytest plugin: workers measure durations, and the controller adds them up and prints them."""

    _fixtures: dict[str, Cost] = field(default_factory=dict)
    _phases: dict[str, Cost] = field(default_factory=dict)
    _total: dict[str, dict[str, Cost]] = field(default_factory=lambda: defaultdict(dict))

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
        with _measured(self._fixtures, fixturedef.argname):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None, None, None]:
        with _measured(self._phases, "setup"):
            yield

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, None, None]:
        with _measured(self._phases, "call"):
            yield

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None, None, None]:
        with _measured(self._phases, "teardown"):
            yield

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "teardown":
            report.user_properties.append(("durations", {"fixture": self._fixtures, "phase": self._phases}))
            self._fixtures, self._phases = {}, {}
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, measured in report.user_properties:
            if name != "durations" or report.when != "teardown":
                continue
            assert isinstance(measured, dict)
            for phase, cost in measured["phase"].items():
                self._add("phase", phase, cost)
                self._add("test", report.nodeid, cost)
                self._add("file", report.location[0], cost)
            for fixture, cost in measured["fixture"].items():
                self._add("fixture", fixture, cost)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for kind in ("phase", "fixture", "file", "test"):
            terminalreporter.section(f"durations by {kind}: seconds of wall and of CPU time")
            rows = sorted(self._total[kind].items(), key=lambda row: -row[1][0])
            for name, (wall, cpu) in rows[:MOST]:
                terminalreporter.line(f"{wall:8.1f} {cpu:8.1f}  {name}")
            if len(rows) > MOST:
                terminalreporter.line(f"(and {len(rows) - MOST} more)")

    def _add(self, kind: str, name: str, cost: Cost | list[float]) -> None:
        wall, cpu = self._total[kind].get(name, (0.0, 0.0))
        self._total[kind][name] = (wall + cost[0], cpu + cost[1])
