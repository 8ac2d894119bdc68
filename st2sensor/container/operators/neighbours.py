"""Finds the other container of this host that runs a sensor which runs here, too, and says so in both logs.

A container that runs one sensor alone may run beside the daemon: both have a control socket, one below the other's
folder. Two that run the same sensor do everything twice.
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

LOG = logging.getLogger("st2sensor.operators")

NEIGHBOUR_TIMEOUT = 5.0
"""Seconds that the other one has to answer."""


class Beside:
    """For the loop's thread.

    :param state_dir: this container's.
    :param is_alone: whether it runs one sensor alone: then its folder is in the daemon's.
    """

    def __init__(self, state_dir: Path, *, is_alone: bool) -> None:
        self._state_dir = state_dir
        self._is_alone = is_alone
        self._told: set[tuple[str, int]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def look(self, ref: str) -> None:
        """A sensor is started here: find out whether it runs there."""
        folder = self._state_dir.parent if self._is_alone else self._state_dir / ref
        if (folder / CONTROL_SOCKET).exists():
            task = asyncio.get_running_loop().create_task(self._ask(folder / CONTROL_SOCKET, ref))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def tell(self, ref: str, process: int) -> None:
        """A sensor that runs here runs in another container, too."""
        if (ref, process) not in self._told:
            self._told.add((ref, process))
            LOG.warning(
                "%s runs in the container of process %d, too, so that it does everything twice; stop one of them, or "
                "run st2sensor disable %s for the daemon's",
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
            self.tell(ref, other)


async def _other(path: Path, ref: str) -> int | None:
    """The process of the container at a socket, if that runs a sensor. Raises OSError, ValueError, St2SensorError."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(rpc.request(1, "beside", {"ref": ref, "process": os.getpid()}))
        answer = rpc.answer_of(rpc.decode(await reader.readline()))
    finally:
        writer.close()
    return answer if isinstance(answer, int) else None
