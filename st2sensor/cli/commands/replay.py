"""`st2sensor replay`: publish the triggers of a recording, or events of the history again."""

from __future__ import annotations

import json
import signal
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Unpack

import click

from st2sensor.cli.commands.events import history_of
from st2sensor.cli.configuration import configured
from st2sensor.cli.events import recording
from st2sensor.cli.events.choosing import Options, filters_of
from st2sensor.cli.events.instance import Instance
from st2sensor.cli.events.publishing import REMEDY, objections
from st2sensor.cli.events.replaying import Replay, wait_until
from st2sensor.cli.events.target import Target, target_of
from st2sensor.cli.text import units
from st2sensor.cli.text.outcome import print_outcome
from st2sensor.cli.text.printable import printable
from st2sensor.cli.text.progress import NOTICED
from st2sensor.delivery.messages import message_of
from st2sensor.dispatch.event import Event
from st2sensor.errors import MessageNotTaken, MessageRefused
from st2sensor.history.event import State
from st2sensor.outbox.entry import Entry
from st2sensor.portable import isotime, rpc
from st2sensor.settings import Settings
from st2sensor.transport import open_transport
from st2sensor.transport.base import COMMAND, Publisher

SENSOR = "replay"
"""Name used in place of the sensor's name, which a recording does not contain."""

PUBLISHED = (State.CONFIRMED, State.UNROUTED)
"""States of the events that are replayed unless the user names others: those that were published."""


def replay(
    config_files: Sequence[str],
    *,
    file: Path | None,
    speed: float | None,
    at_once: bool,
    keep_ids: bool,
    to: str | None,
    rate: float | None,
    after: str | None,
    dry_run: bool,
    force: bool,
    json_output: bool,
    **options: Unpack[Options],
) -> int:
    """Publish a recording or events of the history; return 1 if anything was skipped.

    Raises RecordingError, AccessDenied, TransportError, StorageError, HistoryError, OutboxError, ConfigError.
    """
    triggers, states = options["triggers"], options["states"]
    of_history = (rate, after, *(value for name, value in options.items() if name != "triggers"))
    is_of_history = any(value not in (None, ()) for value in of_history)
    if file is not None and is_of_history:
        raise click.UsageError(
            "a FILE goes with --trigger, --to, --speed, --at-once, --keep-ids, --force and --dry-run: the other "
            "options choose events of the history, which needs no FILE"
        )
    settings = configured(config_files)
    target = None if to is None else target_of(to, settings.messaging)
    did = "would be published" if dry_run else "published"
    if file is not None:
        chosen, accepted = _accepted(settings, file, triggers, force)
        if dry_run:
            published = _count(settings, file, accepted, keep_ids)
        else:
            pace = None if at_once else 1.0 if speed is None else speed
            published = _publish(settings, file, accepted, pace, keep_ids, target)
        skipped = chosen - published
        print_outcome(json_output, f"{published} {did}, {skipped} skipped", published=published, skipped=skipped)
        return 0 if not skipped else 1
    if not is_of_history and not dry_run and not triggers:
        raise click.UsageError("name a FILE, or choose events of the history, for example with --since 1h")
    if speed is not None or at_once or keep_ids:
        raise click.UsageError("--speed, --at-once and --keep-ids go with a FILE")
    if State.WAITING in states:
        raise click.UsageError(
            "--state waiting: these events are still in the outbox, and will be published from there"
        )
    options["states"] = states or PUBLISHED
    filters = filters_of(**options)
    with closing(history_of(settings)) as history:
        run = Replay(settings, history, target=target, rate=rate, force=force, publishes=not dry_run)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            run.run(filters, after)
        except BaseException:
            click.echo(f"stopped: {run.tally.published} published; {run.resume()}", err=True)
            raise
    for reason, number in run.tally.skipped.items():
        click.echo(f"{units.count(number, 'event')} skipped: {printable(reason)}", err=True)
    published, skipped = run.tally.published, run.tally.skipped.total()
    cursor = run.tally.cursor or after
    print_outcome(
        json_output, f"{published} {did}, {skipped} skipped", published=published, skipped=skipped, cursor=cursor
    )
    return 0 if not skipped else 1


def _accepted(
    settings: Settings, file: Path, types: Sequence[str], force: bool
) -> tuple[int, list[tuple[int, Instance]]]:
    """Read a recording; return how many of its triggers were chosen, and those that may be published, by line."""
    chosen = [
        (line, instance) for line, instance in recording.read(file) if not types or instance.trigger_type in types
    ]
    refused = {} if force else _objections(settings, chosen)
    for line, problem in refused.items():
        _skip(file, line, problem)
    return len(chosen), [(line, instance) for line, instance in chosen if line not in refused]


def _skip(file: Path, line: int, problem: object) -> None:
    click.echo(f"{file}:{line} is skipped: {printable(str(problem))}", err=True)


def _count(settings: Settings, file: Path, accepted: Sequence[tuple[int, Instance]], keep_ids: bool) -> int:
    """Return how many triggers would be published."""
    count = 0
    for line, instance in accepted:
        try:
            message_of(_entry(instance, keep_ids), settings.messaging)
            count += 1
        except (MessageRefused, TypeError, ValueError, RecursionError) as problem:
            _skip(file, line, problem)
    return count


def _publish(
    settings: Settings,
    file: Path,
    accepted: Sequence[tuple[int, Instance]],
    speed: float | None,
    keep_ids: bool,
    target: Target | None,
) -> int:
    """Publish a recording; return how many triggers were published.

    :param speed: factor by which the recording is sped up; None for no pauses.
    """
    published = 0
    with closing(open_transport(settings.messaging).publisher(COMMAND)) as publisher:
        publisher.connect()
        for line, instance in _paced(accepted, publisher, speed):
            try:
                message = message_of(_entry(instance, keep_ids), settings.messaging)
                if publisher.publish([message if target is None else target.addressed(message)]):
                    raise MessageNotTaken(f"{file}:{line}: no queue takes it; {REMEDY}")
                published += 1
            except (MessageRefused, TypeError, ValueError, RecursionError) as problem:
                _skip(file, line, problem)
                # The broker closes the channel when it refuses a message.
                publisher.connect()
    return published


def _objections(settings: Settings, chosen: Sequence[tuple[int, Instance]]) -> dict[int, str]:
    """Return the reasons why lines must not be published, by line number."""
    events = [Event(trigger=instance.trigger, payload=rpc.body(instance.payload)) for _, instance in chosen]
    found = objections(settings, events)
    return {line: reason for (line, _), reason in zip(chosen, found, strict=True) if reason is not None}


def _paced(
    recorded: Sequence[tuple[int, Instance]], publisher: Publisher, speed: float | None
) -> Iterator[tuple[int, Instance]]:
    """Yield each line at its time.

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
        wait_until(due, publisher)
        yield line, instance


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
