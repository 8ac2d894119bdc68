"""Shell completion: its script, and the sensors and nodes that values are completed by."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import click
from click.shell_completion import get_completion_class

from st2sensor import config
from st2sensor.cli.inspection import leases
from st2sensor.errors import St2SensorError
from st2sensor.models import SensorType
from st2sensor.storage import open_storage

PROGRAM = "st2sensor"


def sensors(config_files: Sequence[str], incomplete: str) -> list[str]:
    """The sensors whose references begin so; none when the database cannot be asked."""
    try:
        with closing(open_storage(config.load(config_files).database)) as storage:
            refs = [sensor.ref for sensor in storage.all(SensorType)]
    except St2SensorError:
        return []
    return [ref for ref in refs if ref.startswith(incomplete)]


def nodes(config_files: Sequence[str], incomplete: str) -> list[str]:
    """The nodes that share sensors, and whose names begin so; none when the database cannot be asked."""
    try:
        with leases.opened(config.load(config_files)) as opened:
            names = {member.node for member in opened.members()} | opened.drained()
    except St2SensorError:
        return []
    return sorted(name for name in names if name.startswith(incomplete))


def script(_config_files: Sequence[str], *, shell: str) -> None:
    """Print the script by which a shell completes the program that runs."""
    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())
