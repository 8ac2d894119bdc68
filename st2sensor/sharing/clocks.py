"""Two clocks of a host, because one alone may miss a pause.

CLOCK_BOOTTIME keeps counting while the host is suspended. But it may stand still while a hypervisor pauses the machine,
and it goes back when a snapshot is restored. The wall clock is corrected after a pause, but may also be set at any
other time. So a span of time is measured with the faster of the two clocks. If the clocks disagree by more than small
corrections, the span is in doubt.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

AT_ONCE = 0.001
"""Maximum number of seconds between two reads that count as simultaneous."""

ATTEMPTS = 5
"""Maximum number of attempts to read both clocks simultaneously."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment on both clocks, in seconds.

    :param boot: CLOCK_BOOTTIME.
    :param wall: CLOCK_REALTIME.
    """

    boot: float
    wall: float

    def after(self, seconds: float) -> Moment:
        """Return the moment `seconds` later, assuming that no clock is set in between."""
        return Moment(self.boot + seconds, self.wall + seconds)


Clock = Callable[[], Moment]


def boottime() -> float:
    """Return the seconds since this host started, including those in which it was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def now() -> Moment:
    """Return the current moment."""
    boot = boottime()
    for _ in range(ATTEMPTS):
        wall = time.clock_gettime(time.CLOCK_REALTIME)
        before, boot = boot, boottime()
        # A longer time means that another process ran between the reads: try again.
        if boot - before < AT_ONCE:
            break
    return Moment(boot, wall)


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A span of time.

    :param since: its beginning.
    :param seconds: its length.
    :param tolerance: number of seconds by which the clocks may disagree before the term is in doubt.
    """

    since: Moment
    seconds: float
    tolerance: float

    @property
    def end(self) -> Moment:
        """The end of the term, which is over as soon as either clock reaches this moment."""
        return self.since.after(self.seconds)

    def left(self, moment: Moment) -> float:
        """Return the seconds until the term is over by the faster clock, or 0 if it is over."""
        return max(0.0, min(self.end.boot - moment.boot, self.end.wall - moment.wall))

    def jump(self, moment: Moment) -> float:
        """Return the seconds that the wall clock has gained on the boot clock since the term began."""
        return (moment.wall - self.since.wall) - (moment.boot - self.since.boot)

    def is_certain(self, moment: Moment) -> bool:
        """Return whether the clocks agree about the term."""
        return abs(self.jump(moment)) <= self.tolerance


OVER = Term(since=Moment(0.0, 0.0), seconds=0.0, tolerance=float("inf"))
"""A term that is certainly over."""
