"""Start, stop and inspect the container as a service: through systemd if it is running, otherwise directly."""

from __future__ import annotations

import os
import pwd
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from st2sensor.cli.configuration import configured
from st2sensor.cli.daemon import components as services
from st2sensor.cli.daemon.components import MAIN_ALONE, SERVICE, systemctl
from st2sensor.cli.daemon.first_troubles import first_troubles
from st2sensor.cli.daemon.state_dir import held, holder
from st2sensor.cli.inspection.control_client import reached
from st2sensor.cli.text.outcome import print_outcome
from st2sensor.cli.text.printable import in_line
from st2sensor.config.urls import shown
from st2sensor.errors import AccessDenied, ConfigError, ContainerAway, St2SensorError, StateDirectoryBusy
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.system.ownership import hand_over, other_owner

START_TIMEOUT = 60.0
"""Seconds to wait for a container to listen. The wait ends early if the container ends."""

STOP_GRACE = 10.0
"""Seconds within which a container must end, in addition to `[sensorcontainer] stop_timeout`."""

STATE_INTERVAL = 0.05
"""Seconds between two checks of a starting container."""

OWN_FILES = ("outbox.db*", "known.json", "*/outbox.db*", "*/known.json")
"""Files in a state directory, including the folders of containers that ran only one sensor."""

NOT_RUNNING = 3
"""Exit code of `st2ctl status` if the container is not running; systemctl uses the same."""


def start(config_files: Sequence[str], *, components: Sequence[str], json_output: bool) -> int:
    """Start the container unless it is running. If services are named, start those instead. Return the exit code.

    A container that runs although something is wrong is a success; the troubles are printed as warnings.
    """
    settings = configured(config_files)
    ours = partial(_start, settings, config_files, json_output=json_output)
    return _each(settings, components, "start", ours, json_output=json_output)


def stop(config_files: Sequence[str], *, components: Sequence[str], json_output: bool) -> int:
    """Stop the container and wait until it has ended, or stop the named services. Return the exit code."""
    settings = configured(config_files)
    ours = partial(_stop, settings, json_output=json_output)
    return _each(settings, components, "stop", ours, json_output=json_output)


def restart(config_files: Sequence[str], *, components: Sequence[str], json_output: bool) -> int:
    """Stop and start the container, or the named services. Return the exit code."""
    settings = configured(config_files)

    def ours() -> int:
        _end(settings)
        if not json_output:
            _status(settings, json_output=False)
        return _start(settings, config_files, json_output=json_output)

    return _each(settings, components, "restart", ours, json_output=json_output)


def status(config_files: Sequence[str], *, json_output: bool) -> int:
    """Print whether the container is running, as StackStorm's st2ctl does. Return 0 or NOT_RUNNING."""
    return _status(configured(config_files), json_output=json_output)


def reopen_log_files(config_files: Sequence[str], *, components: Sequence[str]) -> int:
    """Make the container, or the named services, reopen their log files. Return the exit code."""
    settings = configured(config_files)
    return services.each(components, lambda: _reopen(settings), *MAIN_ALONE)


def _each(
    settings: Settings, components: Sequence[str], action: str, ours: Callable[[], int], *, json_output: bool
) -> int:
    """Perform an operation on services; return the exit code. Raises UsageError for JSON about StackStorm's services.

    :param action: the command of systemctl that performs it.
    :param ours: performs it on the container if systemd is not running, and prints its state.
    """
    if json_output and set(components) - {SERVICE}:
        raise click.UsageError(f"--json gives the state of {SERVICE} alone: name no other service")
    if not services.BOOTED.exists():
        return services.each(components, ours, action)
    code = services.each(components, lambda: systemctl(action, SERVICE), action)
    if action != "stop" and not code and (not components or SERVICE in components):
        _started(settings, json_output=json_output, tells_state=json_output)
    elif json_output:
        _status(settings, json_output=True)
    return code


def _reopen(settings: Settings) -> int:
    process = holder(settings.container.state_dir)
    if process is None:
        return _status(settings, json_output=False)
    _signal(process, signal.SIGUSR1)
    return 0


def clean(config_files: Sequence[str], *, yes: bool) -> int:
    """Delete the database and the container's files; return the exit code. Raises StateDirectoryBusy if the container
    runs.

    :param yes: do not ask for confirmation.
    """
    settings = configured(config_files)
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("this would delete everything, and there is no terminal to confirm it at; add --yes")
    if not yes:
        click.confirm(
            f"Delete everything in {shown(settings.database.url)} (database {settings.database.name}, unless the URL "
            "names another one)? This deletes all registered content, the datastore, StackStorm's data in that "
            f"database, and the triggers that wait in {settings.container.state_dir}.",
            abort=True,
        )
    state_dir = settings.container.state_dir
    if holder(state_dir) is not None:
        raise StateDirectoryBusy(f"{SERVICE} is running and would keep its old state; run st2ctl stop first")
    with held(state_dir):
        storage = open_storage(settings.database)
        try:
            storage.clear()
        finally:
            storage.close()
        for pattern in OWN_FILES:
            for path in state_dir.glob(pattern):
                path.unlink()
    return 0


def _start(settings: Settings, config_files: Sequence[str], *, json_output: bool) -> int:
    if holder(settings.container.state_dir) is None:
        log = settings.container.state_dir / f"{SERVICE}.log"
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            container = _spawn(config_files, log)
        except OSError as exception:
            raise _unusable(log.parent, exception) from exception
        _wait(lambda: container.poll() is not None or _listens(settings), START_TIMEOUT)
        if not _listens(settings):
            raise St2SensorError(f"{SERVICE} did not start; {log} says why")
        # The container outlives this process, which must not wait for it.
        container.returncode = 0
    return _started(settings, json_output=json_output)


def _started(settings: Settings, *, json_output: bool, tells_state: bool = True) -> int:
    """Print the state of a container that was asked to start, and warn of what is wrong with it. Return the exit code.

    :param tells_state: whether to print the state; systemctl prints none.
    """
    warnings = [in_line(trouble) for trouble in first_troubles(settings)]
    code = _status(settings, json_output=json_output, warnings=warnings) if tells_state else 0
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    return code


def _unusable(state_dir: Path, exception: OSError) -> St2SensorError:
    kind = AccessDenied if isinstance(exception, PermissionError) else ConfigError
    return kind(
        f"[sensorcontainer] state_dir: cannot write to {state_dir}: {exception.strerror}; run this as the container's "
        "user or as root, or name another folder"
    )


def _stop(settings: Settings, *, json_output: bool) -> int:
    _end(settings)
    _status(settings, json_output=json_output)
    return 0


def _end(settings: Settings) -> None:
    """Stop the container, if it is running, and wait until it has ended. Raises St2SensorError if it does not end."""
    process = holder(settings.container.state_dir)
    if process is not None and not _stopped(process, settings.container.stop_timeout + STOP_GRACE):
        raise St2SensorError(f"{SERVICE} has not ended yet; its log shows why")


def _status(settings: Settings, *, json_output: bool, **more: object) -> int:
    """:param more: further fields of the JSON."""
    process = holder(settings.container.state_dir)
    line = f"{SERVICE} is not running." if process is None else f"{SERVICE} PID: {process}"
    print_outcome(json_output, line, service=SERVICE, running=process is not None, pid=process, **more)
    return NOT_RUNNING if process is None else 0


def _spawn(config_files: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a container that outlives this process.

    If root starts it, the container runs as the owner of the state directory, as under systemd. Otherwise, root's files
    in that directory would later keep the unit from starting.
    """
    options = [part for file in config_files for part in ("--config-file", os.path.abspath(file))]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    try:
        hand_over(log)
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "st2sensor.cli", SERVICE, *options],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            **_account(log.parent),
        )
    finally:
        os.close(descriptor)


def _account(state_dir: Path) -> dict[str, Any]:
    """Return arguments of Popen that run the process as the owner of the directory, if root starts it."""
    owner = other_owner(state_dir)
    if owner is None:
        return {}
    uid, gid = owner
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return {"user": uid, "group": gid, "extra_groups": []}
    # The owner's process must not get root's HOME, USER and LOGNAME.
    variables = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    return {"user": uid, "group": user.pw_gid, "extra_groups": groups, "env": {**os.environ, **variables}}


def _listens(settings: Settings) -> bool:
    """Return whether the container is up. It is not up if it only holds its state directory: its start may still
    fail."""
    try:
        with reached(settings.container.state_dir):
            return True
    except ContainerAway:
        return False


def _stopped(process: int, seconds: float) -> bool:
    """Ask a process to stop; return whether it ends in time. Raises StateDirectoryBusy if this user may not do that."""
    try:
        fd = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        _signal(process, signal.SIGTERM)
        return bool(select.select([fd], [], [], seconds)[0])
    finally:
        os.close(fd)


def _signal(process: int, number: signal.Signals) -> None:
    """Send a signal; ignore a process that has just ended. Raises StateDirectoryBusy if this user may not do that."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass
    except PermissionError as exception:
        raise StateDirectoryBusy(
            f"{SERVICE} is process {process} of another user; run this as that user, or as root"
        ) from exception


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(STATE_INTERVAL)
