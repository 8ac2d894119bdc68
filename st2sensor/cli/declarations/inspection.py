"""Commands of `st2sensor` that show what runs."""

from __future__ import annotations

import click

from st2sensor.cli.declarations.shared import as_json, examples, named_sensor, recorded
from st2sensor.cli.inspection.sorting import SORTS
from st2sensor.cli.invocation import runs
from st2sensor.cli.text import colours


@click.command("list", epilog=examples("st2sensor list", "st2sensor list --state backoff", "st2sensor list --json"))
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(list(colours.OF_STATES)),
    help="Only those in this state.",
)
@click.option("--failing", is_flag=True, help="Only those that fail again and again.")
@as_json
@runs("st2sensor.cli.commands.list:list_")
def list_() -> None:
    """Show every sensor and its state."""


@click.command(epilog=examples("st2sensor show linux.FileWatchSensor", "st2sensor show linux.FileWatchSensor --json"))
@named_sensor
@as_json
@runs("st2sensor.cli.commands.show:show")
def show() -> None:
    """Show one sensor: its state, why, its last error, exit, poll and trigger, and what it uses."""


@click.command(epilog=examples("st2sensor top", "st2sensor top --sort memory --interval 5", "st2sensor top --once"))
@click.option("--sort", type=click.Choice(list(SORTS)), default="state", show_default=True, help="What comes first.")
@click.option("--interval", type=click.FloatRange(min=0.2), default=2.0, show_default=True, help="Seconds.")
@click.option("--once", is_flag=True, help="Show it once, whole, and end; so it is where there is no terminal.")
@as_json
@runs("st2sensor.cli.commands.top:top")
def top() -> None:
    """Watch all sensors of this host's container, until Ctrl-C.

    The column cpu is the share of one processor since the last look.
    """


@click.command(epilog=examples("st2sensor nodes", "st2sensor nodes --json"))
@as_json
@runs("st2sensor.cli.commands.nodes:nodes")
def nodes() -> None:
    """Show the nodes that share sensors, on any host."""


@click.command(epilog=examples("st2sensor logs linux.FileWatchSensor", "st2sensor logs linux.FileWatchSensor -f"))
@named_sensor
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@as_json
@runs("st2sensor.cli.commands.logs:logs")
def logs() -> None:
    """Show the newest lines of a sensor's log, and what the container says of it.

    The container keeps the last 100; older ones are in its own log.
    """


@click.command(
    epilog=examples(
        "st2sensor --config-file conf/st2.dev.conf tail",
        "st2sensor --config-file conf/st2.dev.conf tail --trigger linux.file_watch.line --json",
        "st2sensor --config-file conf/st2.dev.conf tail --record seen.jsonl",
    )
)
@click.option("--trigger", "wanted", metavar="TYPE", multiple=True, help="Only triggers of this type.")
@as_json
@recorded
@runs("st2sensor.cli.commands.tail:tail")
def tail() -> None:
    """Show each trigger as it passes over the exchange, until Ctrl-C.

    With [messaging] serializer = pickle nobody can look into what passes without trusting it: then what this host's
    container accepts is shown.
    """
