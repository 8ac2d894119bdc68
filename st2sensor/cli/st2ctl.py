"""`st2ctl`: register content, start and stop the container. Its commands and options are the same as in StackStorm."""

from __future__ import annotations

from collections.abc import Sequence

import click

from st2sensor.cli.declarations.registering import flags
from st2sensor.cli.declarations.shared import HELP, as_json, common, examples, version
from st2sensor.cli.invocation import invoke, runs
from st2sensor.system.lazy import resolve

COMPONENTS = (
    *("st2actionrunner", "st2api", "st2stream", "st2auth", "st2garbagecollector", "st2notifier", "st2rulesengine"),
    *("st2sensorcontainer", "st2chatops", "st2timersengine", "st2workflowengine", "st2scheduler"),
    *("st2resultstracker", "mistral"),
)
"""Services that StackStorm's st2ctl knows; the last two only in older versions."""

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
    """Register the content of the packs on disk.

    Running containers start, restart and stop only the sensors that changed.

    Exits with code 1 if anything failed to register. The rest is still registered.
    """


@root.command(epilog=examples("st2ctl start"))
@components
@as_json
@runs("st2sensor.cli.daemon.background:start")
def start() -> None:
    """Start st2sensorcontainer.

    Uses systemd if it is running, otherwise starts a background process. If you name COMPONENTs of StackStorm, systemd
    starts those.
    """


@root.command(epilog=examples("st2ctl stop"))
@components
@as_json
@runs("st2sensor.cli.daemon.background:stop")
def stop() -> None:
    """Stop st2sensorcontainer and its sensors.

    If you name COMPONENTs of StackStorm, systemd stops those.
    """


@root.command(epilog=examples("st2ctl restart"))
@components
@as_json
@runs("st2sensor.cli.daemon.background:restart")
def restart() -> None:
    """Stop st2sensorcontainer and start it again.

    If you name COMPONENTs of StackStorm, systemd restarts those.
    """


@root.command("restart-component", epilog=examples("st2ctl restart-component st2sensorcontainer"))
@click.argument(
    "components",
    metavar="COMPONENT",
    type=click.Choice(COMPONENTS),
    callback=lambda context, parameter, name: (name,),  # noqa: ARG005 (click passes these)
)
@as_json
@runs("st2sensor.cli.daemon.background:restart")
def restart_component() -> None:
    """Stop a service and start it again.

    This is the same as restart COMPONENT.
    """


@root.command(epilog=examples("st2ctl status", "st2ctl status --json"))
@as_json
@runs("st2sensor.cli.daemon.background:status")
def status() -> None:
    """Show whether st2sensorcontainer is running.

    Exits with code 3 if it is not.
    """


@root.command("reopen-log-files", epilog=examples("st2ctl reopen-log-files st2sensorcontainer"))
@components
@runs("st2sensor.cli.daemon.background:reopen_log_files")
def reopen_log_files() -> None:
    """Make services reopen their log files.

    Do this after the files have been renamed. If you name no COMPONENT, only the running st2sensorcontainer reopens its
    files.
    """


@root.command(epilog=examples("st2ctl clean", "st2ctl clean --yes"))
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@runs("st2sensor.cli.daemon.background:clean")
def clean() -> None:
    """Delete everything that is registered and stored.

    This deletes the whole database, which StackStorm may share, and the triggers that wait for the broker.
    """


def main(argv: Sequence[str] | None = None) -> int:
    return invoke(root, argv, "st2ctl", lambda: {"st2sensor": resolve("st2sensor.cli.st2sensor:root").commands})
