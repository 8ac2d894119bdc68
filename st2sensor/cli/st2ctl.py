"""`st2ctl`: registers content, and starts and stops the container, in StackStorm's words."""

from __future__ import annotations

from collections.abc import Sequence

import click

from st2sensor.cli.commands.registering import flags
from st2sensor.cli.commands.shared import common, examples, version
from st2sensor.cli.invocation import invoke, runs


@click.group(epilog=examples("st2ctl reload --register-all", "st2ctl status"))
@common
@version
def root() -> None:
    """Manage an st2sensor installation."""


@root.command(
    epilog=examples(
        "st2ctl reload --register-all",
        "st2ctl --config-file conf/st2.dev.conf reload --register-sensors --register-rules",
    )
)
@flags
@runs("st2sensor.cli.registration:reload")
def reload() -> None:
    """Register what is on disk.

    Running containers start, restart and stop just the sensors that changed.

    Ends with exit code 1 when anything failed to register; the rest is registered all the same.
    """


@root.command(epilog=examples("st2ctl start"))
@runs("st2sensor.cli.daemon:start")
def start() -> None:
    """Start st2sensorcontainer.

    By systemd where that runs, else in the background.
    """


@root.command(epilog=examples("st2ctl stop"))
@runs("st2sensor.cli.daemon:stop")
def stop() -> None:
    """Stop st2sensorcontainer and its sensors."""


@root.command(epilog=examples("st2ctl restart"))
@runs("st2sensor.cli.daemon:restart")
def restart() -> None:
    """Stop st2sensorcontainer and start it again."""


@root.command(epilog=examples("st2ctl status"))
@runs("st2sensor.cli.daemon:status")
def status() -> None:
    """Say whether st2sensorcontainer runs.

    Ends with exit code 3 when it does not.
    """


@root.command("reopen-log-files", epilog=examples("st2ctl reopen-log-files"))
@runs("st2sensor.cli.daemon:reopen_log_files")
def reopen_log_files() -> None:
    """Open log files anew.

    For the running st2sensorcontainer, after they were renamed.
    """


@root.command(epilog=examples("st2ctl clean", "st2ctl clean --yes"))
@click.option("--yes", is_flag=True, help="Do not ask.")
@runs("st2sensor.cli.daemon:clean")
def clean() -> None:
    """Delete all that is registered and stored.

    That is the whole database, which a StackStorm may share, and triggers that wait for the broker.
    """


def main(argv: Sequence[str] | None = None) -> int:
    return invoke(root, argv, "st2ctl")
