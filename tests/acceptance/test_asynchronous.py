"""Coroutines in sensors: what docs/asynchronous.md shows works, and an `async def` where none can work is refused."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiohttp import web

from tests.plugins.patience import SOON
from tests.support.guides import Snippet, sections
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace


@contextmanager
def streams(port: int) -> Iterator[None]:
    """Serve endless answers, of which each sends its name and then waits."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    over = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(f"{request.match_info['name']} 1\n{request.match_info['name']} 2\n".encode())
        await over.wait()
        return response

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/{name}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        ready.set()
        await over.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(SOON)
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(SOON)
        loop.close()


def test_the_recipe_follows_several_streams_at_once_and_stops_cleanly(embedded: Workspace) -> None:
    (section,) = [item for item in sections("asynchronous.md") if "aiohttp" in item.title]
    pack = embedded.add_pack("feeds")
    for snippet in section.steps:
        assert isinstance(snippet, Snippet)
        (pack / snippet.path).write_text(snippet.text)
    port = free_port()
    urls = [f"http://127.0.0.1:{port}/{name}" for name in ("a", "b", "c")]
    (embedded.folder / "configs").mkdir()
    (embedded.folder / "configs" / "feeds.yaml").write_text(f"urls: {urls}\n")
    embedded.reload_well()
    listener = embedded.listen()
    with streams(port):
        container = embedded.start()

        def lines() -> list[str]:
            return [item.payload["line"] for item in listener.seen if item.trigger == "feeds.line"]

        eventually("the lines of all streams", lambda: sorted(lines()) == ["a 1", "a 2", "b 1", "b 2", "c 1", "c 2"])
        assert all(lines().index(f"{name} 1") < lines().index(f"{name} 2") for name in "abc")
        container.stop()
    assert not re.search("Traceback|never awaited|cleanup\\(\\) failed", container.log)


@pytest.mark.parametrize("method", ["setup", "run", "cleanup", "poll"])
def test_an_async_def_is_refused_with_file_line_and_remedy(embedded: Workspace, method: str) -> None:
    base = "PollingSensor" if method == "poll" else "Sensor"
    file = embedded.add_sensor("p", "Odd", f"class Odd({base}):\n    async def {method}(self):\n        pass\n")
    line = file.read_text().splitlines().index(f"    async def {method}(self):") + 1
    done = embedded.reload()
    assert done.returncode == 1
    told = done.stdout + done.stderr
    assert f"{file}:{line}: {method}() of Odd is an async def: calling it runs none of its code; write def" in told
    assert "asyncio.run()" in told


def test_a_sensor_that_becomes_asynchronous_after_its_registration_does_not_start(embedded: Workspace) -> None:
    file = embedded.add_sensor("p", "Odd", "class Odd(Sensor):\n    def run(self):\n        pass\n")
    embedded.reload_well()
    file.write_text(file.read_text().replace("def run(", "async def run("))
    container = embedded.start()
    container.wait_for_log("run() of Odd is an async def")
    container.stop()
