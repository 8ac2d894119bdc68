"""The container's view of one wrapper: its states, and the transitions between them as pure functions."""

from __future__ import annotations

import enum
import signal
from dataclasses import dataclass, replace

from st2sensor import backoff

FIRST_RESTART, LAST_RESTART = 1.0, 300.0
"""Seconds until a failed sensor is started again, doubling."""

HEALTHY = 60.0
"""Seconds; a sensor that ran so long starts over with its failures."""


class State(enum.Enum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    BACKOFF = "backoff"
    FINISHED = "finished"


ALIVE = frozenset({State.STARTING, State.RUNNING, State.STOPPING})
"""States in which there is a process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One sensor on this node.

    :param digest: of what it was started from.
    :param since: when the state was entered, on the monotonic clock.
    :param failures: exits in a row that were failures.
    :param due: when a sensor in BACKOFF starts again, on the monotonic clock.
    """

    ref: str
    digest: str
    state: State
    since: float
    failures: int = 0
    due: float | None = None


def starting(ref: str, digest: str, now: float, failures: int = 0) -> Child:
    # STOPPED, BACKOFF, FINISHED -> STARTING
    return Child(ref=ref, digest=digest, state=State.STARTING, since=now, failures=failures)


def ready(child: Child, now: float) -> Child:
    # STARTING -> RUNNING
    return replace(child, state=State.RUNNING, since=now) if child.state is State.STARTING else child


def stopping(child: Child, now: float) -> Child:
    # STARTING, RUNNING -> STOPPING
    return replace(child, state=State.STOPPING, since=now)


def exited(child: Child, code: int, now: float, jitter: float | None = None) -> Child:
    """The state after the process ended.

    :param code: exit code, or the negative number of the signal that killed it.
    """
    if child.state is State.STOPPING:
        # STOPPING -> STOPPED
        return replace(child, state=State.STOPPED, since=now)
    if code == 0:
        # RUNNING -> FINISHED
        return replace(child, state=State.FINISHED, since=now, failures=0)
    return failed(child, now, jitter)


def failed(child: Child, now: float, jitter: float | None = None) -> Child:
    """The state after a start that did not work, or an exit that was a failure."""
    # STARTING, RUNNING -> BACKOFF
    healthy = child.state is State.RUNNING and now - child.since >= HEALTHY
    failures = 1 if healthy else child.failures + 1
    wait = backoff.delay(failures, first=FIRST_RESTART, cap=LAST_RESTART, jitter=jitter)
    return replace(child, state=State.BACKOFF, since=now, failures=failures, due=now + wait)


def describe_exit(code: int) -> str:
    """An exit in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
