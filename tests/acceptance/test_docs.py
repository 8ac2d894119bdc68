"""What docs/ shows works as it stands."""

from __future__ import annotations

import json
import re
import select
import shlex
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import jsonschema

from st2sensor.config.options.sections import GROUPS
from st2sensor.container.supervision.child import State
from st2sensor.delivery.messages import FENCE, LATE
from st2sensor.sharing.times import times_of
from tests.plugins.patience import LATER, SOON
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.waiting import eventually
from tests.support.workspace import ROOT, Container, Workspace, environment

SCHEMA = json.loads((ROOT / "docs" / "trigger-instance.schema.json").read_text())
SUPERVISION = (ROOT / "docs" / "supervision.md").read_text()
PACKS = (ROOT / "docs" / "packs.md").read_text()
DELIVERY = (ROOT / "docs" / "delivery.md").read_text()


def test_bodies_fit_the_published_schema(workspace: Workspace) -> None:
    workspace.add_sensor(
        "s",
        "Various",
        """
        class Various(Sensor):
            def run(self):
                self.sensor_service.dispatch("s.event", {"n": 1})
                self.sensor_service.dispatch("s.event", {"n": 2}, trace_tag="t")
                self.sensor_service.dispatch({"pack": "s", "name": "event", "type": "s.event"}, {"n": 3})
        """,
        trigger_types=[{"name": "event"}],
    )
    workspace.reload_well()
    listener = workspace.listen()
    workspace.start().wait_for_log("s.Various finished")
    eventually("all came", lambda: len([item for item in listener.seen if "n" in item.payload]) == 3)
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    for message in listener.seen:
        jsonschema.validate(message.body, SCHEMA)


def test_the_consumer_prints_what_it_binds_to(served: Workspace, rabbit_server: RabbitMQ) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DELIVERY, re.DOTALL)
    assert len(code.splitlines()) <= 10
    code = code.replace('"127.0.0.1"', f'"127.0.0.1", {rabbit_server.port}')
    code = code.replace("st2.trigger_instances_dispatch", f"{served.prefix}.trigger_instances_dispatch")
    code = code.replace('"mine"', f'"{served.prefix}.mine"')
    served.configure("[messaging]\nrouting_key = trigger")
    served.link_pack("linux")
    watched = served.folder / "app.log"
    watched.touch()
    served.add_rule("ours", "watch", "linux.file_watch.line", file_path=str(watched))
    served.reload_well()
    container = served.start()
    container.wait_for_log(f"following {watched}")
    consumer = subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        stdout = consumer.stdout
        assert stdout is not None

        def printed() -> str:
            """Append until the consumer has bound and prints."""
            with watched.open("a") as file:
                file.write("hello\n")
            return stdout.readline() if select.select([stdout], [], [], 0)[0] else ""

        line = eventually("a line is printed", printed)
        assert re.fullmatch(r"[0-9a-f]{32} hello\n", line)
    finally:
        consumer.kill()
        consumer.communicate()


def test_every_key_of_the_sample_configuration_is_read_and_every_key_is_in_it() -> None:
    sample = (ROOT / "conf" / "st2.conf").read_text()

    section = ""
    shown: set[tuple[str, str]] = set()
    for line in sample.splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match[1]
        elif match := re.fullmatch(r"(?:# )?(\w+) =.*", line):
            shown.add((section, match[1]))
    known = {(group, option.name) for group, options in GROUPS.items() for option in options}
    assert shown <= known
    # What makes a StackStorm's connection, and its older names.
    left_out = {("database", key) for key in ("host", "port", "username", "password")}
    left_out |= {(section, key) for section, key in known if section == "database" and key.startswith("ssl")}
    assert known - shown == left_out


def test_supervision_is_as_described(embedded: Workspace) -> None:
    snippet = SUPERVISION.partition("```yaml\n")[2].partition("```")[0]
    (embedded.folder / "overrides").mkdir()
    (embedded.folder / "overrides" / "p.yaml").write_text(snippet)
    schema = json.loads((ROOT / "st2sensor" / "packs" / "schemas" / "overrides.json").read_text())
    table = SUPERVISION.partition("## Per sensor")[2].partition("## Output")[0]
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE))))
    assert named == set(schema["definitions"]["sensor"]["properties"])

    embedded.configure("restart_delay = 0.1\nrestart_delay_max = 300")
    embedded.add_sensor("p", "S", "class S(Sensor):\n    def run(self):\n        raise RuntimeError('no luck')\n")
    embedded.reload_well()
    container = embedded.start()
    shown = [line.strip() for line in SUPERVISION.splitlines() if line.startswith("    ") and " p.S " in line]
    assert len(shown) == 2
    for line in shown:
        pattern = re.sub(r"\d+\\\.\d+", r"\\d+\\.\\d+", re.escape(line))
        eventually(line, partial(found_in, container, pattern))


def found_in(container: Container, pattern: str) -> bool:
    return re.search(pattern, container.log) is not None


def test_states_are_those_that_there_are() -> None:
    table = SUPERVISION.partition("## States")[2].partition("A failed sensor")[0]
    assert re.findall(r"^\| (\w+) \|", table, re.MULTILINE)[1:] == [state.value for state in State]


SHOWS_CONFIG = """
import time

class Shows(Sensor):
    def run(self):
        self.sensor_service.dispatch("p.shown", self.config)
        time.sleep(1000)
"""


def test_a_packs_configuration_is_as_described(embedded: Workspace) -> None:
    schema, values = re.findall(r"```yaml\n(.*?)```", PACKS, re.DOTALL)
    sensor = embedded.add_sensor("p", "Shows", SHOWS_CONFIG, trigger_types=[{"name": "shown"}])
    (sensor.parent.parent / "config.schema.yaml").write_text(schema)
    (embedded.folder / "configs").mkdir()
    (embedded.folder / "configs" / "p.yaml").write_text(values)
    embedded.make_key()
    commands = re.findall(r"^    st2sensor (key set .*)$", PACKS, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        done = embedded.run("st2sensor", "--config-file", str(embedded.config), *shlex.split(command))
        assert done.returncode == 0, done.stderr
    embedded.reload_well()
    listener = embedded.listen()
    embedded.start()
    assert listener.wait_for("p.shown")[0].payload == {
        "url": "https://api.example.org/v1",
        "token": "s3cret-token",
        "retries": 5,
        "targets": [{"name": "blue", "weight": 1}],
    }


def test_a_packs_own_test_is_run_as_described(tmp_path: Path) -> None:
    (test,) = re.findall(r"```python\n(.*?)```", PACKS, re.DOTALL)
    (sensor,) = re.findall(r"```python\n(import shutil.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (commands,) = re.findall(r"^(    COMPAT=.*\n    PYTHONPATH.*)$", PACKS, re.MULTILINE)
    for folder, name, text in (("sensors", "usage_sensor.py", sensor), ("tests", "test_usage_sensor.py", test)):
        path = tmp_path / "packs" / "disk" / folder / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    done = subprocess.run(
        ["bash", "-c", textwrap.dedent(commands)],
        cwd=tmp_path,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=LATER,
    )
    assert done.returncode == 0, done.stderr
    assert "Ran 1 test" in done.stderr


def shell(line: str, folder: Path, **variables: str) -> str:
    """Run a document's line as it stands, with the commands of this checkout; returns what it printed."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={**environment(), "PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=LATER,
    )
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done.stdout


def lines(document: str, start: str) -> list[str]:
    """The commands of a document that begin so."""
    found = re.findall(rf"^    ({re.escape(start)}.*)$", (ROOT / "docs" / document).read_text(), re.MULTILINE)
    assert found, start
    return found


def test_packs_are_validated_and_get_their_virtualenvs_as_described(embedded: Workspace) -> None:
    everything, one = lines("packs.md", "st2sensor validate")
    assert "nothing is wrong" in shell(everything, ROOT)
    shell("st2sensor init packs/my_pack && cp packs/my_pack/my_pack.yaml.example my_pack.yaml", embedded.folder)
    assert "nothing is wrong" in shell(one, embedded.folder)
    for line in lines("packs.md", "st2ctl reload"):
        shell(line, embedded.folder, ST2_CONF=str(embedded.config))
        assert "my_pack.MyPackSensor" in shell("st2sensor list", embedded.folder, ST2_CONF=str(embedded.config))


def test_a_pack_is_developed_and_what_was_recorded_replayed_as_described(embedded: Workspace) -> None:
    embedded.link_pack("linux")
    cache, watched = embedded.folder / "cache", embedded.folder / "app.log"
    watched.touch()
    (dev,) = [line for line in lines("development.md", "st2sensor dev") if "--trigger" in line]
    command = f"exec {dev.replace('/tmp/app.log', str(watched))}"
    variables = {**environment(), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "XDG_CACHE_HOME": str(cache)}
    with subprocess.Popen(
        ["bash", "-c", command], cwd=embedded.folder, env=variables, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert any("following" in line for line in running.stdout)
        watched.write_text("hello\n")
        assert any("hello" in line for line in running.stdout)
        running.terminate()
        assert running.wait(SOON) == 0
    (key,) = lines("development.md", "st2sensor --config-file ~/.cache/st2sensor/dev/PACK-.../st2.conf key")
    key = key.replace("~/.cache/st2sensor/dev/PACK-...", f"{cache}/st2sensor/dev/linux-*")
    assert "linux.FileWatchSensor:" in shell(key, embedded.folder)

    text = (ROOT / "docs" / "development.md").read_text()
    (recorded,) = re.findall(r'^    (\{"time".*?\})$', text, re.MULTILINE | re.DOTALL)
    (embedded.folder / "FILE").write_text(" ".join(recorded.split()) + "\n")
    embedded.add_sensor("default", "Disk", "class Disk(Sensor):\n    pass\n", trigger_types=[{"name": "disk_usage"}])
    embedded.reload_well()
    listener = embedded.listen()
    (replay,) = lines("development.md", "st2sensor --config-file /etc/st2/st2.conf replay")
    shell(replay.replace("/etc/st2/st2.conf", str(embedded.config)), embedded.folder)
    assert listener.wait_for("default.disk_usage")[0].payload == {"percent": 41.7}


def test_the_spans_of_a_lease_are_as_the_guide_says() -> None:
    text = (ROOT / "docs" / "sharing.md").read_text()
    spans = times_of(10)
    assert f"keep running until {(spans.term - spans.grace) / 10:g} L ({spans.term - spans.grace:g} s)" in text
    assert f"At {spans.term / 10:g} L ({spans.term:g} s), they are killed" in text
    assert f"unchanged for {spans.silence / 10:g} L" in text
    assert f"Every L/{10 / spans.tick:g} ({spans.tick:.1f} s)" in text
    assert f"containers has not changed for L ({spans.calm:g} s)" in text
    for header in (FENCE, LATE):
        assert f"`{header}" in text


def test_the_consumer_of_the_compose_file_prints_each_trigger(served: Workspace, rabbit_server: RabbitMQ) -> None:
    code = (ROOT / "conf" / "compose-consumer.py").read_text()
    code = code.replace("st2.trigger_instances_dispatch", f"{served.prefix}.trigger_instances_dispatch")
    code = code.replace('"compose-consumer"', f'"{served.prefix}.consumer"')
    served.link_pack("examples")
    served.reload_well()
    consumer = subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        env={**environment(), "BROKER": rabbit_server.url},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        served.start()
        stdout = consumer.stdout
        assert stdout is not None
        eventually("a line is printed", lambda: select.select([stdout], [], [], 0)[0], LATER)
        assert re.fullmatch(r"[0-9a-f]{32} \w+\.\S+ \{.*\}\n", stdout.readline())
    finally:
        consumer.kill()
        consumer.communicate()
