"""The container as a service: what systemd is told, st2ctl's words, and the files in conf/."""

from __future__ import annotations

import configparser
import grp
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from st2sensor import config
from tests.conftest import missing
from tests.plugins.patience import LATER, SOON
from tests.support.servers.process import alive
from tests.support.servers.waiting import eventually
from tests.support.workspace import ROOT, Workspace, environment

CONF = ROOT / "conf"

SLEEPS = "import time\n\nclass {name}(Sensor):\n    def run(self):\n        time.sleep(1000)\n"


class SystemdSocket:
    """What systemd would hear."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)
        self._heard: list[str] = []

    def count(self, message: str) -> int:
        """How often it was heard."""
        with suppress(BlockingIOError):
            while True:
                self._heard.append(self._socket.recv(1000).decode())
        return self._heard.count(message)

    def wait_for(self, message: str, count: int = 1) -> None:
        eventually(f"{count} x {message}", lambda: self.count(message) >= count)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(embedded: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[SystemdSocket]:
    listening = SystemdSocket(embedded.folder)
    monkeypatch.setenv("NOTIFY_SOCKET", str(listening.path))
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    yield listening
    listening.close()


def test_systemd_hears_that_it_is_ready_how_it_is_and_that_it_lives(
    embedded: Workspace, systemd: SystemdSocket
) -> None:
    names = [f"S{number}" for number in range(5)]
    for name in names:
        embedded.add_sensor("p", name, SLEEPS.format(name=name))
    embedded.configure("changes_at_once = 2")
    embedded.reload_well()
    container = embedded.start()
    systemd.wait_for("READY=1")
    assert container.log.count(" started, pid") >= 3
    systemd.wait_for("STATUS=5 running")
    systemd.wait_for("WATCHDOG=1", systemd.count("WATCHDOG=1") + 3)
    # No sensor hears of it.
    assert "NOTIFY_SOCKET" not in container.wrappers()["p.S1"].environ()
    container.wrappers()["p.S1"].kill()
    systemd.wait_for("STATUS=4 running, 1 backoff")
    container.stop()
    systemd.wait_for("STOPPING=1")
    assert systemd.count("READY=1") == 1


def test_without_a_database_systemd_is_not_kept_waiting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listening = SystemdSocket(folder)
    monkeypatch.setenv("NOTIFY_SOCKET", str(listening.path))
    workspace = Workspace(folder, database="mongodb://127.0.0.1:1", messaging="local://")
    try:
        workspace.start()
        listening.wait_for("READY=1")
        listening.wait_for("STATUS=no sensors")
    finally:
        workspace.database = "sqlite://"
        workspace.close()
        listening.close()


def ctl(workspace: Workspace, *arguments: str, code: int = 0) -> str:
    done = workspace.run("st2ctl", "--config-file", str(workspace.config), *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def number_in(text: str) -> int:
    found = re.fullmatch(r"st2sensorcontainer PID: (\d+)\n", text)
    assert found is not None, text
    return int(found[1])


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="systemd runs here, and starts what is installed")
def test_st2ctl_start_warns_of_ports_in_use_while_the_container_runs(embedded: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as page, socket.create_server(("127.0.0.1", 0)) as webhooks:
        places = [f"127.0.0.1:{server.getsockname()[1]}" for server in (page, webhooks)]
        embedded.configure(f"http = {places[0]}\n[webhooks]\nenable = true\nport = {places[1].rpartition(':')[2]}")
        embedded.reload_well()
        warnings = [
            f"[sensorcontainer] http: cannot listen at {places[0]}: another program uses this port; sensors keep "
            "running, and listening is retried",
            f"core.WebhookSensor: ended with exit code 1 (RuntimeError: [webhooks]: cannot listen at {places[1]}: "
            "another program uses this port)",
        ]
        try:
            number, *told = ctl(embedded, "start").splitlines()
            assert told == [f"warning: {line}" for line in warnings]
            # A container that runs already is asked as well. The sensor may be starting again.
            again = json.loads(ctl(embedded, "start", "--json").splitlines()[0])
            assert (again["pid"], again["running"]) == (number_in(f"{number}\n"), True)
            assert again["warnings"][0] == warnings[0]
        finally:
            ctl(embedded, "stop")


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="systemd runs here, and starts what is installed")
def test_st2ctl_starts_and_stops_a_container_without_systemd(embedded: Workspace) -> None:
    embedded.configure(f"stop_timeout = {LATER:g}")
    embedded.add_sensor("p", "S", SLEEPS.format(name="S"))
    embedded.reload_well()
    log = embedded.state / "st2sensorcontainer.log"
    assert ctl(embedded, "status", code=3) == "st2sensorcontainer is not running.\n"
    try:
        first = number_in(ctl(embedded, "start"))
        eventually("its sensor runs", lambda: log.exists() and "p.S started" in log.read_text())
        assert number_in(ctl(embedded, "start")) == number_in(ctl(embedded, "status")) == first
        assert json.loads(ctl(embedded, "start", "--json")) == {
            "service": "st2sensorcontainer",
            "running": True,
            "pid": first,
            "warnings": [],
        }
        refused = json.loads(ctl(embedded, "stop", "st2api", "--json", code=2).splitlines()[0])
        assert refused["error"]["type"] == "UsageError"
        moved = log.rename(log.with_suffix(".old"))
        assert "is running and would keep its old state; run st2ctl stop first" in ctl(
            embedded, "clean", "--yes", code=75
        )
        assert ctl(embedded, "reopen-log-files") == ""
        eventually("the log is open again", log.exists)
        last = ctl(embedded, "restart").splitlines()
        assert last[0] == "st2sensorcontainer is not running."
        second = number_in(last[1] + "\n")
        assert second != first
        assert not alive(first)
        # As StackStorm's documents have it.
        assert ctl(embedded, "reopen-log-files", "st2sensorcontainer") == ""
        third = number_in(ctl(embedded, "restart-component", "st2sensorcontainer").splitlines()[1] + "\n")
        assert third != second
        assert "warning: st2api belongs to StackStorm" in ctl(embedded, "restart-component", "st2api")
        assert number_in(ctl(embedded, "status")) == third
        assert "stopped" in log.read_text()
        assert "stopped" not in moved.read_text()
    finally:
        assert ctl(embedded, "stop") == "st2sensorcontainer is not running.\n"
    assert not alive(third)
    assert ctl(embedded, "stop") == "st2sensorcontainer is not running.\n"
    embedded.configure("stop_timeout = soon")
    assert "[sensorcontainer] stop_timeout" in ctl(embedded, "start", code=78)


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="systemd runs here, and starts what is installed")
def test_a_container_that_does_not_start_says_where_to_look(embedded: Workspace) -> None:
    embedded.configure("[database]\nconnection = sqlite:///packs")
    said = ctl(embedded, "start", code=1)
    assert (
        said == f"st2ctl: error: st2sensorcontainer did not start; {embedded.state}/st2sensorcontainer.log says why\n"
    )
    assert "error: " in (embedded.state / "st2sensorcontainer.log").read_text()


def test_st2ctl_clean_deletes_what_is_registered_and_stored_but_only_when_told(workspace: Workspace) -> None:
    workspace.add_sensor("p", "S", SLEEPS.format(name="S"))
    workspace.reload_well()
    key = ("st2sensor", "--config-file", str(workspace.config), "key")
    assert workspace.run(*key, "set", "k", "v").returncode == 0
    container = workspace.start()
    container.wait_for_log("p.S started")
    container.stop()
    assert (workspace.state / "outbox.db").exists()
    asked = workspace.run("st2ctl", "--config-file", str(workspace.config), "clean")
    assert asked.returncode == 2
    assert "there is no terminal to confirm it at; add --yes" in asked.stderr
    assert workspace.documents("sensor_type_d_b")
    ctl(workspace, "clean", "--yes")
    assert not workspace.documents("sensor_type_d_b")
    assert not workspace.documents("key_value_pair_d_b")
    assert not (workspace.state / "outbox.db").exists()
    workspace.reload_well()
    assert workspace.documents("sensor_type_d_b")


# The files in conf/.


def unit() -> configparser.ConfigParser:
    # Keys may be repeated, and the last counts for what is asked here.
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(CONF / "st2sensorcontainer.service")
    return parser


def test_the_unit_starts_what_is_installed_with_the_arguments_of_its_environment_file(
    embedded: Workspace, systemd: SystemdSocket
) -> None:
    service = unit()["Service"]
    command, arguments = shlex.split(service["ExecStart"])
    assert (Path(command).name, arguments) == ("st2sensorcontainer", "$DAEMON_ARGS")
    assert shutil.which(Path(command).name, path=str(Path(sys.executable).parent))
    (line,) = [line for line in (CONF / "st2sensorcontainer.default").read_text().splitlines() if line.startswith("D")]
    (assignment,) = shlex.split(line)
    assert shlex.split(service["Environment"]) == [assignment]
    given = assignment.removeprefix("DAEMON_ARGS=").replace("/etc/st2/st2.conf", str(embedded.config)).split()
    command = str(Path(sys.executable).parent / "st2sensorcontainer")
    process = subprocess.Popen([command, *given], cwd=embedded.folder, env=environment())
    try:
        systemd.wait_for("READY=1")
        number = {"HUP": signal.SIGHUP}[re.fullmatch(r"/bin/kill -(\w+) \$MAINPID", service["ExecReload"])[1]]  # type: ignore[index]
        process.send_signal(number)
        # It goes on, and says so.
        systemd.wait_for("WATCHDOG=1", systemd.count("WATCHDOG=1") + 2)
    finally:
        process.terminate()
    assert process.wait(SOON) == 0
    defaults = config.load([str(CONF / "st2.conf")])
    assert int(service["TimeoutStopSec"]) > defaults.container.stop_timeout
    assert (service["Type"], service["KillMode"], service["User"], service["Delegate"]) == (
        "notify",
        "mixed",
        "st2",
        "yes",
    )
    assert str(defaults.container.state_dir) == f"/var/lib/{service['StateDirectory']}"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze: install Debian's systemd")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    text = (CONF / "st2sensorcontainer.service").read_text()
    path = tmp_path / "st2sensorcontainer.service"
    # Neither the user nor the program is on this host.
    path.write_text(
        text.replace("/opt/stackstorm/st2sensor/bin/st2sensorcontainer", "/bin/true").replace("=st2\n", "=root\n")
    )
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if path.name in line] == []


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="no systemd-sysusers: install Debian's systemd")
def test_the_user_and_the_folders_can_be_made(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        missing("only root gives folders to other users: run the tests as root")
    for folder in ("etc", "var/lib", "opt"):
        (tmp_path / folder).mkdir(parents=True)
    root = f"--root={tmp_path}"
    copied = []
    for name in ("st2sensor.sysusers", "st2sensor.tmpfiles"):
        shutil.copy(CONF / name, tmp_path / f"{name}.conf")
        copied.append(f"{tmp_path}/{name}.conf")
    users, files = copied
    subprocess.run(["systemd-sysusers", root, users], check=True, capture_output=True)
    subprocess.run(["systemd-tmpfiles", root, "--create", files], check=True, capture_output=True)
    user = re.search(r"^st2:x:(\d+):", (tmp_path / "etc" / "passwd").read_text(), re.MULTILINE)
    assert user is not None
    state = tmp_path / "var/lib/st2sensor"
    assert (state.stat().st_uid, state.stat().st_mode & 0o777) == (int(user[1]), 0o750)
    assert (tmp_path / "opt/stackstorm/packs").is_dir()


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="no logrotate: install Debian's logrotate")
def test_logrotate_takes_its_file(tmp_path: Path) -> None:
    path = tmp_path / "st2"
    # Only root becomes another user.
    me = f"{pwd.getpwuid(os.geteuid()).pw_name} {grp.getgrgid(os.getegid()).gr_name}"
    path.write_text((CONF / "st2sensorcontainer.logrotate").read_text().replace("st2 st2", me))
    path.chmod(0o644)
    done = subprocess.run(
        ["logrotate", "--debug", "--state", str(tmp_path / "state"), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower()


def test_the_sample_of_logging_is_one(embedded: Workspace) -> None:
    text = (CONF / "logging.sensorcontainer.conf").read_text().replace("/var/log/st2sensor", str(embedded.folder))
    (embedded.folder / "logging.conf").write_text(text)
    embedded.configure("logging = logging.conf")
    container = embedded.start()
    log = embedded.folder / "container.log"
    eventually("it logs", lambda: log.exists() and "configured by" in log.read_text())
    container.stop()
    assert container.log == ""
