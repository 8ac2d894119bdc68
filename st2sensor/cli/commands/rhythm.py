"""`st2sensor rhythm`: show how often sensors dispatch events, and propose how long each may be quiet."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import closing

import click
from rich.table import Table
from rich.text import Text

from st2sensor.cli.commands.events import history_of
from st2sensor.cli.configuration import configured
from st2sensor.cli.inspection import sensors
from st2sensor.cli.inspection.references import sensor_named
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.moments import moment_of
from st2sensor.cli.text.printable import in_line
from st2sensor.errors import HistoryError, SensorNotFound
from st2sensor.expectations.duration import duration
from st2sensor.expectations.rhythm import Rhythm, poll_expectation, rhythm
from st2sensor.reports import SensorReport
from st2sensor.settings import Settings


def rhythm_(config_files: Sequence[str], *, ref: str | None, since: str | None, json_output: bool) -> None:
    """Print the rhythm of one sensor, or of all. Raises SensorNotFound, HistoryError, StorageError."""
    settings = configured(config_files)
    begin = moment_of("--since", since)
    if ref is None:
        reports = sensors.every(settings)
    else:
        with sensor_named(settings, ref) as named:
            reports = [report for report in sensors.every(settings) if report.ref == named]
            if not reports:
                raise SensorNotFound(f"sensor {named} is not registered: check the name with st2sensor list")
    times = _times(settings, None if ref is None else reports[0].ref, begin)
    now = time.time()
    found = [(report, rhythm(times.get(report.ref, []), now), _poll(report)) for report in reports]
    if json_output:
        click.echo(json.dumps([_fields(*item) for item in found]))
        return
    table = Table(box=None, pad_edge=False)
    for name in ("sensor", "events", "usual gap", "longest gap", "proposal for overrides/PACK.yaml"):
        table.add_column(name, overflow="fold")
    for report, rhythms, poll in found:
        table.add_row(
            Text(in_line(report.ref)),
            str(rhythms.events),
            "" if rhythms.usual is None else units.span(rhythms.usual),
            "" if rhythms.longest is None else units.span(rhythms.longest),
            Text(_proposal(rhythms, poll)),
        )
    console().print(table)


def _times(settings: Settings, ref: str | None, begin: float | None) -> dict[str, list[float]]:
    with closing(history_of(settings)) as history:
        try:
            return history.times(ref, begin)
        except HistoryError:
            if (settings.container.state_dir / "history.db").exists():
                raise
            # No event has been dispatched yet.
            return {}


def _poll(report: SensorReport) -> float | None:
    """Return the proposed expectation of polls; None for a sensor that does not poll, as far as its metadata says."""
    if report.poll_interval is None:
        return None
    return poll_expectation(report.poll_interval, report.poll_seconds / report.polls if report.polls else 0.0)


def _proposal(found: Rhythm, poll: float | None) -> str:
    values = {"event": found.event, "poll": poll}
    proposed = ", ".join(f"{name}: {duration(value)}" for name, value in values.items() if value is not None)
    return f"expect: {{{proposed}}}" if proposed else "too few events"


def _fields(report: SensorReport, found: Rhythm, poll: float | None) -> dict[str, object]:
    return {
        "ref": report.ref,
        "events": found.events,
        "usual_gap": found.usual,
        "longest_gap": found.longest,
        "expect": {
            "event": None if found.event is None else duration(found.event),
            "poll": None if poll is None else duration(poll),
        },
    }
