"""Keeps the outbox's open file in its place, and small. For the writer's thread."""

from __future__ import annotations

import logging
import sqlite3
import time

from st2sensor.errors import OutboxError
from st2sensor.outbox.backlog import Backlog
from st2sensor.outbox.commits import Commits
from st2sensor.outbox.database.store import Store

LOG = logging.getLogger("st2sensor.outbox")

SHRINK_TIME = 0.05
"""Maximum number of seconds that one check spends on giving space back to the disk. Commits wait meanwhile."""


class Upkeep:
    """Checks the file. The owner of this object calls `check` every second or so.

    :param commits: the commits, which wait while the file cannot be put back.
    """

    def __init__(self, store: Store, backlog: Backlog, commits: Commits) -> None:
        self._store = store
        self._backlog = backlog
        self._commits = commits
        self._is_away = False
        """Whether the file is missing and could not be put back yet."""

    def check(self) -> None:
        """Put the file back if it was deleted or replaced, prune dead letters, and give space back to the disk."""
        if not self._store.is_in_place:
            self._restore()
        if self._commits.is_failing:
            return
        try:
            if self._store.graveyard.is_due or self._store.limits.is_due(time.time()):
                self._store.prune()
            until = time.monotonic() + SHRINK_TIME
            while self._store.shrink():
                if time.monotonic() >= until:
                    break
        except (sqlite3.Error, OSError, OutboxError) as exception:
            LOG.debug("the outbox %s cannot give space back to the disk: %s", self._store.path, exception)

    def _restore(self) -> None:
        path = self._store.path
        if not self._is_away:
            LOG.error("%s was deleted or replaced while in use; copying it back from the open file", path)
        self._is_away = True
        try:
            aside = self._store.restore()
        except (sqlite3.Error, OSError, OutboxError) as exception:
            self._commits.failed(OutboxError(f"it was deleted, and cannot be copied back: {exception}"))
            return
        self._is_away = False
        kept = f"; the file that had replaced it is kept as {aside}" if aside else ""
        LOG.warning("%s was restored with all %d waiting triggers%s", path, self._backlog.depth, kept)
