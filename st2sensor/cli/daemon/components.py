"""The services that users of st2ctl may name: our container, and StackStorm's services, which systemd manages."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import click

SERVICE = "st2sensorcontainer"

BOOTED = Path("/run/systemd/system")
"""A folder that exists if systemd is running."""

MAIN_ALONE = ("kill", "--signal=SIGUSR1", "--kill-who=main")
"""Arguments of systemctl that make a service reopen its log files.

Only the main process gets the signal, because the signal could kill child processes.
"""


def each(named: Sequence[str], ours: Callable[[], int], *verb: str) -> int:
    """Perform an operation on the named services, or on our container if none is named. Return the highest exit code.

    :param ours: performs the operation on our container.
    :param verb: arguments of systemctl that perform it on a service of StackStorm.
    """
    return max([ours() if name == SERVICE else _of_stackstorm(name, *verb) for name in named or (SERVICE,)])


def systemctl(*words: str) -> int:
    """Run systemctl; return its exit code."""
    return subprocess.run(["systemctl", *words], check=False).returncode


def _of_stackstorm(name: str, *verb: str) -> int:
    if BOOTED.exists():
        return systemctl(*verb, name)
    click.echo(
        f"warning: {name} belongs to StackStorm, and systemd is not running here: use StackStorm's own st2ctl",
        err=True,
    )
    return 0
