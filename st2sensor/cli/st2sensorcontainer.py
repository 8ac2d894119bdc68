"""`st2sensorcontainer`: the daemon that runs sensors."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import click

from st2sensor import config, logs
from st2sensor.cli.invocation import command, examples, invoke
from st2sensor.cli.serving import serve
from st2sensor.errors import ConfigError

LOG = logging.getLogger(__name__)


@click.command(
    epilog=examples(
        "st2sensorcontainer --config-file=/etc/st2/st2.conf",
        "st2sensorcontainer --config-file=/etc/st2/st2.conf --sensor-ref=linux.FileWatchSensor",
    )
)
@command
@click.option(
    "--set-aside-damaged-outbox", is_flag=True, help="Rename an outbox that is damaged, and start with an empty one."
)
@click.option("--single-sensor-mode", is_flag=True, hidden=True, help="As in StackStorm: --sensor-ref says it all.")
@click.option("--sensor-ref", metavar="PACK.CLASS", help="Run this sensor alone, and end with its exit code.")
def root(
    config_files: Sequence[str],
    debug: bool,
    sensor_ref: str | None,
    single_sensor_mode: bool,
    set_aside_damaged_outbox: bool,
) -> int:
    """Run every registered and enabled sensor, each in a process of its own.

    SIGTERM and SIGINT stop them all, with cleanup() called in each. SIGHUP looks for changes in the database, SIGUSR1
    opens the log files anew.
    """
    logs.configure(debug=debug)
    settings = config.load(config_files)
    logs.configure_as(settings.log, debug=debug)
    for warning in settings.warnings:
        LOG.warning("%s", warning)
    only = sensor_ref or settings.container.sensor_ref
    if only is None and (single_sensor_mode or settings.container.single_sensor_mode):
        raise ConfigError("single-sensor mode needs --sensor-ref=PACK.CLASS, or [sensorcontainer] sensor_ref")
    return serve(settings, only, set_aside_damaged=set_aside_damaged_outbox)


def main(argv: Sequence[str] | None = None) -> int:
    return invoke(root, argv, "st2sensorcontainer")
