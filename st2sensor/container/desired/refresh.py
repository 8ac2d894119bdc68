"""Keeps what the container knows in line with storage, and goes on with what it knew while storage is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from st2sensor.container.desired import snapshot as stored
from st2sensor.container.desired.snapshot import Snapshot
from st2sensor.errors import ConfigError, StorageError
from st2sensor.health import Health, changed
from st2sensor.sharing.partition import Provider
from st2sensor.storage.base import Storage

LOG = logging.getLogger("st2sensor.storage")

STORAGE_RETRY = 1.0
"""Seconds between two looks into a database that is away."""


class Refresh:
    """For the loop's thread.

    :param partition: says which sensors are this node's.
    :param threads: where storage is read, because it blocks.
    :param notes: file in which what is known is kept for a start without the database.
    :param interval: seconds between looks that nobody asked for.
    :param learned: called with what storage holds.
    :param ended: called when a look is over, whatever came of it.
    """

    def __init__(
        self,
        storage: Storage,
        partition: Provider,
        threads: Executor,
        notes: Path,
        interval: float,
        *,
        learned: Callable[[Snapshot], None],
        ended: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._storage = storage
        self._partition = partition
        self._threads = threads
        self._notes = notes
        self._interval = interval
        self._learned = learned
        self._ended = ended
        self._clock = clock
        self.look_at = clock()
        """When to look unasked."""
        self._asked_at = -STORAGE_RETRY
        """When `now` last looked."""
        self._stale = True
        self._task: asyncio.Task[None] | None = None
        self._known: Snapshot | None = None
        self._noted: Snapshot | None = None
        self._failed = False
        self._complaint = ""
        """What was last said about partitions."""
        self._prepared = False
        self.health = Health(reason="the database has not been looked into yet")
        """Of the database, as of the last look."""
        self.has_looked = False
        """Whether a look is over, whatever came of it."""

    def mark_stale(self) -> None:
        """Something may have changed: look at the next opportunity."""
        self._stale = True

    def look_when_stale(self) -> None:
        """Begin to look, unless there is no need or somebody looks already."""
        now = self._clock()
        if (self._stale or now >= self.look_at) and (self._task is None or self._task.done()):
            self._stale = False
            self.look_at = now + (min(self._interval, STORAGE_RETRY) if self._failed else self._interval)
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def now(self) -> None:
        """Look, and wait for the end of it; a look that began earlier may have missed what the caller knows of.

        At most once in STORAGE_RETRY seconds: a sensor that asks for what is not there must not load the database.
        """
        await self._settled()
        if self._clock() >= self._asked_at + STORAGE_RETRY:
            self._asked_at = self._clock()
            self.mark_stale()
            self.look_when_stale()
            await self._settled()

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _settled(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _look(self) -> None:
        try:
            known = await asyncio.get_running_loop().run_in_executor(self._threads, self._read)
        except StorageError as exception:
            if self._known is None:
                self._learn(stored.load(self._notes))
            self.health = changed(self.health, f"{exception}; {self._without_storage()}")
            if not self._failed:
                LOG.warning("%s", self.health.reason)
            self._failed = True
        except ConfigError as exception:
            self.health = changed(self.health, str(exception))
            if str(exception) != self._complaint:
                LOG.error(
                    "%s; until then %s", exception, "no sensor runs" if self._known is None else "nothing changes"
                )
            self._complaint = str(exception)
        except Exception:
            LOG.exception("what the database holds cannot be used; what was known goes on")
        else:
            if self._failed:
                LOG.info("the database answers again")
            self.health = changed(self.health, "")
            self._failed = False
            self._complaint = ""
            self._learn(known)
        finally:
            self.has_looked = True
            self._ended()

    def _learn(self, known: Snapshot | None) -> None:
        if known is not None:
            self._known = known
            self._learned(known)

    def _read(self) -> Snapshot:
        """Read it all, and note it for a start without the database."""
        if not self._prepared:
            self._storage.prepare()
            self._prepared = True
        known = stored.read(self._storage, self._partition)
        if known != self._noted:
            try:
                stored.save(known, self._notes)
                self._noted = known
            except (OSError, ValueError) as exception:
                LOG.warning("cannot note what is known for a start without the database: %s", exception)
        return known

    def _without_storage(self) -> str:
        if self._known is None:
            return "no sensor can start before it answers"
        return (
            "the known sensors run, as of the last look"
            if self._prepared
            else "the sensors of the last run are started"
        )
