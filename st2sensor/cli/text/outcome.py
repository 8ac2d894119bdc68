"""The result of a command that changes something."""

from __future__ import annotations

import json

import click


def print_outcome(json_output: bool, line: str, **fields: object) -> None:
    """Print a line for people, or the fields as JSON."""
    click.echo(json.dumps(fields) if json_output else line)
