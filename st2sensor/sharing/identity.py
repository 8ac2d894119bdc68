"""Remembers a container's member id in its state directory, so that its successor need not wait for the lease to end.

A container that has locked the state directory knows that its predecessor is dead, but only if both ran on the same
host: if the folder, or the whole host, was copied, both may be alive.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

LOG = logging.getLogger("st2sensor.sharing")

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Identity:
    """The member ids of this state directory's containers.

    :param path: file that keeps them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def earlier(self) -> list[str]:
        """Return the ids of this container's predecessor if it is certainly dead; otherwise an empty list."""
        try:
            noted = json.loads(self._path.read_text())
            return list(map(str, noted["ids"])) if noted["place"] == self._place() else []
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def note(self, members: Sequence[str]) -> None:
        """Store this container's ids for its successor. There are several while a new id replaces another."""
        try:
            # Written in place, so that the inode stays the same: a copy is recognized by its other inode. The boot id
            # is compared as well, because after a reboot this may be a different host.
            self._path.touch()
            self._path.write_text(json.dumps({"ids": list(members), "place": self._place()}))
        except OSError as exception:
            LOG.warning("%s; after a crash, the next container must wait until this one's lease has run out", exception)

    def _place(self) -> list[object]:
        status = self._path.stat()
        return [BOOT_ID.read_text().strip(), status.st_dev, status.st_ino]
