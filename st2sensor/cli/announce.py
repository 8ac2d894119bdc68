"""Tells every container what a command has changed in the database."""

from __future__ import annotations

from contextlib import closing, suppress

import click

from st2sensor.cli.inspection.control_client import ControlClient, all_reached
from st2sensor.errors import ContainerAway, ContainerForbidden, ContainerGone, TransportError
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.settings import Settings
from st2sensor.transport import open_transport


def tell(announcements: Announcements, settings: Settings) -> None:
    """This host's also where the broker is away."""
    for path in all_reached(settings.container.state_dir):
        with suppress(ContainerAway, ContainerForbidden, ContainerGone), closing(ControlClient(path)) as container:
            container.call("refresh")
    try:
        announcements.send(open_transport(settings.messaging))
    except TransportError as error:
        click.echo(
            f"warning: {error}; other nodes notice within {settings.container.resync_interval:g} s "
            "([sensorcontainer] resync_interval)",
            err=True,
        )
