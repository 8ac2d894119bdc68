"""`st2sensorcontainer`: the daemon that runs sensors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

import click

from st2sensor.cli.declarations.accepted import accepted
from st2sensor.cli.declarations.shared import HELP, common, examples, version
from st2sensor.cli.invocation import invoke, runs
from st2sensor.system.lazy import resolve


@click.command(
    context_settings=HELP,
    epilog=examples(
        "st2sensorcontainer --config-file=/etc/st2/st2.conf",
        "st2sensorcontainer --config-file=/etc/st2/st2.conf --sensor-ref=linux.FileWatchSensor",
    ),
)
@partial(common, tells_debug=True)
@click.option("--set-aside-damaged-outbox", is_flag=True, help="Rename a damaged outbox, and start with an empty one.")
@click.option("--single-sensor-mode", is_flag=True, hidden=True, help="For StackStorm; --sensor-ref is enough.")
@click.option("--sensor-ref", metavar="PACK.CLASS", help="Run only this sensor, and exit with its exit code.")
@accepted
@version
@runs("st2sensor.cli.commands.container:container", quiet=False)
def root() -> None:
    """Run all registered and enabled sensors, each in a process of its own.

    SIGTERM and SIGINT call cleanup() in each sensor and stop them all. SIGHUP checks the database for changes. SIGUSR1
    reopens the log files.
    """


def main(argv: Sequence[str] | None = None) -> int:
    code = invoke(root, argv, "st2sensorcontainer")
    if not resolve("st2sensor.logs.background:finish")():
        # A normal end would wait until the log's destination accepts the rest of the log.
        os._exit(code)
    return code
