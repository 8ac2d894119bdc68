"""`st2sensor why`: explain why a rule did not fire for an event."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from st2sensor.cli.configuration import configured
from st2sensor.cli.events.publishing import objections
from st2sensor.cli.events.stored import Datastore, lives
from st2sensor.cli.inspection import sensors
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.printable import in_line
from st2sensor.matching.rules import RuleContent
from st2sensor.reports.json_form import moment
from st2sensor.settings import Settings
from st2sensor.storage import open_rules_engine, open_storage
from st2sensor.storage.base import Storage
from st2sensor.system.lazy import resolve
from st2sensor.transport import probe
from st2sensor.why.causes.explanation import findings
from st2sensor.why.evaluator import FUNCTIONS, Evaluator
from st2sensor.why.facts import Facts
from st2sensor.why.finding import CAUSE, Finding
from st2sensor.why.gathering import Gathering, Sources
from st2sensor.why.life import EventLife
from st2sensor.why.local_lives import PAGE
from st2sensor.workers.pool import Pool

MOMENTS = ("created", "committed", "confirmed", "unrouted", "dead", "replayed")
"""Names of an event's fields that are times."""


def why(config_files: Sequence[str], *, asked: str, json_output: bool) -> None:
    """Print what happened to an event, and why a rule did not fire. Raises ConfigError."""
    settings = configured(config_files)
    with sources_of(settings) as sources:
        facts = Gathering(sources, settings.messaging, time.time()).facts(asked)
    found = findings(facts)
    if json_output:
        click.echo(json.dumps(_fields(facts, found)))
        return
    _print(facts, found)


@contextmanager
def sources_of(settings: Settings) -> Iterator[Sources]:
    """Open all sources of facts about events. Raises ConfigError, StorageUnavailable."""
    with ExitStack() as stack:
        storage = stack.enter_context(closing(open_storage(settings.database)))
        engine = open_rules_engine(settings.database)
        if engine is None:
            # A new embedded database has no tables yet.
            storage.prepare()
        else:
            stack.enter_context(closing(engine))
        workers = stack.enter_context(closing(Pool(FUNCTIONS)))
        datastore = stack.enter_context(closing(Datastore(settings)))
        yield Sources(
            storage=storage,
            engine=engine,
            lives=lives(settings),
            evaluator=Evaluator(workers, datastore.look_up, datastore.decrypt),
            probe=lambda: probe(settings.messaging),
            rules=lambda: _rules_of_packs(settings, storage),
            objection=lambda event, catalogue: objections(settings, [event], catalogue)[0],
            sensors=lambda: sensors.every(settings),
            checks=lambda: sensors.checks_of(settings),
        )


def _rules_of_packs(settings: Settings, storage: Storage) -> Sequence[RuleContent]:
    """Read the packs' files. The code for this is loaded only here, when StackStorm has no rules."""
    found: Sequence[RuleContent] = resolve("st2sensor.cli.events.pack_rules:rules_of_packs")(settings, storage)
    return found


def _fields(facts: Facts, found: Sequence[Finding]) -> dict[str, Any]:
    life = facts.life
    return {
        "asked": facts.asked,
        "rule": facts.rule,
        "event": None if life is None else _event(life),
        "events": len(facts.lives),
        "findings": [asdict(finding) for finding in found],
        "route": None if facts.route is None else asdict(facts.route),
        "instance": _instance(facts),
        "unread": list(facts.unread),
    }


def _event(life: EventLife) -> dict[str, Any]:
    """Return an event without its payload, with its times as text."""
    fields = {name: value for name, value in asdict(life).items() if name != "payload"}
    fields |= {name: None if fields[name] is None else moment(fields[name]) for name in MOMENTS}
    attempts = [{**item, "at": None if item["at"] is None else moment(item["at"])} for item in fields["attempts"]]
    return {**fields, "attempts": attempts}


def _instance(facts: Facts) -> str | None:
    return facts.engine.candidates[0].id if facts.engine is not None and facts.engine.candidates else None


def _print(facts: Facts, found: Sequence[Finding]) -> None:
    out = console()
    life = facts.life
    out.print(Text(in_line(_untitled(facts) if life is None else _title(life)), "bold"))
    if len(facts.lives) > 1:
        least = "at least " if len(facts.lives) >= PAGE else ""
        out.print(Text(f"the newest of {least}{units.count(len(facts.lives), 'event')}", "dim"))
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in found:
        about = f"{finding.rule}: " if finding.rule else ""
        style = "red" if finding.level == CAUSE else "dim"
        table.add_row(Text(finding.level, style), in_line(f"{about}{finding.text}"))
        if finding.remedy:
            table.add_row("", Text(in_line(finding.remedy), "italic"))
    for problem in facts.unread:
        table.add_row(Text("unread", "yellow"), in_line(problem))
    if table.row_count:
        out.print(table)
    causes = sum(finding.level == CAUSE for finding in found)
    out.print(units.count(causes, "cause"))


def _untitled(facts: Facts) -> str:
    return f"{facts.asked}: {'no event' if facts.are_events_known else 'its events could not be read'}"


def _title(life: EventLife) -> str:
    sensor = f" of {life.sensor}" if life.sensor else ""
    name = life.message_id or life.instance or "?"
    node = f" on {life.node}" if life.node else ""
    return f"{name}: {life.trigger_type}{sensor}{node}, {units.clock(life.created)}, from {life.source}"
