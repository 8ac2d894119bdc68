"""Two clocks of a host, because one alone may miss a pause.

CLOCK_BOOTTIME counts on in a suspend, but may stand still while a hypervisor has the machine paused, and goes back with
a snapshot that is restored. The wall clock is set right afterwards, but also at any other time. So a span of time is
what the faster one of the two has counted, and where they disagree by more than small corrections do, it is in doubt.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

AT_ONCE = 0.001
"""Seconds within which two clocks are read at the same time."""

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Moment:
    """In seconds.

    :param boot: CLOCK_BOOTTIME; :param wall: CLOCK_REALTIME.
    """

    boot: float
    wall: float

    def after(self, seconds: float) -> Moment:
        """The moment so much later, if no clock is set meanwhile."""
        return Moment(self.boot + seconds, self.wall + seconds)


Clock = Callable[[], Moment]


def boottime() -> float:
    """Seconds since this host has started, suspended ones too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def now() -> Moment:
    """This moment."""
    boot = boottime()
    for _ in range(ATTEMPTS):
        wall = time.clock_gettime(time.CLOCK_REALTIME)
        before, boot = boot, boottime()
        # Otherwise another process has run between the two.
        if boot - before < AT_ONCE:
            break
    return Moment(boot, wall)


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A span of time from a moment on.

    :param since: when it began; :param seconds: how long it is.
    :param tolerance: seconds by which the clocks may come to disagree before it is in doubt.
    """

    since: Moment
    seconds: float
    tolerance: float

    @property
    def end(self) -> Moment:
        """It is over as soon as one clock has come there."""
        return self.since.after(self.seconds)

    def left(self, moment: Moment) -> float:
        """Seconds until it is over, by the faster clock; 0 when it is."""
        return max(0.0, min(self.end.boot - moment.boot, self.end.wall - moment.wall))

    def jump(self, moment: Moment) -> float:
        """Seconds by which the wall clock has come to be ahead of the other one since it began."""
        return (moment.wall - self.since.wall) - (moment.boot - self.since.boot)

    def is_certain(self, moment: Moment) -> bool:
        """Whether the clocks agree about it."""
        return abs(self.jump(moment)) <= self.tolerance


OVER = Term(since=Moment(0.0, 0.0), seconds=0.0, tolerance=float("inf"))
"""A term that is over, for certain."""
