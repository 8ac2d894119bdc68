"""The thread that serves all targets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from st2sensor.errors import HistoryError
from st2sensor.history.event import Recorded
from st2sensor.history.reader import History
from st2sensor.push.position import Position
from st2sensor.push.pusher import Pusher
from st2sensor.push.sender import Answer, Sender
from st2sensor.push.targets import Target
from st2sensor.reports import PushReport
from st2sensor.settings import Push

ANSWER_TIMEOUT = 1.0
"""Seconds that `close` gives targets to answer the requests in progress. Others are sent again after the next start."""

STOP_TIMEOUT = 2.0
"""Seconds that `close` waits in all, until the cursors are saved."""

LOOK_INTERVAL = 1.0
"""Seconds between two checks of the end of the history, from which the lag of targets follows."""


class PushThread:
    """Owns the thread, its loop and the connections.

    :param history: the history's file.
    :param folder: holds a file for each target's cursor.
    """

    def __init__(self, targets: Sequence[Target], history: Path, folder: Path, options: Push) -> None:
        self._timeout = options.timeout
        self._histories = [History(history) for _ in targets]
        self._sender: Sender | None = None
        """Made in the thread: its connections belong to the loop."""
        self._pushers = [
            Pusher(
                target,
                events,
                Position(folder / f"{target.name}.cursor"),
                self._send,
                retry_max=options.retry_max,
            )
            for target, events in zip(targets, self._histories, strict=True)
        ]
        for pusher in self._pushers:
            # If the history cannot be read yet, the target begins when it can.
            with suppress(HistoryError):
                pusher.begin()
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._work, name="push", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def reports(self) -> tuple[PushReport, ...]:
        """Return the state of each target. From any thread."""
        return tuple(pusher.report() for pusher in self._pushers)

    def close(self) -> None:
        """Wait for the answers to requests in progress, but not for long, and save the cursors."""
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join(STOP_TIMEOUT)

    def _end(self) -> None:
        for pusher in self._pushers:
            pusher.stop()
        if self._task is not None:
            self._loop.call_later(ANSWER_TIMEOUT, self._task.cancel)

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._serve())
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.close()

    async def _serve(self) -> None:
        sender = self._sender = Sender(self._timeout)
        try:
            async with asyncio.TaskGroup() as looking:
                look = looking.create_task(self._look())
                async with asyncio.TaskGroup() as group:
                    for pusher in self._pushers:
                        group.create_task(pusher.run())
                look.cancel()
        finally:
            for pusher, history in zip(self._pushers, self._histories, strict=True):
                pusher.save()
                history.close()
            await sender.close()

    async def _look(self) -> None:
        """Keep the reports right while a target takes long."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            for pusher in self._pushers:
                with suppress(HistoryError):
                    pusher.look()

    async def _send(self, target: Target, event: Recorded) -> Answer:
        assert self._sender is not None
        return await self._sender.send(target, event)
