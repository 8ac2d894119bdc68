"""What a command says that it has done."""

from __future__ import annotations

import json

import click


def report(json_output: bool, line: str, **fields: object) -> None:
    """Say it in a line, or as JSON."""
    click.echo(json.dumps(fields) if json_output else line)
