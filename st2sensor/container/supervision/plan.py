"""Plans the actions that make the right sensors run: a pure function."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from st2sensor.container.supervision.child import Child, State

SLOW = 5.0
"""Seconds after which a sensor that is still starting no longer delays the starts of others."""


class ActionKind(enum.Enum):
    START = "start"
    RESTART = "restart"
    STOP = "stop"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Action:
    do: ActionKind
    ref: str


@dataclass(frozen=True, slots=True)
class Plan:
    """:param held_back: whether some actions must wait because too many sensors are changing."""

    actions: list[Action]
    held_back: bool


def plan(desired: Mapping[str, str], children: Mapping[str, Child], now: float, at_once: int) -> Plan:
    """Return the actions that bring the children closer to the desired state.

    A restart is a stop now and, once the process has ended, a start in a later plan. Starts come before restarts, so
    that at most `at_once` sensors are down at a time.

    :param desired: digests of the sensors that should run, by reference.
    :param now: the monotonic clock, in seconds.
    :param at_once: maximum number of sensors that may be starting, or stopping for a restart.
    """
    free = [Action(do, ref) for ref, child in children.items() if ref not in desired if (do := _end(child))]
    starts: list[Action] = []
    restarts: list[Action] = []
    for ref, digest in desired.items():
        do = _keep(children[ref], digest, now) if ref in children else ActionKind.START
        if do is not None:
            (starts if do is ActionKind.START else restarts).append(Action(do, ref))
    room = max(0, at_once - sum(_is_changing(child, now) for child in children.values()))
    limited = starts + restarts
    return Plan(free + limited[:room], held_back=len(limited) > room)


def next_due(children: Mapping[str, Child]) -> float | None:
    """Return when the next start falls due, on the monotonic clock; None if none does."""
    return min((child.due for child in children.values() if child.due is not None), default=None)


def _is_changing(child: Child, now: float) -> bool:
    return child.state is State.STOPPING or (child.state is State.STARTING and now - child.since < SLOW)


def _end(child: Child) -> ActionKind | None:
    if child.state in (State.STARTING, State.RUNNING):
        return ActionKind.STOP
    return None if child.state is State.STOPPING else ActionKind.FORGET


def _keep(child: Child, digest: str, now: float) -> ActionKind | None:
    if child.state in (State.STARTING, State.RUNNING):
        return ActionKind.RESTART if child.digest != digest else None
    if child.state is State.STOPPING:
        return None
    if child.state is State.STOPPED or child.digest != digest:
        return ActionKind.START
    if child.state is State.BACKOFF and child.due is not None and now >= child.due:
        return ActionKind.START
    return None
