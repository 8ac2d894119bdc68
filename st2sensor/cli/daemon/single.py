"""A container that runs one sensor alone: its checks before it touches the state directory."""

from __future__ import annotations

import re
from contextlib import closing

from st2sensor.cli.daemon.state_dir import holder
from st2sensor.errors import SensorNotFound, StateDirectoryBusy, StorageError
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.storage import sensors as stored

SENSOR_REF = re.compile(r"\w+\.\w+(@[A-Za-z0-9_-]{1,64})?")


def check_reference(settings: Settings, ref: str) -> None:
    """Check that a sensor exists, so that a misspelt one leaves no files behind. Raises SensorNotFound.

    While the database cannot be read, any sensor may exist: the container may know it from an earlier run.
    """
    if not SENSOR_REF.fullmatch(ref):
        form = "PACK.CLASS, as in linux.FileWatchSensor, or PACK.CLASS@NAME"
        raise SensorNotFound(f"{ref} is not a sensor's reference; write {form}")
    try:
        with closing(open_storage(settings.database)) as storage:
            found = stored.find(storage, ref)
    except StorageError:
        return
    if found is None:
        raise SensorNotFound(f"sensor {ref} is not registered: check the name, or run st2ctl reload")


def is_beside_daemon(settings: Settings) -> bool:
    """Return whether a daemon uses the configured state directory now, and so the HTTP address as well."""
    try:
        return holder(settings.container.state_dir) is not None
    except StateDirectoryBusy:
        # Another user's directory, which this user may not look into.
        return False
