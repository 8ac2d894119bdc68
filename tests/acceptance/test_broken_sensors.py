"""Twelve sensors that are broken, each in its way: `st2sensor show` and the status page say why."""

from __future__ import annotations

import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.plugins.patience import SOON
from tests.support.browser import Browser
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.ports import free_port
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Workspace


@dataclass(frozen=True, kw_only=True)
class Broken:
    """:param words: that tell the cause; in `show`, and on the page.
    :param later: code that is written after the registration.
    """

    code: str
    words: tuple[str, ...]
    later: str = ""
    metadata: Any = None


POLLING = "class {name}(PollingSensor):\n    def poll(self):\n        {body}\n"

TYPES = [
    {"name": "counted", "payload_schema": {"type": "object", "properties": {"count": {"type": "integer"}}}},
]

SENSORS = {
    "CrashesAtImport": Broken(
        code="class CrashesAtImport(Sensor):\n    pass\n",
        later='raise RuntimeError("no licence file")\n',
        words=("crashesatimport.py:2", "RuntimeError: no licence file"),
    ),
    "CrashesInSetup": Broken(
        code="class CrashesInSetup(Sensor):\n    def setup(self):\n        raise LookupError('no room 101')\n",
        words=("ended with exit code 1", "LookupError: no room 101", "crashesinsetup.py", "in setup"),
    ),
    "CrashesInPoll": Broken(
        code=POLLING.format(name="CrashesInPoll", body="{}['items']"),
        words=("ended with exit code 1", "KeyError: 'items'", "crashesinpoll.py", "in poll"),
    ),
    "Hangs": Broken(
        code="import time\n\n" + POLLING.format(name="Hangs", body="time.sleep(1000)"),
        words=("poll() has taken more than 1 s; its threads were here:", "hangs.py", "in poll"),
    ),
    "Floods": Broken(
        code="class Floods(Sensor):\n    def run(self):\n        while True:\n            print('flood')\n",
        words=("lines of its log were dropped: it logs more than [sensorcontainer] output_rate allows",),
    ),
    "InvalidPayload": Broken(
        code=POLLING.format(
            name="InvalidPayload", body='self.sensor_service.dispatch("p.counted", {"count": "three"})'
        ),
        words=("the payload does not fit the payload_schema of p.counted: count: is of type string, not integer",),
        metadata={"trigger_types": TYPES},
    ),
    "UnknownTrigger": Broken(
        code=POLLING.format(name="UnknownTrigger", body='self.sensor_service.dispatch("p.nowhere", {})'),
        words=("trigger p.nowhere is not registered",),
    ),
    "MissingLibrary": Broken(
        code="import acmeclient\n\nclass MissingLibrary(Sensor):\n    pass\n",
        words=("No module named 'acmeclient'", "requirements.txt", "st2ctl reload --register-setup-virtualenvs"),
    ),
    "BadConfig": Broken(
        code="class BadConfig(Sensor):\n    pass\n",
        words=("badly.yaml:1", "port: 'many' is not of type 'integer'"),
    ),
    "EatsMemory": Broken(
        code="import time\n\nclass EatsMemory(Sensor):\n    def run(self):\n        self.much = b'x' * 200_000_000\n"
        "        time.sleep(1000)\n",
        words=("was killed because it used", "of memory, more than its 50 MB"),
    ),
}

WHOLE = "Works"
"""A sensor that is well, and says what is wrong with the servers."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MongoDB, RabbitMQ]]:
    """Of this module's own, because they are stopped."""
    mongo, rabbit = MongoDB(tmp_path_factory.mktemp("mongo")), RabbitMQ(tmp_path_factory.mktemp("rabbit"))
    mongo.start()
    rabbit.start()
    yield mongo, rabbit
    mongo.stop()
    rabbit.stop()


def prepare(workspace: Workspace, port: int) -> None:
    workspace.configure(f"http = 127.0.0.1:{port}\noutput_rate = 20\nrestart_delay = 0.2\n")
    workspace.add_sensor(
        "p", WHOLE, "class Works(Sensor):\n    def run(self):\n        import time\n        time.sleep(999)\n"
    )
    for name, broken in SENSORS.items():
        pack = "badly" if name == "BadConfig" else "p"
        workspace.add_sensor(pack, name, broken.code, **(broken.metadata or {}))
    (workspace.packs / "badly" / "config.schema.yaml").write_text("port: {type: integer}\n")
    write(workspace.folder / "configs" / "badly.yaml", {"port": "many"})
    limits = {"st2sensor": {"exceptions": {"EatsMemory": {"memory": "50M"}, "Hangs": {"poll_timeout": 1}}}}
    write(workspace.folder / "overrides" / "p.yaml", limits)
    assert workspace.reload().returncode == 1, "that of a sensor is missing a library, and one is configured badly"
    for name, broken in SENSORS.items():
        if broken.later:
            path = workspace.packs / "p" / "sensors" / f"{name.lower()}.py"
            path.write_text(path.read_text().replace("\n\n", f"\n{broken.later}\n", 1))


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(content))


def reference(name: str) -> str:
    return f"{'badly' if name == 'BadConfig' else 'p'}.{name}"


def shown(workspace: Workspace, ref: str) -> str:
    done = workspace.run("st2sensor", "--config-file", str(workspace.config), "show", ref)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


def read_on_page(browser: Browser, ref: str) -> str:
    browser.click(f"tr[data-ref='{ref}']")
    text = " ".join(browser.wait_for("#detail h2, #detail dl", ref).split())
    browser.click("#detail form button")
    return text


@pytest.mark.soak(minutes=3)
def test_what_is_wrong_with_a_sensor_is_said_in_words(
    folder: Path, servers: tuple[MongoDB, RabbitMQ], browser: Browser
) -> None:
    mongo, rabbit = servers
    port = free_port()
    workspace = Workspace(folder, database=mongo.url, messaging=rabbit.url, serializer="json")
    try:
        prepare(workspace, port)
        container = workspace.start()
        container.wait_for_log("the status page is at")
        browser.open(f"http://127.0.0.1:{port}/")
        for name, broken in SENSORS.items():
            ref = reference(name)
            browser.wait_for("tbody", ref)
            insist(f"show of {ref}", partial(shown, workspace, ref), broken.words)
            insist(f"the page of {ref}", partial(read_on_page, browser, ref), broken.words)
        check_outages(workspace, container, mongo, rabbit, browser)
        assert browser.complaints() == []
    finally:
        workspace.close()


def insist(what: str, look: Callable[[], str], words: tuple[str, ...]) -> None:
    """Look until all words are there."""
    seen = ""

    def has_all() -> bool:
        nonlocal seen
        seen = look()
        return all(word in seen for word in words)

    try:
        eventually(what, has_all)
    except AssertionError as error:
        raise AssertionError(f"{what} lacks some of {words}: {seen}") from error


def check_outages(
    workspace: Workspace, container: Container, mongo: MongoDB, rabbit: RabbitMQ, browser: Browser
) -> None:
    """Without a broker, then without a database, too: the sensors go on, and it is said what that means."""
    ref = f"p.{WHOLE}"
    rabbit.stop()
    words = ("broker", "triggers are waiting in the outbox and will be sent when the broker is back", "running")
    insist("show", partial(shown, workspace, ref), words)
    browser.wait_for("#checks .bad", "triggers are waiting in the outbox and will be sent when the broker is back")
    mongo.stop()
    container.process.send_signal(signal.SIGHUP)
    words = ("database", "the sensors known so far keep running", "running")
    insist("show", partial(shown, workspace, ref), words)
    browser.wait_for("#checks .bad", "the sensors known so far keep running")
    eventually("it is not ready", lambda: answer(browser.driver.current_url + "ready") == 503)
    mongo.start()
    eventually("the database is back", lambda: "database" not in browser.text("#checks .bad"))


def answer(url: str) -> int:
    """The status that a request is answered with."""
    try:
        with urllib.request.urlopen(url, timeout=SOON) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
