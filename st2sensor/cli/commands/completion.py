"""`st2sensor completion`: print a shell's completion script. Also: find the sensors and nodes that complete a value."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import click
from click.shell_completion import get_completion_class

from st2sensor.cli.configuration import configured
from st2sensor.cli.inspection import leases
from st2sensor.errors import St2SensorError
from st2sensor.models import SensorType
from st2sensor.storage import open_storage

PROGRAM = "st2sensor"


def sensors(config_files: Sequence[str], incomplete: str) -> list[str]:
    """Return the sensors whose references start with a text; none if the database cannot be read."""
    try:
        with closing(open_storage(configured(config_files, show_warnings=False).database)) as storage:
            refs = [sensor.ref for sensor in storage.all(SensorType)]
    except St2SensorError:
        return []
    return [ref for ref in refs if ref.startswith(incomplete)]


def nodes(config_files: Sequence[str], incomplete: str) -> list[str]:
    """Return the nodes whose names start with a text; none if the database cannot be read."""
    try:
        with leases.opened(configured(config_files, show_warnings=False)) as opened:
            names = {member.node for member in opened.members()} | opened.drained()
    except St2SensorError:
        return []
    return sorted(name for name in names if name.startswith(incomplete))


def script(_config_files: Sequence[str], *, shell: str) -> None:
    """Print the completion script of a shell for the running program."""
    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())
