"""`st2sensorcontainer`: the daemon that runs sensors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import click

from st2sensor.cli.declarations.accepted import accepted
from st2sensor.cli.declarations.shared import HELP, common, examples, version
from st2sensor.cli.invocation import invoke, runs


@click.command(
    context_settings=HELP,
    epilog=examples(
        "st2sensorcontainer --config-file=/etc/st2/st2.conf",
        "st2sensorcontainer --config-file=/etc/st2/st2.conf --sensor-ref=linux.FileWatchSensor",
    ),
)
@partial(common, tells_debug=True)
@click.option(
    "--set-aside-damaged-outbox", is_flag=True, help="Rename an outbox that is damaged, and start with an empty one."
)
@click.option("--single-sensor-mode", is_flag=True, hidden=True, help="As in StackStorm: --sensor-ref says it all.")
@click.option("--sensor-ref", metavar="PACK.CLASS", help="Run this sensor alone, and end with its exit code.")
@accepted
@version
@runs("st2sensor.cli.commands.run:container", quiet=False)
def root() -> None:
    """Run every registered and enabled sensor, each in a process of its own.

    SIGTERM and SIGINT stop them all, with cleanup() called in each. SIGHUP looks for changes in the database, SIGUSR1
    opens the log files anew.
    """


def main(argv: Sequence[str] | None = None) -> int:
    return invoke(root, argv, "st2sensorcontainer")
