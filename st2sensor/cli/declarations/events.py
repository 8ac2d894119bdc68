"""The commands of `st2sensor` for the history of events."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from st2sensor.cli.declarations.shared import Function, as_json, examples, trigger_types
from st2sensor.cli.invocation import completed, runs

section = click.Group("Events")


ALL_STATES = ("waiting", "held", "confirmed", "unrouted", "dead")
"""The states in which an event can be."""


def filters(states: Sequence[str] = ALL_STATES) -> Callable[[Function], Function]:
    """Return a decorator that adds the options of `cli.events.choosing`.

    :param states: the states that a user may choose.
    """
    options = (
        click.option(
            "--sensor",
            metavar="SENSOR",
            shell_complete=completed("st2sensor.cli.commands.completion:sensors"),
            help="Only those of this sensor: PACK.CLASS, or the class.",
        ),
        click.option(
            "--trigger",
            "triggers",
            multiple=True,
            metavar="REF",
            shell_complete=trigger_types,
            help="Only those of this trigger or type. May be repeated.",
        ),
        click.option("--trace", metavar="TAG", help="Only those with this trace tag."),
        click.option("--since", metavar="TIME", help="Only those from then on: 10m, 2h, 14:30 or ISO 8601."),
        click.option("--until", metavar="TIME", help="Only those before then."),
        click.option(
            "--where",
            multiple=True,
            metavar="CONDITION",
            help="Only those for which this holds, as in payload.disk.percent>90. May be repeated.",
        ),
        click.option(
            "--state",
            "states",
            multiple=True,
            type=click.Choice(states),
            help="Only those in this state. May be repeated.",
        ),
    )

    def add(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return add


@section.group(
    invoke_without_command=True,
    epilog=examples(
        "st2sensor events --since 1h --state dead",
        "st2sensor events --trigger linux.file_watch.line --where 'payload.line~error'",
        "st2sensor events -f --sensor linux.FileWatchSensor",
        "st2sensor events release --sensor linux.FileWatchSensor",
    ),
)
@filters()
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Show at most this many.")
@click.option("-f", "--follow", is_flag=True, help="Show events as they leave the outbox, until Ctrl-C.")
@as_json
@runs("st2sensor.cli.commands.events:events")
def events() -> None:
    """Show the newest events, and where they are now.

    An event is waiting (in the outbox), held (by limits in overrides), confirmed (the broker has it), unrouted (no
    queue takes it) or dead (it cannot be delivered). [history] in st2.conf says how long events are kept.
    """


@events.command(epilog=examples("st2sensor events release --sensor linux.FileWatchSensor", "st2sensor events release"))
@click.option(
    "--sensor",
    metavar="PACK.CLASS",
    shell_complete=completed("st2sensor.cli.commands.completion:sensors"),
    help="Only events of this sensor.",
)
@click.option("--trigger", metavar="REF", help="Only events of this trigger type.")
@as_json
@runs("st2sensor.cli.commands.events:release")
def release() -> None:
    """Send held events now, in order.

    Limits in overrides hold events that exceed a rate. Without options, all of them are sent.
    """


@section.command(epilog=examples("st2sensor event 3f2c1d0e"))
@click.argument("identifier", metavar="ID")
@as_json
@runs("st2sensor.cli.commands.event:event")
def event() -> None:
    """Show one event with everything that happened to it.

    ID is its message_id, or the beginning of it.
    """
