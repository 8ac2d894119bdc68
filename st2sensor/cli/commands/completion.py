"""`st2sensor completion`: print a shell's completion script. Also finds the completions of a value."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import click
from click.shell_completion import get_completion_class

from st2sensor.cli.commands.apikey import STORED
from st2sensor.cli.configuration import configured
from st2sensor.cli.inspection import leases, references
from st2sensor.core_pack.webhooks.api_keys import MARK
from st2sensor.errors import St2SensorError
from st2sensor.models import SYSTEM_SCOPE
from st2sensor.portable.isotime import utc_now
from st2sensor.storage import open_storage

PROGRAM = "st2sensor"

MOST = 1000
"""Maximum number of keys that are offered."""

WHOLE_WORDS = """
# A colon is part of a key's name, as in linux.FileWatchSensor:cursor. Bash would take it for the end of a word.
COMP_WORDBREAKS=${COMP_WORDBREAKS//:}
"""


def sensors(config_files: Sequence[str], incomplete: str) -> list[str]:
    """Return the sensors whose references, or whose classes, start with a text."""
    refs = sorted({*_stored(config_files, "SensorType"), *_stored(config_files, "Instance")})
    return [ref for ref in refs if ref.startswith(incomplete) or ref.rpartition(".")[2].startswith(incomplete)]


def trigger_types(config_files: Sequence[str], incomplete: str) -> list[str]:
    """Return the trigger types whose references start with a text."""
    return [ref for ref in _stored(config_files, "TriggerType") if ref.startswith(incomplete)]


def triggers(config_files: Sequence[str], incomplete: str) -> list[str]:
    """Return the triggers whose references start with a text."""
    return [ref for ref in _stored(config_files, "Trigger") if ref.startswith(incomplete)]


def keys(config_files: Sequence[str], incomplete: str) -> list[str]:
    """Return the names of keys in the scope system that start with a text."""
    try:
        with closing(open_storage(configured(config_files, show_warnings=False).database)) as storage:
            found = storage.list_values(SYSTEM_SCOPE, incomplete, utc_now(), limit=MOST)
    except (St2SensorError, OSError, ValueError):
        return []
    return [entry.name for entry in found]


def api_keys(config_files: Sequence[str], incomplete: str) -> list[str]:
    """Return the ids of API keys that start with a text."""
    return [name.removeprefix(STORED) for name in keys(config_files, STORED + incomplete) if name != STORED + MARK]


def _stored(config_files: Sequence[str], kind: str) -> list[str]:
    """Return the sorted references of one kind; none if the database cannot be read."""
    try:
        return [*references.stored(configured(config_files, show_warnings=False), kind)]
    except (St2SensorError, OSError):
        return []


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
    if shell == "bash":
        click.echo(WHOLE_WORDS)
