"""The records of StackStorm's rules engine about an event: its instance, and the results of rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRecord:
    """A trigger instance, as StackStorm stores it.

    :param trigger: reference of the trigger.
    :param payload: None if it cannot be read.
    :param at: when the rules engine received it, in seconds since the epoch; None if unknown.
    :param status: `pending`, `processing`, `processed` or `processing_failed`.
    """

    id: str
    trigger: str
    payload: Mapping[str, Any] | None
    at: float | None
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnforcementRecord:
    """A rule that matched an instance, or failed to be evaluated.

    :param failure: why no action was started; empty if one was.
    :param execution: id of the action's execution; None if there is none.
    """

    rule: str
    instance: str
    status: str
    failure: str
    execution: str | None
    at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRecord:
    """An execution of an action."""

    id: str
    action: str
    status: str
    started: float | None
    ended: float | None
