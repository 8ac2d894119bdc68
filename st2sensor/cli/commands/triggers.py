"""`st2sensor triggers`: show, add and remove the triggers that sensors watch for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import click
from rich.table import Table

from st2sensor.cli.configuration import configured
from st2sensor.cli.content_changes import changing
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.outcome import print_outcome
from st2sensor.cli.text.printable import in_line
from st2sensor.cli.text.suggestions import did_you_mean
from st2sensor.cli.text.tables import print_table
from st2sensor.cli.text.units import assignments
from st2sensor.core_pack.timers import schedule
from st2sensor.errors import TriggerNotFound, TriggerRefused
from st2sensor.models import Refusal, Rule, SensorType, Trigger, TriggerType
from st2sensor.packs.configuration.checker import Checker
from st2sensor.packs.registration import asking
from st2sensor.packs.yaml_files import value
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.storage.base import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A trigger as it is listed.

    :param asked_by: number of rules and others that need it. For a trigger without parameters, only rules are counted.
    :param sensor: reference of the sensor that dispatches it; None if no sensor does.
    """

    ref: str
    type: str
    parameters: dict[str, Any]
    asked_by: int
    sensor: str | None


def list_(config_files: Sequence[str], *, json_output: bool) -> None:
    """Print all triggers. Raises StorageError."""
    rows = _rows(configured(config_files))
    if json_output:
        click.echo(json.dumps([asdict(row) for row in rows], default=str))
        return
    table = Table("type", "parameters", "asked by", "trigger", "sensor", box=None, pad_edge=False)
    for row in rows:
        ref = row.ref if row.ref != row.type or row.asked_by else ""
        cells = (row.type, assignments(row.parameters), str(row.asked_by or ""), ref, row.sensor or "")
        table.add_row(*map(in_line, cells))
    out = console()
    if rows:
        print_table(out, table, names=("type", "trigger", "sensor"))
    out.print(units.count(len(rows), "trigger"))


def add(config_files: Sequence[str], *, trigger_type: str, parameters: Sequence[str], json_output: bool) -> None:
    """Add a trigger. Raises TriggerRefused, StorageError."""
    settings = configured(config_files)
    values = dict(map(_parameter, parameters))
    with changing(settings) as (storage, announcements):
        known, refusal = storage.get(TriggerType, trigger_type), storage.get(Refusal, trigger_type)
        if known is None and refusal is None:
            meant = did_you_mean(trigger_type, [item.ref for item in storage.all(TriggerType)])
            raise TriggerRefused(f"{asking.unknown(trigger_type, refusal)}{meant}", key="type")
        # The schema comes first: it names every parameter that is missing or unknown.
        asking.fitting(trigger_type, known, values, refusal, checker := Checker())
        _check_timer(trigger_type, values)
        trigger = asking.ask(trigger_type, values, storage, announcements, checker)
    print_outcome(json_output, f"{trigger.ref} is requested", ref=trigger.ref, type=trigger.type)


def remove(config_files: Sequence[str], *, ref: str, json_output: bool) -> None:
    """Withdraw a trigger. Raises TriggerNotFound, TriggerRefused, StorageError."""
    settings = configured(config_files)
    with changing(settings) as (storage, announcements):
        known = storage.get(Trigger, ref)
        if known is None:
            meant = did_you_mean(ref, [item.ref for item in storage.all(Trigger)])
            raise TriggerNotFound(f"there is no trigger {ref}; st2sensor triggers lists them{meant}")
        if not known.parameters:
            raise TriggerRefused(
                f"{ref} has no parameters: it belongs to its type, and exists while its type exists", key="parameters"
            )
        _check_counts(known, storage)
        asking.withdraw(ref, storage, announcements)
        left = storage.get(Trigger, ref)
    line = f"{ref} is deleted" if left is None else f"{ref} is kept: {_others(left.ref_count)} for it"
    print_outcome(json_output, line, ref=ref, asked_by=0 if left is None else left.ref_count)


def _rows(settings: Settings) -> list[Row]:
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        found, types = storage.all(Trigger), storage.all(TriggerType)
        sensors = {ref: sensor.ref for sensor in storage.all(SensorType) for ref in sensor.trigger_types}
        rules = _rules(storage, [trigger.ref for trigger in found if not trigger.parameters])
    # A type with parameters exists before anyone asks for a trigger of that type.
    in_use = {trigger.type for trigger in found}
    found += [Trigger(pack=item.pack, name=item.name, type=item.ref) for item in types if item.ref not in in_use]
    return [
        Row(
            ref=trigger.ref,
            type=trigger.type,
            parameters=dict(trigger.parameters),
            asked_by=trigger.ref_count or rules.get(trigger.ref, 0),
            sensor=sensors.get(trigger.type),
        )
        for trigger in sorted(found, key=lambda trigger: (trigger.type, trigger.ref))
    ]


def _rules(storage: Storage, refs: Sequence[str]) -> Mapping[str, int]:
    """Return the number of rules that ask for each of these triggers, which have no parameters and so no `ref_count`.

    Where StackStorm has rules, it manages all of them.
    """
    if storage.stackstorm_rules():
        return {ref: storage.stackstorm_rules(ref) for ref in refs}
    return Counter(rule.trigger for rule in storage.all(Rule) if not rule.parameters)


def _others(number: int) -> str:
    return f"{units.count(number, 'other')} {'asks' if number == 1 else 'ask'}"


def _check_counts(trigger: Trigger, storage: Storage) -> None:
    """Refuse to withdraw a trigger that only rules of StackStorm need. Raises TriggerRefused."""
    theirs = storage.stackstorm_rules(trigger.ref)
    if theirs and trigger.ref_count <= theirs:
        raise TriggerRefused(
            f"{trigger.ref} is requested only by {units.count(theirs, 'rule')} of StackStorm: st2 rule delete "
            "withdraws the request",
            key="trigger",
        )


def _check_timer(trigger_type: str, parameters: Mapping[str, Any]) -> None:
    """Refuse a timer that would never fire, although its parameters match the schema. Raises TriggerRefused."""
    if trigger_type in schedule.TYPES:
        try:
            schedule.schedule_of(trigger_type, parameters, datetime.now(UTC), None)
        except ValueError as exception:
            raise TriggerRefused(
                f"the parameters do not make a {trigger_type}: {exception}", key="parameters"
            ) from exception


def _parameter(text: str) -> tuple[str, object]:
    name, separator, shown = text.partition("=")
    if not name or not separator:
        raise click.BadParameter(f"{text!r}: write NAME=VALUE", param_hint="PARAMETERS")
    try:
        return name, value(shown)
    except ValueError:
        # YAML would read the * in minute=*/5 as a reference.
        return name, shown
