"""`st2sensor list`, `restart`, `enable`, `disable`: which sensors there are, and whether they run."""

from __future__ import annotations

import json
from contextlib import closing, suppress

import click

from st2sensor import config
from st2sensor.cli import moments, reports
from st2sensor.cli.completion import named_sensor
from st2sensor.cli.container import Container, all_reached, reached
from st2sensor.cli.invocation import as_json, console, examples, report
from st2sensor.cli.sensor_table import COLOURS, table
from st2sensor.errors import ContainerAway, ContainerForbidden, ContainerGone, TransportError
from st2sensor.packs.announcements import Announcements
from st2sensor.packs.enabling import set_enabled
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.transport import open_transport
from st2sensor.transport.topology import Topology


@click.command("list", epilog=examples("st2sensor list", "st2sensor list --state backoff", "st2sensor list --json"))
@click.option("--state", "states", multiple=True, type=click.Choice(list(COLOURS)), help="Only those in this state.")
@click.option("--failing", is_flag=True, help="Only those that fail again and again.")
@as_json
@click.pass_obj
def list_(config_files: tuple[str, ...], states: tuple[str, ...], failing: bool, json_output: bool) -> None:
    """Show every sensor and its state."""
    found = [
        sensor
        for sensor in reports.every(config.load(config_files))
        if (not states or sensor["state"] in states) and (sensor["failing"] or not failing)
    ]
    if json_output:
        click.echo(json.dumps(found))
        return
    out = console()
    if found:
        out.print(table(found, out.width))
    out.print(moments.count(len(found), "sensor"))


@click.command(epilog=examples("st2sensor restart linux.FileWatchSensor"))
@named_sensor
@as_json
@click.pass_obj
def restart(config_files: tuple[str, ...], ref: str, json_output: bool) -> None:
    """Stop a sensor and start it again.

    One that waits for its next start after a failure is started at once.
    """
    with reached(config.load(config_files).container.state_dir, ref) as container:
        container.call("restart", ref=ref)
    report(json_output, f"{ref} is restarted", ref=ref, restarted=True)


@click.command(epilog=examples("st2sensor enable linux.FileWatchSensor"))
@named_sensor
@as_json
@click.pass_obj
def enable(config_files: tuple[str, ...], ref: str, json_output: bool) -> None:
    """Have a sensor run, on every node that has it."""
    _set_enabled(config.load(config_files), ref, enabled=True, json_output=json_output)


@click.command(epilog=examples("st2sensor disable linux.FileWatchSensor"))
@named_sensor
@as_json
@click.pass_obj
def disable(config_files: tuple[str, ...], ref: str, json_output: bool) -> None:
    """Stop a sensor, and keep it stopped, also over the next st2ctl reload."""
    _set_enabled(config.load(config_files), ref, enabled=False, json_output=json_output)


def _set_enabled(settings: Settings, ref: str, *, enabled: bool, json_output: bool) -> None:
    announcements = Announcements(Topology(settings.messaging.prefix))
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        is_changed = set_enabled(storage, announcements, ref, enabled=enabled)
    word = "enabled" if enabled else "disabled"
    line = f"{ref} is {word}" if is_changed else f"{ref} was {word} already"
    report(json_output, line, ref=ref, enabled=enabled, changed=is_changed)
    if is_changed:
        tell(announcements, settings)


def tell(announcements: Announcements, settings: Settings) -> None:
    """Tell every container what has changed in the database: this host's also where the broker is away."""
    for path in all_reached(settings.container.state_dir):
        with suppress(ContainerAway, ContainerForbidden, ContainerGone), closing(Container(path)) as container:
            container.call("refresh")
    try:
        announcements.send(open_transport(settings.messaging))
    except TransportError as error:
        click.echo(
            f"warning: {error}; other nodes notice within {settings.container.resync_interval:g} s "
            "([sensorcontainer] resync_interval)",
            err=True,
        )
