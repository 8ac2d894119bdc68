"""`st2sensor dead-letters`: show, replay and delete triggers that could not be published."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, Unpack

import click
from rich.table import Table

from st2sensor.cli.configuration import configured
from st2sensor.cli.events.choosing import Options, filters_of
from st2sensor.cli.events.confirming import confirmed, require_one_kind
from st2sensor.cli.events.publishing import REMEDY, objections
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.outcome import print_outcome
from st2sensor.cli.text.printable import in_line, printable
from st2sensor.cli.text.tables import print_table
from st2sensor.delivery.dead_letters import DeadLetter, DeadLetters
from st2sensor.delivery.messages import message_of
from st2sensor.dispatch.event import Event
from st2sensor.errors import BrokerUnavailable, MessageRefused
from st2sensor.history.filters import Filters
from st2sensor.portable import rpc
from st2sensor.portable.payload import plain
from st2sensor.reports.json_form import moment
from st2sensor.settings import Settings
from st2sensor.transport import open_transport
from st2sensor.transport.base import COMMAND, Publisher


def list_(config_files: Sequence[str], *, json_output: bool, **options: Unpack[Options]) -> None:
    chosen = filters_of(**options)
    settings = configured(config_files)
    letters = _chosen(_letters(settings), chosen)
    if json_output:
        _echo_list(letters)
        return
    table = Table("id", "time", "sensor", "trigger", "reason", box=None, pad_edge=False)
    for letter in letters:
        entry = letter.entry
        outside = map(in_line, (entry.sensor, entry.trigger, entry.reason or ""))
        table.add_row(str(letter.id), _clock(entry.created), *outside)
    out = console()
    if table.row_count:
        print_table(out, table, names=("sensor", "trigger"))
    out.print(units.count(table.row_count, "dead letter"))


def _echo_list(letters: Iterable[DeadLetter]) -> None:
    """Print one JSON list, without holding all of it in memory."""
    separator = "["
    for letter in letters:
        click.echo(separator + json.dumps(_fields(letter)), nl=False)
        separator = ", "
    click.echo("[]" if separator == "[" else "]")


def show(config_files: Sequence[str], *, identifiers: Sequence[int], json_output: bool) -> None:
    settings = configured(config_files)
    fields = [_fields(letter) for letter in _letters(settings).get(identifiers)]
    if json_output:
        click.echo(json.dumps(fields))
        return
    for item in fields:
        click.echo(json.dumps(item, indent=2))


def replay(
    config_files: Sequence[str],
    *,
    identifiers: Sequence[int],
    everything: bool,
    force: bool,
    yes: bool,
    json_output: bool,
    **options: Unpack[Options],
) -> int:
    """Publish dead letters; return 1 if any is left. Raises DeadLetterNotFound, OutboxError, BrokerUnavailable."""
    chosen = filters_of(**options)
    require_one_kind(identifiers, everything, chosen != Filters())
    settings = configured(config_files)
    dead = _letters(settings)
    letters = dead.get(identifiers) if identifiers else list(_chosen(dead, chosen))
    if letters and not identifiers and not confirmed("Publish", len(letters), yes=yes or everything):
        click.echo("nothing was published", err=True)
        return 1
    refused = {} if force or not letters else _objections(settings, letters)
    for letter in letters:
        if letter.id in refused:
            click.echo(f"dead letter {letter.id} was not published: {printable(refused[letter.id])}", err=True)
    accepted = [letter for letter in letters if letter.id not in refused]
    published: list[DeadLetter] = []
    if accepted:
        with closing(open_transport(settings.messaging).publisher(COMMAND)) as publisher:
            published = [letter for letter in accepted if _published(letter, publisher, dead, settings)]
    dead.give_back()
    left = len(letters) - len(published)
    print_outcome(json_output, f"{len(published)} published, {left} left", published=len(published), left=left)
    return 0 if not left else 1


def _published(letter: DeadLetter, publisher: Publisher, dead: DeadLetters, settings: Settings) -> bool:
    """Publish a letter and delete it. Keep it if the broker refuses it, no queue takes it, or it cannot be encoded."""
    try:
        # Connect for each letter: a broker closes the channel when it refuses a message.
        publisher.connect()
        unrouted = publisher.publish([message_of(letter.entry, settings.messaging)])
    except BrokerUnavailable:
        raise
    except (MessageRefused, TypeError, ValueError, RecursionError) as problem:
        click.echo(f"dead letter {letter.id} was not published: {printable(str(problem))}", err=True)
        return False
    if unrouted:
        click.echo(f"dead letter {letter.id} was not published: no queue takes it; {REMEDY}", err=True)
        return False
    dead.remove([letter.id])
    return True


def purge(
    config_files: Sequence[str],
    *,
    identifiers: Sequence[int],
    everything: bool,
    older_than: float | None,
    yes: bool,
    json_output: bool,
    **options: Unpack[Options],
) -> int:
    """Delete dead letters; return 1 if the user does not confirm it. Raises DeadLetterNotFound, OutboxError."""
    chosen = filters_of(**options)
    require_one_kind(identifiers, everything, chosen != Filters() or older_than is not None)
    settings = configured(config_files)
    dead = _letters(settings)
    if identifiers:
        ids = dead.known(identifiers)
    elif chosen == Filters():
        ids = dead.ids(older_than)
    else:
        old = None if older_than is None else set(dead.ids(older_than))
        ids = [letter.id for letter in _chosen(dead, chosen) if old is None or letter.id in old]
    if ids and not identifiers and not confirmed("Delete", len(ids), yes=yes or everything):
        click.echo("nothing was deleted", err=True)
        return 1
    dead.remove(ids)
    dead.give_back()
    print_outcome(json_output, f"{len(ids)} deleted", deleted=len(ids))
    return 0


def _letters(settings: Settings) -> DeadLetters:
    return DeadLetters(settings.container.state_dir / "outbox.db")


def _chosen(dead: DeadLetters, filters: Filters) -> Iterator[DeadLetter]:
    return (letter for letter in dead.all() if filters.accepts(letter.event))


def _objections(settings: Settings, letters: Sequence[DeadLetter]) -> dict[int, str]:
    """Return the reasons why letters must not be published, by id."""
    found = objections(settings, [_event(letter) for letter in letters])
    return {letter.id: reason for letter, reason in zip(letters, found, strict=True) if reason is not None}


def _event(letter: DeadLetter) -> Event:
    body = _body(letter)
    return Event(trigger=body["trigger"], payload=rpc.body(body["payload"]), tagged=letter.entry.tagged)


def _body(letter: DeadLetter) -> dict[str, Any]:
    """Return the dispatched trigger. If it is not JSON, or is nested too deeply to be read, omit its payload."""
    try:
        body: dict[str, Any] = json.loads(letter.entry.body)
    except (ValueError, RecursionError):
        return {"trigger": letter.entry.trigger, "payload": None, "trace_context": None}
    return body


def _fields(letter: DeadLetter) -> dict[str, Any]:
    entry, body = letter.entry, _body(letter)
    return {
        "id": letter.id,
        "time": moment(entry.created),
        "sensor": entry.sensor,
        "trigger": body["trigger"],
        "state": letter.state,
        "reason": entry.reason,
        "payload": plain(body["payload"]) if entry.tagged else body["payload"],
        "trace_context": body["trace_context"],
        "message_id": entry.message_id,
    }


def _clock(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "?"
