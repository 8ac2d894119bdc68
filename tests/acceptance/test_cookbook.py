"""The recipes of docs/cookbook, each with its own requirements, against a real server or a fake of its protocol."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
import tty
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from aiohttp import web

from tests.conftest import missing
from tests.plugins.patience import AT_LAST, LATER, SOON
from tests.support.servers.imap import Imap
from tests.support.servers.kubernetes import Cluster
from tests.support.servers.ports import free_port
from tests.support.servers.process import Server
from tests.support.servers.waiting import eventually
from tests.support.workspace import ROOT, Container, Listener, Workspace

RECIPES = sorted(path.parent for path in (ROOT / "docs" / "cookbook").glob("*/pack.yaml"))


MOTO = ("moto[s3,sqs]==5.2.5", "flask-cors==6.0.5")
"""The fake of Amazon's services."""


class Recipe:
    """A recipe's pack, installed into a workspace, and its running sensor."""

    def __init__(self, workspace: Workspace, name: str, interval: float | None = None, **configuration: Any) -> None:
        self.workspace = workspace
        pack = workspace.packs / name
        shutil.copytree(ROOT / "docs" / "cookbook" / name, pack)
        (metadata,) = (pack / "sensors").glob("*.yaml")
        described = yaml.safe_load(metadata.read_text())
        if interval:
            metadata.write_text(yaml.safe_dump({**described, "poll_interval": interval}))
        self.sensor = f"{name}.{described['class_name']}"
        self.trigger = f"{name}.{described['trigger_types'][0]['name']}"
        (workspace.folder / "configs").mkdir()
        (workspace.folder / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(configuration))
        self.home = workspace.folder / "virtualenvs" / name
        # Client libraries and pip raise warnings of their own.
        workspace.warnings = "default"
        workspace.reload_well("--register-setup-virtualenvs")
        self.listener: Listener = workspace.listen()
        self.container: Container = workspace.start()
        self.container.wait_for_log(f"{self.sensor} started")

    def stop(self) -> None:
        """Stop the container, and with it the sensor, which must end by itself."""
        began = time.monotonic()
        assert self.container.stop() == 0
        assert time.monotonic() - began < SOON / 4
        assert "Traceback" not in self.container.log
        assert "did not stop within" not in self.container.log

    def start(self) -> None:
        self.container = self.workspace.start()
        self.container.wait_for_log(f"{self.sensor} started")

    def payloads(self) -> list[dict[str, Any]]:
        return [seen.payload for seen in self.listener.of(self.trigger)]

    def expect(self, key: str, *values: object) -> None:
        """Wait until exactly these events have come, in this order."""

        def look() -> bool:
            return len(self.payloads()) >= len(values)

        eventually(f"{len(values)} events", look, LATER)
        assert [payload[key] for payload in self.payloads()] == list(values)


@contextmanager
def serving(port: int, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Iterator[None]:
    """Answer every request on a port in a thread. At the end, all connections break."""
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
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


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_validate_finds_no_error_in_a_recipe(recipe: Path, embedded: Workspace) -> None:
    done = embedded.run("st2sensor", "validate", "--json", str(recipe))
    assert done.returncode == 0, done.stdout
    # Its requirements are those of the recipe, so they may be missing here.
    assert {found["rule"] for found in json.loads(done.stdout)} <= {"not-installed", "not-checked"}, done.stdout


@pytest.mark.soak(minutes=2)
def test_rss(embedded: Workspace) -> None:
    port, titles = free_port(), ["old"]

    async def feed(request: web.Request) -> web.Response:  # noqa: ARG001
        items = "".join(f"<item><guid>{title}</guid><title>{title}</title></item>" for title in reversed(titles))
        return web.Response(text=f"<rss version='2.0'><channel>{items}</channel></rss>", content_type="text/xml")

    with serving(port, feed):
        recipe = Recipe(embedded, "rss", 0.2, feeds=[f"http://127.0.0.1:{port}/"])
        eventually("the first look", lambda: embedded.documents("key_value_pair_d_b"), SOON)
        titles += ["a", "b"]
        recipe.expect("title", "a", "b")
    recipe.container.wait_for_log("the next poll tries again")
    titles.append("c")
    with serving(port, feed):
        recipe.expect("title", "a", "b", "c")
        recipe.stop()
        titles.append("d")
        recipe.start()
        recipe.expect("title", "a", "b", "c", "d")
        recipe.stop()


@pytest.mark.soak(minutes=2)
def test_websocket(embedded: Workspace) -> None:
    port, numbers = free_port(), [1, 2]

    async def stream(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        last = (await socket.receive_json())["after"] or 0
        try:
            while not socket.closed:
                for number in [number for number in numbers if number > last]:
                    await socket.send_json({"id": number})
                    last = number
                with suppress(asyncio.TimeoutError):
                    await socket.receive(timeout=0.1)
        finally:
            assert request.transport
            request.transport.abort()
        return socket

    url = f"ws://127.0.0.1:{port}/"
    with serving(port, stream):
        recipe = Recipe(embedded, "websocket", url=url, subscribe='{"after": {cursor}}', cursor_field="id")
        recipe.expect("data", {"id": 1}, {"id": 2})
    recipe.container.wait_for_log("trying again")
    numbers.append(3)
    with serving(port, stream):
        recipe.expect("data", *({"id": number} for number in (1, 2, 3)))
        recipe.stop()
        numbers.append(4)
        recipe.start()
        recipe.expect("data", *({"id": number} for number in (1, 2, 3, 4)))
        recipe.stop()


@pytest.mark.soak(minutes=2)
def test_mailbox(embedded: Workspace) -> None:
    def mail(subject: str) -> bytes:
        message = EmailMessage()
        message["Subject"], message["From"], message["Message-ID"] = subject, "ann@example.org", f"<{subject}@x>"
        message.set_content("Hello")
        return message.as_bytes()

    port, mails = free_port(), [mail("old")]
    server = Imap(port, mails)
    account = {"host": "127.0.0.1", "port": port, "tls": False, "username": "u", "password": "secret-word"}
    recipe = Recipe(embedded, "mailbox", 0.2, **account)
    eventually("the first look", lambda: embedded.documents("key_value_pair_d_b"), SOON)
    mails += [mail("a"), mail("b")]
    recipe.expect("subject", "a", "b")
    assert recipe.payloads()[0]["text"].strip() == "Hello"
    server.close()
    recipe.container.wait_for_log("the next poll tries again")
    mails.append(mail("c"))
    server = Imap(port, mails)
    recipe.expect("subject", "a", "b", "c")
    recipe.stop()
    mails.append(mail("d"))
    recipe.start()
    recipe.expect("subject", "a", "b", "c", "d")
    recipe.stop()
    server.close()
    assert "secret-word" not in recipe.container.log


@pytest.mark.soak(minutes=2)
def test_syslog(embedded: Workspace) -> None:
    port = free_port()
    recipe = Recipe(embedded, "syslog", port=port, least_severity=6)
    recipe.container.wait_for_log("listening on")

    def send(*texts: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for text in texts:
                sender.sendto(text.encode(), ("127.0.0.1", port))

    send("<34>first", "<15>for debugging", "without a priority\n", *(f"<14>{number}" for number in range(300)))
    texts = ["first", "without a priority", *map(str, range(300))]
    recipe.expect("text", *texts)
    assert [recipe.payloads()[0][key] for key in ("facility", "severity")] == [4, 2]
    recipe.stop()
    recipe.start()
    recipe.container.wait_for_log("listening on")
    send("<34>last")
    recipe.expect("text", *texts, "last")
    recipe.stop()


@pytest.mark.soak(minutes=2)
def test_mqtt(embedded: Workspace) -> None:
    executable = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if executable is None:
        missing("no mosquitto: as root, make soak installs Debian's mosquitto")
    assert executable
    port, store = free_port(), embedded.folder / "mosquitto"
    store.mkdir()
    user = "root" if os.getuid() == 0 else ""
    config = store / "mosquitto.conf"
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence true", f"persistence_location {store}/"]
    config.write_text("\n".join([*lines, *([f"user {user}"] if user else []), ""]))
    command = [executable, "-c", str(config)]
    broker = Server(command, env=dict(os.environ), folder=store)
    try:
        recipe = Recipe(embedded, "mqtt", host="127.0.0.1", port=port, tls=False, topics=["t/#"])
        recipe.container.wait_for_log("connected; new session")

        def publish(text: str) -> None:
            code = "import sys, paho.mqtt.publish as p; p.single('t/a', sys.argv[2], 1, port=int(sys.argv[1]))"
            subprocess.run([recipe.home / "bin" / "python", "-c", code, str(port), text], check=True, timeout=SOON)

        publish("0")
        recipe.expect("text", "0")
        publish("a")
        recipe.expect("text", "0", "a")
        broker.end(signal.SIGTERM)
        recipe.container.wait_for_log("the connection is lost")
        broker = Server(command, env=dict(os.environ), folder=store)
        recipe.container.wait_for_log("connected; known session")
        publish("b")
        recipe.expect("text", "0", "a", "b")
        recipe.stop()
        publish("c")
        recipe.start()
        recipe.expect("text", "0", "a", "b", "c")
        recipe.stop()
    finally:
        broker.end(signal.SIGTERM)


@pytest.mark.soak(minutes=2)
def test_postgres(embedded: Workspace) -> None:
    found = [str(path.parent) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))]
    home = (shutil.which("postgres") and str(Path(shutil.which("postgres") or "").resolve().parent)) or (found or [""])[
        -1
    ]
    if not home:
        missing("no PostgreSQL: as root, make soak installs Debian's postgresql")
    port, data = free_port(), embedded.folder / "postgres"
    data.mkdir()
    prefix = []
    if os.getuid() == 0:
        # It refuses to run as root.
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chown(data, 65534, 65534)
        embedded.folder.chmod(0o711)
    initdb = [*prefix, f"{home}/initdb", "-D", f"{data}/db", "-U", "sensor", "-A", "trust", "-N"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, timeout=LATER, cwd="/")
    command = [*prefix, f"{home}/postgres", "-D", f"{data}/db", "-p", str(port), "-h", "127.0.0.1", "-k", "", "-F"]
    connection = f"host=127.0.0.1 port={port} user=sensor dbname=postgres"

    def sql(text: str) -> int:
        words = [f"{home}/psql", connection, "-qXc", text]
        return subprocess.run(words, timeout=SOON, check=False, stderr=subprocess.DEVNULL, cwd="/").returncode

    def insert(*numbers: int) -> None:
        values = ", ".join(f"('{number}')" for number in numbers)
        assert sql(f"INSERT INTO events (payload) VALUES {values}") == 0

    server = Server(command, env=dict(os.environ), folder=data)
    try:
        eventually("PostgreSQL answers", lambda: sql("SELECT 1") == 0, LATER)
        assert sql((ROOT / "docs" / "cookbook" / "postgres" / "events.sql").read_text()) == 0
        recipe = Recipe(embedded, "postgres", connection=connection)
        recipe.container.wait_for_log("listening on events")
        insert(*range(250))
        recipe.expect("data", *range(250))
        server.end(signal.SIGINT)
        recipe.container.wait_for_log("trying again")
        server = Server(command, env=dict(os.environ), folder=data)
        eventually("PostgreSQL answers", lambda: sql("SELECT 1") == 0, LATER)
        insert(250)
        recipe.expect("data", *range(251))
        recipe.stop()
        insert(251)
        recipe.start()
        recipe.expect("data", *range(252))
        recipe.stop()
    finally:
        server.end(signal.SIGINT)


@pytest.mark.soak(minutes=2)
def test_alertmanager(embedded: Workspace) -> None:
    port = free_port()
    recipe = Recipe(embedded, "alertmanager", port=port, token="sesame")
    recipe.container.wait_for_log("listening on")

    def post(*alerts: tuple[str, str], token: str = "sesame") -> int:
        described: list[Any] = [
            {"status": status, "labels": {"alertname": name}, "startsAt": "2026-01-31T12:00:00Z", "fingerprint": name}
            for name, status in alerts
        ]
        headers = {"Authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{port}/"
        return requests.post(url, json={"alerts": described}, headers=headers, timeout=SOON).status_code

    assert post(("a", "firing"), token="wrong") == 401
    assert requests.post(f"http://127.0.0.1:{port}/", data="{", timeout=SOON).status_code == 401
    assert post(("a", "firing")) == 200
    assert post(("a", "firing"), ("b", "firing")) == 200
    recipe.expect("name", "a", "b")
    recipe.stop()
    recipe.start()
    recipe.container.wait_for_log("listening on")
    assert post(("a", "resolved"), ("b", "firing")) == 200
    recipe.expect("name", "a", "b", "a")
    assert [payload["status"] for payload in recipe.payloads()] == ["firing", "firing", "resolved"]
    recipe.stop()


@pytest.mark.soak(minutes=2)
def test_kubernetes(embedded: Workspace) -> None:
    port, cluster = free_port(), Cluster("sesame")
    for number in range(300):
        cluster.change("ADDED", f"old-{number:03}")
    token = embedded.folder / "token"
    token.write_text("wrong\n")
    account: dict[str, Any] = {"server": f"http://127.0.0.1:{port}", "token_file": str(token)}
    with serving(port, cluster.answer):
        recipe = Recipe(embedded, "kubernetes", path="/api/v1/namespaces/shop/pods", **account)
        recipe.container.wait_for_log("401 Client Error")
        token.write_text("sesame\n")
        eventually("a watch", lambda: cluster.watches, SOON)
        for kind in ("ADDED", "MODIFIED", "DELETED"):
            cluster.change(kind, "a")
        recipe.expect("type", "ADDED", "MODIFIED", "DELETED")
        assert "managedFields" not in recipe.payloads()[0]["object"]["metadata"]
        assert [recipe.payloads()[0][key] for key in ("namespace", "name")] == ["shop", "a"]
    recipe.container.wait_for_log("trying again", 2)
    cluster.change("ADDED", "b")
    with serving(port, cluster.answer):
        recipe.expect("name", "a", "a", "a", "b")
        # Nothing has changed since the bookmark, so nothing was missed.
        cluster.mark()

        def cursors() -> list[str]:
            return [str(entry["value"]) for entry in embedded.documents("key_value_pair_d_b")]

        eventually("the bookmark is the cursor", lambda: str(cluster.version) in cursors(), SOON)
        recipe.stop()
        cluster.forget()
        cluster.change("MODIFIED", "b")
        recipe.start()
        names, left = ["a", "a", "a", "b", "b"], [f"old-{number:03}" for number in range(300)]
        recipe.expect("name", *names)
        for refuses in (False, True):
            recipe.stop()
            cluster.refuses = refuses
            cluster.change("DELETED", left.pop(0))
            cluster.forget()
            recipe.start()
            recipe.container.wait_for_log("changes may have been missed")
            names += ["b", *left]
            recipe.expect("name", *names)
            assert {payload["type"] for payload in recipe.payloads()[-len(left) :]} == {"PRESENT"}
        recipe.stop()
    assert "sesame" not in recipe.container.log


@pytest.mark.soak(minutes=2)
def test_sqs(embedded: Workspace) -> None:
    port, home = free_port(), embedded.folder / "moto"
    url = f"http://127.0.0.1:{port}"
    command = [str(home / "bin" / "python"), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    account: dict[str, Any] = {"region": "eu-west-1", "access_key_id": "id", "secret_access_key": "secret-word"}
    queue = f"{url}/123456789012/events"

    def amazon(code: str, *arguments: str) -> None:
        """Run code with clients of both services; create the queue and the bucket unless they exist."""
        made = """if 1:
            import boto3, json, sys
            of = {"region_name": "eu-west-1", "endpoint_url": sys.argv[1]}
            of |= {"aws_access_key_id": "id", "aws_secret_access_key": "x"}
            sqs, s3 = boto3.client("sqs", **of), boto3.client("s3", **of)
            queue = sqs.create_queue(QueueName="events")["QueueUrl"]
        """
        words = [str(recipe.home / "bin" / "python"), "-c", f"{made}\n{code}", url, *arguments]
        subprocess.run(words, check=True, timeout=SOON)

    recipe = Recipe(embedded, "sqs", queue_url=queue, endpoint_url=url, **account)
    _install_moto(home, recipe.home)
    recipe.container.wait_for_log("trying again")
    server = Server(command, env=dict(os.environ), folder=home)
    try:
        eventually("moto answers", lambda: _answers(port), LATER)
        send = "for text in sys.argv[2:]: sqs.send_message(QueueUrl=queue, MessageBody=text)"
        amazon(send, "plain", '{"a": 1}')
        recipe.expect("data", None, {"a": 1})
        assert recipe.payloads()[0]["body"] == "plain"
        notify = """if 1:
            s3.create_bucket(Bucket="photos", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
            arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            told = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
            s3.put_bucket_notification_configuration(Bucket="photos", NotificationConfiguration=told)
            s3.put_object(Bucket="photos", Key="cat.jpg", Body=b"meow")
        """
        amazon(notify)

        def pictures() -> list[str]:
            records = [record for payload in recipe.payloads()[2:] for record in payload["data"].get("Records", [])]
            return [record["s3"]["object"]["key"] for record in records]

        eventually("the object is reported", lambda: pictures() == ["cat.jpg"], SOON)
        told = len(recipe.payloads())
        server.end(signal.SIGKILL)
        recipe.container.wait_for_log("trying again", recipe.container.log.count("trying again") + 1)
        server = Server(command, env=dict(os.environ), folder=home)
        eventually("moto answers", lambda: _answers(port), LATER)
        amazon(send, *map(str, range(25)))
        eventually("all are told", lambda: len(recipe.payloads()) >= told + 25, LATER)
        # A queue of the standard kind keeps no order.
        assert sorted(payload["data"] for payload in recipe.payloads()[told:]) == list(range(25))
        recipe.stop()
        amazon(send, "25")
        recipe.start()
        eventually("it continues", lambda: len(recipe.payloads()) >= told + 26, LATER)
        assert recipe.payloads()[-1]["data"] == 25
        recipe.stop()
    finally:
        server.end(signal.SIGKILL)
    assert "secret-word" not in recipe.container.log


def _install_moto(home: Path, recipe: Path) -> None:
    """Make a virtualenv with moto, on top of what the tests and the recipe have installed."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True, timeout=AT_LAST)
    (site,), (theirs,) = home.glob("lib/python*/site-packages"), recipe.glob("lib/python*/site-packages")
    (site / "others.pth").write_text(f"{theirs}\n{sysconfig.get_path('purelib')}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install", "--quiet", "--no-compile"]
    subprocess.run([*pip, *MOTO], check=True, timeout=AT_LAST)


def _answers(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), SOON).close()
        return True
    return False


@pytest.mark.soak(minutes=2)
def test_serial(embedded: Workspace) -> None:
    device = embedded.folder / "port"

    def plugged_in() -> int:
        """Make the device; return the descriptor of its far end, which unplugs it when it is closed."""
        far, near = pty.openpty()
        tty.setraw(near)
        device.unlink(missing_ok=True)
        device.symlink_to(os.ttyname(near))
        os.close(near)
        return far

    far = plugged_in()
    recipe = Recipe(embedded, "serial", device=str(device))
    recipe.container.wait_for_log(f"reading {device}")
    os.write(far, b"a\r\nb\nha")
    recipe.expect("line", "a", "b")
    os.write(far, b"lf\n\xff\n")
    os.write(far, b"x" * 3000 + b"y" * 1096)
    recipe.expect("line", "a", "b", "half", "\ufffd", "x" * 3000 + "y" * 1096)
    lines = [payload["line"] for payload in recipe.payloads()]
    os.close(far)
    recipe.container.wait_for_log("trying again")
    far = plugged_in()
    recipe.container.wait_for_log(f"reading {device}", 2)
    os.write(far, b"c\n")
    recipe.expect("line", *lines, "c")
    recipe.stop()
    recipe.start()
    recipe.container.wait_for_log(f"reading {device}")
    os.write(far, b"d\n")
    recipe.expect("line", *lines, "c", "d")
    recipe.stop()
    os.close(far)
