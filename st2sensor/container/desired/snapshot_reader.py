"""Reads snapshots from storage, and keeps the newest one in a file for a start without the database."""

from __future__ import annotations

import logging
from pathlib import Path

from st2sensor.container.desired import snapshot as snapshots
from st2sensor.container.desired.snapshot import Snapshot
from st2sensor.sharing.partition import Provider
from st2sensor.storage.base import Storage

LOG = logging.getLogger("st2sensor.storage")


class SnapshotReader:
    """Blocks on storage and on files. For one thread at a time.

    :param partition: says which sensors are this node's.
    :param path: the file that keeps the newest snapshot.
    """

    def __init__(self, storage: Storage, partition: Provider, path: Path) -> None:
        self._storage = storage
        self._partition = partition
        self._path = path
        self._saved: Snapshot | None = None
        self.is_prepared = False
        """Whether the database has answered since the container started."""

    def read(self) -> Snapshot:
        """Read a snapshot from storage, and save it. Raises StorageError and ConfigError."""
        if not self.is_prepared:
            self._storage.prepare()
            self.is_prepared = True
        snapshot = snapshots.read(self._storage, self._partition)
        if snapshot != self._saved:
            try:
                snapshots.save(snapshot, self._path)
                self._saved = snapshot
            except (OSError, ValueError) as exception:
                LOG.warning("cannot save the registered content for a start without the database: %s", exception)
        return snapshot

    def saved(self) -> Snapshot | None:
        """Return the snapshot in the file, possibly of an earlier run; None if there is no usable one."""
        return snapshots.load(self._path)
