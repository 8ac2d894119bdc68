"""`st2sensor list`: show all sensors and their states."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click
from rich.text import Text

from st2sensor.cli.configuration import configured
from st2sensor.cli.inspection import sensors
from st2sensor.cli.inspection.sensor_table import table
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.printable import in_line
from st2sensor.reports.json_form import fields_of

REGISTER = "st2ctl reload --register-all registers the packs"
"""Remedy for an empty list."""


def list_(config_files: Sequence[str], *, states: Sequence[str], failing: bool, json_output: bool) -> None:
    """Print the sensors. Raises ContainerForbidden, StorageError."""
    settings = configured(config_files)
    found = [
        sensor
        for sensor in sensors.every(settings)
        if (not states or sensor.state in states) and (sensor.failing or not failing)
    ]
    if json_output:
        click.echo(json.dumps([fields_of(sensor) for sensor in found]))
        return
    out = console()
    shown, omitted = table(found, out.width)
    if found:
        out.print(shown)
    troubled = sum(bool(sensor.troubles) for sensor in found)
    hint = "" if found or states or failing else f"; {REGISTER}"
    out.print(units.count(len(found), "sensor") + (f", {troubled} in trouble" if troubled else hint))
    if omitted:
        out.print(Text(omitted, "dim"))
    for trouble in sensors.troubles_of(settings):
        click.echo(in_line(trouble), err=True)
