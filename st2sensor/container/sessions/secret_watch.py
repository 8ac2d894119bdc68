"""Reads the secrets that configurations take from sources besides the datastore, and finds the sensors that use a
changed secret."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from st2sensor.secrets.call import Call, call_of
from st2sensor.secrets.sources import SecretSources
from st2sensor.secrets.values import Values
from st2sensor.system.threads import Threads

LOG = logging.getLogger("st2sensor.secrets")

WAITING_INTERVAL = 5.0
"""Maximum number of seconds between two reads while a sensor waits for a secret to start."""


class Uses:
    """The secrets that one rendering uses. For one thread at a time.

    :ivar values: the values by call; None for one that cannot be read.
    """

    def __init__(self, known: Values) -> None:
        self._known = known
        self.values: dict[Call, str | None] = {}

    def read(self, arguments: Sequence[object]) -> str:
        """Return a secret; blocks. Raises SecretError."""
        call = call_of(arguments)
        self.values[call] = None
        value = self.values[call] = self._known.get(call)
        return value


class SecretWatch:
    """For the loop's thread.

    :param interval: seconds between two reads of the secrets in use.
    :param changed: called with a sensor that runs with a value that has changed.
    :param readable: called with a sensor that could not start because a secret could not be read, once the secret can
        be read.
    """

    def __init__(
        self,
        sources: SecretSources,
        interval: float,
        *,
        changed: Callable[[str], None],
        readable: Callable[[str], None],
    ) -> None:
        self._sources = sources
        self._values = Values(sources, interval)
        self._interval = interval
        self._changed = changed
        self._readable = readable
        self._used: dict[str, dict[Call, str | None]] = {}
        """Values by sensor, as of its last start."""
        self._threads = Threads(1, "secrets")
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def uses(self) -> Uses:
        """Return a reader for one rendering."""
        return Uses(self._values)

    def note(self, ref: str, uses: Uses) -> None:
        """Note the secrets that a sensor's configuration uses, after it was rendered or could not be."""
        if not uses.values:
            self._used.pop(ref, None)
            return
        self._used[ref] = uses.values
        self._wake.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._watch())

    def keep_only(self, refs: Collection[str]) -> None:
        """Forget the secrets of sensors that are not registered any more."""
        for ref in self._used.keys() - refs:
            del self._used[ref]

    def close(self) -> None:
        """Stop reading. Does not wait."""
        if self._task is not None:
            self._task.cancel()
        self._threads.shutdown(wait=False)
        self._sources.close()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._pause
        while self._used:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            # The sensor may have been noted while it waited.
            due = min(due, loop.time() + self._pause)
            if loop.time() < due:
                continue
            calls = {call for used in self._used.values() for call in used}
            try:
                self._compare(await loop.run_in_executor(self._threads, self._values.refresh, calls))
            except Exception:
                LOG.exception("cannot tell whether secrets have changed; trying again")
            due = loop.time() + self._pause

    @property
    def _pause(self) -> float:
        is_waited_for = any(None in used.values() for used in self._used.values())
        return min(self._interval, WAITING_INTERVAL) if is_waited_for else self._interval

    def _compare(self, current: dict[Call, str]) -> None:
        for ref, used in list(self._used.items()):
            if None in used.values():
                if all(call in current for call in used):
                    # It is noted again when it starts.
                    del self._used[ref]
                    self._readable(ref)
                continue
            changed = [call for call, value in used.items() if current.get(call, value) != value]
            if changed:
                LOG.info("%s restarts: %s has a new value", ref, changed[0])
                used.update((call, current[call]) for call in changed)
                self._changed(ref)
