"""Shell completion: of commands and options, which click does, and of sensors and nodes."""

from __future__ import annotations

from contextlib import closing

import click
from click.shell_completion import get_completion_class

from st2sensor import config
from st2sensor.cli import leases
from st2sensor.cli.invocation import examples
from st2sensor.errors import St2SensorError
from st2sensor.models import SensorType
from st2sensor.storage import open_storage

PROGRAM = "st2sensor"


def _registered(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """The sensors whose references begin so; none when the database cannot be asked."""
    try:
        settings = config.load(context.find_root().params.get("config_files") or ())
        with closing(open_storage(settings.database)) as storage:
            refs = [sensor.ref for sensor in storage.all(SensorType)]
    except St2SensorError:
        return []
    return [ref for ref in refs if ref.startswith(incomplete)]


def _nodes(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """The nodes that share sensors, and whose names begin so."""
    try:
        with leases.opened(config.load(context.find_root().params.get("config_files") or ())) as opened:
            names = {member.node for member in opened.members()} | opened.drained()
    except St2SensorError:
        return []
    return sorted(name for name in names if name.startswith(incomplete))


named_sensor = click.argument("ref", metavar="PACK.CLASS", shell_complete=_registered)
named_node = click.argument("node", shell_complete=_nodes)


@click.command(
    epilog=examples(
        "st2sensor completion bash > /etc/bash_completion.d/st2sensor",
        "st2sensor completion fish > ~/.config/fish/completions/st2sensor.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script by which a shell completes this command."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())
