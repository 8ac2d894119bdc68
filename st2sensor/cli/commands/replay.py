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
from st2sensor.cli.events.publishing import objections
from st2sensor.cli.events.seen import Seen
from st2sensor.cli.text.printable import printable
from st2sensor.delivery.messages import message_of
from st2sensor.dispatch.event import Event
from st2sensor.errors import MessageRefused
from st2sensor.outbox.entry import Entry
from st2sensor.portable import isotime, rpc
from st2sensor.settings import Settings
from st2sensor.transport import open_transport
from st2sensor.transport.base import COMMAND, Publisher

SENSOR = "replay"
"""Name in place of the sensor: a recording does not know it."""

HEARTBEAT = 1.0
"""Longest time without a sign of life to the broker (seconds)."""


def replay(
    config_files: Sequence[str],
    *,
    file: Path,
    speed: float,
    at_once: bool,
    types: Sequence[str],
    keep_ids: bool,
    force: bool,
) -> int:
    """Publish a recording; return 1 if anything was skipped.

    Raises RecordingError, BrokerUnavailable, StorageError.
    """
    settings = configured(config_files)
    chosen = [(line, seen) for line, seen in recording.read(file) if not types or seen.trigger_type in types]
    refused = {} if force else _objections(settings, chosen)
    for line, problem in refused.items():
        click.echo(f"{file}:{line} is skipped: {printable(str(problem))}", err=True)
    accepted = [(line, seen) for line, seen in chosen if line not in refused]
    published = 0
    with closing(open_transport(settings.messaging).publisher(COMMAND)) as publisher:
        publisher.connect()
        for line, seen in _paced(accepted, publisher, None if at_once else speed):
            try:
                publisher.publish([message_of(_entry(seen, keep_ids), settings.messaging)])
                published += 1
            except MessageRefused as problem:
                click.echo(f"{file}:{line} is skipped: {printable(str(problem))}", err=True)
                # The broker closes the channel over a message that it refuses.
                publisher.connect()
    click.echo(f"{published} published, {len(chosen) - published} skipped")
    return 0 if published == len(chosen) else 1


def _objections(settings: Settings, chosen: Sequence[tuple[int, Seen]]) -> dict[int, str]:
    """Return the reasons why lines must not be published, by line number."""
    events = [Event(trigger=seen.trigger, payload=rpc.body(seen.payload)) for _, seen in chosen]
    found = objections(settings, events)
    return {line: reason for (line, _), reason in zip(chosen, found, strict=True) if reason is not None}


def _paced(
    recorded: Sequence[tuple[int, Seen]], publisher: Publisher, speed: float | None
) -> Iterator[tuple[int, Seen]]:
    """Yield each line when its time has come.

    :param speed: factor by which the recording is sped up; None for no pauses.
    """
    if speed is None:
        yield from recorded
        return
    began = time.monotonic()
    first = None
    for line, seen in recorded:
        moment = isotime.parse(seen.time)
        first = first or moment
        _wait_until(began + (moment - first).total_seconds() / speed, publisher)
        yield line, seen


def _wait_until(due: float, publisher: Publisher) -> None:
    while (remaining := due - time.monotonic()) > 0:
        time.sleep(min(remaining, HEARTBEAT))
        publisher.keep_alive()


def _entry(seen: Seen, keep_id: bool) -> Entry:
    body = {"trigger": seen.trigger, "payload": seen.payload, "trace_context": seen.trace_context}
    return Entry(
        message_id=(seen.message_id if keep_id else None) or uuid.uuid4().hex,
        sensor=SENSOR,
        trigger=seen.trigger_type,
        trigger_type=seen.trigger_type,
        created=time.time(),
        body=json.dumps(body),
    )
