"""The container as a daemon: starting, stopping, restarting, and what it does when something is not there."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import pytest

from tests.plugins.patience import LATER, SOON
from tests.support.forks import Process
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.ports import free_port
from tests.support.servers.process import alive
from tests.support.servers.proxy import Proxy
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace, environment, forks

PATIENT = f"stop_timeout = {LATER:g}\n"
"""A sensor that stops, however slowly, is not killed."""

SLEEPER = """
import os, pathlib, time

class {name}(Sensor):
    def setup(self):
        self.sensor_service.dispatch("s.up", {{"name": "{name}"}})
    def run(self):
        while True:
            time.sleep(1000)
    def cleanup(self):
        folder = pathlib.Path("{folder}")
        (folder / "{name}.cleanup").touch()
        while len(list(folder.glob("*.cleanup"))) < {together}:
            time.sleep(0.01)
        self.sensor_service.dispatch("s.down", {{"name": "{name}"}})
"""

UP_AND_DOWN = [{"name": "up"}, {"name": "down"}]


def add_sleepers(workspace: Workspace, count: int, together: int = 1) -> None:
    """:param together: cleanups that each of them waits for."""
    for number in range(count):
        name = f"Sleeper{number}"
        code = SLEEPER.format(name=name, folder=workspace.folder, together=together)
        workspace.add_sensor("s", name, code, trigger_types=UP_AND_DOWN)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_cleans_up_every_sensor_in_parallel_and_ends_with_0(
    workspace: Workspace, number: signal.Signals
) -> None:
    # One after the other they would wait for each other.
    workspace.configure(PATIENT)
    add_sleepers(workspace, 5, together=5)
    workspace.reload_well()
    listener = workspace.listen()
    container = workspace.start()
    listener.wait_for("s.up", 5)

    container.process.send_signal(number)
    assert container.process.wait(SOON) == 0
    assert len(listener.wait_for("s.down", 5)) == 5
    assert container.log.count(" stopped\n") == 6


def test_a_sensor_that_does_not_stop_is_killed_with_all_that_it_started(embedded: Workspace) -> None:
    embedded.configure("stop_timeout = 0.5")
    pid_file = embedded.folder / "pids"
    embedded.add_sensor(
        "s",
        "Stubborn",
        f"""
        import os, signal, subprocess, time

        class Stubborn(Sensor):
            def run(self):
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                child = subprocess.Popen(["sleep", "1000"])
                with open("{pid_file}.new", "w") as file:
                    file.write(f"{{os.getpid()}} {{child.pid}}")
                os.rename("{pid_file}.new", "{pid_file}")
                while True:
                    time.sleep(1000)
        """,
    )
    embedded.reload_well()
    container = embedded.start()
    pids = eventually(
        "the sensor runs", lambda: pid_file.exists() and [int(pid) for pid in pid_file.read_text().split()]
    )
    assert pids
    assert container.stop() == 0
    assert "s.Stubborn did not stop within 0.5 s: killed" in container.log
    eventually("nothing is left", lambda: not any(alive(pid) for pid in pids))


def test_a_killed_container_takes_its_sensors_with_it(workspace: Workspace) -> None:
    add_sleepers(workspace, 3)
    workspace.reload_well()
    listener = workspace.listen()
    container = workspace.start()
    listener.wait_for("s.up", 3)
    wrappers = list(container.wrappers().values())
    assert len(wrappers) == 3
    container.process.kill()
    container.process.wait()
    eventually("no sensor is left", lambda: not any(alive(wrapper.pid) for wrapper in wrappers))


def test_a_killed_sensor_comes_back_and_what_it_started_is_gone(workspace: Workspace) -> None:
    workspace.configure("restart_delay = 0.1")
    workspace.add_sensor(
        "s",
        "Parent",
        """
        import subprocess, time

        class Parent(Sensor):
            def run(self):
                child = subprocess.Popen(["sleep", "1000"])
                self.sensor_service.dispatch("s.up", {"child": child.pid})
                time.sleep(1000)
        """,
        trigger_types=UP_AND_DOWN,
    )
    workspace.reload_well()
    listener = workspace.listen()
    container = workspace.start()
    (first,) = listener.wait_for("s.up")
    container.wrappers()["s.Parent"].kill()
    _, second = listener.wait_for("s.up", 2)
    container.wait_for_log("s.Parent ended with signal SIGKILL, starts again in")
    assert second.payload["child"] != first.payload["child"]
    eventually("its child is gone", lambda: not psutil.pid_exists(first.payload["child"]))
    exits = listener.wait_for("core.st2.sensor.process_exit")
    assert exits[0].payload["exit_code"] == -9


def test_a_sensor_that_fails_says_why_and_is_tried_again(embedded: Workspace) -> None:
    embedded.configure("restart_delay = 0.1")
    embedded.add_sensor(
        "s",
        "Failing",
        "class Failing(PollingSensor):\n    def poll(self):\n        raise RuntimeError('no luck today')\n",
    )
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("RuntimeError: no luck today", 2)
    assert "Traceback" in container.log
    assert "s.Failing ended with exit code 1 (RuntimeError: no luck today), starts again in" in container.log


def test_sighup_looks_for_changes_that_nobody_announced(embedded: Workspace) -> None:
    embedded.configure("resync_interval = 3600")
    add_sleepers(embedded, 2)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    listener.wait_for("s.up", 2)
    with closing(sqlite3.connect(embedded.state / "st2.db")) as connection, connection:
        (text,) = connection.execute("SELECT document FROM sensor_type_d_b WHERE name = 'Sleeper0'").fetchone()
        changed = json.dumps({**json.loads(text), "enabled": False})
        connection.execute("UPDATE sensor_type_d_b SET document = ? WHERE name = 'Sleeper0'", (changed,))
    container.process.send_signal(signal.SIGHUP)
    container.wait_for_log("s.Sleeper0 stopped")
    assert set(container.wrappers()) == {"s.Sleeper1"}


def test_a_resync_finds_changes_whose_announcement_was_missed(embedded: Workspace) -> None:
    embedded.configure("resync_interval = 0.5\n[messaging]\nurl = amqp://127.0.0.1:1//")
    container = embedded.start()
    container.wait_for_log("cannot reach the broker")
    add_sleepers(embedded, 1)
    assert embedded.reload().returncode == 0
    container.wait_for_log("s.Sleeper0 started")


def test_a_sensor_inherits_environment_and_folder_less_what_is_the_containers_own(embedded: Workspace) -> None:
    embedded.add_sensor(
        "s",
        "Looking",
        """
        import os

        class Looking(Sensor):
            def run(self):
                umask = os.umask(0)
                payload = {"environment": dict(os.environ), "folder": os.getcwd(), "umask": umask}
                self.sensor_service.dispatch("s.up", payload)
        """,
        trigger_types=UP_AND_DOWN,
    )
    embedded.reload_well()
    listener = embedded.listen()
    os.environ.update(ST2_AUTH_TOKEN="hush", NOTIFY_SOCKET="/run/x", MINE="kept")
    try:
        embedded.start()
    finally:
        for name in ("ST2_AUTH_TOKEN", "NOTIFY_SOCKET", "MINE"):
            del os.environ[name]
    (seen,) = listener.wait_for("s.up")
    assert seen.payload["folder"] == str(embedded.folder)
    assert seen.payload["umask"] == own_umask()
    assert (embedded.state / "outbox.db").stat().st_mode & 0o007 == 0
    assert seen.payload["environment"]["MINE"] == "kept"
    assert not {"ST2_AUTH_TOKEN", "NOTIFY_SOCKET"} & set(seen.payload["environment"])


def own_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_one_sensor_alone_ends_the_container_with_its_exit_code(workspace: Workspace) -> None:
    add_sleepers(workspace, 1)
    workspace.add_sensor("s", "Exits", "import sys\nclass Exits(Sensor):\n    def run(self):\n        sys.exit(3)\n")
    workspace.add_sensor("s", "Ends", "class Ends(Sensor):\n    pass\n", enabled=False)
    workspace.reload_well()
    daemon = workspace.start()
    daemon.wait_for_log("s.Sleeper0 started")
    listener = workspace.listen()

    alone = workspace.start("--sensor-ref=s.Exits")
    assert alone.process.wait(SOON) == 3
    assert "Sleeper0" not in alone.log
    assert workspace.start("--sensor-ref=s.Ends").process.wait(SOON) == 0

    def exits() -> set[tuple[str, int]]:
        seen = listener.of("core.st2.sensor.process_exit")
        return {(item.payload["id"], item.payload["exit_code"]) for item in seen}

    eventually("both exits are announced", lambda: {("Exits", 3), ("Ends", 0)} <= exits())


@pytest.mark.soak
def test_a_sensor_that_also_runs_in_another_container_is_told_in_both_logs(embedded: Workspace) -> None:
    add_sleepers(embedded, 2)
    embedded.reload_well()
    daemon = embedded.start()
    daemon.wait_for_log("s.Sleeper0 started")
    alone = embedded.start("--sensor-ref=s.Sleeper0")
    alone.wait_for_log(f"s.Sleeper0 also runs in the container of process {daemon.process.pid}")
    daemon.wait_for_log(f"s.Sleeper0 also runs in the container of process {alone.process.pid}")
    assert "s.Sleeper1 runs in" not in daemon.log

    # The daemon that comes second finds it, too.
    assert daemon.stop() == 0
    second = embedded.start()
    second.wait_for_log(f"s.Sleeper0 also runs in the container of process {alone.process.pid}")
    alone.wait_for_log(f"s.Sleeper0 also runs in the container of process {second.process.pid}")


def test_variables_that_hold_the_containers_secrets_reach_no_sensor(embedded: Workspace) -> None:
    code = """
    import os, subprocess

    class Looks(Sensor):
        def run(self):
            child = subprocess.run(["env"], capture_output=True, text=True).stdout
            texts = [open("/proc/self/environ").read().replace(chr(0), "\\n"), child]
            names = [line.partition("=")[0] for text in texts for line in text.splitlines()] + list(os.environ)
            self.sensor_service.dispatch("s.seen", {"names": names})
    """
    embedded.add_sensor("s", "Looks", code, trigger_types=[{"name": "seen"}])
    embedded.configure("private_environment = VAULT_*, TOKEN\n")
    embedded.reload_well()
    listener = embedded.listen()
    private = {"ST2_LOG__FORMAT": "text", "VAULT_ADDR": "v", "VAULT_TOKEN": "v", "TOKEN": "t", "ST2SENSOR_EVENTLET": ""}
    prefix = ["env", *(f"{name}={value}" for name, value in private.items()), "TOKEN_OF_ALL=x"]
    container = embedded.start(prefix=prefix)
    (seen,) = listener.wait_for("s.seen")
    (zygote,) = container.zygotes()
    for names in (set(seen.payload["names"]), set(zygote.environ())):
        assert names & set(private) == set()
        assert "TOKEN_OF_ALL" in names


UNFORESEEN = """
import sys
from st2sensor.cli.__main__ import PROGRAMS
from st2sensor.container import supervisor
from st2sensor.container.supervision.children import Children
from st2sensor.system.lazy import resolve

plan, start, failures = supervisor.plan, Children.start, []

def plan_at_last(*arguments):
    if len(failures) < 2:
        failures.append("plan")
        raise MemoryError("while planning")
    return plan(*arguments)

def start_at_last(children, sensor, *arguments):
    if sensor.ref == "s.Sleeper0" and failures.count("start") < 2:
        failures.append("start")
        raise MemoryError("while starting")
    start(children, sensor, *arguments)

supervisor.plan, Children.start = plan_at_last, start_at_last
# Before them are the interpreter, -m and the module.
name, *arguments = sys.argv[4:]
sys.exit(resolve(PROGRAMS[name])(arguments))
"""
"""A container in which things go wrong that nobody has foreseen."""


def test_what_goes_wrong_without_being_foreseen_ends_nothing(embedded: Workspace) -> None:
    add_sleepers(embedded, 2)
    embedded.reload_well()
    container = embedded.start(prefix=[sys.executable, "-c", UNFORESEEN])
    container.wait_for_log("s.Sleeper1 started")
    container.wait_for_log("s.Sleeper0 started")
    assert container.log.count("the running sensors may not be the ones that should run; trying again") == 2
    assert container.log.count("MemoryError: while planning") == 1
    assert container.log.count("MemoryError: while starting") == 1
    assert container.stop() == 0


def test_a_sensor_that_is_not_registered_is_told(workspace: Workspace) -> None:
    workspace.reload_well()
    done = workspace.run("st2sensorcontainer", "--config-file", str(workspace.config), "--sensor-ref=no.Such")
    assert done.returncode == 66
    assert "error: sensor no.Such is not registered: check the name, or run st2ctl reload" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (workspace.state / "no.Such").exists()


def test_two_containers_cannot_share_a_state_directory(embedded: Workspace) -> None:
    first = embedded.start()
    first.wait_for_log("connected to")
    done = embedded.run("st2sensorcontainer", "--config-file", str(embedded.config))
    assert done.returncode == 75
    assert f"is in use by process {first.process.pid}; stop that container" in done.stderr


def test_without_a_database_at_the_start_the_container_waits_for_it(folder: Path) -> None:
    server = MongoDB(folder)
    (folder / "w").mkdir()
    workspace = Workspace(folder / "w", database=server.url, messaging="local://")
    # A database that is slow to answer once it is there does not count as away again.
    workspace.configure("[database]\nconnection_timeout = 2000")
    container = workspace.start()
    try:
        container.wait_for_log("cannot reach MongoDB at mongodb://127.0.0.1")
        assert "no sensor can start before it answers" in container.log
        server.start()
        container.wait_for_log("the database answers again")
        add_sleepers(workspace, 1)
        workspace.reload_well()
        container.wait_for_log("s.Sleeper0 started")
        assert container.log.count("cannot reach MongoDB") == 1
        assert container.stop() == 0
    finally:
        workspace.close()
        server.stop()


def test_without_a_broker_at_the_start_sensors_run_and_their_triggers_wait_for_it(
    folder: Path, rabbit_server: RabbitMQ
) -> None:
    # A broker takes long to start; the way to one that runs is opened at once.
    port = free_port()
    url = rabbit_server.url.replace(f":{rabbit_server.port}", f":{port}")
    workspace = Workspace(folder, database="sqlite://", messaging=url)
    workspace.configure("[messaging]\nconnection_retry_wait = 300")
    add_sleepers(workspace, 3)
    workspace.reload()
    container = workspace.start()
    with ExitStack() as stack:
        stack.callback(workspace.close)
        container.wait_for_log("cannot reach the broker at amqp://guest:**@127.0.0.1")
        assert "triggers wait in the outbox" in container.log
        container.wait_for_log(" started, pid", 3)
        # Its exchange is declared before triggers are on their way.
        workspace.messaging = rabbit_server.url
        listener = workspace.listen()
        stack.callback(Proxy(rabbit_server.port, port).close)
        listener.wait_for("s.up", 3, timeout=LATER)
        listener.wait_for("core.st2.sensor.process_spawn", 3)
        assert container.log.count("cannot reach the broker") == 1


def states(workspace: Workspace) -> set[str]:
    """Those that sensors are in."""
    listed = workspace.run("st2sensor", "--config-file", str(workspace.config), "list", "--json")
    return {sensor["state"] for sensor in json.loads(listed.stdout)}


@pytest.fixture
def demo(embedded: Workspace) -> Iterator[tuple[Workspace, Process, Path]]:
    embedded.configure(f"{PATIENT}[content]\npacks_base_paths = state/packs")
    embedded.link_pack("linux")
    embedded.link_pack("examples")
    output = embedded.folder / "demo.out"
    with output.open("w") as stream:
        process = forks().start(
            ["st2sensor", "--config-file", str(embedded.config), "demo"],
            cwd=embedded.folder,
            env=environment(),
            stdout=stream.fileno(),
            stderr=stream.fileno(),
        )
    yield embedded, process, output
    process.kill()
    process.wait(SOON)


def test_the_demonstration_shows_triggers_until_it_is_interrupted(demo: tuple[Workspace, Process, Path]) -> None:
    workspace, process, output = demo
    eventually("the hint", lambda: re.search(r"echo hello >> \S+\s", output.read_text()))
    watched = Path(output.read_text().partition("echo hello >> ")[2].split()[0])
    log = workspace.state / "container.log"
    eventually("the file is watched", lambda: log.exists() and f"following {watched}" in log.read_text())
    with watched.open("a") as file:
        file.write("hello\n")
    eventually("its trigger", lambda: re.search(r"linux\.file_watch\.line .* line=hello", output.read_text()))
    eventually("all sensors run", lambda: states(workspace) == {"running"})

    process.send_signal(signal.SIGINT)
    assert process.wait(SOON) == 0
    assert log.read_text().count("cleanup() called") == 4
    assert "Everything has stopped." in output.read_text()
