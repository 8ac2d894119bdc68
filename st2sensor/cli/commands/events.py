"""`st2sensor events`: show the events that sensors have dispatched, and where they are now."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Unpack

import click

from st2sensor.cli.configuration import configured
from st2sensor.cli.events import history as shown
from st2sensor.cli.events import nodes
from st2sensor.cli.events.choosing import Options, filters_of
from st2sensor.cli.inspection.control_client import reached
from st2sensor.cli.inspection.references import unknown_names
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.outcome import print_outcome
from st2sensor.cli.text.printable import in_line
from st2sensor.cli.text.tables import print_table
from st2sensor.errors import HistoryError
from st2sensor.history.event import Recorded
from st2sensor.history.file import NAME
from st2sensor.history.filters import Filters
from st2sensor.history.reader import Gap, History
from st2sensor.history.waiting import dropped
from st2sensor.models import CORE_PACK
from st2sensor.settings import Settings
from st2sensor.shown.fields import fields
from st2sensor.shown.found import newest
from st2sensor.shown.masks import Masks

LARGEST_LIMIT = 1000
"""Maximum number of events that another node is asked for."""

POLL_INTERVAL = 0.5
"""Seconds between two checks of the history while following it."""


def events(
    config_files: Sequence[str],
    *,
    limit: int,
    follow: bool,
    json_output: bool,
    **options: Unpack[Options],
) -> int:
    """Print the newest events that the options accept; return the exit code. Raises ConfigError, HistoryError."""
    settings = configured(config_files)
    filters = filters_of(**options)
    masks = Masks(settings)
    with closing(history_of(settings)) as history:
        if follow:
            if settings.container.sharing is not None:
                click.echo("-f shows the events of this node alone; st2sensor nodes lists the others", err=True)
            _follow(history, filters, _printer(masks, json_output=json_output))
            return 0
        here = newest(history, settings.container.state_dir / "outbox.db", filters, limit)
        answers = nodes.ask(settings, "/history", _parameters(filters, options["where"], limit))
        elsewhere = [event for answer in answers for event in _events(answer)]
        everything = [*(fields(event, masks) for event in here), *elsewhere]
        found = sorted(everything, key=lambda event: str(event["dispatched"]))[-limit:]
        # The container's own events are of `core`.
        sensor = "" if filters.sensor == CORE_PACK else filters.sensor
        strange = () if found else unknown_names(settings, sensor, sorted(filters.triggers))
        for line in [*nodes.not_asked(answers), *_cut(answers, limit), *strange]:
            click.echo(line, err=True)
        if json_output:
            click.echo(json.dumps(found))
            return 0
        _print(found, history.gaps(), limit)
        for item in dropped(settings.container.state_dir / "outbox.db"):
            if filters.accepts_sensor(item.sensor):
                click.echo(
                    f"{item.sensor}, {item.trigger_type}: limits dropped {units.count(item.duplicates, 'duplicate')}, "
                    f"and left {item.sampled_out} out of the sample"
                )
    return 0


def release(config_files: Sequence[str], *, sensor: str | None, trigger: str | None, json_output: bool) -> None:
    """Tell the container to send the events that limits hold. Raises ContainerAway, ContainerForbidden."""
    settings = configured(config_files)
    with reached(settings.container.state_dir, sensor) as container:
        number = container.call("release", sensor=sensor, trigger=trigger)
    print_outcome(json_output, f"{units.count(number, 'event')} released", released=number)


def history_of(settings: Settings) -> History:
    """Return the history of this state_dir. Raises HistoryError if it is switched off."""
    if not settings.history.enable:
        raise HistoryError("no events are kept: set [history] enable = true, and restart the container")
    return History(settings.container.state_dir / NAME)


def _parameters(filters: Filters, where: Sequence[str], limit: int) -> list[tuple[str, str]]:
    """Return the parameters of a request to another node."""
    found = [("sensor", filters.sensor), ("trace", filters.trace_tag)]
    found += [("trigger", trigger) for trigger in sorted(filters.triggers)]
    found += [("state", state) for state in sorted(filters.states)]
    found += [("where", text) for text in where]
    times = (("since", filters.since), ("until", filters.until))
    found += [(name, repr(seconds)) for name, seconds in times if seconds is not None]
    return [*((name, text) for name, text in found if text), ("limit", str(min(limit, LARGEST_LIMIT)))]


def _events(answer: nodes.Answer) -> list[Mapping[str, Any]]:
    found = None if answer.document is None else answer.document.get("events")
    return [event for event in found if nodes.sound(event)] if isinstance(found, list) else []


def _cut(answers: Sequence[nodes.Answer], limit: int) -> Iterator[str]:
    """Yield a line for each node that has more matching events than its answer holds."""
    for answer in answers:
        number = len(_events(answer))
        if answer.document and (answer.document.get("more") or LARGEST_LIMIT <= number < limit):
            yield in_line(f"{answer.node}: only its newest {units.count(number, 'event')}; choose a shorter period")


def _print(found: Sequence[Mapping[str, Any]], gaps: Sequence[Gap], limit: int) -> None:
    out = console()
    if found:
        table = shown.table()
        for event in found:
            table.add_row(*shown.row(event))
        print_table(out, table, names=("trigger",))
    first = shown.at(found[0]["dispatched"]) or 0.0 if len(found) == limit else 0.0
    for gap in gaps:
        if gap.at >= first:
            click.echo(f"{units.clock(gap.at)}: {units.count(gap.number, 'event')} not kept: {gap.reason}", err=True)
    more = f"; --limit shows more than {limit}" if len(found) == limit else ""
    out.print(f"{units.count(len(found), 'event')}{more}")


def _printer(masks: Masks, *, json_output: bool) -> Callable[[Recorded], None]:
    out = console()

    def print_(event: Recorded) -> None:
        if json_output:
            click.echo(json.dumps(fields(event, masks)))
        else:
            out.print(shown.line(fields(event, masks)), soft_wrap=True)

    return print_


def _follow(history: History, filters: Filters, print_: Callable[[Recorded], None]) -> None:
    """Print events as they leave the outbox, until SIGINT or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        cursor = history.end()
        while True:
            page = history.page(cursor, filters)
            cursor = page.cursor
            for event in page.events:
                print_(event)
            if not page.has_more:
                time.sleep(POLL_INTERVAL)
    except KeyboardInterrupt:
        return
