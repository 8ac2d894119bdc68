"""Under which id a container of this state directory was a member before, so that it need not wait for its own lease.

Whoever has locked the state directory knows that the container before it is dead, where that has run on this very
host: after a copy of the folder, or of the whole host, both may be alive.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

LOG = logging.getLogger("st2sensor.sharing")

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Identity:
    """:param path: the file that keeps the id."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def earlier(self) -> list[str]:
        """The ids of the container before this one, which is dead; none when that cannot be said."""
        try:
            noted = json.loads(self._path.read_text())
            return list(map(str, noted["ids"])) if noted["place"] == self._place() else []
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def note(self, members: Sequence[str]) -> None:
        """Keep ids for the container after this one: more than one while a new one takes the place of another."""
        try:
            # In place: a file that was copied has another inode, and one of another boot another host, perhaps.
            self._path.touch()
            self._path.write_text(json.dumps({"ids": list(members), "place": self._place()}))
        except OSError as exception:
            LOG.warning("%s; a container that starts again after a crash waits for its own lease", exception)

    def _place(self) -> list[object]:
        status = self._path.stat()
        return [BOOT_ID.read_text().strip(), status.st_dev, status.st_ino]
