"""Change registered content in the database, and announce the changes to all containers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import click

from st2sensor.cli.inspection.control_client import ControlClient, all_reached
from st2sensor.cli.text.printable import in_line
from st2sensor.errors import ContainerAway, ContainerForbidden, ContainerGone, TransportError
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.packs.registration.enabling import set_enabled
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.storage.base import Storage
from st2sensor.transport import open_transport


@contextmanager
def changing(settings: Settings) -> Iterator[tuple[Storage, Announcements]]:
    """Open the database for changes, and announce them afterwards. Raises StorageError, StorageUnavailable."""
    announcements = Announcements.of(settings)
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        yield storage, announcements
    announce(announcements, settings)


def change_enabled(settings: Settings, ref: str, *, enabled: bool) -> bool:
    """Enable or disable a sensor; return whether this changed anything. Raises SensorNotFound, StorageError."""
    announcements = Announcements.of(settings)
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        is_changed = set_enabled(storage, announcements, ref, enabled=enabled)
    if is_changed:
        announce(announcements, settings)
    return is_changed


def announce(announcements: Announcements, settings: Settings) -> None:
    """Announce changes to every container. Announce them to this host's container directly as well, in case the broker
    is unreachable."""
    for path in all_reached(settings.container.state_dir):
        with suppress(ContainerAway, ContainerForbidden, ContainerGone), closing(ControlClient(path)) as container:
            container.call("refresh")
    try:
        announcements.send(open_transport(settings.messaging))
    except TransportError as error:
        click.echo(
            f"warning: {in_line(str(error))}; other nodes notice the change within "
            f"{settings.container.resync_interval:g} s ([sensorcontainer] resync_interval)",
            err=True,
        )
