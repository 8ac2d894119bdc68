"""The state of one sensor on this node, and the transitions between states as pure functions."""

from __future__ import annotations

import enum
import signal
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from st2sensor import backoff
from st2sensor.settings import Restarts


class State(enum.Enum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    BACKOFF = "backoff"
    FINISHED = "finished"


ALIVE = frozenset({State.STARTING, State.RUNNING, State.STOPPING})
"""States with a process, or with a process on its way."""


def summary(children: Iterable[Child]) -> str:
    """Return the number of sensors in each state, in words."""
    counts = Counter(child.state for child in children)
    return ", ".join(f"{counts[state]} {state.value}" for state in State if counts[state]) or "no sensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One sensor on this node.

    :param digest: digest of the code, metadata and configuration that the sensor was started from.
    :param since: when the state was entered, on the monotonic clock.
    :param reason: why the state was entered, in words.
    :param failures: number of failures in a row.
    :param due: when a sensor in BACKOFF starts again, on the monotonic clock.
    :param failed: whether a sensor in STOPPING is being stopped because it failed; its exit code then does not matter.
    """

    ref: str
    digest: str
    state: State
    since: float
    reason: str
    failures: int = 0
    due: float | None = None
    failed: bool = False


def starting(ref: str, digest: str, now: float, failures: int, reason: str) -> Child:
    """Return the state of a sensor whose process is on its way."""
    # STOPPED, BACKOFF, FINISHED -> STARTING
    return Child(ref=ref, digest=digest, state=State.STARTING, since=now, reason=reason, failures=failures)


def ready(child: Child, now: float) -> Child:
    """Return the state after setup() has been entered."""
    if child.state is not State.STARTING:
        return child
    # STARTING -> RUNNING
    return replace(child, state=State.RUNNING, since=now, reason="setup() was entered")


def stopping(child: Child, now: float, reason: str, *, failed: bool = False, healthy: bool = False) -> Child:
    """Return the state of a sensor that has been asked to stop.

    :param healthy: whether the sensor had run well before; then this failure counts as its first.
    """
    # STARTING, RUNNING -> STOPPING
    failures = 0 if healthy else child.failures
    return replace(child, state=State.STOPPING, since=now, reason=reason, failed=failed, failures=failures)


def unwaited(child: Child, now: float, reason: str) -> Child:
    """Return the state of a sensor that no longer waits for its next start."""
    # BACKOFF, FINISHED -> STOPPED
    return replace(child, state=State.STOPPED, since=now, reason=reason, failures=0, due=None)


def exited(child: Child, how: str, now: float, restarts: Restarts, *, success: bool) -> Child:
    """Return the state after the process has ended.

    :param how: the exit in words.
    :param success: whether the exit code was 0.
    """
    if child.state is State.STOPPING and not child.failed:
        # STOPPING -> STOPPED
        return replace(child, state=State.STOPPED, since=now, reason=child.reason)
    if child.state is State.STOPPING:
        return backing_off(child, child.reason, now, restarts)
    if success:
        # STARTING, RUNNING -> FINISHED
        return replace(child, state=State.FINISHED, since=now, reason=how, failures=0)
    return backing_off(child, how, now, restarts)


def backing_off(child: Child, reason: str, now: float, restarts: Restarts) -> Child:
    """Return the state after a start or a process has failed."""
    # STARTING, RUNNING, STOPPING -> BACKOFF
    failures = 1 if is_healthy(child, now, restarts) else child.failures + 1
    wait = backoff.delay(failures, first=restarts.delay, cap=restarts.delay_max, jitter=restarts.jitter)
    return replace(
        child, state=State.BACKOFF, since=now, reason=reason, failures=failures, due=now + wait, failed=False
    )


def is_healthy(child: Child, now: float, restarts: Restarts) -> bool:
    """Return whether a sensor has run for long enough that earlier failures no longer count."""
    return child.state is State.RUNNING and now - child.since >= restarts.healthy_after


def describe_end(code: int, *, is_asked: bool) -> str:
    """Return the end of a process in words.

    :param is_asked: whether it was asked to stop. A wrapper then ends with 143, as a shell shows SIGTERM.
    """
    if is_asked and code in (0, 128 + signal.SIGTERM, -signal.SIGTERM):
        return "stopped, as asked"
    return f"ended with {describe_exit(code)}"


def describe_exit(code: int) -> str:
    """Return an exit in words.

    :param code: exit code, or the negative number of the signal that killed the process.
    """
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
