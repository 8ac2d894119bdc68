"""Keeps the container's snapshot in line with storage, and keeps the last snapshot while storage is unreachable."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Protocol

from st2sensor.container.desired.snapshot import Snapshot
from st2sensor.errors import ConfigError, StorageError
from st2sensor.health import Health, changed

LOG = logging.getLogger("st2sensor.storage")

STORAGE_RETRY = 1.0
"""Seconds between two attempts to read a database that is unreachable."""


class Reader(Protocol):
    """A source of snapshots. Its methods block."""

    @property
    def is_prepared(self) -> bool:
        """Whether the database has answered since the container started."""

    def read(self) -> Snapshot:
        """Read a snapshot from storage, and save it. Raises StorageError and ConfigError."""

    def saved(self) -> Snapshot | None:
        """Return the snapshot that was saved last; None if there is no usable one."""


class Refresh:
    """For the loop's thread.

    :param threads: the threads that read storage, because reading blocks.
    :param interval: seconds until storage is read even if nothing triggers a read.
    :param learned: called with each snapshot.
    :param ended: called when a read has ended, with any result.
    """

    def __init__(
        self,
        reader: Reader,
        threads: Executor,
        interval: float,
        *,
        learned: Callable[[Snapshot], None],
        ended: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._reader = reader
        self._threads = threads
        self._interval = interval
        self._learned = learned
        self._ended = ended
        self._clock = clock
        self.look_at = clock()
        """When the next read is due, even if nothing triggers it."""
        self._forced_at = -STORAGE_RETRY
        """When `now` last started a read."""
        self._stale = True
        self._task: asyncio.Task[None] | None = None
        self._known: Snapshot | None = None
        self._failed = False
        self._complaint = ""
        """The last logged problem with partitions."""
        self.health = Health(reason="the database has not been read yet")
        """Health of the database, as of the last read."""
        self.has_looked = False
        """Whether a read has ended, with any result."""

    def mark_stale(self) -> None:
        """Make the next `look_when_stale` read storage, because something may have changed there."""
        self._stale = True

    def look_when_stale(self) -> None:
        """Start reading storage, unless there is no need or a read is already under way."""
        now = self._clock()
        if (self._stale or now >= self.look_at) and (self._task is None or self._task.done()):
            self._stale = False
            self.look_at = now + (min(self._interval, STORAGE_RETRY) if self._failed else self._interval)
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def now(self) -> None:
        """Read storage, and wait for the result.

        A read that is under way does not count: it may have missed the change that the caller knows of. There is at
        most one read in STORAGE_RETRY seconds, so that a sensor that asks for something missing puts no load on the
        database.
        """
        await self._settled()
        if self._clock() >= self._forced_at + STORAGE_RETRY:
            self._forced_at = self._clock()
            self.mark_stale()
            self.look_when_stale()
            await self._settled()

    async def close(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _settled(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _look(self) -> None:
        try:
            known = await asyncio.get_running_loop().run_in_executor(self._threads, self._reader.read)
        except StorageError as exception:
            if self._known is None:
                self._learn(self._reader.saved())
            self.health = changed(self.health, f"{exception}; {self._consequence()}")
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
            LOG.exception("cannot use the database's content; continuing with the last known state")
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

    def _consequence(self) -> str:
        """Return the consequence of an unreachable database, in words."""
        if self._known is None:
            return "no sensor can start before it answers"
        if self._reader.is_prepared:
            return "the sensors known so far keep running"
        return "the sensors of the last run are started"
