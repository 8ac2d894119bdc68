"""`st2sensor show`: show everything about one sensor, above all why it is not working."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from st2sensor.cli.configuration import configured
from st2sensor.cli.inspection import sensors
from st2sensor.cli.inspection.references import sensor_named
from st2sensor.cli.text import colours, units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.printable import in_line, printable
from st2sensor.delivery.dead_letters import DeadLetters
from st2sensor.errors import OutboxError
from st2sensor.expectations.duration import duration
from st2sensor.reports import NodeReport, Notice, SensorReport
from st2sensor.reports.json_form import fields_of
from st2sensor.settings import Settings
from st2sensor.system.lazy import resolve

WITHOUT_REASON = ("running", "refused")
"""States that need no reason, or whose reason is in another row."""

IN_ROWS = frozenset(
    {
        *("failing", "failed", "recovering", "down", "unheld", "refused", "refused type", "held back", "hang"),
        *("dead letters", "error"),
    }
)
"""Kinds of trouble that have rows of their own with more detail, so the general row omits them."""

BARS = 30
"""Bars of the sparkline: five minutes."""


def show(config_files: Sequence[str], *, ref: str, json_output: bool) -> None:
    """Print a sensor. Raises SensorNotFound, ContainerForbidden, StorageError."""
    settings = configured(config_files)
    with sensor_named(settings, ref) as ref:
        report, container = sensors.one(settings, ref)
    letters = _dead_letters(settings, ref)
    gaps = _configuration_gaps(settings, ref, container)
    if json_output:
        shown = {
            **fields_of(report),
            "dead_letters": len(letters),
            "configuration": gaps,
            "container": None if container is None else fields_of(container),
        }
        click.echo(json.dumps(shown))
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    configuration = [("configuration", Text("\n".join(gaps), "yellow"))]
    for name, text in [
        *_life(report),
        *_work(report, container),
        *_trouble(report, letters, container),
        *configuration,
    ]:
        if text:
            table.add_row(name, _printable(text))
    out = console()
    out.print(Text.assemble((in_line(ref), "bold"), "  ", _state(report)))
    out.print(table)


def _configuration_gaps(settings: Settings, ref: str, container: NodeReport | None) -> list[str]:
    """Return the gaps in the sensor's configuration; none if the database is unreachable."""
    if container is not None and any(check.name == "database" and not check.ok for check in container.checks):
        return []
    found: list[str] = resolve("st2sensor.cli.inspection.configured:warnings")(settings, ref)
    return found


def _state(report: SensorReport) -> Text:
    if report.failing:
        return Text(f"failing ({report.state})", "bold red")
    return Text(report.state, "yellow" if report.troubles else colours.OF_STATES.get(report.state, ""))


def _life(report: SensorReport) -> list[tuple[str, Any]]:
    next_start, last_exit = report.next_start, report.last_exit
    why = "" if report.state in WITHOUT_REASON else report.reason
    since = f"{units.clock(report.since)}, {units.ago(report.since)}" if report.since else ""
    failures = f", failures in a row: {report.failures}" if report.failures and not report.recovering else ""
    uses = [str(report.pid or ""), units.size(report.memory)]
    if report.own_memory:
        uses.append(f"{units.size(report.own_memory)} of it not shared with other processes")
    if report.cpu is not None:
        uses.append(f"{report.cpu:.2f} s of processor time")
    return [
        ("since", since),
        ("node", f"{report.node}, under fence {report.fence}" if report.node else ""),
        ("why", why),
        ("next start", units.clock(next_start) if next_start else ""),
        ("process", ", ".join(filter(None, uses))),
        ("restarts", str(report.restarts) + failures),
        ("last exit", "" if last_exit is None or last_exit.text == why else _notice(last_exit)),
    ]


def _work(report: SensorReport, container: NodeReport | None) -> list[tuple[str, Any]]:
    poll = report.last_poll
    polled = ""
    if poll is not None:
        how = f"running for {units.span(poll.seconds)}" if poll.running else f"took {units.span(poll.seconds)}"
        ended = ", failed" if poll.failed else ""
        failures = f", {report.failed_polls} of them failed" if report.failed_polls else ""
        polled = f"{units.ago(poll.at)}, {how}{ended}; {report.polls} since the container started{failures}"
    triggered = "none since the container started" if report.trigger_types and container is not None else ""
    if report.trigger:
        triggered = f"{report.trigger}, {units.ago(report.triggered_at)}"
    counts = f"{report.triggers_per_minute} a minute, {report.dispatched} since the container started"
    dropped = f"{units.count(report.duplicates, 'duplicate')}, and {report.sampled_out} left out of the sample"
    bars = units.sparkline(report.recent, BARS).strip()
    return [
        ("last poll", polled),
        ("last trigger", triggered),
        ("expected", _expected(report)),
        ("triggers", f"{counts}  {bars}" if report.dispatched or report.invalid else ""),
        ("limits", report.limits),
        ("dropped", dropped if report.duplicates or report.sampled_out else ""),
        ("may emit", ", ".join(report.trigger_types)),
        ("code", report.file),
        ("digest", (report.digest or "")[:16]),
    ]


def _expected(report: SensorReport) -> str:
    found = (("an event", report.expect_event), ("a poll that succeeds", report.expect_poll))
    return ", ".join(f"{what} within {duration(seconds)}" for what, seconds in found if seconds is not None)


def _trouble(report: SensorReport, letters: list[str], container: NodeReport | None) -> list[tuple[str, Any]]:
    checks = [] if container is None else [check for check in container.checks if not check.ok]
    found: list[tuple[str, Any]] = [
        (check.name, Text(f"since {units.clock(check.since)}: {check.reason}", "red"))
        for check in checks
        if check.name != "sensors" and not (check.name == "routing keys" and report.held_back)
    ]
    targets = () if container is None else container.push
    found += [("push", Text(target.trouble, "yellow")) for target in targets if target.trouble]
    if container is not None and container.history:
        found.append(("history", Text(container.history, "yellow")))
    if report.held_back:
        found.append(("held back", Text(report.held_back, "red")))
    hang = report.hang
    if hang:
        found.append(("hangs", Text(f"{units.hang(hang)}; it began at {units.clock(hang.since)}", "yellow")))
    if report.recovering:
        found.append(("recovering", Text(f"it failed {report.failures} times in a row before this run", "yellow")))
    found += [(item.kind, Text(item.text, "red")) for item in report.troubles if item.kind not in IN_ROWS]
    newest = report.last_invalid
    if newest is not None and newest.text not in letters[-1:]:
        found.append(("invalid", Text(_notice(newest), "red")))
    if letters or report.dead:
        kept = units.count(len(letters), "dead letter")
        since = f", {report.dead} since the container started" if report.dead else ""
        last = f" The newest: {letters[-1]}" if letters else ""
        what = f"{kept}{since}; st2sensor dead-letters list shows all.{last}"
        found.append(("dead letters", Text(what, "red")))
    if report.refused:
        text = f"{report.refused}\nThe previous version is still running." if report.pid else report.refused
        found.append(("refused", Text(text, "red")))
    found += [("refused type", Text(text, "red")) for text in report.refused_types]
    error = report.last_error
    if error is not None:
        found.append(("last error", Text(f"{units.clock(error.at)}, {units.ago(error.at)}\n{error.text}", "red")))
    return found


def _printable(text: str | Text) -> str | Text:
    return Text(printable(text.plain), text.style) if isinstance(text, Text) else printable(text)


def _notice(notice: Notice | None) -> str:
    return "" if notice is None else f"{units.clock(notice.at)}: {notice.text}"


def _dead_letters(settings: Settings, ref: str) -> list[str]:
    """Return the reasons of a sensor's dead letters, oldest first.

    This includes the dead letters of a container that has run only this sensor.
    """
    found: list[tuple[float, str]] = []
    for state_dir in (settings.container.state_dir, settings.container.state_dir / ref):
        with suppress(OutboxError):
            for letter in DeadLetters(state_dir / "outbox.db").all():
                if letter.entry.sensor == ref:
                    found.append((letter.entry.created, f"{letter.entry.trigger}: {letter.entry.reason}"))
    return [text for _, text in sorted(found)]
