"""No trigger is lost by a broker that fails. A consumer that uses none of this code counts numbered streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.conftest import missing
from tests.plugins.patience import LATER
from tests.support.servers import rabbitmq
from tests.support.servers.certificate import make_certificate
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.ports import free_port
from tests.support.servers.proxy import Proxy
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.waiting import eventually
from tests.support.streams import Stream, dead_letters, drain
from tests.support.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The broker's port for TLS, and its key and certificate in a file each."""

    port: int
    key: Path
    certificate: Path


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    key, certificate = make_certificate(tmp_path_factory.mktemp("tls"))
    return Tls(port=free_port(), key=key, certificate=certificate)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, tls: Tls) -> Iterator[RabbitMQ]:
    """A broker that tests may stop, kill and start again."""
    if rabbitmq.executable() is None:
        missing("no RabbitMQ: as root, make test installs Debian's rabbitmq-server")
    server = RabbitMQ(
        tmp_path_factory.mktemp("broker"),
        f"max_message_size = 200000\nlisteners.ssl.1 = 127.0.0.1:{tls.port}\n"
        f"ssl_options.certfile = {tls.certificate}\nssl_options.keyfile = {tls.key}\n"
        f"ssl_options.cacertfile = {tls.certificate}\n",
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def running(broker: RabbitMQ) -> RabbitMQ:
    """The broker, started if the last test has left it stopped."""
    if not broker.is_running:
        broker.start()
    return broker


@pytest.fixture
def workspace(folder: Path, running: RabbitMQ, mongo_server: MongoDB) -> Iterator[Workspace]:
    found = Workspace(folder, database=mongo_server.url, messaging=running.url)
    yield found
    found.close()


# The broker is tried again soon after it is back.
RETRIES = "[messaging]\nconnection_retry_wait = 500"


@pytest.mark.parametrize(
    ("count", "pause"),
    [(300, 0.01), pytest.param(10_000, 0.002, marks=pytest.mark.soak(minutes=2), id="for minutes")],
)
def test_the_broker_is_away_and_dispatch_goes_on(
    workspace: Workspace, running: RabbitMQ, count: int, pause: float
) -> None:
    workspace.configure(RETRIES)
    stream = Stream(workspace, pause=pause)
    container = workspace.start()
    stream.wait_for(300)
    running.stop()
    container.wait_for_log("triggers wait in the outbox")
    # None of these waits for the broker.
    stream.wait_for(count)
    running.start()
    container.wait_for_log("connected to", 2)
    stream.wait_for(100)
    stream.end()
    stream.check(running)


@pytest.mark.parametrize(("times", "pause"), [(1, 0.01), pytest.param(10, 0.002, marks=pytest.mark.soak(minutes=4))])
def test_the_broker_is_killed_again_and_again_in_the_middle_of_a_stream(
    workspace: Workspace, running: RabbitMQ, times: int, pause: float
) -> None:
    workspace.configure(RETRIES)
    stream = Stream(workspace, pause=pause)
    workspace.start()
    for _ in range(times):
        stream.wait_for(100)
        running.kill()
        running.start()
    stream.wait_for(100)
    stream.end()
    stream.check(running)


@pytest.mark.soak(minutes=4)
@pytest.mark.parametrize("heartbeat", [pytest.param(60, id="usual")])
def test_packets_to_the_broker_vanish(folder: Path, running: RabbitMQ, mongo_server: MongoDB, heartbeat: int) -> None:
    proxy = Proxy(running.port)
    url = f"amqp://guest:guest@127.0.0.1:{proxy.port}//?heartbeat={heartbeat}"
    workspace = Workspace(folder, database=mongo_server.url, messaging=url)
    try:
        workspace.configure(RETRIES)
        stream = Stream(workspace)
        container = workspace.start()
        stream.wait_for(300)
        proxy.stall()
        # The broker has been silent for two heartbeats.
        container.wait_for_log("triggers wait in the outbox", timeout=LATER)
        stream.wait_for(100)
        proxy.resume()
        stream.wait_for(100)
        stream.end()
        stream.check(running)
    finally:
        workspace.close()
        proxy.close()


@pytest.mark.soak
def test_the_broker_runs_out_of_memory_for_a_while(workspace: Workspace, running: RabbitMQ) -> None:
    stream = Stream(workspace)
    container = workspace.start()
    stream.wait_for(200)
    running.control("set_vm_memory_high_watermark", "0")
    try:
        container.wait_for_log("blocks its publishers")
        stream.wait_for(300)
        stream.end()
        # A blocked broker does not hold the stop, and what waits is on disk.
        assert container.stop() == 0
    finally:
        running.control("set_vm_memory_high_watermark", "0.4")
    container = workspace.start()
    stream.check(running)


def test_a_message_the_broker_never_takes_does_not_block_those_behind_it(
    workspace: Workspace, running: RabbitMQ
) -> None:
    workspace.add_sensor(
        "large",
        "Large",
        """
        class Large(Sensor):
            def run(self):
                for n in range(20):
                    self.sensor_service.dispatch("large.event", {"n": n, "x": "x" * (300000 if n == 7 else 10)})
        """,
        trigger_types=[{"name": "event"}],
    )
    workspace.reload_well()
    container = workspace.start()
    container.wait_for_log("large.event of large.Large is kept as a dead letter")
    received: list[int] = []

    def drained() -> bool:
        received.extend(drain(running, workspace, "large.event"))
        return len(set(received)) == 19

    eventually("the others", drained)
    assert sorted(set(received)) == [n for n in range(20) if n != 7]
    (letter,) = eventually("the dead letter is on disk", lambda: dead_letters(workspace))
    assert letter["payload"]["n"] == 7
    assert "refused it" in letter["reason"]


def test_the_broker_is_spoken_to_by_tls(folder: Path, running: RabbitMQ, tls: Tls) -> None:
    workspace = Workspace(folder, database="sqlite://", messaging=f"amqp://guest:guest@127.0.0.1:{tls.port}//")
    workspace.configure(f"[messaging]\nssl = True\nssl_cert_reqs = required\nssl_ca_certs = {tls.certificate}")
    try:
        stream = Stream(workspace)
        workspace.declare_queue(running.url)
        container = workspace.start()
        stream.wait_for(50)
        stream.end()
        stream.check(running)
        container.stop()
        workspace.configure("[messaging]\nssl = True\nssl_cert_reqs = required")
        workspace.start().wait_for_log("certificate verify failed")
    finally:
        workspace.close()


@pytest.mark.soak(minutes=2)
def test_the_memory_of_a_container_is_flat_while_a_backlog_grows_and_drains(
    workspace: Workspace, running: RabbitMQ
) -> None:
    workspace.configure("[outbox]\ndurability = process")
    stream = Stream(workspace, pause=0)
    container = workspace.start()
    stream.wait_for(500)
    process = psutil.Process(container.process.pid)
    running.stop()
    before = process.memory_info().rss
    # So many that keeping them would show.
    stream.wait_for(10000)
    stream.end()
    running.start()
    stream.check(running)
    assert process.memory_info().rss - before < 20e6
