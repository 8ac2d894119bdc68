"""Records what happens to sensors: in the log, as events for watchers, and as their past for reports."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from st2sensor.container import broadcast
from st2sensor.container.broadcast import Broadcast
from st2sensor.container.supervision.child import Child, State, describe_exit
from st2sensor.container.supervision.past_runs import PastRuns
from st2sensor.logs.setup import of_sensor
from st2sensor.reports import Notice
from st2sensor.settings import Restarts

LOG = logging.getLogger("st2sensor.supervision")


class Recorder:
    """For the loop's thread.

    :param restarts: when failed sensors start again; None if they do not.
    :param clock: monotonic, in seconds. Times that people see are the wall clock's.
    """

    def __init__(
        self, events: Broadcast, restarts: Restarts | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._events = events
        self._restarts = restarts
        self._clock = clock
        self._records: dict[str, PastRuns] = {}

    def of(self, ref: str) -> PastRuns:
        """Return the past of a sensor."""
        return self._records.get(ref) or PastRuns()

    def forget(self, ref: str) -> None:
        """Drop the past of a sensor that is no longer registered."""
        self._records.pop(ref, None)

    @property
    def sensors(self) -> list[str]:
        """The sensors with a past."""
        return list(self._records)

    def moved(self, child: Child) -> None:
        """Record a new state."""
        self._events.tell(broadcast.STATE, child.ref, state=child.state.value, reason=child.reason)

    def started(self, ref: str, pid: int) -> None:
        """Record the start of a process."""
        self._record(ref).starts += 1
        LOG.info("%s started, pid %d", ref, pid, extra=of_sensor(ref))

    def stops(self, ref: str, reason: str) -> None:
        """Record that a sensor has been asked to stop."""
        LOG.info("%s is stopping: %s", ref, reason, extra=of_sensor(ref))

    def insisted(self, ref: str, timeout: float) -> None:
        """Record that a sensor was killed because it did not stop within a timeout in seconds."""
        LOG.warning("%s did not stop within %g s: killed", ref, timeout, extra=of_sensor(ref))

    def overdue(self, ref: str, text: str) -> None:
        """Record that a call into the sensor has exceeded its limit. The sensor's stacks follow in the log."""
        LOG.error("%s: %s; the stacks of its threads follow:", ref, text, extra=of_sensor(ref))
        self.failed(ref, text)

    def stacks(self, ref: str, lines: list[str]) -> None:
        """Add stacks to the error that `overdue` has recorded."""
        record = self._record(ref)
        if record.last_error is not None and lines:
            record.failed("\n".join([f"{record.last_error.text}; its threads were here:", *lines]), time.time())

    def cannot_start(self, child: Child) -> None:
        """Record that a process could not be started."""
        self.failed(child.ref, child.reason)
        if child.state is State.BACKOFF:
            self._report_failure(child)

    def ended(self, child: Child, code: int, how: str) -> None:
        """Record the end of a process.

        :param child: the new state of the sensor.
        :param how: the exit in words.
        """
        self._record(child.ref).last_exit = Notice(at=time.time(), text=how)
        self._record(child.ref).began = None
        if child.state is State.BACKOFF:
            self._report_failure(child)
        elif child.state is State.FINISHED:
            LOG.info("%s finished with %s", child.ref, describe_exit(code), extra=of_sensor(child.ref))
        elif code < 0:
            LOG.info("%s stopped with %s", child.ref, describe_exit(code), extra=of_sensor(child.ref))
        else:
            LOG.info("%s stopped", child.ref, extra=of_sensor(child.ref))

    def failed(self, ref: str, text: str) -> None:
        """Record an error that a sensor has logged, or an error about it."""
        self._record(ref).failed(text, time.time())
        self._events.tell(broadcast.ERROR, ref, text=text)

    def dropped(self, ref: str, lines: int, rate: float) -> None:
        """Record that lines of a sensor's log were dropped, because they exceeded its rate in lines per second."""
        self._record(ref).dropped += lines
        text = f"{lines} lines were dropped: more than {rate:g} a second"
        logging.getLogger(ref).warning("%s", text, extra=of_sensor(ref))

    def polls(self, ref: str, running: bool, failed: bool = False) -> None:
        """Record that a poll() begins or has ended, and whether it ended with an error."""
        if running:
            self._record(ref).poll_begins(time.time(), self._clock())
        else:
            self._record(ref).poll_ends(self._clock(), failed)

    def _record(self, ref: str) -> PastRuns:
        return self._records.setdefault(ref, PastRuns())

    def _report_failure(self, child: Child) -> None:
        assert child.due is not None
        extra = of_sensor(child.ref)
        if self._restarts is None:
            LOG.info("%s %s", child.ref, child.reason, extra=extra)
            return
        LOG.info("%s %s, starts again in %.1f s", child.ref, child.reason, child.due - child.since, extra=extra)
        if child.failures == self._restarts.failing_after:
            LOG.warning(
                "%s keeps failing: %d times in a row; restarts go on forever, up to %g s apart",
                child.ref,
                child.failures,
                self._restarts.delay_max,
                extra=extra,
            )
