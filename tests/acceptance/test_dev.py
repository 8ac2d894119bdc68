"""`st2sensor dev`: the real command, on a pack in a temporary folder."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from tests.plugins.patience import SOON
from tests.support.forks import Process
from tests.support.servers.waiting import eventually
from tests.support.workspace import complete, environment, forks

TICKER = """
class Ticker(PollingSensor):
    def setup(self):
        print("setup with", sorted(self.config.items()))
    def poll(self):
        count = int(self.sensor_service.get_value("count") or 0) + 1
        self.sensor_service.set_value("count", count)
        self.sensor_service.set_value("token", "hush", encrypt=True)
        self.sensor_service.dispatch("sample.tick", {"count": count, "word": "first"}, trace_tag="tag-%d" % count)
        self.sensor_service.dispatch("sample.tick", {"count": "three"})
    def cleanup(self):
        print("cleanup of", self.sensor_service.get_value("count"))
"""

OTHER = """
class Other(Sensor):
    def run(self):
        print("the other runs")
        import threading
        threading.Event().wait()
    def add_trigger(self, trigger):
        parameters = sorted(trigger["parameters"].items())
        self.sensor_service.get_logger("Other").info("asked for %s %s", trigger["type"], parameters)
"""

TICK = {
    "name": "tick",
    "payload_schema": {
        "type": "object",
        "properties": {"count": {"type": "integer", "required": True}, "word": {"type": "string"}},
    },
}
LINE = {
    "name": "line",
    "parameters_schema": {
        "type": "object",
        "properties": {"path": {"type": "string", "required": True}, "lines": {"type": "integer"}},
        "additionalProperties": False,
    },
}


class Development:
    """A pack `sample` of two sensors, and the command that runs them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pack = folder / "sample"
        self.cache = folder / "cache"
        self.code = self.pack / "sensors" / "ticker.py"
        self.code.parent.mkdir(parents=True)
        (self.pack / "pack.yaml").write_text("name: sample\nversion: 1.0.0\n")
        self.add_sensor("Ticker", TICKER, poll_interval=0.2, trigger_types=[TICK])
        self.add_sensor("Other", OTHER, trigger_types=[LINE])
        self._processes: list[Process] = []
        self._output = folder / "output"

    def add_sensor(self, class_name: str, code: str, **metadata: object) -> None:
        module = self.pack / "sensors" / class_name.lower()
        data = {"class_name": class_name, "entry_point": f"{module.name}.py", **metadata}
        module.with_suffix(".yaml").write_text(yaml.safe_dump(data))
        module.with_suffix(".py").write_text(complete(code))

    def start(self, *arguments: str) -> Process:
        with self._output.open("wb") as output:
            process = forks().start(
                ["st2sensor", "dev", "sample", *arguments],
                cwd=self.folder,
                env=self._variables,
                stdout=output.fileno(),
                stderr=output.fileno(),
            )
        self._processes.append(process)
        return process

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def state(self) -> Path:
        (found,) = (self.cache / "st2sensor" / "dev").iterdir()
        return found

    def wait_for(self, pattern: str, count: int = 1) -> str:
        """Wait for so many lines; returns the last."""

        def look() -> list[str]:
            found = [line for line in self.output.splitlines() if re.search(pattern, line)]
            return found if len(found) >= count else []

        try:
            return eventually(pattern, look)[-1]
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}") from None

    def edit(self, old: str, new: str) -> None:
        """Save the sensor's code."""
        text = self.code.read_text()
        assert old in text
        save(self.code, text.replace(old, new))

    def stop(self, number: int = signal.SIGINT) -> int:
        process = self._processes.pop()
        process.send_signal(number)
        try:
            return process.wait(SOON)
        finally:
            process.kill()

    def on_terminal(self, *awaited: str) -> str:
        """Run in a terminal of 100 columns until all that is awaited was shown; returns everything."""
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "st2sensor.cli", "st2sensor", "dev", "sample", "--sensor", "Ticker"],
            cwd=self.folder,
            env={**self._variables, "COLUMNS": "100", "TERM": "xterm-256color"},
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        shown = b""

        def read() -> str:
            nonlocal shown
            # A terminal that nobody holds open any more cannot be read.
            with suppress(OSError):
                while select.select([master], [], [], 0)[0]:
                    shown += os.read(master, 65536)
            return shown.decode("utf-8", "replace")

        try:
            eventually(f"all of {awaited}", lambda: all(text in read() for text in awaited))
        finally:
            process.terminate()
            eventually("the end", lambda: (read(), process.poll())[1] is not None)
            os.close(master)
        assert process.returncode == 0
        return shown.decode("utf-8", "replace")

    @property
    def _variables(self) -> dict[str, str]:
        isolated = {"HOME": str(self.folder), "XDG_CACHE_HOME": str(self.cache), "ST2_CONF": "/nowhere"}
        return {**environment(), **isolated, "ST2_MESSAGING__URL": "amqp://nowhere"}

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait(SOON)


def runs(process: psutil.Process) -> bool:
    """Whether it has not ended; one that was not collected yet has."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def save(path: Path, text: str) -> None:
    """As editors do: nobody sees half a file."""
    copy = path.with_name(f".{path.name}.new")
    copy.write_text(text)
    copy.replace(path)


@pytest.fixture
def development(folder: Path) -> Iterator[Development]:
    made = Development(folder)
    yield made
    made.close()


def test_all_that_happens_is_shown_and_recorded_and_nothing_is_left_behind(development: Development) -> None:
    packs_files = sorted(development.pack.rglob("*"))
    process = development.start("--record", "seen.jsonl")
    development.wait_for(r"^\d\d:\d\d:\d\d  trigger +sample\.tick +\{\"count\": 1, \"word\": \"first\"\}  #tag-1$")
    invalid = development.wait_for(r"invalid +sample\.tick ")
    assert "count: is of type string, not integer" in invalid
    assert invalid.endswith('{"count": "three"}')
    development.wait_for(r"datastore  sample\.Ticker:count = 1$")
    development.wait_for(r"datastore  sample\.Ticker:token = \*{8}$")
    development.wait_for(r"info +sample\.Other +the other runs$")
    development.wait_for(r"sensor +sample\.Ticker +started, pid ")
    started = psutil.Process(process.pid).children(recursive=True)
    assert len(started) >= 4
    assert development.state.stat().st_mode & 0o777 == 0o700

    assert development.stop() == 0
    development.wait_for(r"info +sample\.Ticker +cleanup of")
    development.wait_for("Everything has stopped.")
    eventually("all have ended", lambda: not [item for item in started if runs(item)])
    assert not [path for path in development.state.iterdir() if path.is_socket()]
    assert sorted(development.pack.rglob("*")) == packs_files
    # Neither what is told otherwise, nor what is of no use.
    assert "process_spawn" not in development.output
    assert "kept as a dead letter" not in development.output
    lines = [json.loads(line) for line in (development.folder / "seen.jsonl").read_text().splitlines()]
    first, *_ = [line for line in lines if line["trigger_type"] == "sample.tick"]
    assert first["trigger"] == "sample.tick"
    assert first["payload"] == {"count": 1, "word": "first"}
    assert first["trace_context"] == {"id_": None, "trace_tag": "tag-1"}

    # The datastore is kept from run to run; a terminal gets colours and columns.
    shown = development.on_terminal("\x1b[1;31minvalid", '\x1b[1;34m"count"')
    assert '"count"\x1b[0m: \x1b[1;36m1\x1b' not in shown
    assert all(len(re.sub(r"\x1b\[[\d;]*m", "", line).rstrip()) <= 100 for line in shown.splitlines()[4:])


@pytest.mark.soak
def test_with_json_all_that_happens_is_lines_of_json(development: Development) -> None:
    development.start("--json")
    development.wait_for('"value": "1"')
    development.wait_for('"kind": "invalid"')
    assert development.stop() == 0
    lines = [json.loads(line) for line in development.output.splitlines()]
    first, *_ = [line for line in lines if line["kind"] == "trigger"]
    assert first["name"] == "sample.tick"
    assert (first["payload"], first["trace_tag"]) == ({"count": 1, "word": "first"}, "tag-1")
    assert {line["name"] for line in lines if line["kind"] == "datastore"} >= {"sample.Ticker:count"}
    assert lines[-1]["text"] == "Everything has stopped."
    # A mistake is JSON, too.
    assert development.start("--json", "--sensor", "Nothing").wait(SOON) == 66
    assert json.loads(development.output.splitlines()[-1])["error"]["code"] == 66


def test_a_save_restarts_the_sensor_with_its_new_code_and_a_broken_one_leaves_the_old_running(
    development: Development,
) -> None:
    development.start("--sensor", "Ticker")
    development.wait_for(r'trigger .*"word": "first"')
    development.edit('"first"', '"second"')
    development.wait_for(r'trigger .*"word": "second"')
    development.wait_for(r"saved +sample/sensors/ticker\.py +sample\.Ticker restarts$")

    development.edit("def poll(self):", "def poll(self:")
    line = development.wait_for(r"error +sample/sensors/ticker\.py:\d+ +syntax error")
    assert line.endswith("; sample.Ticker stays as it was")
    seen = development.output.count('"second"')
    eventually("the old one goes on", lambda: development.output.count('"second"') > seen + 1)
    assert len(re.findall(r"sample\.Ticker +started", development.output)) == 2

    development.edit("def poll(self:", "def poll(self):")
    development.wait_for(r"saved +sample/sensors/ticker\.py +sample\.Ticker is fixed; it kept running$")
    development.edit('"second"', '"third"')
    development.wait_for(r'trigger .*"word": "third"')
    assert development.stop(signal.SIGTERM) == 0


def test_only_a_chosen_sensor_runs_with_the_given_configuration_whose_saves_count(development: Development) -> None:
    (development.pack / "config.schema.yaml").write_text("place:\n  type: string\n  required: true\n")
    config = development.folder / "mine.yaml"
    config.write_text("other: here\n")
    development.start("--sensor", "sample.Ticker", "--config", "mine.yaml")
    development.wait_for(r"error +mine\.yaml:1 +'place' is a required property")
    save(config, "place: here\n")
    development.wait_for(r"saved +mine\.yaml +sample\.Ticker starts$")
    development.wait_for(r"setup with \[\('place', 'here'\)\]")
    save(config, "place: there\n")
    development.wait_for(r"saved +mine\.yaml +sample\.Ticker restarts$")
    development.wait_for(r"setup with \[\('place', 'there'\)\]")
    assert "the other runs" not in development.output


def test_a_trigger_that_is_asked_for_reaches_the_sensor_and_a_dying_container_is_told(development: Development) -> None:
    process = development.start("--sensor", "Other", "--trigger", "sample.line path=/tmp/x lines=3", "--fresh")
    development.wait_for(r"sensor +sample\.Ticker +is disabled$")
    development.wait_for(r"asked for sample\.line \[\('lines', 3\), \('path', '/tmp/x'\)\]")
    (container,) = [
        child for child in psutil.Process(process.pid).children() if "st2sensorcontainer" in " ".join(child.cmdline())
    ]
    container.kill()
    assert process.wait(SOON) == 128 + signal.SIGKILL
    assert "The container ended with exit code -9. Its last lines:" in development.output
