"""Takes the reports of wrappers: which methods of the sensor begin and end, and the records that it logs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from st2sensor.container.supervision import child as transitions
from st2sensor.container.supervision.child_table import ChildTable
from st2sensor.container.supervision.recorder import Recorder
from st2sensor.container.supervision.watchdog import MAIN, TRIGGERS
from st2sensor.settings import Container


class WrapperReports:
    """Implements the protocol `Sensors` for the methods of the wrapper protocol. For the loop's thread.

    :param wake: set when a sensor's state changes without the supervisor having asked for it.
    """

    def __init__(
        self,
        table: ChildTable,
        settings: Container,
        recorder: Recorder,
        wake: asyncio.Event,
        clock: Callable[[], float],
    ) -> None:
        self._table = table
        self._settings = settings
        self._recorder = recorder
        self._wake = wake
        self._clock = clock

    async def sensor_of(self, token: str) -> str | None:
        """Return the sensor of a wrapper that says hello, which it may do before its start is known here."""
        birth = self._table.births.get(token)
        if birth is not None:
            await asyncio.wait([birth])
        ref = self._table.refs.get(token)
        if ref is not None:
            self._table.runs[ref].watchdog.answers_signals = True
        return ref

    def log_level(self, ref: str) -> int:
        """Return the minimum level of a sensor's records that are logged."""
        return self._table.log_level(ref)

    def is_ready(self, ref: str) -> None:
        """Note that setup() has been entered."""
        self._table.move(transitions.ready(self._table.states[ref], self._clock()))
        self._enters(ref, "setup()", _chosen(self._table.overrides[ref].setup_timeout, self._settings.setup_timeout))
        self._wake.set()

    def is_set_up(self, ref: str) -> None:
        """Note that setup() has returned."""
        self._leaves(ref, "setup()")

    def ends(self, ref: str) -> None:
        """Note that cleanup() has been entered. It has the same limit whether or not the sensor was asked to stop."""
        if ref in self._table.runs:
            self._table.runs[ref].activity.is_left()
        self._enters(ref, "cleanup()", self._settings.stop_timeout)

    def polls(self, ref: str, running: bool, interval: float | None, failed: bool = False) -> None:
        """Note that a poll() begins or has returned.

        :param interval: seconds between two polls; None if the wrapper does not report them.
        :param failed: whether it ended with an error.
        """
        self._recorder.polls(ref, running, failed)
        if running:
            self._enters(ref, "poll()", _chosen(self._table.overrides[ref].poll_timeout, self._settings.poll_timeout))
        else:
            self._leaves(ref, "poll()")
        if interval is not None and ref in self._table.runs:
            self._table.runs[ref].activity.poll_interval = interval

    def hears(self, ref: str, method: str, running: bool) -> None:
        """Note that add_trigger(), or a similar method, begins or has returned."""
        if running:
            limit = _chosen(self._table.overrides[ref].trigger_timeout, self._settings.trigger_timeout)
            self._enters(ref, f"{method}()", limit, TRIGGERS)
        else:
            self._leaves(ref, f"{method}()", TRIGGERS)

    def log(self, ref: str, name: str, level: int, message: str) -> None:
        """Log a record of the sensor."""
        if ref in self._table.runs:
            self._table.runs[ref].output.record(name, level, message)

    def _enters(self, ref: str, method: str, limit: float | None, thread: str = MAIN) -> None:
        run = self._table.runs.get(ref)
        if run is not None:
            run.activity.begins(method, self._clock())
            run.watchdog.expect(method, limit, thread)

    def _leaves(self, ref: str, method: str, thread: str = MAIN) -> None:
        run = self._table.runs.get(ref)
        if run is not None:
            run.activity.ends(method)
            run.watchdog.expect(method, None, thread)


def _chosen(override: float | None, common: float | None) -> float | None:
    """Return a time limit; an override of 0 means no limit."""
    return (common if override is None else override) or None
