"""What a StackStorm's st2.conf says of databases, brokers and logs, against real ones."""

from __future__ import annotations

import bz2
import json
import lzma
import pickle
import signal
import socket
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika
import pymongo
import pytest
from backports import zstd
from pika.exceptions import UnroutableError

from tests.conftest import missing
from tests.plugins.patience import SOON
from tests.support.servers import mongodb
from tests.support.servers.certificate import make_certificate
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.rabbitmq import RabbitMQ, parameters
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace

KEEPS = """
import time

class Keeps(Sensor):
    def run(self):
        self.sensor_service.set_value("k", "v")
        self.sensor_service.dispatch("p.kept", {"value": self.sensor_service.get_value("k")})
        time.sleep(1000)
"""


def add_sensor(workspace: Workspace) -> None:
    types = [{"name": "kept", "payload_schema": {"type": "object"}}]
    workspace.add_sensor("p", "Keeps", KEEPS, trigger_types=types)


def connect_as_stackstorm(workspace: Workspace, options: str) -> None:
    """Let StackStorm's keys say where the database is."""
    workspace.configure(f"[database]\n{options}")
    text = workspace.config.read_text().replace(f"connection = {workspace.database}\n", "")
    workspace.config.write_text(text)


@pytest.fixture
def mongod() -> None:
    if mongodb.executable() is None:
        missing("no mongod")


@pytest.mark.soak
@pytest.mark.usefixtures("mongod")
def test_mongodb_is_spoken_to_by_tls_and_with_a_login(folder: Path) -> None:
    key, certificate = make_certificate(folder)
    both = folder / "both.pem"
    both.write_text(key.read_text() + certificate.read_text())
    trusting: dict[str, Any] = {"tls": True, "tlsCAFile": str(certificate), "tlsCertificateKeyFile": str(both)}
    options = [
        "--tlsMode",
        "requireTLS",
        "--tlsCertificateKeyFile",
        str(both),
        "--tlsCAFile",
        str(certificate),
        "--auth",
    ]
    server = MongoDB(folder, *options, client=trusting)
    server.start()
    (folder / "w").mkdir()
    workspace = Workspace(folder / "w", database=server.url, messaging="local://")
    try:
        with pymongo.MongoClient[dict[str, object]](server.url, **trusting) as client:
            client["admin"].command("createUser", "me", pwd="p@ss/word", roles=["root"])
        add_sensor(workspace)
        tls = f"ssl = True\nssl_ca_certs = {certificate}\nssl_cert_reqs = required\ntls_certificate_key_file = {both}\n"
        address = f"host = 127.0.0.1\nport = {server.port}\n"
        connect_as_stackstorm(workspace, f"{address}{tls}username = me\npassword = p@ss/word\n")
        workspace.reload_well()
        listener = workspace.listen()
        workspace.start()
        assert listener.wait_for("p.kept")[0].payload == {"value": "v"}
        with pymongo.MongoClient[dict[str, object]](
            server.url, **trusting, username="me", password="p@ss/word"
        ) as client:
            assert client[workspace.name]["sensor_type_d_b"].count_documents({}) == 1

        for wrong, problem in [
            (f"{address}{tls}username = me\npassword = wrong\n", "Authentication failed"),
            (f"{address}ssl = True\nusername = me\npassword = p@ss/word\n", "certificate verify failed"),
        ]:
            connect_as_stackstorm(workspace, wrong)
            done = workspace.reload()
            assert done.returncode == 69
            assert problem in done.stderr
            assert "p@ss" not in done.stderr
            assert len(done.stderr.splitlines()) == 1
    finally:
        workspace.database = "sqlite://"
        workspace.close()
        server.stop()


@pytest.mark.soak
@pytest.mark.usefixtures("mongod")
def test_a_replica_set_is_found_by_a_uri_that_names_the_database(folder: Path) -> None:
    server = MongoDB(folder, "--replSet", "rs")
    server.start()
    (folder / "w").mkdir()
    workspace = Workspace(folder / "w", database=server.url, messaging="local://")
    address = f"127.0.0.1:{server.port}"
    try:
        with pymongo.MongoClient[dict[str, object]](server.url, directConnection=True) as client:
            client.admin.command("replSetInitiate", {"_id": "rs", "members": [{"_id": 0, "host": address}]})
            eventually("it has a primary", lambda: bool(client.admin.command("hello")["isWritablePrimary"]))
            add_sensor(workspace)
            connect_as_stackstorm(workspace, f"host = mongodb://{address}/named?replicaSet=rs")
            workspace.reload_well()
            listener = workspace.listen()
            workspace.start()
            assert listener.wait_for("p.kept")[0].payload == {"value": "v"}
            assert client["named"]["key_value_pair_d_b"].count_documents({"value": "v"}) == 1
    finally:
        workspace.database = "sqlite://"
        workspace.close()
        server.stop()


@pytest.mark.parametrize(
    ("name", "kind", "decompress"),
    [
        ("gzip", "application/x-gzip", zlib.decompress),
        ("bz2", "application/x-bz2", bz2.decompress),
        ("lzma", "application/x-lzma", lzma.decompress),
        ("zstd", "application/zstd", zstd.decompress),
    ],
)
def test_bodies_are_compressed_as_stackstorms_consumers_take_them(
    folder: Path, rabbit_server: RabbitMQ, name: str, kind: str, decompress: Callable[[bytes], bytes]
) -> None:
    workspace = Workspace(folder, database="sqlite://", messaging=rabbit_server.url, serializer="pickle")
    try:
        add_sensor(workspace)
        workspace.configure(f"[messaging]\ncompression = {name}")
        workspace.reload_well()
        listener = workspace.listen()
        workspace.start()

        def triggers() -> list[str]:
            return [pickle.loads(decompress(seen.raw))["trigger"] for seen in list(listener.seen)]

        eventually("it has arrived", lambda: "p.kept" in triggers())
        assert {seen.headers["compression"] for seen in list(listener.seen)} == {kind}
    finally:
        workspace.close()


LOGGING = """\
[loggers]
keys=root

[handlers]
keys=console, file, audit

[formatters]
keys=plain, gelf

[logger_root]
level=INFO
handlers=console, file, audit

[handler_console]
class=StreamHandler
level=WARNING
formatter=plain
args=(sys.stdout,)

[handler_file]
class=st2common.log.FormatNamedFileHandler
level=INFO
formatter=plain
args=("{folder}/container.log",)

[handler_audit]
class=st2common.logging.handlers.FormatNamedFileHandler
level=INFO
formatter=gelf
args=("{folder}/audit.{{pid}}.log",)

[formatter_plain]
class=st2common.logging.formatters.ConsoleLogFormatter
format=%(asctime)s %(thread)s %(levelname)s %(module)s [-] %(name)s %(message)s
datefmt=

[formatter_gelf]
class=st2common.logging.formatters.GelfLogFormatter
format=%(message)s
"""


def test_a_logging_conf_of_stackstorms_is_followed_and_its_files_are_opened_again(embedded: Workspace) -> None:
    folder = embedded.folder
    (folder / "logging.conf").write_text(LOGGING.format(folder=folder))
    embedded.configure("logging = logging.conf\n[log]\nexcludes = p.Noisy.inner\nredirect_stderr = True")
    embedded.add_sensor(
        "p",
        "Noisy",
        """
        import time

        class Noisy(Sensor):
            def run(self):
                for number in range(10**6):
                    self.sensor_service.get_logger("inner").warning("never heard")
                    self.sensor_service.get_logger("outer").warning("heard %d", number)
                    time.sleep(0.05)
        """,
    )
    embedded.reload_well()
    container = embedded.start()
    log = folder / "container.log"
    eventually("it logs", lambda: log.exists() and "heard 1" in log.read_text())
    # A name that cannot be opened leaves the old file.
    log.rename(folder / "old.log")
    log.mkdir()
    container.process.send_signal(signal.SIGUSR1)
    eventually("the old file goes on", lambda: "cannot be opened again" in (folder / "old.log").read_text())
    log.rmdir()
    container.process.send_signal(signal.SIGUSR1)
    eventually("it logs into a new file", lambda: log.is_file() and "heard" in log.read_text())
    container.stop()
    assert "stopped" in log.read_text()
    assert "stopped" not in (folder / "old.log").read_text()
    assert "never heard" not in log.read_text() + (folder / "old.log").read_text()
    # Warnings and worse.
    assert "heard 1" in container.log
    assert "started, pid" not in container.log
    (audit,) = folder.glob("audit.*.log")
    assert audit.name == f"audit.{container.process.pid}.log"
    messages = [json.loads(line) for line in audit.read_text().splitlines()]
    assert {message["version"] for message in messages} == {"1.1"}
    assert any("heard 1" in message["short_message"] and message["level"] == 4 for message in messages)

    (folder / "logging.conf").write_text("[loggers]\nkeys=nobody\n")
    done = embedded.run("st2sensorcontainer", "--config-file", str(embedded.config))
    assert done.returncode == 78
    assert f"error: [sensorcontainer] logging: {folder}/logging.conf: " in done.stderr
    assert "correct it, or remove the key" in done.stderr


@pytest.fixture
def statsd() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as received:
        received.bind(("127.0.0.1", 0))
        received.settimeout(SOON)
        yield received


def test_what_is_published_is_counted_and_timed_by_statsd(embedded: Workspace, statsd: socket.socket) -> None:
    add_sensor(embedded)
    embedded.configure(f"[metrics]\ndriver = statsd\nport = {statsd.getsockname()[1]}\nprefix = here")
    embedded.reload_well()
    embedded.start()
    name = f"st2.here.amqp.pool_publisher.publish_with_retries.{embedded.prefix}.trigger_instances_dispatch"
    counted = statsd.recv(1000).decode()
    assert counted.startswith(f"{name}:")
    assert counted.endswith("|c")
    timed = statsd.recv(1000).decode()
    assert timed.startswith(f"{name}:")
    assert timed.endswith("|ms")


def test_a_misspelt_key_is_warned_of_in_the_log(embedded: Workspace) -> None:
    embedded.configure("stop_timout = 3")
    embedded.start().wait_for_log(
        "[sensorcontainer] stop_timout is not known and has no effect; did you mean stop_timeout?"
    )


def test_one_sensor_alone_may_be_asked_for_as_stackstorms_charts_do(embedded: Workspace) -> None:
    add_sensor(embedded)
    embedded.add_sensor("q", "Other", KEEPS.replace("Keeps", "Other"))
    embedded.reload_well()
    for extra, arguments in (("", ["--single-sensor-mode", "--sensor-ref=p.Keeps"]), ("sensor_ref = p.Keeps", [])):
        embedded.configure(extra)
        container = embedded.start(*arguments)
        container.wait_for_log("p.Keeps started")
        assert list(eventually("it runs", container.wrappers)) == ["p.Keeps"]
        container.stop()
    embedded.configure("single_sensor_mode = true")
    done = embedded.run("st2sensorcontainer", "--config-file", str(embedded.config))
    assert done.returncode == 78
    assert "single-sensor mode needs --sensor-ref=PACK.CLASS, or [sensorcontainer] sensor_ref" in done.stderr


def test_a_compressed_announcement_that_is_broken_harms_nobody(folder: Path, rabbit_server: RabbitMQ) -> None:
    workspace = Workspace(folder, database="sqlite://", messaging=rabbit_server.url)
    try:
        workspace.configure("resync_interval = 600")
        container = workspace.start()
        container.wait_for_log("connected to")
        with pika.BlockingConnection(parameters(rabbit_server.url)) as connection:
            properties = pika.BasicProperties(headers={"compression": "application/x-gzip"})
            channel = connection.channel()
            channel.exchange_declare(f"{workspace.prefix}.sensor", "topic", durable=True)
            channel.confirm_delivery()

            def heard() -> bool:
                try:
                    channel.basic_publish(
                        f"{workspace.prefix}.sensor", "update", b"no gzip", properties, mandatory=True
                    )
                except UnroutableError:
                    # Nobody listens yet.
                    return False
                return True

            eventually("the container hears it", heard)
        add_sensor(workspace)
        workspace.reload_well()
        container.wait_for_log("p.Keeps started")
    finally:
        workspace.close()


# Commands of StackStorm's documents, on what they are about.


def test_one_pack_is_registered_wherever_it_is_and_all_others_stay_as_they_are(embedded: Workspace) -> None:
    add_sensor(embedded)
    embedded.add_sensor("q", "Other", KEEPS.replace("Keeps", "Other"))
    elsewhere = embedded.folder / "elsewhere" / "q"
    elsewhere.parent.mkdir()
    (embedded.packs / "q").rename(elsewhere)
    config = ("--config-file", str(embedded.config))
    done = embedded.run("st2-register-content", *config, f"--register-pack={elsewhere}/", "--register-sensors")
    assert done.returncode == 0, done.stderr
    assert [found["ref"] for found in embedded.documents("sensor_type_d_b")] == ["q.Other"]
    embedded.start().wait_for_log("q.Other started")
    embedded.reload_well()
    listed = {found["ref"] for found in embedded.documents("sensor_type_d_b")}
    assert listed == {"p.Keeps", "q.Other"}
    shown = embedded.reload_well("--register-pack", "elsewhere/q", "--verbose")
    assert "sensor        q.Other" in shown
    assert "p.Keeps" not in shown
    assert "q.Other" not in embedded.reload_well("--register-pack", "elsewhere/q")
    for named, reason in (("elsewhere", "the pack has no pack.yaml"), ("nowhere", "there is no such folder")):
        refused = embedded.reload("--register-pack", named)
        assert refused.returncode == 1
        assert reason in refused.stderr
        assert embedded.reload("--register-pack", named, "--register-no-fail-on-failure").returncode == 0


def test_a_container_is_configured_by_a_folder_and_debugged_as_stackstorms_documents_say(embedded: Workspace) -> None:
    add_sensor(embedded)
    folder = embedded.folder / "conf.d"
    folder.mkdir()
    (folder / "debug.conf").write_text("[system]\ndebug = True\n")
    embedded.reload_well()
    container = embedded.start("--config-dir", str(folder), "--use-debugger", "--sensor-ref=p.Keeps")
    container.wait_for_log("p.Keeps started")
    container.wait_for_log("DEBUG")
    assert "warning: --use-debugger has no effect" in container.log
