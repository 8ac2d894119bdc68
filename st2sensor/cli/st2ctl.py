"""`st2ctl`: registers content, and starts and stops the container, in StackStorm's words."""

from __future__ import annotations

from collections.abc import Sequence

import click

from st2sensor.cli.declarations.registering import flags
from st2sensor.cli.declarations.shared import HELP, common, examples, version
from st2sensor.cli.invocation import invoke, runs

COMPONENTS = (
    *("st2actionrunner", "st2api", "st2stream", "st2auth", "st2garbagecollector", "st2notifier", "st2rulesengine"),
    *("st2sensorcontainer", "st2chatops", "st2timersengine", "st2workflowengine", "st2scheduler"),
    *("st2resultstracker", "mistral"),
)
"""What StackStorm's st2ctl takes for a service; the last ones in older versions."""

components = click.argument("components", nargs=-1, metavar="[COMPONENT]...", type=click.Choice(COMPONENTS))


@click.group(context_settings=HELP, epilog=examples("st2ctl reload --register-all", "st2ctl status"))
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
@components
@runs("st2sensor.cli.daemon.background:start")
def start() -> None:
    """Start st2sensorcontainer.

    By systemd where that runs, else in the background. Where COMPONENTs of StackStorm are named, systemd starts these.
    """


@root.command(epilog=examples("st2ctl stop"))
@components
@runs("st2sensor.cli.daemon.background:stop")
def stop() -> None:
    """Stop st2sensorcontainer and its sensors.

    Where COMPONENTs of StackStorm are named, systemd stops these.
    """


@root.command(epilog=examples("st2ctl restart"))
@components
@runs("st2sensor.cli.daemon.background:restart")
def restart() -> None:
    """Stop st2sensorcontainer and start it again.

    Where COMPONENTs of StackStorm are named, systemd restarts these.
    """


@root.command("restart-component", epilog=examples("st2ctl restart-component st2sensorcontainer"))
@click.argument(
    "components",
    metavar="COMPONENT",
    type=click.Choice(COMPONENTS),
    callback=lambda context, parameter, name: (name,),  # noqa: ARG005 (click calls it so)
)
@runs("st2sensor.cli.daemon.background:restart")
def restart_component() -> None:
    """Stop a service and start it again, as restart COMPONENT does."""


@root.command(epilog=examples("st2ctl status"))
@runs("st2sensor.cli.daemon.background:status")
def status() -> None:
    """Say whether st2sensorcontainer runs.

    Ends with exit code 3 when it does not.
    """


@root.command("reopen-log-files", epilog=examples("st2ctl reopen-log-files st2sensorcontainer"))
@components
@runs("st2sensor.cli.daemon.background:reopen_log_files")
def reopen_log_files() -> None:
    """Open log files again.

    For the running st2sensorcontainer, or the COMPONENTs that are named, after the files were renamed.
    """


@root.command(epilog=examples("st2ctl clean", "st2ctl clean --yes"))
@click.option("--yes", is_flag=True, help="Do not ask.")
@runs("st2sensor.cli.daemon.background:clean")
def clean() -> None:
    """Delete all that is registered and stored.

    That is the whole database, which a StackStorm may share, and triggers that wait for the broker.
    """


def main(argv: Sequence[str] | None = None) -> int:
    return invoke(root, argv, "st2ctl")
