"""Connections that say nothing, or are too many: they are closed, and the container goes on with its work."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from tests.plugins.patience import SOON
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import eventually
from tests.support.webhooks import Endpoint
from tests.support.workspace import Workspace

QUIET = """
class Quiet(Sensor):
    def run(self):
        time.sleep(1000)
"""

FILES = 256
"""File descriptors that the container may have."""


def unix(path: Path, sent: bytes = b"") -> socket.socket:
    opened = socket.socket(socket.AF_UNIX)
    opened.settimeout(SOON)
    opened.connect(str(path))
    opened.sendall(sent)
    return opened


def tcp(port: int, sent: bytes = b"") -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", port), timeout=SOON)
    opened.sendall(sent)
    return opened


def open_ones(sockets: Sequence[socket.socket]) -> int:
    """How many are not closed by the other side."""
    count = 0
    for each in sockets:
        each.setblocking(False)
        try:
            count += bool(each.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            count += 1
        except OSError:
            continue
    return count


@pytest.fixture
def quiet(embedded: Workspace) -> Iterator[tuple[Workspace, int]]:
    """A container with few file descriptors, and the port of its status page."""
    port = free_port()
    embedded.configure(f"http = 127.0.0.1:{port}\nresync_interval = 0.5\n")
    embedded.add_sensor("p", "Quiet", f"import time\n{QUIET}")
    embedded.reload_well()
    container = embedded.start(prefix=["prlimit", f"--nofile={FILES}"])
    container.wait_for_log("p.Quiet started")
    container.wait_for_log("the status page is at")
    yield embedded, port
    assert container.stop() == 0


def wrappers_socket(workspace: Workspace) -> Path:
    (path,) = [path for path in workspace.state.glob("*.sock") if path.name != "control.sock"]
    return path


@pytest.mark.soak
def test_who_says_nothing_is_closed_on_every_socket(quiet: tuple[Workspace, int]) -> None:
    workspace, port = quiet
    control, sensors = workspace.state / "control.sock", wrappers_socket(workspace)
    half = b'{"jsonrpc": "2.0", "id": 1, '
    silent = [
        *(tcp(port), tcp(port, b"GET /live HTTP/1.1\r\nHo"), tcp(port, b"\r\n")),
        *(unix(control), unix(control, half), unix(sensors), unix(sensors, half), unix(sensors, b"x" * 100_000)),
    ]
    asking = [
        unix(control, b'{"jsonrpc": "2.0", "id": 1, "method": "follow", "params": {}}\n'),
        tcp(port, f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()),
    ]
    with ExitStack() as stack:
        for each in [*silent, *asking]:
            stack.enter_context(closing(each))
        eventually("the silent ones are closed", lambda: open_ones(silent) == 0)
        assert open_ones(asking) == len(asking)


@pytest.mark.soak
def test_a_hog_of_connections_keeps_nobody_from_working(quiet: tuple[Workspace, int]) -> None:
    workspace, port = quiet
    control, sensors = workspace.state / "control.sock", wrappers_socket(workspace)
    with ExitStack() as stack:
        for _ in range(FILES):
            # It may be closed before it has connected.
            with suppress(OSError):
                stack.enter_context(closing(tcp(port)))
            with suppress(OSError):
                stack.enter_context(closing(unix(control)))
            with suppress(OSError):
                stack.enter_context(closing(unix(sensors)))
        workspace.add_sensor("q", "Quiet", f"import time\n{QUIET}")
        workspace.reload_well()
        command = ("st2sensor", "--config-file", str(workspace.config), "list")
        eventually("another sensor runs", lambda: workspace.run(*command).stdout.count("running") == 2)


@pytest.mark.soak
def test_who_says_nothing_to_the_webhook_port_is_closed(embedded: Workspace) -> None:
    endpoint = Endpoint(embedded, "timeout = 2")
    endpoint.ask_for("hook")
    endpoint.start()
    silent = [tcp(endpoint.port), tcp(endpoint.port, b"POST /api/v1/webhooks/x HTTP/1.1\r\nHo")]
    with ExitStack() as stack:
        for each in silent:
            stack.enter_context(closing(each))
        eventually("they are closed", lambda: open_ones(silent) == 0)
