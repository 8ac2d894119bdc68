"""Finds another container on this host that runs the same sensor, and warns in the logs of both.

A container that runs one sensor alone may run next to the daemon. Both have a control socket; the first one's folder
is inside the daemon's. If both run the same sensor, everything happens twice.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from st2sensor.errors import St2SensorError
from st2sensor.logs.setup import of_sensor
from st2sensor.portable import rpc
from st2sensor.reports import CONTROL_SOCKET
from st2sensor.system.event_loop import Tasks

LOG = logging.getLogger("st2sensor.operators")

NEIGHBOUR_TIMEOUT = 5.0
"""Seconds within which the other container must answer."""


class Neighbours:
    """For the loop's thread.

    :param state_dir: this container's state directory.
    :param is_alone: whether this container runs one sensor alone, so that its directory is inside the daemon's.
    """

    def __init__(self, state_dir: Path, *, is_alone: bool) -> None:
        self._state_dir = state_dir
        self._is_alone = is_alone
        self._warned: set[tuple[str, int]] = set()
        self._tasks = Tasks()

    def check(self, ref: str) -> None:
        """Find out whether the other container runs a sensor that is being started here. Does not wait."""
        folder = self._state_dir.parent if self._is_alone else self._state_dir / ref
        if (folder / CONTROL_SOCKET).exists():
            self._tasks.start(self._ask(folder / CONTROL_SOCKET, ref))

    def warn(self, ref: str, process: int) -> None:
        """Warn once that a sensor of this container also runs in the container of another process."""
        if (ref, process) not in self._warned:
            self._warned.add((ref, process))
            LOG.warning(
                "%s also runs in the container of process %d, so everything happens twice; stop one of the two, or "
                "run st2sensor disable %s to stop the daemon's",
                *(ref, process, ref),
                extra=of_sensor(ref),
            )

    async def _ask(self, path: Path, ref: str) -> None:
        try:
            async with asyncio.timeout(NEIGHBOUR_TIMEOUT):
                other = await _other(path, ref)
        except (OSError, TimeoutError, ValueError, St2SensorError) as exception:
            LOG.debug("%s does not say whether it runs %s: %s", path, ref, exception)
            return
        if other is not None:
            self.warn(ref, other)


async def _other(path: Path, ref: str) -> int | None:
    """Return the process of the container at a socket if it runs a sensor, else None.

    Raises OSError, ValueError and St2SensorError.
    """
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(rpc.request(1, "neighbour", {"ref": ref, "process": os.getpid()}))
        answer = rpc.answer_of(rpc.decode(await reader.readline()))
    finally:
        writer.close()
    return answer if isinstance(answer, int) else None
