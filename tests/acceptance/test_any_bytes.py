"""Any bytes on the container's sockets: they end their own connection at most."""

from __future__ import annotations

import json
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.plugins.examples import examples
from tests.plugins.patience import SOON
from tests.support.servers.ports import free_port
from tests.support.workspace import Container, Workspace

CODE = """
import os, time

class Ticks(Sensor):
    def run(self):
        with open({file!r}, "w") as file:
            file.write(os.environ["ST2SENSOR_TOKEN"])
        n = 0
        while True:
            self.sensor_service.dispatch("s.tick", {{"n": n}})
            n += 1
            time.sleep(0.05)
"""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
METHOD_NAMES = """
    hello assignment dispatch schema user.info listen subscribe ready set_up poll ending hear log datastore.get
    datastore.set datastore.list datastore.delete datastore.compare_and_set datastore.dispatch_and_set node sensors
    sensor logs restart log_level refresh follow neighbour
"""
PARAMETER_NAMES = """
    trigger payload trace_context tagged schema texts events name value ttl local scope encrypt decrypt expected
    is_expected prefix limit offset running interval logger level message ref kinds token version
"""
METHODS = st.sampled_from(METHOD_NAMES.split()) | st.text(max_size=10)
PARAMETERS = st.sampled_from(PARAMETER_NAMES.split())
REQUESTS = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": METHODS},
    optional={
        "id": st.integers(-5, 2**70) | JSON,
        "params": st.dictionaries(PARAMETERS, JSON, max_size=6) | JSON,
        "bodies": st.integers(-1, 4) | JSON,
    },
)
LINES = REQUESTS.map(lambda item: json.dumps(item).encode()) | JSON.map(lambda item: json.dumps(item).encode())
SAID = st.lists(LINES | st.binary(max_size=200), max_size=6).map(b"\n".join) | st.binary(max_size=2000)
HTTP = st.tuples(
    st.sampled_from([b"GET", b"POST", b"HEAD", b"\x00"]) | st.binary(max_size=8),
    st.sampled_from([b"/", b"/sensors", b"/ready", b"/live", b"/metrics", b"/events", b"/?token="])
    | st.binary(max_size=100),
    st.lists(st.binary(max_size=60), max_size=4),
).map(lambda parts: b"%b %b HTTP/1.1\r\n%b\r\n\r\n" % (parts[0], parts[1], b"\r\n".join(parts[2])))


@dataclass(frozen=True, kw_only=True)
class Site:
    """A container with a sensor, and its doors."""

    workspace: Workspace
    container: Container
    token: str
    port: int


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    # Short enough for a Unix socket.
    folder = Path(tempfile.mkdtemp(prefix="st2s-"))
    workspace = Workspace(folder, database="sqlite://", messaging="local://")
    port = free_port()
    workspace.configure(f"http = 127.0.0.1:{port}")
    file = folder / "token"
    workspace.add_sensor("s", "Ticks", CODE.format(file=str(file)), trigger_types=[{"name": "tick"}])
    workspace.reload_well()
    listener = workspace.listen()
    container = workspace.start()
    listener.wait_for("s.tick")
    yield Site(workspace=workspace, container=container, token=file.read_text(), port=port)
    before = len(listener.of("s.tick"))
    numbers = [seen.payload.get("n") for seen in listener.wait_for("s.tick", before + 5)]
    workspace.close()
    shutil.rmtree(folder, ignore_errors=True)
    assert sorted(n for n in numbers if isinstance(n, int)) == list(range(len(numbers)))


def say(address: str | tuple[str, int], data: bytes) -> None:
    """Say something, and hear what is answered until it ends or says nothing."""
    with closing(socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)) as opened:
        opened.settimeout(SOON)
        opened.connect(address)
        with suppress(ConnectionError):
            opened.sendall(data)
            opened.shutdown(socket.SHUT_WR)
            while opened.recv(65536):
                pass


def is_well(site: Site) -> None:
    assert site.container.process.poll() is None
    assert "Traceback" not in site.container.log, site.container.log[-3000:]


@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(said=SAID, greets=st.booleans())
def test_a_wrapper_may_say_anything(site: Site, said: bytes, greets: bool) -> None:
    hello = {"jsonrpc": "2.0", "id": 1, "method": "hello", "params": {"version": 1, "token": site.token}}
    (path,) = [path for path in site.workspace.state.glob("*.sock") if not re.match("control", path.name)]
    say(str(path), (json.dumps(hello).encode() + b"\n" if greets else b"") + said + b"\n")
    is_well(site)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(said=SAID)
def test_an_operator_may_say_anything(site: Site, said: bytes) -> None:
    say(str(site.workspace.state / "control.sock"), said + b"\n")
    is_well(site)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(said=HTTP | st.binary(max_size=500))
def test_a_client_may_say_anything(site: Site, said: bytes) -> None:
    say(("127.0.0.1", site.port), said)
    is_well(site)
