"""The services that a command of StackStorm's may name: our container, and StackStorm's others, which systemd knows."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import click

SERVICE = "st2sensorcontainer"

BOOTED = Path("/run/systemd/system")
"""Is there where systemd runs."""

MAIN_ALONE = ("kill", "--signal=SIGUSR1", "--kill-who=main")
"""Has a service open its log files again. Processes that it has started may end of the signal."""


def each(named: Sequence[str], ours: Callable[[], int], *verb: str) -> int:
    """Do something to services; to our container alone when none is named. Returns the worst exit code.

    :param ours: does it to our container; :param verb: what systemctl is told about another one.
    """
    return max([ours() if name == SERVICE else _of_stackstorm(name, *verb) for name in named or (SERVICE,)])


def systemctl(*words: str) -> int:
    """Run it; returns its exit code."""
    return subprocess.run(["systemctl", *words], check=False).returncode


def _of_stackstorm(name: str, *verb: str) -> int:
    if BOOTED.exists():
        return systemctl(*verb, name)
    click.echo(
        f"warning: {name} is StackStorm's, and systemd does not run here: use StackStorm's own st2ctl",
        err=True,
    )
    return 0
