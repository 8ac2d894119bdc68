"""Registering content from a command line: progress, a table of what came of it, and what went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from st2sensor.errors import TransportError
from st2sensor.keyring import Keyring
from st2sensor.packs.announcements import Announcements
from st2sensor.packs.outcome import Outcome, Result
from st2sensor.packs.registry import KINDS, RULES, SENSORS, TRIGGERS, Registry, failures
from st2sensor.packs.templates import Templates
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.transport import open_transport
from st2sensor.transport.topology import Topology

COLOURS = {
    Result.CREATED: "green",
    Result.CHANGED: "yellow",
    Result.UNCHANGED: "dim",
    Result.REMOVED: "magenta",
    Result.FAILED: "red",
}


def flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what to register."""
    for option in (
        click.option("--prune", is_flag=True, help="Also unregister the content of packs that are not on this host."),
        click.option("--register-rules", "kinds", flag_value=RULES, multiple=True, help="Register rules."),
        click.option("--register-triggers", "kinds", flag_value=TRIGGERS, multiple=True, help="Register triggers/."),
        click.option("--register-sensors", "kinds", flag_value=SENSORS, multiple=True, help="Register sensors."),
        click.option("--register-all", "kinds", flag_value="all", multiple=True, help="Register all. [default]"),
    ):
        function = option(function)
    return function


def register(settings: Settings, kinds: Collection[str], *, prune: bool) -> int:
    """Register, and show what came of it; returns 1 when anything failed.

    :param kinds: of KINDS; `all`, or none, means every one.
    """
    chosen = KINDS if not kinds or "all" in kinds else tuple(kinds)
    announcements = Announcements(Topology(settings.messaging.prefix))
    terminal = Console(stderr=True)
    with (
        closing(open_storage(settings.database)) as storage,
        Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as bar,
    ):
        storage.prepare()
        tasks: dict[str, TaskID] = {}

        def progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total)
            bar.update(tasks[step], completed=done)

        registry = Registry(
            storage=storage,
            content=settings.content,
            templates=Templates.of(storage, Keyring(settings.key_values), settings.system_user),
            announcements=announcements,
            progress=progress,
        )
        outcomes = registry.register(chosen, prune=prune)
    for warning in registry.warnings:
        click.echo(f"warning: {warning}", err=True)
    show(outcomes)
    _announce(announcements, settings)
    return 1 if failures(outcomes) else 0


def show(outcomes: Sequence[Outcome]) -> None:
    """Print what changed, row by row, then counts of everything, then each failure in full."""
    console = Console()
    changed = [outcome for outcome in outcomes if outcome.result is not Result.UNCHANGED]
    if changed:
        table = Table("kind", "reference", "result", box=None, pad_edge=False)
        for outcome in changed:
            result = outcome.result.value
            table.add_row(outcome.kind, outcome.ref, f"[{COLOURS[outcome.result]}]{result}[/]")
        console.print(table)
        console.print()
    console.print(_counts(outcomes))
    # Sensors of one pack may fail for one reason.
    for message in dict.fromkeys(outcome.message for outcome in failures(outcomes)):
        click.echo(f"error: {message}", err=True)


def _counts(outcomes: Sequence[Outcome]) -> Table:
    counts = Counter((outcome.kind, outcome.result) for outcome in outcomes)
    table = Table("kind", *(result.value for result in Result), box=None, pad_edge=False)
    for kind in dict.fromkeys(outcome.kind for outcome in outcomes):
        table.add_row(kind, *(str(counts[kind, result]) for result in Result))
    return table


def _announce(announcements: Announcements, settings: Settings) -> None:
    try:
        announcements.send(open_transport(settings.messaging))
    except TransportError as error:
        click.echo(
            f"warning: {error}; registered all the same, running containers notice within "
            f"{settings.container.resync_interval:g} s ([sensorcontainer] resync_interval)",
            err=True,
        )
