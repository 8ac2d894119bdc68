"""Reads the documents of StackStorm's rules engine: rules, trigger instances, enforcements, executions, traces.

The fields are those that StackStorm 3.8 to 3.10 writes. A document in which one is wrong raises Misfit.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from st2sensor.matching import paths
from st2sensor.matching.rules import STANDARD, RuleContent
from st2sensor.models import Trigger
from st2sensor.models.rules_engine import EnforcementRecord, ExecutionRecord, InstanceRecord
from st2sensor.storage.fields import (
    Foreign,
    Misfit,
    flag,
    identity,
    json_form,
    mapping,
    moment,
    optional_text,
    shown,
    text,
)

RULES, INSTANCES, TRACES = "rule_d_b", "trigger_instance_d_b", "trace_d_b"
ENFORCEMENTS, EXECUTIONS = "rule_enforcement_d_b", "action_execution_d_b"
"""StackStorm's collections. They are only read."""

TICK = 1_000_000.0
"""Units of StackStorm's integer times in one second."""


def rule(document: Mapping[str, Any], triggers: Mapping[str, Trigger]) -> RuleContent:
    """Return a rule. Raises Misfit.

    :param triggers: the registered triggers by reference.
    """
    trigger = text(document, "trigger")
    known = triggers.get(trigger)
    kind = mapping(document, "type") or {}
    action = mapping(document, "action") or {}
    return RuleContent(
        ref=f"{identity(document, 'pack')}.{identity(document, 'name')}",
        enabled=flag(document, "enabled", False),
        trigger=trigger,
        trigger_type=None if known is None else known.type,
        parameters=None if known is None else known.parameters,
        criteria=_criteria(mapping(document, "criteria") or {}),
        kind=str(kind.get("ref") or STANDARD),
        created=_created(document),
        action=str(action.get("ref") or ""),
    )


def _criteria(stored: Any) -> Any:
    """Return criteria with their keys as the rule's file has them."""
    if isinstance(stored, Mapping):
        return {paths.plain(key): _criteria(value) for key, value in stored.items()}
    return [_criteria(value) for value in stored] if isinstance(stored, list) else stored


def instance(document: Mapping[str, Any]) -> InstanceRecord:
    """Return a trigger instance. Raises Misfit."""
    return InstanceRecord(
        id=shown(document["_id"]),
        trigger=text(document, "trigger"),
        payload=_payload(document.get("payload")),
        at=_seconds(document, "occurrence_time"),
        status=optional_text(document, "status") or "",
    )


def _payload(value: Any) -> Mapping[str, Any] | None:
    """Return a payload, which newer versions store as JSON in binary data; None if it cannot be read."""
    if isinstance(value, Foreign):
        try:
            value = json.loads(base64.b64decode(value.shown))
        except (ValueError, TypeError, RecursionError):
            return None
    try:
        found = json_form(_criteria(value))
    except RecursionError:
        return None
    return found if isinstance(found, dict) else None


def enforcement(document: Mapping[str, Any]) -> EnforcementRecord:
    """Return an enforcement. Raises Misfit."""
    rule_ = mapping(document, "rule") or {}
    return EnforcementRecord(
        rule=str(rule_.get("ref") or "?"),
        instance=text(document, "trigger_instance_id"),
        status=optional_text(document, "status") or "",
        failure=optional_text(document, "failure_reason") or "",
        execution=optional_text(document, "execution_id"),
        at=_seconds(document, "enforced_at"),
    )


def execution(document: Mapping[str, Any]) -> ExecutionRecord:
    """Return an execution. Raises Misfit."""
    action = mapping(document, "liveaction") if isinstance(document.get("liveaction"), Mapping) else {}
    named = mapping(document, "action") if isinstance(document.get("action"), Mapping) else {}
    return ExecutionRecord(
        id=shown(document["_id"]),
        action=str((named or {}).get("ref") or (action or {}).get("action") or ""),
        status=text(document, "status"),
        started=_seconds(document, "start_timestamp"),
        ended=_seconds(document, "end_timestamp"),
    )


def instances_of_trace(document: Mapping[str, Any]) -> list[str]:
    """Return the ids of a trace's trigger instances. Raises Misfit."""
    items = document.get("trigger_instances") or []
    if not isinstance(items, list):
        raise Misfit("trigger_instances", "is not a list")
    return [str(json_form(item.get("object_id"))) for item in items if isinstance(item, Mapping)]


def _seconds(document: Mapping[str, Any], name: str) -> float | None:
    """Return a time, which is a date or a number of microseconds. Raises Misfit."""
    value = document.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return value / TICK
    found = None if value is None else moment(document, name)
    return None if found is None else found.timestamp()


def _created(document: Mapping[str, Any]) -> float | None:
    """Return when a document was made: the first 4 bytes of its id, in seconds since the epoch."""
    identifier = shown(document["_id"])
    try:
        return float(int(identifier[:8], 16)) if len(identifier) == 24 else None
    except ValueError:
        return None


def date_of(seconds: float) -> datetime:
    """Return a time for a query. Raises OverflowError, OSError and ValueError for a time out of range."""
    return datetime.utcfromtimestamp(seconds)
