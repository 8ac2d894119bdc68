"""A pack for each thing in real packs that has tripped an implementation. They run side by side, as they would."""

from __future__ import annotations

import json
import socket
import textwrap
import urllib.request
import venv
from contextlib import suppress
from typing import Any

import psutil
import pytest

from tests.plugins.patience import LATER, SOON
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Listener, Workspace

UP = [{"name": "up", "payload_schema": {"type": "object"}}]

PACKS: dict[str, dict[str, str]] = {
    # Patching after ssl or urllib3 were imported ends in RecursionError.
    "monkey": {
        "monkey.py": """
            import eventlet
            eventlet.monkey_patch()
            import ssl
            import threading
            import urllib.request

            class Monkey(Sensor):
                def run(self):
                    ssl.create_default_context()
                    patched = "eventlet" in type(threading.current_thread()).__module__ or hasattr(
                        threading.get_ident, "__module__") and "eventlet" in threading.get_ident.__module__
                    self.sensor_service.dispatch("monkey.up", {"patched": patched})
                    eventlet.sleep(1000)
        """,
    },
    # StackStorm's own environment supplies what nobody declares; what a pack has of that comes first.
    "undeclared": {
        "undeclared.py": """
            import time
            import dateutil.parser
            import eventlet
            import kombu
            import pytz
            import requests
            import six
            import yaml
            import orjson

            class Undeclared(Sensor):
                def run(self):
                    self.sensor_service.dispatch("undeclared.up", {"own": orjson.OWN, "yaml": yaml.safe_load("a: 1")})
                    time.sleep(1000)
        """,
    },
    # The debug reloader runs the command line again, and Werkzeug replaces the handler of SIGTERM.
    "reloader": {
        "reloader.py": """
            import json
            from flask import Flask, request

            class Reloader(Sensor):
                def setup(self):
                    self.app = Flask(__name__)
                    self.app.add_url_rule("/hook", "hook", self.hook, methods=["POST"])
                def hook(self):
                    answer = self.sensor_service.dispatch("reloader.up", request.get_json())
                    return json.dumps(answer)
                def run(self):
                    self.app.run(host="127.0.0.1", port=self.config["port"], debug=True, use_reloader=True)
                def cleanup(self):
                    print("the reloader's cleanup was called", flush=True)
        """,
    },
    "alarm": {
        "alarm.py": """
            import signal
            import threading
            import time

            class Alarm(PollingSensor):
                def ring(self, *_):
                    raise TimeoutError
                def poll(self):
                    signal.signal(signal.SIGALRM, self.ring)
                    try:
                        signal.setitimer(signal.ITIMER_REAL, 0.2)
                        time.sleep(1000)
                    except TimeoutError:
                        told = ("alarm.up", {"from": "a thread"})
                        threading.Thread(target=self.sensor_service.dispatch, args=told).start()
        """,
    },
    "nosuper": {
        "nosuper.py": """
            class Nosuper(PollingSensor):
                def __init__(self, sensor_service, config=None, poll_interval=None):
                    self._service = sensor_service
                    self._config = config
                    self._poll_interval = poll_interval
                def poll(self):
                    self._service.dispatch("nosuper.up", {"interval": self._poll_interval})
        """,
    },
    # The interval counts as it is when the wait begins.
    "interval": {
        "interval.py": """
            class Interval(PollingSensor):
                polls = 0
                def poll(self):
                    self.polls += 1
                    if self.polls == 1:
                        self._poll_interval = 0.1
                    elif self.polls == 2:
                        self.set_poll_interval(0.2)
                    elif self.polls == 3:
                        self.sensor_service.dispatch("interval.up", {"interval": self.get_poll_interval()})
        """,
    },
    "paths": {
        "paths.py": """
            import time
            import base
            import lib.sensors
            from lib import deep
            from helpers import help

            class Paths(base.Base):
                def run(self):
                    self.sensor_service.dispatch("paths.up", {"found": [base.WHO, lib.sensors.WHO, deep.WHO, help()]})
                    time.sleep(1000)
        """,
        "base.py": "from st2reactor.sensor.base import Sensor\nWHO = 'base'\nclass Base(Sensor):\n    pass\n",
        "lib/__init__.py": "",
        "lib/sensors.py": "WHO = 'lib.sensors'\n",
        "lib/deep.py": "WHO = 'lib.deep'\n",
        "helpers/__init__.py": "def help():\n    return 'helpers'\n",
    },
    "payloads": {
        "payloads.py": """
            import datetime
            import json
            import time

            class Payloads(Sensor):
                def run(self):
                    moment = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.timezone.utc)
                    payload = {"set": {1}, "bytes": b"\\x00", "moment": moment}
                    json.dumps(self.sensor_service.dispatch(trigger="payloads.up", payload=payload))
                    time.sleep(1000)
        """,
    },
    "selfsetup": {
        "selfsetup.py": """
            class Selfsetup(Sensor):
                def __init__(self, sensor_service, config):
                    super().__init__(sensor_service=sensor_service, config=config)
                    self.setup()
                def setup(self):
                    self.count = getattr(self, "count", 0) + 1
                def run(self):
                    self.sensor_service.dispatch("selfsetup.up", {"setups": self.count})
                    exit()
        """,
    },
    "loops": {
        "loops.py": """
            import time

            class Loops(Sensor):
                def setup(self):
                    while True:
                        self.sensor_service.dispatch("loops.up", {"from": "setup"})
                        time.sleep(0.3)
        """,
    },
    "signatures": {
        "signatures.py": """
            import time

            class Signatures(Sensor):
                def run(self):
                    time.sleep(1000)
                def add_trigger(self, trigger):
                    said = {"added": trigger["parameters"], "ref": trigger["ref"]}
                    self.sensor_service.dispatch("signatures.up", said)
                def update_trigger(self):
                    self.sensor_service.dispatch("signatures.up", {"updated": True})
                def remove_trigger(self):
                    pass
        """,
    },
}

EXPECTED: dict[str, Any] = {
    "monkey": {"patched": True},
    "undeclared": {"own": "in its virtualenv", "yaml": {"a": 1}},
    "alarm": {"from": "a thread"},
    "nosuper": {"interval": 1},
    "interval": {"interval": 0.2},
    "paths": {"found": ["base", "lib.sensors", "lib.deep", "helpers"]},
    "payloads": {"set": [1], "bytes": "AA==", "moment": "2026-01-31T12:00:00+00:00"},
    "selfsetup": {"setups": 2},
    "loops": {"from": "setup"},
}

BROKEN = {
    "WrongName": ("class Other(Sensor):\n    pass\n", "there is no class WrongName in"),
    "Abstract": (
        "from st2reactor.sensor.base import Sensor\nclass Abstract(Sensor):\n    pass\n",
        "class Abstract lacks",
    ),
    "PythonTwo": ("print 'hello'\n", "syntax error: Missing parentheses in call to 'print'"),
    "Tabs": ("class Tabs(Sensor):\n    def a(self):\n\tpass\n        pass\n", "syntax error: "),
    "Renamed": ("import urlparse\n", "cannot be imported: No module named 'urlparse'"),
    "NoFile": (None, "entry_point: there is no file"),
}


def add(workspace: Workspace, pack: str, files: dict[str, str]) -> None:
    name = pack.capitalize()
    metadata: dict[str, Any] = {"entry_point": f"{pack}.py", "trigger_types": UP}
    if "PollingSensor" in files[f"{pack}.py"]:
        metadata["poll_interval"] = 1
    sensor = workspace.add_sensor(pack, name, textwrap.dedent(files[f"{pack}.py"]), **metadata)
    for other, text in files.items():
        if other != f"{pack}.py":
            path = sensor.parent / other
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def running(embedded: Workspace, port: int) -> tuple[Container, Listener]:
    # eventlet warns of itself.
    embedded.warnings = "default"
    embedded.configure(f"start_timeout = {LATER:g}\nstop_timeout = {LATER:g}")
    for pack, files in PACKS.items():
        add(embedded, pack, files)
    home = embedded.folder / "virtualenvs" / "undeclared"
    venv.create(home)
    (packages,) = home.glob("lib/python3.*/site-packages")
    (packages / "orjson.py").write_text("OWN = 'in its virtualenv'\n")
    (embedded.folder / "configs").mkdir()
    (embedded.folder / "configs" / "reloader.yaml").write_text(f"port: {port}\n")
    for name, (code, _) in BROKEN.items():
        path = embedded.add_sensor("broken", name, "")
        if code is None:
            path.unlink()
        else:
            path.write_text(code if "import Sensor" in code else f"from st2reactor.sensor.base import Sensor\n{code}")
    # `items` must be a schema.
    wrong = {"type": "object", "properties": {"names": {"type": "array", "items": "object"}}}
    schemas = [
        {"name": "wrong", "payload_schema": wrong},
        {"name": "text", "payload_schema": {"type": "object", "properties": {"versions": {"type": "string"}}}},
    ]
    embedded.add_sensor("schemas", "Schemas", SCHEMAS, trigger_types=schemas)
    done = embedded.reload()
    for _, problem in BROKEN.values():
        assert problem in done.stderr
    assert "payload_schema of trigger schemas.wrong is not a valid JSON schema" in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error:")]) == len(BROKEN) + 1
    listener = embedded.listen()
    return embedded.start(), listener


SCHEMAS = """
import time

class Schemas(Sensor):
    def run(self):
        self.sensor_service.dispatch("schemas.wrong", {"names": []})
        self.sensor_service.dispatch("schemas.text", {"versions": ["1", "2"]})
        self.sensor_service.dispatch("schemas.text", {"versions": None})
        time.sleep(1000)
"""


@pytest.mark.soak
def test_real_packs_traps_trip_nobody(embedded: Workspace, running: tuple[Container, Listener], port: int) -> None:
    container, listener = running
    for pack, payload in EXPECTED.items():
        assert listener.wait_for(f"{pack}.up", timeout=LATER)[0].payload == payload
    container.wait_for_log("selfsetup.Selfsetup finished with exit code 0")

    # Dispatched by a process that the sensor became.
    def answers() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=SOON):
            return True
        return False

    eventually("the reloader serves", answers)
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/hook", json.dumps({"a": 1}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=SOON) as response:
        assert response.read() == b"null"
    assert listener.wait_for("reloader.up")[0].payload == {"a": 1}

    # It hears of the trigger without parameters, which every type has, then of the rule's.
    assert listener.wait_for("signatures.up")[0].payload == {"added": {}, "ref": "signatures.up"}
    told: list[dict[str, Any]] = [{"added": {"n": 1}}, {"updated": True}]
    for number, heard in enumerate(told, start=1):
        embedded.add_rule("rules", "one", "signatures.up", n=number)
        embedded.reload()
        payload = listener.wait_for("signatures.up", number + 1)[number].payload
        assert heard.items() <= payload.items()

    # What cannot be published is kept, with the reason; what is not required may be null.
    assert [seen.payload for seen in listener.wait_for("schemas.text")] == [{"versions": None}]
    reasons = eventually("both are kept", lambda: found if len(found := kept(embedded)) == 2 else {})
    assert "is of type array, not string" in reasons["schemas.text"]
    assert reasons["schemas.wrong"].startswith("trigger type schemas.wrong was refused: ")

    finished = {"selfsetup.Selfsetup"}
    expected = {f"{pack}.{pack.capitalize()}" for pack in PACKS} | {"schemas.Schemas"}
    assert set(container.wrappers()) == expected - finished
    family = psutil.Process(container.process.pid).children(recursive=True)
    assert container.stop() == 0
    assert "the reloader's cleanup was called" in container.log
    eventually("nothing is left", lambda: not any(process.is_running() for process in family))


def kept(workspace: Workspace) -> dict[str, str]:
    """Why dead letters are kept, by their triggers."""
    listed = workspace.run("st2sensor", "--config-file", str(workspace.config), "dead-letters", "list", "--json")
    return {letter["trigger"]: letter["reason"] for letter in json.loads(listed.stdout)}
