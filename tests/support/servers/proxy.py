"""A TCP proxy that can stop forwarding without closing anything: a half-open connection."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine

from tests.plugins.patience import SOON


class Proxy:
    """Forwards from `port` to another port of this machine, in a thread of its own.

    :param port: 0 for any free port.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = int(self._socket.getsockname()[1])
        self._target = target
        self._stalled = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread.start()
        assert self._started.wait(SOON), "the proxy has not started"

    def stall(self) -> None:
        """From now on, read the bytes of every connection and drop them; close no connection."""
        self._stalled.set()

    def resume(self) -> None:
        """Forward new connections again; the dropped bytes stay lost."""
        self._stalled.clear()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SOON)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._socket))
        self._started.set()
        self._loop.run_forever()
        server.close()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        for writer in self._writers:
            writer.transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        if self._stalled.is_set():
            self._spawn(self._swallow(reader))
            return
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.add(onward_writer)
        self._spawn(self._forward(reader, onward_writer))
        self._spawn(self._forward(onward_reader, writer))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        try:
            while await reader.read(65536):
                pass
        except OSError:
            pass

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lost = False
        try:
            while data := await reader.read(65536):
                lost = lost or self._stalled.is_set()
                if not lost:
                    writer.write(data)
                    await writer.drain()
            if not lost:
                writer.close()
        except OSError:
            writer.transport.abort()
