"""`st2sensor dispatch`: dispatch a trigger by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from st2sensor.cli.configuration import configured
from st2sensor.cli.events.publishing import objections, publish, registered
from st2sensor.cli.inspection.control_client import reached
from st2sensor.cli.inspection.references import suggested_trigger
from st2sensor.cli.text.outcome import print_outcome
from st2sensor.cli.text.progress import waiting_for
from st2sensor.dispatch.event import Event
from st2sensor.errors import ContainerAway, TriggerRefused
from st2sensor.models import TraceContext
from st2sensor.portable import rpc
from st2sensor.settings import Settings


def dispatch(
    config_files: Sequence[str], *, trigger: str, payload: str, trace_tag: str | None, json_output: bool
) -> None:
    settings = configured(config_files)
    event = _event(trigger, _payload(payload), trace_tag)
    try:
        with reached(settings.container.state_dir) as container:
            container.call("dispatch", event.payload, trigger=trigger, trace_tag=trace_tag)
        print_outcome(json_output, f"{trigger} is on its way", trigger=trigger, published=False)
    except ContainerAway:
        _publish(settings, event)
        print_outcome(
            json_output,
            f"{trigger} was published directly, because no container is running here",
            trigger=trigger,
            published=True,
        )
    except ValueError as exception:
        meant = suggested_trigger(settings, trigger, "TriggerType", "Trigger")
        raise TriggerRefused(f"{exception}{meant}", key="payload") from exception


def _payload(text: str) -> dict[str, Any]:
    try:
        if text == "-":
            waiting_for("the payload on standard input, which Ctrl-D ends")
        content = json.loads(sys.stdin.read() if text == "-" else text)
    except (ValueError, RecursionError) as exception:
        form = """write an object, like '{"line": "hello"}', or - to read it from standard input"""
        raise click.BadParameter(f"not JSON: {exception}; {form}", param_hint="PAYLOAD") from exception
    if not isinstance(content, dict):
        raise click.BadParameter('a payload must be a JSON object, like \'{"line": "hello"}\'', param_hint="PAYLOAD")
    return content


def _event(trigger: str, payload: dict[str, Any], trace_tag: str | None) -> Event:
    """Return the event to dispatch.

    Raises BadParameter for numbers that JSON cannot represent, and for payloads that are too long or nested too deeply.
    """
    try:
        body = rpc.body(payload)
        rpc.request(1, "dispatch", {"trigger": trigger, "trace_tag": trace_tag}, [body])
    except (TypeError, ValueError) as exception:
        raise click.BadParameter(f"it cannot be sent: {exception}", param_hint="PAYLOAD") from exception
    return Event(trigger=trigger, payload=body, trace_context=TraceContext(tag=trace_tag) if trace_tag else None)


def _publish(settings: Settings, event: Event) -> None:
    catalogue = registered(settings)
    (problem,) = objections(settings, [event], catalogue)
    if problem is not None:
        is_known = catalogue.type_of(event.trigger) is not None
        meant = "" if is_known else suggested_trigger(settings, str(event.trigger), "TriggerType", "Trigger")
        raise TriggerRefused(f"{problem}{meant}", key="payload" if is_known else "type")
    publish(settings, [event], catalogue)
