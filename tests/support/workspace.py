"""A folder with a configuration and packs, in which the real commands run as processes, and means to observe them.

Everything is observed from outside: RabbitMQ with pika, MongoDB with pymongo, the embedded files with sqlite3.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import functools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pika
import psutil
import pymongo
import yaml
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic, BasicProperties

from tests.plugins import failures
from tests.plugins.patience import AT_LAST, FACTOR, SOON
from tests.support.forks import Forks, Process
from tests.support.servers.rabbitmq import parameters
from tests.support.servers.waiting import eventually

ROOT = Path(__file__).parents[2]

CONFIG = """\
[system]
base_path = .
[content]
system_packs_base_path = packs
[database]
connection = {database}
db_name = {name}
connection_timeout = {timeout}
[messaging]
url = {messaging}
prefix = {prefix}
serializer = {serializer}
[keyvalue]
encryption_key_path = datastore_key.json
[sensorcontainer]
state_dir = {state}
{extra}
"""

COMMANDS = (sys.executable, "-m", "tests.support.forked_commands")
"""The process whose forks are the product's commands."""

METHODS = ("setup", "run", "cleanup", "add_trigger", "update_trigger", "remove_trigger")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A message as an outside consumer got it."""

    exchange: str
    routing_key: str
    content_type: str
    message_id: str | None
    raw: bytes
    headers: dict[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def body(self) -> dict[str, Any]:
        """The decoded message. It is decoded once, because tests look at all messages again and again."""
        decoded: dict[str, Any] = json.loads(self.raw)
        return decoded

    @property
    def trigger(self) -> str:
        return str(self.body["trigger"])

    @property
    def payload(self) -> dict[str, Any]:
        payload: dict[str, Any] = self.body["payload"]
        return payload


class Workspace:
    """:param database: `mongodb://...` or `sqlite://`; :param messaging: `amqp://...` or `local://`."""

    def __init__(
        self, folder: Path, *, database: str, messaging: str, serializer: str = "json", prefix: str | None = None
    ) -> None:
        self.folder = folder
        self.database = database
        self.messaging = messaging
        self.serializer = serializer
        self.name = f"st2_{uuid.uuid4().hex[:12]}"
        self.prefix = prefix or self.name
        self.packs = folder / "packs"
        self.state = folder / "state"
        self.config = folder / "st2.conf"
        self.has_consumer = True
        """Whether a consumer declares its queue before a container starts. A broker that is not real may never answer
        it."""
        self.warnings = "error"
        """How commands treat warnings; eventlet itself raises some."""
        self.packs.mkdir()
        self.temporary = folder / "tmp"
        """Where containers and their sensors make temporary files."""
        self.temporary.mkdir()
        self.configure()
        self._containers: list[Container] = []
        self._listeners: list[Listener] = []
        failures.remember(self)

    def configure(self, extra: str = "") -> None:
        """Write st2.conf; extra lines go into [sensorcontainer] and may open other sections."""
        self.config.write_text(self.configuration(extra))

    def configuration(self, extra: str, *, state: str = "state") -> str:
        """Return an st2.conf with this workspace's backends and packs.

        :param extra: lines of [sensorcontainer]; :param state: the state directory.
        """
        return CONFIG.format(
            database=self.database,
            timeout=round(500 * FACTOR),
            messaging=self.messaging,
            name=self.name,
            prefix=self.prefix,
            serializer=self.serializer,
            state=state,
            extra=extra,
        )

    def make_key(self) -> Path:
        """Make the key that encrypts secrets."""
        path = self.folder / "datastore_key.json"
        done = self.run("st2-generate-symmetric-crypto-key", "--key-path", str(path))
        assert done.returncode == 0, done.stderr
        return path

    # Packs.

    def add_pack(self, name: str) -> Path:
        path = self.packs / name
        for kind in ("sensors", "triggers", "rules"):
            (path / kind).mkdir(parents=True, exist_ok=True)
        (path / "pack.yaml").write_text(f"name: {name}\nversion: 1.0.0\n")
        return path

    def link_pack(self, name: str) -> None:
        """Use a bundled pack."""
        (self.packs / name).symlink_to(ROOT / "packs" / name)

    def add_sensor(self, pack: str, class_name: str, code: str, **metadata: Any) -> Path:
        """Add a sensor's two files, and return the Python file. Methods that the code lacks are filled in."""
        sensors = self.add_pack(pack) / "sensors"
        module = class_name.lower()
        metadata = {"class_name": class_name, "entry_point": f"{module}.py", **metadata}
        (sensors / f"{module}.yaml").write_text(yaml.safe_dump(metadata))
        path = sensors / f"{module}.py"
        path.write_text(complete(code))
        return path

    def add_rule(self, pack: str, name: str, trigger_type: str, **parameters: Any) -> Path:
        path = self.add_pack(pack) / "rules" / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"name": name, "trigger": {"type": trigger_type, "parameters": parameters}}))
        return path

    # Commands.

    def run(self, command: str, *arguments: str, timeout: float = AT_LAST) -> subprocess.CompletedProcess[str]:
        return run(command, *arguments, cwd=self.folder, env=environment(self.warnings), timeout=timeout)

    def reload(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("st2ctl", "--config-file", str(self.config), "reload", *(arguments or ["--register-all"]))

    def reload_well(self, *arguments: str) -> str:
        """Register, and fail if anything could not be registered."""
        done = self.reload(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(
        self, *arguments: str, within: Path | None = None, config: Path | None = None, prefix: Sequence[str] = ()
    ) -> Container:
        """:param within: a control group; :param config: another st2.conf, after which the log is also named.

        :param prefix: the words before the command.
        """
        if self.has_consumer:
            self.declare_queue()
        container = Container(self, arguments, within, config or self.config, prefix)
        self._containers.append(container)
        return container

    # Eyes.

    def declare_queue(self, url: str | None = None) -> None:
        """Declare a durable queue for all triggers, as a consumer of JSON does before the container starts.

        It has the name of StackStorm's queue, which a container declares only for StackStorm. Does nothing while the
        broker is away.

        :param url: the broker's URL without TLS; None if it is the workspace's own.
        """
        if self.serializer != "json" or not (url or self.messaging).startswith("amqp://"):
            return
        with (
            contextlib.suppress(pika.exceptions.AMQPError, OSError),
            pika.BlockingConnection(parameters(url or self.messaging)) as connection,
        ):
            channel = connection.channel()
            exchange = f"{self.prefix}.trigger_instances_dispatch"
            channel.exchange_declare(exchange, "topic", durable=True)
            channel.queue_declare(f"{exchange}.rules_engine", durable=True)
            channel.queue_bind(f"{exchange}.rules_engine", exchange, "#")

    def listen(self) -> Listener:
        """Observe every trigger instance from now on."""
        listener = (_LocalListener if self.messaging.startswith("local") else _RabbitListener)(self)
        self._listeners.append(listener)
        return listener

    def documents(self, collection: str) -> list[dict[str, Any]]:
        """Return a collection's documents as they are stored, without ids."""
        if self.database.startswith("mongodb"):
            with pymongo.MongoClient[dict[str, Any]](self.database) as client:
                return list(client[self.name][collection].find({}, {"_id": 0}))
        with contextlib.closing(sqlite3.connect(self.state / "st2.db")) as connection:
            rows = connection.execute(f"SELECT document FROM {collection} ORDER BY space, name").fetchall()
        return [{name: value for name, value in json.loads(text).items() if name != "_id"} for (text,) in rows]

    def testimony(self) -> Iterator[tuple[str, str]]:
        for container in self._containers:
            code = container.process.poll()
            state = "runs" if code is None else f"ended with {code}"
            yield f"{container.log_file}, of a container that {state}", failures.tail(container.log_file)
        yield from failures.outboxes(self.state)

    def close(self) -> None:
        for container in self._containers:
            container.end()
        for listener in self._listeners:
            listener.close()
        if self.database.startswith("mongodb"):
            with pymongo.MongoClient[dict[str, Any]](
                self.database, serverSelectionTimeoutMS=round(SOON * 1000)
            ) as client:
                client.drop_database(self.name)


def handles_stop(pid: int) -> bool:
    """Return whether a process catches or blocks SIGTERM, or has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return True
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigBlk:", "SigCgt:"))]
    return any(mask >> (signal.SIGTERM - 1) & 1 for mask in masks)


class Container:
    """A running st2sensorcontainer."""

    def __init__(
        self,
        workspace: Workspace,
        arguments: Sequence[str],
        within: Path | None,
        config: Path,
        prefix: Sequence[str],
    ) -> None:
        self.log_file = workspace.folder / f"{config.stem}-{uuid.uuid4().hex[:6]}.log"
        self.process: Process | subprocess.Popen[bytes]
        command = ["st2sensorcontainer", "--config-file", str(config), *arguments]
        variables = {**environment(workspace.warnings), "TMPDIR": str(workspace.temporary)}
        if within is not None:
            prefix = ["sh", "-c", f'echo $$ > {within}/cgroup.procs && exec "$@"', "sh", *prefix]
        with self.log_file.open("w") as log:
            if not prefix:
                self.process = forks().start(
                    command,
                    cwd=workspace.folder,
                    env=variables,
                    stdout=log.fileno(),
                    stderr=log.fileno(),
                    start_new_session=True,
                )
                return
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "st2sensor.cli", *command],
                cwd=workspace.folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_for_log(self, text: str, count: int = 1, timeout: float = SOON) -> None:
        def look() -> bool:
            assert self.process.poll() is None or text in self.log, self.log
            return self.log.count(text) >= count

        eventually(f"{count} x {text!r} in the log", look, timeout)

    def wrappers(self) -> dict[str, psutil.Process]:
        """Return the live wrappers by the sensor references in their titles."""
        titles = [(title.partition(": "), process) for title, process in self._titles()]
        return {ref: process for (kind, _, ref), process in titles if kind == "st2sensor"}

    def zygotes(self) -> list[psutil.Process]:
        """Return the live zygotes."""
        return [process for title, process in self._titles() if title == "st2sensor zygote"]

    def _titles(self) -> Iterator[tuple[str, psutil.Process]]:
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                yield " ".join(child.cmdline()), child

    def stop(self, timeout: float = SOON) -> int:
        """Send SIGTERM once the container answers it, and return the exit code."""
        if isinstance(self.process, Process):
            # An earlier SIGTERM ends the interpreter during its imports, and the exit code says nothing.
            eventually("SIGTERM is handled", lambda: self.process.poll() is not None or handles_stop(self.process.pid))
        self.process.terminate()
        return self.process.wait(timeout)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(SOON)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Listener:
    """Trigger instances in the order of arrival."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def of(self, trigger: str) -> list[Seen]:
        return [message for message in list(self.seen) if message.trigger == trigger]

    def wait_for(self, trigger: str, count: int = 1, timeout: float = SOON) -> list[Seen]:
        """Wait for this number of instances of a trigger."""
        return eventually(
            f"{count} x {trigger}", lambda: found if len(found := self.of(trigger)) >= count else [], timeout
        )

    def close(self) -> None:
        self._closing.set()
        self._thread.join(SOON)

    def _listen(self) -> None:
        raise NotImplementedError


class _RabbitListener(Listener):
    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._connection = pika.BlockingConnection(parameters(workspace.messaging))
        channel = self._connection.channel()
        exchange = f"{workspace.prefix}.trigger_instances_dispatch"
        channel.exchange_declare(exchange, "topic", durable=True)
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, exchange, "#")
        channel.basic_consume(queue, self._on_message, auto_ack=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._closing.is_set():
            self._connection.process_data_events(time_limit=0.1)
        self._connection.close()

    def _on_message(
        self,
        channel: BlockingChannel,  # noqa: ARG002
        method: Basic.Deliver,
        properties: BasicProperties,
        body: bytes,
    ) -> None:
        self.seen.append(
            Seen(
                exchange=str(method.exchange),
                routing_key=str(method.routing_key),
                content_type=str(properties.content_type),
                message_id=properties.message_id,
                raw=body,
                headers=dict(properties.headers or {}),
            )
        )


class _LocalListener(Listener):
    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._path = workspace.state / "st2.db"
        self._exchange = f"{workspace.prefix}.trigger_instances_dispatch"
        self._thread.start()

    def _listen(self) -> None:
        query = (
            "SELECT position, exchange, routing_key, content_type, id, body, headers FROM st2sensor_bus "
            "WHERE position > ? AND exchange = ? ORDER BY position"
        )
        cursor = 0
        while not self._closing.wait(0.05):
            if not self._path.exists():
                continue
            with contextlib.closing(sqlite3.connect(self._path, timeout=SOON)) as connection:
                try:
                    rows = connection.execute(query, (cursor, self._exchange)).fetchall()
                except sqlite3.OperationalError:
                    continue
            for position, exchange, routing_key, content_type, identifier, body, headers in rows:
                cursor = position
                self.seen.append(
                    Seen(
                        exchange=exchange,
                        routing_key=routing_key,
                        content_type=content_type,
                        message_id=identifier,
                        raw=body,
                        headers=json.loads(headers),
                    )
                )


@functools.cache
def forks() -> Forks:
    """Return the process that runs commands for this one; it is started at the first call."""
    started = Forks(COMMANDS, environment())
    atexit.register(started.close)
    return started


def run(
    command: str, *arguments: str, cwd: Path, env: Mapping[str, str], timeout: float = AT_LAST
) -> subprocess.CompletedProcess[str]:
    """Run one of the product's commands. Raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        code = _run([command, *arguments], cwd, env, output, errors, timeout)
        return subprocess.CompletedProcess([command, *arguments], code, output.read(), errors.read())


def printed_by(words: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Run one of the product's commands, and return its exit code and all its output."""
    with tempfile.TemporaryFile("w+") as output:
        return _run(words, cwd, env, output, output, AT_LAST), output.read()


def _run(
    words: Sequence[str], cwd: Path, env: Mapping[str, str], output: IO[str], errors: IO[str], timeout: float
) -> int:
    process = forks().start(words, cwd=cwd, env=env, stdout=output.fileno(), stderr=errors.fileno())
    try:
        return process.wait(timeout)
    finally:
        process.kill()
        output.seek(0)
        errors.seek(0)


def environment(warnings: str = "error") -> dict[str, str]:
    """Return the variables for commands: this checkout's code in any folder, and no setting of a developer's shell."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": warnings, "COLUMNS": "200"}


def complete(code: str) -> str:
    """Return a sensor's code with an import of the API in front, and an empty version of each method that it lacks."""
    code = textwrap.dedent(code)
    missing = [name for name in METHODS if f"def {name}(" not in code]
    if "(PollingSensor)" in code and "run" in missing:
        missing.remove("run")
    filled = "".join(f"    def {name}(self, *args, **kwargs):\n        pass\n\n" for name in missing)
    return f"from st2reactor.sensor.base import PollingSensor, Sensor\n\n{code.rstrip()}\n\n{filled}"


def sample(path: str) -> Any:
    """Return a sample of StackStorm's output, from tests/samples."""
    return json.loads((ROOT / "tests" / "samples" / path).read_text())


def sample_body(name: str) -> bytes:
    """Return the body of a sample message."""
    return base64.b64decode(sample(f"messages/{name}.json")["body_base64"])
