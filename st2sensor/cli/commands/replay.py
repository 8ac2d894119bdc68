"""`st2sensor replay`: publish the triggers of a recording."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import click

from st2sensor.cli.configuration import configured
from st2sensor.cli.events import recording
from st2sensor.cli.events.instance import Instance
from st2sensor.cli.events.publishing import REMEDY, objections
from st2sensor.cli.text import units
from st2sensor.cli.text.outcome import print_outcome
from st2sensor.cli.text.printable import printable
from st2sensor.cli.text.progress import NOTICED
from st2sensor.delivery.messages import message_of
from st2sensor.dispatch.event import Event
from st2sensor.errors import MessageNotTaken, MessageRefused
from st2sensor.outbox.entry import Entry
from st2sensor.portable import isotime, rpc
from st2sensor.settings import Settings
from st2sensor.transport import open_transport
from st2sensor.transport.base import COMMAND, Publisher

SENSOR = "replay"
"""Name used instead of the sensor's, because a recording does not contain that."""

HEARTBEAT = 1.0
"""Maximum number of seconds between two heartbeats to the broker."""


def replay(
    config_files: Sequence[str],
    *,
    file: Path,
    speed: float,
    at_once: bool,
    types: Sequence[str],
    keep_ids: bool,
    force: bool,
    json_output: bool,
) -> int:
    """Publish a recording; return 1 if anything was skipped.

    Raises RecordingError, AccessDenied, BrokerUnavailable, StorageError.
    """
    settings = configured(config_files)
    chosen = [
        (line, instance) for line, instance in recording.read(file) if not types or instance.trigger_type in types
    ]
    refused = {} if force else _objections(settings, chosen)
    for line, problem in refused.items():
        click.echo(f"{file}:{line} is skipped: {printable(str(problem))}", err=True)
    accepted = [(line, instance) for line, instance in chosen if line not in refused]
    published = 0
    with closing(open_transport(settings.messaging).publisher(COMMAND)) as publisher:
        publisher.connect()
        for line, instance in _paced(accepted, publisher, None if at_once else speed):
            try:
                if publisher.publish([message_of(_entry(instance, keep_ids), settings.messaging)]):
                    raise MessageNotTaken(f"{file}:{line}: no queue takes it; {REMEDY}")
                published += 1
            except (MessageRefused, TypeError, ValueError, RecursionError) as problem:
                click.echo(f"{file}:{line} is skipped: {printable(str(problem))}", err=True)
                # The broker closes the channel when it refuses a message.
                publisher.connect()
    skipped = len(chosen) - published
    print_outcome(json_output, f"{published} published, {skipped} skipped", published=published, skipped=skipped)
    return 0 if published == len(chosen) else 1


def _objections(settings: Settings, chosen: Sequence[tuple[int, Instance]]) -> dict[int, str]:
    """Return the reasons why lines must not be published, by line number."""
    events = [Event(trigger=instance.trigger, payload=rpc.body(instance.payload)) for _, instance in chosen]
    found = objections(settings, events)
    return {line: reason for (line, _), reason in zip(chosen, found, strict=True) if reason is not None}


def _paced(
    recorded: Sequence[tuple[int, Instance]], publisher: Publisher, speed: float | None
) -> Iterator[tuple[int, Instance]]:
    """Yield each line when its time has come.

    :param speed: factor by which the recording is sped up; None for no pauses.
    """
    if speed is None:
        yield from recorded
        return
    began = time.monotonic()
    first = None
    for line, instance in recorded:
        if instance.time == recording.UNTIMED:
            yield line, instance
            continue
        moment = isotime.parse(instance.time)
        first = first or moment
        due = began + (moment - first).total_seconds() / speed
        if due - time.monotonic() > NOTICED:
            wait = units.span(due - time.monotonic())
            click.echo(f"line {line} follows in {wait}; --at-once and --speed shorten this", err=True)
        _wait_until(due, publisher)
        yield line, instance


def _wait_until(due: float, publisher: Publisher) -> None:
    while (remaining := due - time.monotonic()) > 0:
        time.sleep(min(remaining, HEARTBEAT))
        publisher.keep_alive()


def _entry(instance: Instance, keep_id: bool) -> Entry:
    body = {"trigger": instance.trigger, "payload": instance.payload, "trace_context": instance.trace_context}
    return Entry(
        message_id=(instance.message_id if keep_id else None) or uuid.uuid4().hex,
        sensor=SENSOR,
        trigger=instance.trigger_type,
        trigger_type=instance.trigger_type,
        created=time.time(),
        body=json.dumps(body),
    )
