"""What to do so that what runs is what should run: a pure function."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from st2sensor.container.child import Child, State


class Do(enum.Enum):
    START = "start"
    STOP = "stop"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Action:
    do: Do
    ref: str


def plan(desired: Mapping[str, str], children: Mapping[str, Child], now: float) -> list[Action]:
    """The actions that bring children towards desired.

    A restart is a stop now and, once the process has ended, a start in a later plan.

    :param desired: digest of what should run, by sensor reference.
    :param now: the monotonic clock, in seconds.
    """
    actions = [Action(Do.START, ref) for ref in desired if ref not in children]
    for ref, child in children.items():
        action = _keep(child, desired[ref], now) if ref in desired else _end(child)
        if action is not None:
            actions.append(Action(action, ref))
    return actions


def next_due(children: Mapping[str, Child]) -> float | None:
    """When the next start falls due, on the monotonic clock."""
    return min((child.due for child in children.values() if child.due is not None), default=None)


def _end(child: Child) -> Do | None:
    if child.state in (State.STARTING, State.RUNNING):
        return Do.STOP
    return None if child.state is State.STOPPING else Do.FORGET


def _keep(child: Child, digest: str, now: float) -> Do | None:
    if child.state in (State.STARTING, State.RUNNING):
        return Do.STOP if child.digest != digest else None
    if child.state is State.STOPPING:
        return None
    if child.state is State.STOPPED or child.digest != digest:
        return Do.START
    if child.state is State.BACKOFF and child.due is not None and now >= child.due:
        return Do.START
    return None
