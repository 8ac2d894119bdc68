"""Checks how dead letters were chosen, and asks before all chosen ones are published or deleted."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from st2sensor.cli.text import units


def require_one_kind(identifiers: Sequence[int], everything: bool, is_filtered: bool) -> None:
    """Raise click.UsageError if ids are combined with --all or a filter."""
    if identifiers and (everything or is_filtered):
        raise click.UsageError("name ids, or choose with --all or a filter, but not both")


def confirmed(verb: str, number: int, *, yes: bool) -> bool:
    """Ask whether to do something to all chosen letters. Raises click.UsageError if there is no terminal to ask at.

    :param verb: the beginning of the question, such as `Delete`.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"this would {verb.lower()} {units.count(number, 'dead letter')}, and there is no terminal to confirm it "
            "at; name the ids, or add --yes"
        )
    return click.confirm(f"{verb} {units.count(number, 'dead letter')}?", err=True)
