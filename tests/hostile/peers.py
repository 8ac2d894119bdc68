"""Hostile peers on the container's sockets, which speak the wrapper protocol or claim to."""

from __future__ import annotations

import contextlib
import json
import os
import socket

from tests.hostile.case import Case, polling, running
from tests.support.workspace import Container, Workspace

RAW = """
import json, os, socket, time

def opened():
    raw = socket.socket(socket.AF_UNIX)
    raw.connect(os.environ["ST2SENSOR_SOCKET"])
    hello = {"jsonrpc": "2.0", "id": 1, "method": "hello",
             "params": {"version": 1, "token": os.environ["ST2SENSOR_TOKEN"]}}
    raw.sendall(json.dumps(hello).encode() + b"\\n")
    raw.recv(65536)
    return raw

class Hostile(Sensor):
    def run(self):
"""
"""Code of a sensor that opens sessions of its own."""


def raw(body: str) -> str:
    return RAW + "\n".join(f"        {line}" for line in body.strip("\n").splitlines()) + "\n        time.sleep(1000)\n"


def connect_to_all(workspace: Workspace, container: Container) -> None:  # noqa: ARG001
    """Send an incomplete request on each socket, many times."""
    for path in workspace.state.rglob("*.sock"):
        for number in range(300):
            with contextlib.suppress(OSError):
                _KEPT.append(socket.socket(socket.AF_UNIX))
                _KEPT[-1].settimeout(1)
                _KEPT[-1].connect(str(path))
                _KEPT[-1].send(b"{" if number % 2 else os.urandom(64))


def ask_and_never_read(workspace: Workspace, container: Container) -> None:  # noqa: ARG001
    """Keep sending requests to the control socket, and read no answer."""
    asks = b"".join(
        json.dumps({"jsonrpc": "2.0", "id": n, "method": "sensors", "params": {}}).encode() + b"\n" for n in range(5000)
    )
    asking = socket.socket(socket.AF_UNIX)
    asking.settimeout(1)
    asking.connect(str(workspace.state / "control.sock"))
    _KEPT.append(asking)
    with contextlib.suppress(OSError):
        asking.sendall(asks)


_KEPT: list[socket.socket] = []
"""Sockets that stay open until the end of the test run."""

PEERS = [
    Case(name="random bytes", code=raw("for _ in range(50):\n    opened().sendall(os.urandom(100_000))"), quick=True),
    Case(
        name="a line without end",
        code=raw("raw = opened()\nwhile True:\n    raw.sendall(b'x' * 65536)"),
        said="session ended",
    ),
    Case(
        name="arrays in arrays in one line", code=raw("opened().sendall(b'[' * 900_000 + b'\\n')"), said="session ended"
    ),
    Case(
        name="bodies that never come",
        code=raw(
            'for _ in range(100):\n    opened().sendall(b\'{"jsonrpc":"2.0","id":1,"method":"dispatch",'
            '"bodies":10000}\\n{\')'
        ),
    ),
    Case(
        name="bodies without end",
        code=raw(
            'raw = opened()\nraw.sendall(b\'{"jsonrpc":"2.0","id":1,"method":"dispatch","bodies":10000}\\n\')\n'
            "while True:\n    raw.sendall(b'x' * 100_000 + b'\\n')"
        ),
        said="session ended",
    ),
    Case(
        name="a payload that is not JSON, said to fit",
        code=raw(
            'raw = opened()\nfor n in range(20):\n    header = {"jsonrpc": "2.0", "id": n, "method": "dispatch", '
            '"bodies": 1, "params": {"trigger": "hostile.event", "schema": ""}}\n'
            '    raw.sendall(json.dumps(header).encode() + b"\\n{no json\\n")'
        ),
        said="it cannot be encoded",
        quick=True,
    ),
    Case(
        name="answers that nobody reads",
        code=raw(
            'raw = opened()\nraw.settimeout(5)\nask = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "assignment"})\n'
            'try:\n    while True:\n        raw.sendall(ask.encode() + b"\\n")\nexcept OSError:\n    pass'
        ),
    ),
    Case(
        name="dispatches that wait for no answer",
        code=raw(
            'raw = opened()\nn = 0\nwhile True:\n    header = {"jsonrpc": "2.0", "id": n, "method": "dispatch", '
            '"bodies": 1, "params": {"trigger": "hostile.event"}}\n'
            '    raw.sendall(json.dumps(header).encode() + b"\\n{}\\n")\n    n += 1'
        ),
    ),
    Case(
        name="sessions without end",
        code=raw(
            "held = []\nwhile True:\n    try:\n        held.append(opened())\n    except OSError:\n"
            "        time.sleep(0.1)"
        ),
        overrides={"open_files": 900},
    ),
    Case(name="half a request on every socket", act=connect_to_all),
    Case(name="a client that never reads", act=ask_and_never_read),
    Case(
        name="a datastore used without end",
        code=running(
            "def use():\n"
            "    n = 0\n"
            "    while True:\n"
            "        self.sensor_service.set_value('k' * 200 + str(n % 5), 'v' * 100_000)\n"
            "        n += 1\n"
            "for _ in range(16):\n"
            "    threading.Thread(target=use, daemon=True).start()\n"
            "use()",
            "threading",
        ),
    ),
    Case(
        name="a value and a key too large to store",
        code=polling(
            'for key, value in (("k", "v" * 20_000_000), ("k" * 600_000, "v")):\n    try:\n'
            "        self.sensor_service.set_value(key, value)\n    except Exception as error:\n"
            '        self.sensor_service.get_logger("x").warning("refused: %s", str(error)[:200])'
        ),
        said="refused: ",
    ),
]
