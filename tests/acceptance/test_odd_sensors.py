"""Sensors that do what real ones do, and what the container makes of it."""

from __future__ import annotations

import json
import signal
import sqlite3
import venv
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from st2sensor.packs.validation.classes import REQUIRED
from tests.plugins.patience import LATER, SOON
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.process import alive, rest
from tests.support.servers.waiting import eventually
from tests.support.workspace import Listener, Seen, Workspace

UP = [{"name": "up"}]

PATIENT = f"stop_timeout = {LATER:g}\n"
"""A sensor that stops, however slowly, is not killed."""


def test_a_sensor_that_somebody_else_terminates_comes_back(embedded: Workspace) -> None:
    embedded.configure("restart_delay = 0.1")
    code = """
    import time

    class Asleep(Sensor):
        def run(self):
            self.sensor_service.dispatch("s.up", {})
            time.sleep(1000)
    """
    embedded.add_sensor("s", "Asleep", code, trigger_types=UP)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    listener.wait_for("s.up")
    container.wrappers()["s.Asleep"].terminate()
    container.wait_for_log("s.Asleep ended with exit code 143, starts again in")
    listener.wait_for("s.up", 2)


def test_a_poll_that_catches_everything_is_stopped_with_cleanup(embedded: Workspace) -> None:
    embedded.configure(PATIENT)
    embedded.add_sensor(
        "s",
        "Greedy",
        """
        import time

        class Greedy(PollingSensor):
            def poll(self):
                self.sensor_service.dispatch("s.up", {})
                try:
                    time.sleep(1000)
                except:
                    pass
            def cleanup(self):
                print("cleaned up")
        """,
        trigger_types=UP,
        poll_interval=30,
    )
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    listener.wait_for("s.up")
    assert container.stop() == 0
    assert "cleaned up" in container.log
    assert "killed" not in container.log


def test_a_sensor_that_executes_its_own_command_line_dispatches_from_there(embedded: Workspace) -> None:
    embedded.add_sensor(
        "s",
        "Reloader",
        """
        import os
        import subprocess
        import sys
        import time

        class Reloader(Sensor):
            def run(self):
                inner = os.environ.get("INNER") == "yes"
                self.sensor_service.dispatch("s.up", {"inner": inner, "pid": os.getpid()})
                if not inner:
                    subprocess.call([sys.executable, *sys.argv], env={**os.environ, "INNER": "yes"})
                time.sleep(1000)
        """,
        trigger_types=UP,
    )
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    outer, inner = listener.wait_for("s.up", 2)
    assert (outer.payload["inner"], inner.payload["inner"]) == (False, True)
    container.process.kill()
    eventually("both are gone", lambda: not any(alive(item.payload["pid"]) for item in (outer, inner)))


def test_a_forked_process_dispatches_and_logs(embedded: Workspace) -> None:
    embedded.add_sensor(
        "s",
        "Forking",
        """
        import os

        class Forking(Sensor):
            def run(self):
                self.sensor_service.dispatch("s.up", {"who": "parent"})
                if os.fork() == 0:
                    self.sensor_service.get_logger("child").error("said in the child")
                    self.sensor_service.dispatch("s.up", {"who": "child"})
                    os._exit(0)
                os.wait()
                self.sensor_service.dispatch("s.up", {"who": "parent again"})
        """,
        trigger_types=UP,
    )
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    seen = [message.payload["who"] for message in listener.wait_for("s.up", 3)]
    assert seen == ["parent", "child", "parent again"]
    container.wait_for_log("ERROR   s.Forking.child: said in the child")


def test_a_process_that_got_away_and_floods_does_not_hold_the_container(embedded: Workspace) -> None:
    embedded.add_sensor(
        "s",
        "Escape",
        f"""
        import subprocess

        class Escape(Sensor):
            def run(self):
                subprocess.Popen(["timeout", "{LATER:g}", "yes"], start_new_session=True)
        """,
    )
    embedded.add_sensor(
        "s",
        "Next",
        "class Next(PollingSensor):\n    def poll(self):\n        self.sensor_service.dispatch('s.up', {})\n",
        poll_interval=0.1,
        trigger_types=UP,
    )
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    container.wait_for_log("s.Escape finished with exit code 0")
    count = len(listener.of("s.up"))
    listener.wait_for("s.up", count + 5)
    assert container.stop() == 0


def test_an_odd_document_is_skipped_with_one_warning(embedded: Workspace) -> None:
    code = "class {0}(PollingSensor):\n    def poll(self):\n        self.sensor_service.dispatch('s.up', {{}})\n"
    for name in ("Odd", "Missing", "Good"):
        embedded.add_sensor("s", name, code.format(name), trigger_types=UP)
    embedded.reload_well()
    with closing(sqlite3.connect(embedded.state / "st2.db")) as connection, connection:
        for name, change in (("Odd", {"artifact_uri": None}), ("Missing", {})):
            (text,) = connection.execute("SELECT document FROM sensor_type_d_b WHERE name = ?", (name,)).fetchone()
            document = {**json.loads(text), **change}
            if name == "Missing":
                del document["artifact_uri"]
            connection.execute("UPDATE sensor_type_d_b SET document = ? WHERE name = ?", (json.dumps(document), name))
    listener = embedded.listen()
    container = embedded.start()
    listener.wait_for("s.up")
    container.wait_for_log("(s.Odd): artifact_uri is null; it is skipped")
    container.wait_for_log("(s.Missing): artifact_uri is missing; it is skipped")
    with closing(sqlite3.connect(embedded.state / "st2.db", timeout=SOON)) as connection, connection:
        connection.execute("DELETE FROM sensor_type_d_b WHERE name = 'Good'")
    container.process.send_signal(signal.SIGHUP)
    # So it has looked once more.
    container.wait_for_log("s.Good stopped")
    assert container.stop() == 0
    assert container.log.count("it is skipped") == 2
    assert "Traceback" not in container.log


def test_a_schema_that_refers_to_the_network_is_not_followed(embedded: Workspace) -> None:
    schema = {"type": "object", "properties": {"x": {"$ref": "http://127.0.0.1:9/schema.json"}}}
    code = "class Remote(Sensor):\n    def run(self):\n        self.sensor_service.dispatch('s.up', {'x': 1})\n"
    embedded.add_sensor("s", "Remote", code, trigger_types=[{"name": "up", "payload_schema": schema}])
    done = embedded.reload()
    assert "the schema has no http://127.0.0.1:9/schema.json" in done.stderr


def test_a_poisonous_dispatch_harms_nobody_else(embedded: Workspace) -> None:
    embedded.configure("[messaging]\nserializer = pickle")
    embedded.add_sensor(
        "s",
        "Poison",
        """
        class Poison(Sensor):
            def run(self):
                deep = {}
                for _ in range(400):
                    deep = {"x": deep}
                self.sensor_service.dispatch("s.up", {"deep": deep}, trace_tag="t")
                self.sensor_service.dispatch("p.caf\\udce9", {"x": "\\ud800"})
                for bad in ("x" * (65 * 1024 * 1024), object(), float("nan")):
                    try:
                        self.sensor_service.dispatch("s.up", {"bad": bad})
                    except (TypeError, ValueError) as error:
                        print("refused:", type(error).__name__)
                print("still here")
        """,
        trigger_types=UP,
    )
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("still here")
    assert container.log.count("refused:") == 1
    container.wait_for_log("the payload has 68,157,450 bytes, too many to be sent, and is not kept")
    container.wait_for_log("s.up of s.Poison is kept as a dead letter: StackStorm cannot store the payload")
    container.wait_for_log("trigger p.caf\\udce9 is not registered")


@pytest.mark.soak
def test_the_file_watch_loses_no_line_over_stops_in_the_middle_of_a_burst(embedded: Workspace) -> None:
    watched = embedded.folder / "app.log"
    watched.touch()
    embedded.link_pack("linux")
    embedded.add_rule("ours", "watch", "linux.file_watch.line", file_path=str(watched))
    embedded.configure(PATIENT)
    embedded.reload_well()
    (document,) = [item for item in embedded.documents("trigger_d_b") if item["type"] == "linux.file_watch.line"]
    listener = embedded.listen()
    container = embedded.start()
    container.wait_for_log(f"following {watched}")
    with watched.open("a") as file:
        file.writelines(f"{number}\n" for number in range(BURST))
    for seen in (100, BURST // 3):
        listener.wait_for(document["ref"], seen, timeout=LATER)
        assert container.stop() == 0
        container = embedded.start()
    numbers = eventually(
        "every line",
        lambda: found if len(set(found := lines(listener.of(document["ref"])))) == BURST else None,
        timeout=LATER,
    )
    assert numbers is not None
    # At least once, in order: a restart may repeat the line at which it stopped, and nothing else.
    assert len(numbers) <= BURST + 2
    assert sorted(set(numbers)) == list(dict.fromkeys(numbers))


BURST = 1000
"""Lines."""


def lines(seen: list[Seen]) -> list[int]:
    return [int(message.payload["line"]) for message in seen]


@pytest.fixture
def watching(folder: Path, mongo_server: MongoDB) -> Iterator[tuple[Workspace, MongoDB, Path]]:  # noqa: ARG001
    """A workspace with a rule that asks for a file, on a MongoDB that may be stopped; the file is there."""
    server = MongoDB(folder)
    server.start()
    (folder / "w").mkdir()
    workspace = Workspace(folder / "w", database=server.url, messaging="local://")
    watched = folder / "app.log"
    watched.touch()
    try:
        workspace.link_pack("linux")
        workspace.add_rule("ours", "watch", "linux.file_watch.line", file_path=str(watched))
        workspace.reload_well()
        yield workspace, server, watched
    finally:
        # There may be no server any more to clear up.
        workspace.database = "sqlite://"
        workspace.close()
        server.stop()


@pytest.mark.soak
def test_the_file_watch_does_not_wait_for_a_datastore_that_is_away(watching: tuple[Workspace, MongoDB, Path]) -> None:
    workspace, server, watched = watching
    # All that waits for the datastore would wait for longer than this test does.
    workspace.configure(f"stop_timeout = 0.1\n[datastore]\ntimeout = {LATER:g}")
    listener = workspace.listen()
    container = workspace.start()
    container.wait_for_log(f"following {watched}")
    server.stop()
    with watched.open("a") as file:
        file.write("while away\n")
    eventually("the line", lambda: "while away" in watched_lines(listener))
    assert "positions cannot be kept" not in container.log


@pytest.mark.soak
def test_the_file_watch_goes_on_after_its_datastore_was_away(watching: tuple[Workspace, MongoDB, Path]) -> None:
    workspace, server, watched = watching
    workspace.configure("[datastore]\ntimeout = 0.5")
    listener = workspace.listen()
    container = workspace.start()
    container.wait_for_log(f"following {watched}")
    server.stop()
    with watched.open("a") as file:
        file.write("while away\n")
    container.wait_for_log("positions cannot be kept for now: cannot reach MongoDB")
    server.start()
    with watched.open("a") as file:
        file.write("back\n")
    eventually("both lines", lambda: watched_lines(listener) == ["while away", "back"])
    assert container.log.count("FileWatchSensor started") == 1


def watched_lines(listener: Listener) -> list[str]:
    return [item.payload["line"] for item in listener.seen if "line" in item.payload]


def test_an_idle_container_rests_after_a_restart(embedded: Workspace) -> None:
    embedded.add_sensor(
        "s",
        "Once",
        "class Once(Sensor):\n    def run(self):\n        self.sensor_service.dispatch('s.up', {})\n",
        trigger_types=UP,
    )
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    listener.wait_for("s.up")
    container.stop()
    (embedded.packs / "s" / "sensors" / "once.yaml").unlink()
    embedded.add_sensor("s", "Other", "class Other(Sensor):\n    pass\n")
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("connected to")
    container.wait_for_log("s.Other finished with")
    rest(psutil.Process(container.process.pid))


ODD = {
    "Alarm": """
        import signal, time

        class Alarm(PollingSensor):
            def poll(self):
                signal.signal(signal.SIGALRM, self.ring)
                try:
                    signal.alarm(1)
                    time.sleep(1000)
                except TimeoutError:
                    self.sensor_service.dispatch("s.up", {"who": "Alarm"})
            def ring(self, *_):
                raise TimeoutError
    """,
    "LoopsInSetup": """
        import time

        class LoopsInSetup(Sensor):
            def setup(self):
                while True:
                    self.sensor_service.dispatch("s.up", {"who": "LoopsInSetup"})
                    time.sleep(0.2)
            def cleanup(self):
                print("LoopsInSetup cleaned up")
    """,
    "Returns": """
        class Returns(Sensor):
            def run(self):
                self.sensor_service.dispatch("s.up", {"who": "Returns"})
    """,
    "CallsExit": """
        class CallsExit(Sensor):
            def run(self):
                self.sensor_service.dispatch("s.up", {"who": "CallsExit"})
                exit()
    """,
    "NoSuper": """
        import time

        class NoSuper(PollingSensor):
            def __init__(self, sensor_service, config=None, poll_interval=None):
                self.service = sensor_service
            def poll(self):
                self.service.dispatch("s.up", {"who": "NoSuper"})
    """,
    "Asyncio": """
        import asyncio

        class Asyncio(Sensor):
            def run(self):
                asyncio.run(self.main())
            async def main(self):
                await asyncio.to_thread(self.sensor_service.dispatch, "s.up", {"who": "Asyncio"})
                await asyncio.sleep(1000)
            def cleanup(self):
                print("Asyncio cleaned up")
    """,
    "Threads": """
        import threading, time

        class Threads(Sensor):
            def run(self):
                threading.Thread(target=time.sleep, args=(1000,)).start()
                self.sensor_service.dispatch("s.up", {"who": "Threads"})
    """,
    "CallsSetup": """
        import time

        class CallsSetup(Sensor):
            def __init__(self, sensor_service, config):
                super().__init__(sensor_service=sensor_service, config=config)
                self.setup()
            def setup(self):
                self.sensor_service.dispatch("s.up", {"who": "CallsSetup"})
            def run(self):
                time.sleep(1000)
    """,
}


def test_what_real_sensors_do_works(embedded: Workspace) -> None:
    embedded.configure(PATIENT)
    for name, code in ODD.items():
        embedded.add_sensor("s", name, code, trigger_types=UP)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    eventually("each dispatched", lambda: {item.payload.get("who") for item in listener.of("s.up")} == set(ODD))
    # What returned or exited with 0 has finished, whatever threads it has left behind.
    for name in ("Returns", "CallsExit", "Threads"):
        container.wait_for_log(f"s.{name} finished with exit code 0")
    assert set(container.wrappers()) == {f"s.{name}" for name in ODD} - {"s.Returns", "s.CallsExit", "s.Threads"}
    assert container.stop() == 0
    assert "LoopsInSetup cleaned up" in container.log
    assert "Asyncio cleaned up" in container.log
    assert "starts again in" not in container.log


def test_a_packs_lib_is_importable_where_common_libs_are_enabled(embedded: Workspace) -> None:
    code = """
    import time
    import shared_things

    class Uses(Sensor):
        def run(self):
            self.sensor_service.dispatch("s.found", {"value": shared_things.VALUE})
            time.sleep(1000)
    """
    embedded.add_sensor("s", "Uses", code, trigger_types=[{"name": "found"}])
    library = embedded.packs / "s" / "lib"
    library.mkdir()
    (library / "shared_things.py").write_text("VALUE = 1\n")
    refused = embedded.reload()
    assert refused.returncode != 0
    assert "No module named 'shared_things'" in refused.stdout + refused.stderr
    embedded.configure("[packs]\nenable_common_libs = true")
    embedded.reload_well()
    listener = embedded.listen()
    embedded.start()
    assert listener.wait_for("s.found")[0].payload == {"value": 1}
    (library / "shared_things.py").write_text("VALUE = 2\n")
    embedded.reload_well()
    assert listener.wait_for("s.found", 2)[1].payload == {"value": 2}


STACKSTORMS_BASE = """
import abc

WHO = "StackStorm's"

class Sensor(abc.ABC):
    def __init__(self, sensor_service, config=None):
        self.sensor_service = sensor_service
        self.config = config

class PollingSensor(Sensor):
    def __init__(self, sensor_service, config=None, poll_interval=5):
        super().__init__(sensor_service, config)
        self._poll_interval = poll_interval
    def run(self):
        self.poll()
"""

LOOKS_WHO = """
import st2reactor.sensor.base
from st2reactor.sensor.base import PollingSensor

class Looks(PollingSensor):
    def poll(self):
        who = getattr(st2reactor.sensor.base, "WHO", "ours")
        try:
            from st2common import only_stackstorm_has_it
        except ImportError:
            who += ", alone"
        self.sensor_service.dispatch("p.who", {"who": who, "interval": self._poll_interval})
    def setup(self): pass
    def cleanup(self): pass
    def add_trigger(self, trigger): pass
    def update_trigger(self, trigger): pass
    def remove_trigger(self, trigger): pass
"""


def test_a_sensor_is_told_of_stackstorms_api_and_its_token_is_masked(embedded: Workspace) -> None:
    (embedded.folder / "token").write_text("5ecre7token\n")
    embedded.configure("api_url = http://127.0.0.1:9101/v1\napi_token_file = token")
    code = """
    import os, time

    class Client(Sensor):
        def run(self):
            self.sensor_service.get_logger("x").audit("token " + os.environ["ST2_AUTH_TOKEN"])
            known = {name: value for name, value in os.environ.items() if name.startswith("ST2_")}
            self.sensor_service.dispatch("s.up", known)
            time.sleep(1000)
    """
    embedded.add_sensor("s", "Client", code, trigger_types=UP)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    told = {"ST2_API_URL": "http://127.0.0.1:9101/v1", "ST2_AUTH_TOKEN": "5ecre7token"}
    assert listener.wait_for("s.up")[0].payload == told
    container.wait_for_log("token ********")
    assert "5ecre7token" not in container.log


REAL_BASE = """
class BaseSensor:
    def __init__(self, sensor_service, config=None):
        self.sensor_service, self.config = sensor_service, config

class Sensor(BaseSensor):
    def run(self): raise NotImplementedError

class PollingSensor(BaseSensor):
    def __init__(self, sensor_service, config=None, poll_interval=5):
        super().__init__(sensor_service, config)
        self._poll_interval = poll_interval
    def run(self):
        self.poll()
"""


def test_a_polling_sensor_of_stackstorms_own_is_one_though_it_derives_from_no_sensor(embedded: Workspace) -> None:
    code = """
    class Polls(PollingSensor):
        def poll(self):
            self.sensor_service.dispatch("p.up", {"interval": self._poll_interval})
    """
    embedded.add_sensor("p", "Polls", code, poll_interval=3000, trigger_types=UP)
    home = embedded.folder / "virtualenvs" / "p"
    venv.create(home)
    (packages,) = home.glob("lib/python3.*/site-packages")
    (packages / "st2reactor" / "sensor").mkdir(parents=True)
    (packages / "st2reactor" / "sensor" / "base.py").write_text(REAL_BASE)
    for package in ("st2reactor", "st2reactor/sensor"):
        (packages / package / "__init__.py").touch()
    embedded.reload_well()
    listener = embedded.listen()
    embedded.start()
    assert listener.wait_for("p.up")[0].payload == {"interval": 3000}


def test_a_sensor_may_derive_from_the_base_of_both_if_it_has_a_run(embedded: Workspace) -> None:
    base = "from st2reactor.sensor.base import BaseSensor\n"
    rest = "".join(f"    def {name}(self, *trigger): pass\n" for name in REQUIRED)
    for name, run in (("Runs", "    def run(self): self.sensor_service.dispatch('p.up')\n"), ("Idles", "")):
        file = embedded.add_sensor("p", name, "", trigger_types=UP if run else [])
        file.write_text(f"{base}class {name}(BaseSensor):\n{rest}{run}")
    done = embedded.reload()
    assert "class Idles lacks run; define every method of its base" in done.stderr
    listener = embedded.listen()
    embedded.start()
    listener.wait_for("p.up")


def test_a_part_of_stackstorm_that_is_not_here_is_told_with_what_to_do_instead(embedded: Workspace) -> None:
    for name, line in (
        ("Module", "import st2common.transport.utils"),
        ("Name", "from st2common.util.date import gone"),
    ):
        file = embedded.add_sensor("p", name, f"class {name}(Sensor):\n    pass\n", trigger_types=[])
        file.write_text(f"{line}\n{file.read_text()}")
    done = embedded.reload()
    advice = "use self.sensor_service to dispatch, log and store, or install StackStorm's own st2common into the pack's"
    lines = [line for line in done.stderr.splitlines() if advice in line]
    assert len(lines) == 2
    assert all("requirements.txt" not in line and line.count("use self.sensor_service") == 1 for line in lines)


def test_a_stackstorm_that_the_interpreter_has_is_not_shadowed_unless_asked(embedded: Workspace) -> None:
    sensor = embedded.add_sensor("p", "Looks", "", poll_interval=3000, trigger_types=[{"name": "who"}])
    sensor.write_text(LOOKS_WHO)
    home = embedded.folder / "virtualenvs" / "p"
    venv.create(home)
    (packages,) = home.glob("lib/python3.*/site-packages")
    (packages / "st2reactor" / "sensor").mkdir(parents=True)
    (packages / "st2reactor" / "sensor" / "base.py").write_text(STACKSTORMS_BASE)
    (packages / "st2common").mkdir()
    (packages / "st2common" / "only_stackstorm_has_it.py").touch()
    for package in ("st2reactor", "st2reactor/sensor", "st2common"):
        (packages / package / "__init__.py").touch()
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    assert listener.wait_for("p.who")[0].payload == {"who": "StackStorm's", "interval": 3000}
    container.stop()
    embedded.configure("[packs]\nshadow_stackstorm = true")
    embedded.start()
    assert listener.wait_for("p.who", 2)[1].payload == {"who": "ours, alone", "interval": 3000}


def test_exit_in_add_trigger_does_not_keep_later_triggers_away(embedded: Workspace) -> None:
    code = """
        import time

        class Exits(Sensor):
            def run(self):
                time.sleep(1000)
            def add_trigger(self, trigger):
                if trigger["parameters"]["path"] == "/one":
                    exit(-1)
                self.sensor_service.get_logger("heard").info("heard of %s", trigger["parameters"]["path"])
    """
    asked = {"name": "asked", "parameters_schema": {"type": "object", "properties": {"path": {"type": "string"}}}}
    embedded.add_sensor("s", "Exits", code, trigger_types=[asked])
    embedded.add_rule("s", "one", "s.asked", path="/one")
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("add_trigger() failed")
    embedded.add_rule("s", "two", "s.asked", path="/two")
    embedded.reload_well()
    container.wait_for_log("heard of /two")
