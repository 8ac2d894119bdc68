"""Commands of `st2sensor` that change what runs."""

from __future__ import annotations

import click

from st2sensor.cli.declarations.shared import as_json, examples, named_node, named_sensor
from st2sensor.cli.invocation import runs
from st2sensor.cli.text import colours


@click.command(epilog=examples("st2sensor restart linux.FileWatchSensor"))
@named_sensor
@as_json
@runs("st2sensor.cli.commands.restart:restart")
def restart() -> None:
    """Stop a sensor and start it again.

    One that waits for its next start after a failure is started at once.
    """


@click.command(epilog=examples("st2sensor enable linux.FileWatchSensor"))
@named_sensor
@as_json
@runs("st2sensor.cli.commands.enable:enable")
def enable() -> None:
    """Have a sensor run, on every node that has it."""


@click.command(epilog=examples("st2sensor disable linux.FileWatchSensor"))
@named_sensor
@as_json
@runs("st2sensor.cli.commands.enable:disable")
def disable() -> None:
    """Stop a sensor, and keep it stopped, also over the next st2ctl reload."""


@click.command(epilog=examples("st2sensor drain node1", "st2sensor drain node1 --timeout 60"))
@named_node
@click.option("--no-wait", is_flag=True, help="Do not wait until it holds nothing.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait so long. [default: for ever]")
@click.option("--force", is_flag=True, help="Also a node that no container is called, before it starts.")
@as_json
@runs("st2sensor.cli.commands.drain:drain")
def drain() -> None:
    """Have a node hand its sensors over to others, and take none, until undrain.

    Its container goes on, and may be stopped afterwards without a gap.
    """


@click.command(epilog=examples("st2sensor undrain node1"))
@named_node
@as_json
@runs("st2sensor.cli.commands.drain:undrain")
def undrain() -> None:
    """Have a node take sensors again."""


@click.command(
    "log-level",
    epilog=examples("st2sensor log-level DEBUG --sensor linux.FileWatchSensor", "st2sensor log-level INFO"),
)
@click.argument("level", type=click.Choice(list(colours.OF_LEVELS), case_sensitive=False))
@click.option("--sensor", "ref", metavar="PACK.CLASS", help="Of this sensor alone.")
@as_json
@runs("st2sensor.cli.commands.logs:log_level")
def log_level() -> None:
    """Change what the running container logs, until it ends: this level and worse.

    A sensor keeps its level when it starts again.
    """


@click.command(
    epilog=examples(
        """st2sensor dispatch linux.file_watch.line '{"file_path": "/var/log/syslog", "line": "hello"}'""",
        "st2sensor dispatch examples.event - < payload.json",
    )
)
@click.argument("trigger")
@click.argument("payload", default="{}")
@click.option("--trace-tag", help="Links the trigger instance to others of the same tag.")
@as_json
@runs("st2sensor.cli.commands.dispatch:dispatch")
def dispatch() -> None:
    """Inject TRIGGER with a PAYLOAD in JSON, or - to read that from standard input.

    It takes the way of a sensor's trigger: through the running container's outbox, or, where none runs, straight to the
    broker. One that is not registered, or does not fit its schema, is refused. In JSON `published` says whether the
    broker has it already.
    """
