"""`st2sensor event`: show the life of one event."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing

import click
from rich.table import Table

from st2sensor.cli.commands.events import history_of
from st2sensor.cli.configuration import configured
from st2sensor.cli.events import history as shown
from st2sensor.cli.events.masking import Masks
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.printable import in_line
from st2sensor.errors import EventNotFound
from st2sensor.history.event import Recorded, State
from st2sensor.history.reader import History
from st2sensor.history.waiting import waiting
from st2sensor.settings import Settings

Step = tuple[float | None, str]
"""The time of something that happened, in seconds since the epoch, and its description."""


def event(config_files: Sequence[str], *, identifier: str, json_output: bool) -> int:
    """Print an event with a timeline; return the exit code. Raises HistoryError, EventNotFound."""
    settings = configured(config_files)
    masks = Masks(settings)
    with closing(history_of(settings)) as history:
        found = _find(settings, history, identifier)
        steps = list(_steps(found, history.replays(found.message_id)))
    if json_output:
        timeline = [{"time": shown.time(at), "text": text} for at, text in steps]
        click.echo(json.dumps(shown.fields(found, masks) | {"timeline": timeline}))
        return 0
    out = console()
    about = Table.grid(padding=(0, 2))
    for name, text in _about(found):
        about.add_row(name, in_line(text))
    out.print(about)
    out.print()
    timeline_ = Table.grid(padding=(0, 2))
    for at, text in steps:
        timeline_.add_row("" if at is None else units.clock(at), _after(found.created, at), in_line(text))
    out.print(timeline_)
    out.print()
    payload = masks.payload(found)
    kept = "the payload was not kept" if found.body is None else json.dumps(payload, indent=2, ensure_ascii=False)
    click.echo(kept)
    return 0


def _find(settings: Settings, history: History, identifier: str) -> Recorded:
    try:
        return history.get(identifier)
    except EventNotFound:
        for waits in waiting(settings.container.state_dir / "outbox.db"):
            if waits.message_id.startswith(identifier):
                return waits
        raise


def _about(found: Recorded) -> Iterator[tuple[str, str]]:
    yield "event", found.message_id
    yield "sensor", found.sensor
    yield "trigger", found.trigger if found.trigger == found.trigger_type else f"{found.trigger} ({found.trigger_type})"
    if found.trace_tag:
        yield "trace tag", found.trace_tag
    if found.node:
        yield "node", found.node + ("" if found.fence is None else f", fence {found.fence}")


def _steps(found: Recorded, replays: Sequence[tuple[float, str]]) -> Iterator[Step]:
    """Yield what happened to an event, in order."""
    yield found.created, "dispatched"
    if found.committed is not None:
        yield found.committed, "on disk: dispatch() returned"
    if found.problem:
        yield None, f"not published at first: {found.problem}"
    published = _published(found)
    if found.state is State.WAITING:
        yield None, "waits for the broker: st2sensor list says why"
    elif found.state is State.CONFIRMED:
        yield found.settled, f"{published}, and confirmed by the broker"
    elif found.state is State.UNROUTED:
        yield found.settled, f"{published}, but no queue takes it: st2sensor dead-letters list shows it"
    else:
        yield found.settled, f"became a dead letter: {found.reason or 'no reason is known'}"
    for at, target in replays:
        yield at, f"replayed to {target}"


def _published(found: Recorded) -> str:
    late = ", late: another container may have been running the sensor" if found.is_late else ""
    attempts = f" at attempt {found.attempts}" if found.attempts > 1 else ""
    return f"published to {found.exchange} with the routing key {found.routing_key}{attempts}{late}"


def _after(created: float, at: float | None) -> str:
    return "" if at is None or at <= created else f"+{units.span(at - created)}"
