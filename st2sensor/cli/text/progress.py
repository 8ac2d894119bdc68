"""Print on stderr what a command waits for, so that a quiet terminal does not look like a hang."""

from __future__ import annotations

import sys

import click

from st2sensor.cli.text.printable import in_line

NOTICED = 1.0
"""Seconds after which the line is printed."""


def waiting_for(what: str) -> None:
    """Print what a command waits for until Ctrl-C. Only on terminals: a script knows what it has started."""
    if sys.stderr.isatty():
        click.echo(in_line(f"waiting for {what}; Ctrl-C ends it"), err=True)
