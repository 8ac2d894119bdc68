"""What operators see and change: the commands over the control socket, and what they do when no container runs."""

from __future__ import annotations

import grp
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from typing import Any

import pytest

from tests.plugins.patience import SOON
from tests.support.live import live
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace, environment

COUNTS = """
class Counts(PollingSensor):
    number = 0

    def poll(self):
        self.number += 1
        self.sensor_service.get_logger("sub").debug("quiet %d", self.number)
        self.sensor_service.get_logger("sub").info("polled %d", self.number)
        self.sensor_service.dispatch("p.counted", {"count": self.number})
"""

WAITS = "class Waits(Sensor):\n    def run(self):\n        import time\n        time.sleep(1000)\n"

ENDS = "class Fails(Sensor):\n    def run(self):\n        raise RuntimeError('always')\n"

TYPES = [
    {
        "name": "counted",
        "payload_schema": {"type": "object", "properties": {"count": {"type": "integer"}}},
    },
    {"name": "asked", "parameters_schema": {"type": "object", "properties": {"path": {"type": "string"}}}},
]


def prepare(workspace: Workspace, extra: str = "") -> None:
    workspace.configure(f"restart_delay = 100000\nrestart_delay_max = 100000\n{extra}")
    workspace.add_sensor("p", "Counts", COUNTS, trigger_types=TYPES, poll_interval=0.2)
    workspace.add_sensor("p", "Waits", WAITS)
    workspace.add_sensor("p", "Fails", ENDS)
    workspace.reload_well()


def st2sensor(workspace: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    return workspace.run("st2sensor", "--config-file", str(workspace.config), *arguments)


def told(workspace: Workspace, *arguments: str) -> str:
    done = st2sensor(workspace, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def states(workspace: Workspace) -> dict[str, str]:
    return {report["ref"]: report["state"] for report in json.loads(told(workspace, "list", "--json"))}


def report(workspace: Workspace, ref: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told(workspace, "show", ref, "--json"))
    return found


@pytest.mark.parametrize("workspace", ["served", pytest.param("embedded", marks=pytest.mark.soak)], indirect=True)
def test_sensors_are_listed_shown_restarted_and_switched(workspace: Workspace) -> None:
    prepare(workspace)
    assert states(workspace) == {"p.Counts": "down", "p.Fails": "down", "p.Waits": "down"}
    container = workspace.start()
    container.wait_for_log("p.Fails ended with exit code 1")
    expected = {"p.Counts": "running", "p.Fails": "backoff", "p.Waits": "running"}
    eventually("two sensors run", lambda: states(workspace) == expected)

    def counted() -> dict[str, Any] | None:
        """What is told of the one that polls, once its memory was measured, too."""
        counts = report(workspace, "p.Counts")
        return counts if counts["polls"] > 2 and counts["memory"] and counts["triggers_per_minute"] else None

    counts = eventually("it polls", counted)
    assert counts is not None
    wrapper = container.wrappers()["p.Counts"]
    assert counts["pid"] == wrapper.pid
    assert counts["trigger"] == "p.counted"
    assert counts["dispatched"] >= counts["polls"] > 2
    assert counts["triggers_per_minute"] == sum(counts["recent"][-6:]) > 0
    assert 0 < counts["memory"] <= wrapper.memory_info().rss
    assert counts["last_poll"]["seconds"] >= 0
    fails = report(workspace, "p.Fails")
    assert fails["last_exit"]["text"] == "ended with exit code 1 (RuntimeError: always)"
    assert "Traceback" in fails["last_error"]["text"]
    assert "wrapper/process.py" not in fails["last_error"]["text"], "how it was called says nothing to its author"
    assert fails["next_start"] > fails["last_exit"]["at"]

    # One that waits for its next start, and one that runs.
    told(workspace, "restart", "p.Fails")
    container.wait_for_log("p.Fails ended with exit code 1", count=2)
    told(workspace, "restart", "p.Counts")
    eventually("another process", lambda: report(workspace, "p.Counts")["pid"] not in (None, wrapper.pid))
    eventually("it is counted", lambda: report(workspace, "p.Counts")["restarts"] == 1)

    told(workspace, "disable", "p.Waits")
    eventually("it is stopped", lambda: states(workspace)["p.Waits"] == "disabled")
    assert "p.Waits was already disabled" in told(workspace, "disable", "p.Waits")
    switched = json.loads(told(workspace, "disable", "p.Waits", "--json"))
    assert switched == {"ref": "p.Waits", "enabled": False, "changed": False}
    assert "p.Waits" not in container.wrappers()
    workspace.add_sensor("p", "Later", WAITS.replace("Waits", "Later"))
    workspace.reload_well()
    eventually("the reload has arrived", lambda: states(workspace).get("p.Later") == "running")
    assert states(workspace)["p.Waits"] == "disabled", "a reload undid what an operator has said"
    told(workspace, "enable", "p.Waits")
    eventually("it runs again", lambda: states(workspace)["p.Waits"] == "running")

    eventually("it waits", lambda: states(workspace)["p.Fails"] == "backoff")
    table = told(workspace, "list", "--state", "backoff")
    assert "p.Fails" in table
    assert "ended with exit code 1 (RuntimeError: always)" in table
    assert "p.Counts" not in table
    top = told(workspace, "top", "--once", "--sort", "name")
    assert "broker ok" in top
    shown = [line.split()[0] for line in top.splitlines() if line.startswith("p.")]
    assert shown == sorted(shown)
    assert {"p.Counts", "p.Fails", "p.Waits"} <= set(shown)
    assert container.stop() == 0
    assert states(workspace)["p.Counts"] == "down"


def test_the_log_of_a_sensor_is_followed_and_its_level_changed(embedded: Workspace) -> None:
    prepare(embedded)
    embedded.start().wait_for_log("polled 2")

    def kept() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in told(embedded, "logs", "p.Counts", "--json").splitlines()]
        return lines if any(line["text"] == "polled 2" for line in lines) else []

    lines = eventually("its lines", kept)
    assert [line["text"] for line in lines if line["text"].startswith("polled")][:2] == ["polled 1", "polled 2"]
    assert any("p.Counts started, pid" in line["text"] for line in lines), "what the container says of it"
    assert not any("quiet" in line["text"] for line in lines)
    assert not any("p.Fails" in line["text"] for line in lines)

    words = ["st2sensor", "--config-file", str(embedded.config), "logs", "p.Counts", "-f"]
    with live(words, cwd=embedded.folder, env=environment()) as (following, output):
        told(embedded, "log-level", "DEBUG", "--sensor", "p.Counts")
        assert any("quiet" in line for line in output)
        following.send_signal(signal.SIGINT)
        assert following.wait(SOON) == 0


@pytest.mark.parametrize("workspace", ["served", pytest.param("embedded", marks=pytest.mark.soak)], indirect=True)
def test_triggers_are_dispatched_asked_for_and_withdrawn(workspace: Workspace) -> None:
    prepare(workspace)
    listener = workspace.listen()
    container = workspace.start()
    container.wait_for_log("polled 1")
    told(workspace, "dispatch", "p.counted", '{"count": 4711}', "--trace-tag", "by-hand")
    seen = eventually("it", lambda: [item for item in listener.of("p.counted") if item.payload == {"count": 4711}])
    assert seen[0].body["trace_context"] == {"id_": None, "trace_tag": "by-hand"}
    refused = (
        ("p.counted", '{"count": "x"}', 65, "st2sensor: error: the payload does not fit"),
        ("p.nowhere", "{}", 65, "st2sensor: error: trigger p.nowhere is not registered"),
        ("p.counted", "{", 2, "not JSON"),
        ("p.counted", '{"count": NaN}', 2, "cannot be sent"),
    )
    for trigger, payload, code, why in refused:
        done = st2sensor(workspace, "dispatch", trigger, payload)
        assert (done.returncode, why in done.stderr) == (code, True), done.stderr

    done = st2sensor(workspace, "triggers", "add", "p.asked", "path=5")
    assert done.returncode == 65
    assert "path: 5 is not of type 'string'" in done.stderr
    ref = told(workspace, "triggers", "add", "p.asked", "path=/var/log/x").split()[0]
    rows = json.loads(told(workspace, "triggers", "--json"))
    (row,) = [row for row in rows if row["ref"] == ref]
    assert row == {
        "ref": ref,
        "type": "p.asked",
        "parameters": {"path": "/var/log/x"},
        "asked_by": 1,
        "sensor": "p.Counts",
    }
    assert json.loads(told(workspace, "triggers", "remove", ref, "--json")) == {"ref": ref, "asked_by": 0}
    assert st2sensor(workspace, "triggers", "remove", ref).returncode == 66
    workspace.add_rule("p", "asks", "p.asked", path="/tmp/y")
    workspace.reload_well()
    (rule,) = json.loads(told(workspace, "rules", "--json"))
    assert (rule["ref"], rule["trigger_type"], rule["parameters"]) == ("p.asks", "p.asked", {"path": "/tmp/y"})
    assert container.stop() == 0
    assert "no container is running here" in told(workspace, "dispatch", "p.counted", '{"count": 4712}')
    for trigger, payload, code, why in refused[:2]:
        done = st2sensor(workspace, "dispatch", trigger, payload)
        assert (done.returncode, why in done.stderr) == (code, True), done.stderr
    eventually("it", lambda: [item for item in listener.of("p.counted") if item.payload == {"count": 4712}])


def test_what_passes_is_shown_also_where_it_is_pickled(embedded: Workspace) -> None:
    embedded.serializer = "pickle"
    prepare(embedded)
    embedded.start().wait_for_log("polled 1")
    words = ["st2sensor", "--config-file", str(embedded.config), "tail", "--json", "--trigger", "p.counted"]
    with live(words, cwd=embedded.folder, env=environment()) as (tail, output):
        seen = [json.loads(output.readline()) for _ in range(2)]
        tail.send_signal(signal.SIGINT)
        assert tail.wait(SOON) == 0
    assert [item["trigger"] for item in seen] == ["p.counted"] * 2
    assert seen[1]["payload"]["count"] == seen[0]["payload"]["count"] + 1


def test_commands_say_so_when_nothing_runs_or_nothing_is_known(embedded: Workspace) -> None:
    prepare(embedded)
    for arguments in (["restart", "p.Waits"], ["top", "--once"], ["logs", "p.Waits"], ["log-level", "INFO"]):
        done = st2sensor(embedded, *arguments)
        assert done.returncode == 69, arguments
        assert "st2ctl start starts one" in done.stderr
    embedded.start().wait_for_log("polled 1")
    for arguments in (["show", "p.Nobody"], ["logs", "p.Nobody"], ["restart", "p.Nobody"], ["disable", "p.Nobody"]):
        done = st2sensor(embedded, *arguments)
        assert done.returncode == 66, arguments
        assert "p.Nobody" in done.stderr


def test_the_control_socket_is_for_a_group_and_survives_nonsense(embedded: Workspace) -> None:
    group = grp.getgrgid(os.getgroups()[0] if os.getgroups() else os.getgid()).gr_name
    prepare(embedded, f"control_group = {group}")
    container = embedded.start()
    container.wait_for_log("polled 1")
    path = embedded.state / "control.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert path.group() == group
    for nonsense in (b"x\n", b"{}\n", b'{"jsonrpc":"2.0","id":1,"method":"sensor","params":{"a":1}}\n', b"\xff" * 100):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(nonsense)
            client.shutdown(socket.SHUT_WR)
            client.settimeout(SOON)
            client.recv(1000)
    assert states(embedded)["p.Counts"] == "running"
    assert container.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize("stops", ["its own", "SIGTERM"])
def test_one_sensor_runs_in_the_foreground(embedded: Workspace, stops: str) -> None:
    code = (
        "import sys\n\nclass Asks(Sensor):\n    def run(self):\n        print('heard', sys.stdin.readline().strip())\n"
    )
    code += "        sys.stdout.flush()\n" + (
        "        sys.exit(3)\n" if stops == "its own" else "        sys.stdin.read()\n"
    )
    code += "\n    def cleanup(self):\n        print('cleaned up')\n"
    embedded.add_sensor("p", "Asks", code, enabled=False)
    embedded.reload_well()
    with subprocess.Popen(
        [sys.executable, "-m", "st2sensor.cli", "st2sensor", "--config-file", embedded.config, "run", "p.Asks"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write("hello\n")
        running.stdin.flush()
        assert running.stdout.readline() == "heard hello\n"
        if stops == "SIGTERM":
            running.terminate()
        assert running.stdout.readline() == "cleaned up\n"
        assert running.wait(SOON) == (3 if stops == "its own" else 0)


def test_the_log_is_json_with_sensor_and_pid_on_stdout(embedded: Workspace) -> None:
    prepare(embedded, "[log]\nformat = json\nstream = stdout\nlevel = WARNING")
    container = embedded.start()
    container.wait_for_log("the sensor failed")
    lines = [json.loads(line) for line in container.log.splitlines(keepends=True) if line.endswith("\n")]
    (failed,) = [line for line in lines if "the sensor failed" in line["message"]]
    assert failed["sensor"] == "p.Fails"
    assert failed["pid"] not in (None, container.process.pid)
    assert failed["level"] == "ERROR"
    assert not any(line["level"] == "INFO" for line in lines)
    told(embedded, "log-level", "INFO")
    container.wait_for_log("polled")
