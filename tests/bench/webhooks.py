"""Compares the rate of webhooks, each on disk before its answer, with a bare aiohttp server that stores nothing."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.support.servers.ports import free_port
from tests.support.servers.waiting import eventually
from tests.support.webhooks import Endpoint
from tests.support.workspace import Workspace

CLIENTS = (1, 20, 200)

SECONDS = 5

BARE = """
import sys
from aiohttp import web

async def post(request):
    return web.json_response(await request.json(), status=202)

application = web.Application()
application.router.add_post("/{url}", post)
web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""

POST = """
wrk.method = "POST"
wrk.body = '{"n": 1}'
wrk.headers["Content-Type"] = "application/json"
"""


def report(workspace: Workspace) -> None:
    """Print a table."""
    script = workspace.folder / "post.lua"
    script.write_text(POST)
    endpoint = Endpoint(workspace)
    endpoint.ask_for("load")
    with bare() as address:
        plain = {clients: measured(script, address, clients) for clients in CLIENTS}
    container = endpoint.start()
    table = Table("clients", "bare aiohttp", "st2sensor", "ratio", "median, 99 %", title="webhooks answered a second")
    for clients, (rate, _) in plain.items():
        ours, latency = measured(script, endpoint.url("/api/v1/webhooks/load"), clients)
        table.add_row(str(clients), f"{rate:.0f}", f"{ours:.0f}", f"{ours / rate:.2f}", latency)
    container.stop(60)
    Console(width=150).print(table)


def measured(script: Path, url: str, clients: int) -> tuple[float, str]:
    """Return requests a second, and their latency. Fails if a request is refused."""
    done = subprocess.run(
        [
            *("wrk", "--threads", str(min(2, clients)), "--connections", str(clients), "--duration", f"{SECONDS}s"),
            *("--latency", "--script", str(script), url),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Non-2xx" not in done.stdout, done.stdout
    rate, half, most = (
        re.search(pattern, done.stdout) for pattern in (r"Requests/sec: +([\d.]+)", r"50% +(\S+)", r"99% +(\S+)")
    )
    assert rate is not None
    assert half is not None
    assert most is not None
    return float(rate[1]), f"{half[1]}, {most[1]}"


@contextmanager
def bare() -> Iterator[str]:
    """Yield the address of a server that only echoes."""
    port = free_port()

    def is_open() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    with subprocess.Popen([sys.executable, "-c", BARE, str(port)]) as process:
        eventually("the bare server listens", is_open)
        try:
            yield f"http://127.0.0.1:{port}/load"
        finally:
            process.terminate()
