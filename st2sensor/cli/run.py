"""`st2sensor run`: one sensor in this terminal, on the configured servers."""

from __future__ import annotations

from dataclasses import replace

import click

from st2sensor import config, logs
from st2sensor.cli import serving
from st2sensor.cli.completion import named_sensor
from st2sensor.cli.invocation import examples

DAY = 86400.0
"""Seconds: so long may whoever debugs think."""


@click.command(epilog=examples("st2sensor run linux.FileWatchSensor", "st2sensor --debug run examples.CursorSensor"))
@named_sensor
@click.pass_context
def run(context: click.Context, ref: str) -> int:
    """Run one sensor in this terminal, so that breakpoint() works in it.

    It is given the configured database and broker, as it is registered, enabled or not; a container that runs it, too,
    goes on. No time limit stops it, and it is not started again: this ends with its exit code. Ctrl-C stops it.
    """
    settings = config.load(context.obj)
    logs.configure(debug=bool(context.find_root().params["debug"]))
    patient = replace(settings.container, start_timeout=DAY, setup_timeout=None, poll_timeout=None, http=None)
    return serving.serve(replace(settings, container=patient), ref, foreground=True)
