"""`st2sensor dispatch`: injects a trigger by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from st2sensor import config, rpc
from st2sensor.cli.container import reached
from st2sensor.cli.outcome import report
from st2sensor.cli.publishing import publish, registered
from st2sensor.errors import ContainerAway, TriggerRefused
from st2sensor.models import TraceContext, TriggerInstance
from st2sensor.settings import Settings


def dispatch(
    config_files: Sequence[str], *, trigger: str, payload: str, trace_tag: str | None, json_output: bool
) -> None:
    settings = config.load(config_files)
    content = _payload(payload)
    params = {"trigger": trigger, "payload": content, "trace_tag": trace_tag}
    _insist_on_json(params)
    try:
        with reached(settings.container.state_dir) as container:
            container.call("dispatch", **params)
        report(json_output, f"{trigger} is on its way", trigger=trigger, published=False)
    except ContainerAway:
        _publish(settings, trigger, content, trace_tag)
        report(json_output, f"{trigger} is published; no container runs here", trigger=trigger, published=True)
    except ValueError as exception:
        raise TriggerRefused(str(exception), key="payload") from exception


def _payload(text: str) -> dict[str, Any]:
    try:
        content = json.loads(sys.stdin.read() if text == "-" else text)
    except (ValueError, RecursionError) as exception:
        raise click.BadParameter(f"not JSON: {exception}", param_hint="PAYLOAD") from exception
    if not isinstance(content, dict):
        raise click.BadParameter('a payload is a JSON object, as in \'{"line": "hello"}\'', param_hint="PAYLOAD")
    return content


def _insist_on_json(params: dict[str, Any]) -> None:
    """Raises BadParameter for numbers that JSON does not have, and what is nested too deep or too long."""
    try:
        rpc.request(1, "dispatch", params)
    except (TypeError, ValueError) as exception:
        raise click.BadParameter(f"it cannot be sent: {exception}", param_hint="PAYLOAD") from exception


def _publish(settings: Settings, trigger: str, payload: dict[str, Any], trace_tag: str | None) -> None:
    instance = TriggerInstance(
        trigger=trigger, payload=payload, trace_context=TraceContext(tag=trace_tag) if trace_tag else None
    )
    catalogue = registered(settings)
    trigger_type = catalogue.type_of(trigger)
    problem = catalogue.objection(instance, trigger_type)
    if problem is not None:
        raise TriggerRefused(problem, key="type" if trigger_type is None else "payload")
    publish(settings, [instance], catalogue)
