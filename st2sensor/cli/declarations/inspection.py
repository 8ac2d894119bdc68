"""The commands of `st2sensor` that show sensors, nodes and triggers."""

from __future__ import annotations

import click

from st2sensor.cli.declarations.shared import as_json, examples, named_sensor, recorded, trigger_types
from st2sensor.cli.inspection.sorting import SORTS
from st2sensor.cli.invocation import completed, runs
from st2sensor.cli.text import colours

section = click.Group("See what runs")


@section.command("list", epilog=examples("st2sensor list", "st2sensor list --state backoff", "st2sensor list --json"))
@click.option(
    "--state",
    "states",
    multiple=True,
    metavar="STATE",
    type=click.Choice(list(colours.OF_STATES)),
    help=f"Show only sensors in this state: {', '.join(colours.OF_STATES)}. May be repeated.",
)
@click.option("--failing", is_flag=True, help="Show only sensors that keep failing.")
@as_json
@runs("st2sensor.cli.commands.list:list_")
def list_() -> None:
    """Show every sensor and its state."""


@section.command(epilog=examples("st2sensor show linux.FileWatchSensor", "st2sensor show linux.FileWatchSensor --json"))
@named_sensor
@as_json
@runs("st2sensor.cli.commands.show:show")
def show() -> None:
    """Show one sensor in detail.

    This includes its state and the reason, its resource use, and its last error, exit, poll and trigger.
    """


@section.command(epilog=examples("st2sensor top", "st2sensor top --sort memory --interval 5", "st2sensor top --once"))
@click.option(
    "--sort", type=click.Choice(list(SORTS)), default="state", show_default=True, help="Order of the sensors."
)
@click.option(
    "--interval", type=click.FloatRange(min=0.2), default=2.0, show_default=True, help="Seconds between updates."
)
@click.option("--once", is_flag=True, help="Show all sensors once and exit. This is the default without a terminal.")
@as_json
@runs("st2sensor.cli.commands.top:top")
def top() -> None:
    """Watch all sensors of this host's container. Ctrl-C or q ends it.

    Arrow keys, PgUp, PgDn, Home and End scroll; the last line says how many sensors are not shown.

    The cpu column is the percentage of one processor since the last update.
    """


@section.command(epilog=examples("st2sensor rhythm", "st2sensor rhythm linux.FileWatchSensor --since 30d"))
@click.argument(
    "ref",
    metavar="[SENSOR]",
    required=False,
    shell_complete=completed("st2sensor.cli.commands.completion:sensors"),
)
@click.option("--since", metavar="TIME", help="Use the events since a time, as in 30d or 2026-11-27.")
@as_json
@runs("st2sensor.cli.commands.rhythm:rhythm_")
def rhythm() -> None:
    """Propose how long each sensor may be quiet.

    Write a proposal into overrides/PACK.yaml, and run st2ctl reload. docs/expectations.md explains the values.
    """


@section.command(epilog=examples("st2sensor nodes", "st2sensor nodes --json"))
@as_json
@runs("st2sensor.cli.commands.nodes:nodes")
def nodes() -> None:
    """Show the nodes that share sensors, on all hosts."""


@section.command(epilog=examples("st2sensor logs linux.FileWatchSensor", "st2sensor logs linux.FileWatchSensor -f"))
@named_sensor
@click.option("-f", "--follow", is_flag=True, help="Keep showing new lines. Ctrl-C ends it.")
@as_json
@runs("st2sensor.cli.commands.logs:logs")
def logs() -> None:
    """Show the newest lines of a sensor's log.

    This includes the container's own log lines about the sensor. The container keeps the last 100 lines; its own log
    has older lines.
    """


@section.command(
    epilog=examples(
        "st2sensor why linux.file_watch.line",
        "st2sensor why a0f2e5c332024c34b2dc0fbf30024ea5",
        "st2sensor why deploy-4711 --json",
    )
)
@click.argument("asked", metavar="ID|TRACE|TRIGGER|RULE")
@as_json
@runs("st2sensor.cli.commands.why:why")
def why() -> None:
    """Explain why a rule did not fire for an event.

    This follows the event from its sensor to the broker, to StackStorm's rules and their actions.

    ID is a message_id, the number of a dead letter, or the id of a trigger instance in StackStorm. TRACE is a trace
    tag. For a TRIGGER or trigger type, this explains its newest event, or why there is none; for a RULE, that of
    its trigger. The command changes nothing.
    """


@section.command(
    epilog=examples(
        "st2sensor --config-file conf/st2.dev.conf tail",
        "st2sensor --config-file conf/st2.dev.conf tail --trigger linux.file_watch.line --json",
        "st2sensor --config-file conf/st2.dev.conf tail --record seen.jsonl",
    )
)
@click.option(
    "--trigger",
    "wanted",
    metavar="TYPE",
    multiple=True,
    shell_complete=trigger_types,
    help="Show only triggers of this type. May be repeated.",
)
@as_json
@recorded
@runs("st2sensor.cli.commands.tail:tail")
def tail() -> None:
    """Show each trigger that passes through the exchange. Ctrl-C ends it.

    With [messaging] serializer = pickle, reading messages from the exchange would be unsafe. Then this shows the
    triggers that this host's container accepts.
    """
