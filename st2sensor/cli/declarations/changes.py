"""The commands of `st2sensor` that start, stop and move sensors."""

from __future__ import annotations

import click

from st2sensor.cli.declarations.shared import as_json, examples, named_node, named_sensor, trigger_types
from st2sensor.cli.invocation import completed, runs
from st2sensor.cli.text import colours

section = click.Group("Change what runs")


@section.command(epilog=examples("st2sensor restart linux.FileWatchSensor"))
@named_sensor
@as_json
@runs("st2sensor.cli.commands.restart:restart")
def restart() -> None:
    """Stop a sensor and start it again.

    A sensor that is waiting to be restarted after a failure starts immediately.
    """


@section.command(epilog=examples("st2sensor enable linux.FileWatchSensor"))
@named_sensor
@as_json
@runs("st2sensor.cli.commands.enable:enable")
def enable() -> None:
    """Let a sensor run, on any node."""


@section.command(epilog=examples("st2sensor disable linux.FileWatchSensor"))
@named_sensor
@as_json
@runs("st2sensor.cli.commands.disable:disable")
def disable() -> None:
    """Stop a sensor and keep it stopped.

    It also stays stopped after st2ctl reload.
    """


@section.command(epilog=examples("st2sensor drain node1", "st2sensor drain node1 --timeout 60"))
@named_node
@click.option("--no-wait", is_flag=True, help="Return without waiting for all sensors to be handed over.")
@click.option(
    "--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Stop waiting after this time. [default: never]"
)
@click.option("--force", is_flag=True, help="Allow the name of a node that does not exist yet.")
@as_json
@runs("st2sensor.cli.commands.drain:drain")
def drain() -> None:
    """Move all sensors off a node.

    The node takes no sensors until undrain. Its container keeps running. Afterwards you can stop it without
    interrupting any sensor.
    """


@section.command(epilog=examples("st2sensor undrain node1"))
@named_node
@as_json
@runs("st2sensor.cli.commands.undrain:undrain")
def undrain() -> None:
    """Let a drained node take sensors again."""


@section.command(
    "log-level",
    epilog=examples("st2sensor log-level DEBUG --sensor linux.FileWatchSensor", "st2sensor log-level INFO"),
)
@click.argument("level", metavar="LEVEL", type=click.Choice(list(colours.OF_LEVELS), case_sensitive=False))
@click.option(
    "--sensor",
    "ref",
    metavar="PACK.CLASS",
    shell_complete=completed("st2sensor.cli.commands.completion:sensors"),
    help="Change only this sensor's level.",
)
@as_json
@runs("st2sensor.cli.commands.log_level:log_level")
def log_level() -> None:
    """Change the log level of the running container.

    LEVEL is DEBUG, INFO, WARNING, ERROR or CRITICAL. The container logs that level and above, until it ends. A sensor
    keeps its level when it restarts.
    """


@section.command(
    epilog=examples(
        """st2sensor dispatch linux.file_watch.line '{"file_path": "/var/log/syslog", "line": "hello"}'""",
        "st2sensor dispatch examples.event - < payload.json",
    )
)
@click.argument("trigger", shell_complete=trigger_types)
@click.argument("payload", default="{}")
@click.option("--trace-tag", help="Tag of the trace that the trigger instance belongs to.")
@as_json
@runs("st2sensor.cli.commands.dispatch:dispatch")
def dispatch() -> None:
    """Dispatch a trigger by hand.

    PAYLOAD is JSON; - reads it from standard input. The trigger goes through the outbox of the running container, like
    one from a sensor. If no container is running, it goes straight to the broker. Triggers that are not registered, or
    do not match their schema, are refused. With --json, "published" is true if the broker already has the trigger.
    """
