"""`st2ctl`: registers content, and starts and stops the container, in StackStorm's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from st2sensor import config, logs
from st2sensor.cli import daemon, registration
from st2sensor.cli.invocation import command, examples, invoke
from st2sensor.config.urls import public


@click.group(epilog=examples("st2ctl reload --register-all", "st2ctl status"))
@command
@click.pass_context
def root(context: click.Context, config_files: Sequence[str], debug: bool) -> None:
    """Manage an st2sensor installation."""
    logs.configure(debug=debug, quiet=True)
    context.obj = config_files


@root.command(
    epilog=examples(
        "st2ctl reload --register-all",
        "st2ctl --config-file conf/st2.dev.conf reload --register-sensors --register-rules",
    )
)
@registration.flags
@click.pass_obj
def reload(config_files: Sequence[str], /, **options: Any) -> int:
    """Register what is on disk.

    Running containers start, restart and stop just the sensors that changed.

    Ends with exit code 1 when anything failed to register; the rest is registered all the same.
    """
    return registration.register(config.load(config_files), **options)


@root.command(epilog=examples("st2ctl start"))
@click.pass_obj
def start(config_files: Sequence[str]) -> int:
    """Start st2sensorcontainer.

    By systemd where that runs, else in the background.
    """
    return daemon.start(config.load(config_files), config_files)


@root.command(epilog=examples("st2ctl stop"))
@click.pass_obj
def stop(config_files: Sequence[str]) -> int:
    """Stop st2sensorcontainer and its sensors."""
    return daemon.stop(config.load(config_files))


@root.command(epilog=examples("st2ctl restart"))
@click.pass_obj
def restart(config_files: Sequence[str]) -> int:
    """Stop st2sensorcontainer and start it again."""
    return daemon.restart(config.load(config_files), config_files)


@root.command(epilog=examples("st2ctl status"))
@click.pass_obj
def status(config_files: Sequence[str]) -> int:
    """Say whether st2sensorcontainer runs.

    Ends with exit code 3 when it does not.
    """
    return daemon.status(config.load(config_files))


@root.command("reopen-log-files", epilog=examples("st2ctl reopen-log-files"))
@click.pass_obj
def reopen_log_files(config_files: Sequence[str]) -> int:
    """Open log files anew.

    For the running st2sensorcontainer, after they were renamed.
    """
    return daemon.reopen_log_files(config.load(config_files))


@root.command(epilog=examples("st2ctl clean", "st2ctl clean --yes"))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def clean(config_files: Sequence[str], yes: bool) -> int:
    """Delete all that is registered and stored.

    That is the whole database, which a StackStorm may share, and triggers that wait for the broker.
    """
    settings = config.load(config_files)
    if not yes:
        click.confirm(
            f"Delete everything in {public(settings.database.url)}, database {settings.database.name} unless the URL "
            "names another: all that is "
            "registered, the datastore, and what a StackStorm keeps there; and the triggers that wait in "
            f"{settings.container.state_dir}?",
            abort=True,
        )
    return daemon.clean(settings)


def main(argv: Sequence[str] | None = None) -> int:
    return invoke(root, argv, "st2ctl")
