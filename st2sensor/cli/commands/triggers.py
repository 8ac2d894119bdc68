"""`st2sensor triggers` and `rules`: what is asked of sensors, and asking for more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from rich.table import Table

from st2sensor.cli.announce import tell
from st2sensor.cli.configuration import configured
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.outcome import report
from st2sensor.cli.text.printable import in_line
from st2sensor.core_pack.timers import schedule
from st2sensor.errors import TriggerNotFound, TriggerRefused
from st2sensor.models import Rule, SensorType, Trigger, TriggerType
from st2sensor.packs.configuration.checker import Checker
from st2sensor.packs.registration import asking
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.packs.yaml_files import value
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.storage.base import Storage


def list_(config_files: Sequence[str], *, json_output: bool) -> None:
    settings = configured(config_files)
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        found, types = storage.all(Trigger), storage.all(TriggerType)
        sensors = {ref: sensor.ref for sensor in storage.all(SensorType) for ref in sensor.trigger_types}
    # A type with parameters is there before anybody asks for a trigger of it.
    asked = {trigger.type for trigger in found}
    found += [Trigger(pack=item.pack, name=item.name, type=item.ref) for item in types if item.ref not in asked]
    rows: list[dict[str, Any]] = [
        {
            "ref": trigger.ref,
            "type": trigger.type,
            "parameters": dict(trigger.parameters),
            "asked_by": trigger.ref_count,
            "sensor": sensors.get(trigger.type),
        }
        for trigger in sorted(found, key=lambda trigger: (trigger.type, trigger.ref))
    ]
    if json_output:
        click.echo(json.dumps(rows, default=str))
        return
    table = Table("type", "parameters", "asked by", "trigger", "sensor", box=None, pad_edge=False)
    for row in rows:
        ref = row["ref"] if row["ref"] != row["type"] else ""
        cells = (row["type"], _text(row["parameters"]), str(row["asked_by"] or ""), ref, row["sensor"] or "")
        table.add_row(*map(in_line, cells))
    _print(table, len(rows), "trigger")


def add(config_files: Sequence[str], *, trigger_type: str, parameters: Sequence[str], json_output: bool) -> None:
    settings = configured(config_files)
    asked = dict(map(_parameter, parameters))
    _check_timer(trigger_type, asked)
    with _changing(settings) as (storage, announcements):
        trigger = asking.ask(trigger_type, asked, storage, announcements, Checker())
    report(json_output, f"{trigger.ref} is asked for", ref=trigger.ref, type=trigger.type)


def remove(config_files: Sequence[str], *, ref: str, json_output: bool) -> None:
    settings = configured(config_files)
    with _changing(settings) as (storage, announcements):
        known = storage.get(Trigger, ref)
        if known is None:
            raise TriggerNotFound(f"there is no trigger {ref}; st2sensor triggers lists them")
        if not known.parameters:
            raise TriggerRefused(
                f"{ref} has no parameters: it is its type's, and stays as long as that", key="parameters"
            )
        _check_counts(known, storage)
        asking.withdraw(ref, storage, announcements)
        left = storage.get(Trigger, ref)
    line = f"{ref} is gone" if left is None else f"{ref} stays: {_others(left.ref_count)} for it"
    report(json_output, line, ref=ref, asked_by=0 if left is None else left.ref_count)


def rules(config_files: Sequence[str], *, json_output: bool) -> None:
    with closing(open_storage(configured(config_files).database)) as storage:
        storage.prepare()
        found = storage.all(Rule)
        theirs = storage.stackstorm_rules()
    if json_output:
        click.echo(json.dumps([{"ref": rule.ref, **asdict(rule)} for rule in found], default=str))
        return
    table = Table("rule", "trigger type", "parameters", "trigger", box=None, pad_edge=False)
    for rule in found:
        table.add_row(*map(in_line, (rule.ref, rule.trigger_type, _text(dict(rule.parameters)), rule.trigger)))
    _print(table, len(found), "rule")
    if theirs:
        click.echo(f"StackStorm has registered {units.count(theirs, 'rule')}: st2 rule list shows them")


def _print(table: Table, number: int, what: str) -> None:
    out = console()
    if number:
        out.print(table)
    out.print(units.count(number, what))


def _text(parameters: dict[str, object]) -> str:
    return " ".join(f"{name}={json.dumps(item, default=str)}" for name, item in parameters.items())


def _others(number: int) -> str:
    return f"{units.count(number, 'other')} {'asks' if number == 1 else 'ask'}"


def _check_counts(trigger: Trigger, storage: Storage) -> None:
    """What StackStorm's rules count is theirs to give back. Raises TriggerRefused."""
    theirs = storage.stackstorm_rules(trigger.ref)
    if theirs and trigger.ref_count <= theirs:
        raise TriggerRefused(
            f"{trigger.ref} is asked for by {units.count(theirs, 'rule')} of StackStorm alone: st2 rule delete "
            "withdraws that",
            key="trigger",
        )


def _check_timer(trigger_type: str, parameters: Mapping[str, Any]) -> None:
    """What fits a timer's schema need not be a time. Raises TriggerRefused."""
    if trigger_type in schedule.TYPES:
        try:
            schedule.schedule_of(trigger_type, parameters, datetime.now(UTC), None)
        except ValueError as exception:
            raise TriggerRefused(f"parameters make no {trigger_type}: {exception}", key="parameters") from exception


def _parameter(text: str) -> tuple[str, object]:
    name, separator, shown = text.partition("=")
    if not name or not separator:
        raise click.BadParameter(f"{text!r}: write NAME=VALUE", param_hint="PARAMETERS")
    try:
        return name, value(shown)
    except ValueError:
        # As in minute=*/5, which YAML takes for a reference.
        return name, shown


@contextmanager
def _changing(settings: Settings) -> Iterator[tuple[Storage, Announcements]]:
    """What is changed in the database, and then told to the containers."""
    announcements = Announcements.of(settings)
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        yield storage, announcements
    tell(announcements, settings)
