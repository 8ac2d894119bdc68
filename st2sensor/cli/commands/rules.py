"""`st2sensor rules`: show the registered rules, and evaluate a rule in a file against events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from st2sensor.cli.configuration import configured
from st2sensor.cli.events import recording
from st2sensor.cli.events.instance import Instance
from st2sensor.cli.events.stored import Datastore, lives, schema_of
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.printable import in_line
from st2sensor.cli.text.tables import print_table
from st2sensor.cli.text.units import assignments
from st2sensor.dispatch.catalogue import name_of
from st2sensor.errors import TriggerNotFound
from st2sensor.matching.rules import MATCHES, Subject, Verdict
from st2sensor.models import Rule
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.why.causes import sentences
from st2sensor.why.evaluator import FUNCTIONS, Evaluator
from st2sensor.why.life import EventLife
from st2sensor.why.rule_files import rule_in
from st2sensor.workers.pool import Pool


def rules(config_files: Sequence[str], *, json_output: bool) -> None:
    """Print the rules, and how many more StackStorm has registered. Raises StorageError."""
    with closing(open_storage(configured(config_files).database)) as storage:
        storage.prepare()
        found = storage.all(Rule)
        theirs = storage.stackstorm_rules()
    if json_output:
        click.echo(json.dumps([{"ref": rule.ref, **asdict(rule)} for rule in found], default=str))
        return
    table = Table("rule", "trigger type", "parameters", "trigger", box=None, pad_edge=False)
    for rule in found:
        table.add_row(*map(in_line, (rule.ref, rule.trigger_type, assignments(rule.parameters), rule.trigger)))
    out = console()
    if found:
        print_table(out, table, names=("rule", "trigger type", "trigger"))
    out.print(units.count(len(found), "rule"))
    if theirs:
        click.echo(f"StackStorm has registered {units.count(theirs, 'rule')}: st2 rule list shows them")


def test(config_files: Sequence[str], *, file: Path, event: str, json_output: bool) -> int:
    """Print whether the rule matches each event; return 1 if it does not match all of them.

    Raises ContentError, RecordingError, OutboxError, and TriggerNotFound if there is no such event.
    """
    settings = configured(config_files)
    rule = rule_in(file)
    verdicts = []
    with closing(Pool(FUNCTIONS)) as workers, closing(Datastore(settings)) as datastore:
        evaluator = Evaluator(workers, datastore.look_up, datastore.decrypt)
        for name, subject in _events(settings, event):
            schema = None if Path(event).is_file() else schema_of(settings, subject.trigger_type)
            verdicts.append((name, evaluator.verdict(rule, subject, schema)))
    if json_output:
        click.echo(json.dumps([{"event": name, "rule": rule.ref, **_fields(found)} for name, found in verdicts]))
    else:
        for name, found in verdicts:
            for line in _lines(name, found):
                click.echo(in_line(line))
    return 0 if all(found.outcome == MATCHES for _, found in verdicts) else 1


def _events(settings: Settings, event: str) -> Iterator[tuple[str, Subject]]:
    """Yield the events that the user names, each with its name."""
    if Path(event).is_file():
        for line, instance in recording.read(Path(event)):
            yield f"{event}:{line}", _recorded(instance)
        return
    stored = lives(settings)
    found = stored.named(event)[:1] or stored.traced(event)
    if not found:
        raise TriggerNotFound(
            f"there is no file {event}, and no event with this message_id or trace tag is kept here; st2sensor tail "
            "--record FILE records events"
        )
    for life in found:
        yield life.message_id, _stored(life)


def _recorded(instance: Instance) -> Subject:
    trigger = instance.trigger
    parameters = trigger.get("parameters") or {} if isinstance(trigger, Mapping) else None
    return Subject(
        trigger=name_of(trigger),
        trigger_type=instance.trigger_type,
        parameters=parameters if parameters is not None or trigger != instance.trigger_type else {},
        payload=instance.payload,
    )


def _stored(life: EventLife) -> Subject:
    return Subject(
        trigger=life.trigger,
        trigger_type=life.trigger_type,
        parameters={} if life.trigger == life.trigger_type else None,
        payload=life.payload or {},
    )


def _lines(name: str, found: Verdict) -> Iterator[str]:
    result = "matches" if found.outcome == MATCHES else "does not match"
    detail = f": {found.detail}" if found.detail else ""
    yield f"{found.rule.ref} {result} {name}{detail}"
    for comparison in found.failed:
        yield f"  {sentences.of_comparison(comparison)}"


def _fields(found: Verdict) -> dict[str, object]:
    return {
        "outcome": found.outcome,
        "detail": found.detail,
        "criteria": [asdict(comparison) for comparison in found.comparisons],
    }
