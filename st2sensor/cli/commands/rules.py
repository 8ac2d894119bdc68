"""`st2sensor rules`: show the registered rules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict

import click
from rich.table import Table

from st2sensor.cli.configuration import configured
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.printable import in_line
from st2sensor.cli.text.units import assignments
from st2sensor.models import Rule
from st2sensor.storage import open_storage


def rules(config_files: Sequence[str], *, json_output: bool) -> None:
    """Print the rules, and how many more StackStorm has registered. Raises StorageError."""
    with closing(open_storage(configured(config_files).database)) as storage:
        storage.prepare()
        found = storage.all(Rule)
        theirs = storage.stackstorm_rules()
    if json_output:
        click.echo(json.dumps([{"ref": rule.ref, **asdict(rule)} for rule in found], default=str))
        return
    table = Table("rule", "trigger type", "parameters", "trigger", box=None, pad_edge=False)
    for rule in found:
        table.add_row(*map(in_line, (rule.ref, rule.trigger_type, assignments(rule.parameters), rule.trigger)))
    out = console()
    if found:
        out.print(table)
    out.print(units.count(len(found), "rule"))
    if theirs:
        click.echo(f"StackStorm has registered {units.count(theirs, 'rule')}: st2 rule list shows them")
