"""Bad input: one message that names the place and the remedy, and nothing else is harmed."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from st2sensor.errors import ContentError
from st2sensor.packs.code.check import check_code
from st2sensor.packs.code.location import Code
from tests.support.workspace import METHODS, Workspace, complete

HEALTHY = """
class Healthy(PollingSensor):
    def poll(self):
        self.sensor_service.dispatch(trigger="healthy.event", payload={})
"""

GOOD = complete("class Bad(Sensor):\n    pass")

NO_INTERVAL = complete(
    "class Bad(PollingSensor):\n    def __init__(self, sensor_service, config):\n"
    "        super().__init__(sensor_service, config, 3)\n    def poll(self):\n        pass\n"
)

METADATA = "class_name: Bad\nentry_point: bad.py\n"


def sensor(metadata: str, code: str | None = GOOD, name: str = "bad") -> Callable[[Path], None]:
    """Writes a sensor's files into a pack's folder."""

    def write(pack: Path) -> None:
        (pack / "sensors" / f"{name}.yaml").write_text(metadata)
        if code is not None:
            (pack / "sensors" / "bad.py").write_text(code)

    return write


def file(name: str, text: str) -> Callable[[Path], None]:
    """Writes one file into a pack's folder."""

    def write(pack: Path) -> None:
        (pack / name).write_text(text)

    return write


def trigger(metadata: str) -> Callable[[Path], None]:
    return file("triggers/bad.yaml", metadata)


def rule(metadata: str) -> Callable[[Path], None]:
    return file("rules/bad.yaml", metadata)


def both(first: Callable[[Path], None], second: Callable[[Path], None]) -> Callable[[Path], None]:
    def write(pack: Path) -> None:
        first(pack)
        second(pack)

    return write


def without_pack_yaml(pack: Path) -> None:
    (pack / "pack.yaml").unlink()


def fifo(pack: Path) -> None:
    os.mkfifo(pack / "sensors" / "bad.yaml")


def latin1(pack: Path) -> None:
    (pack / os.fsdecode(b"rules/caf\xe9.yaml")).write_text("name: bad\ntrigger:\n  type: core.st2.webhook\n")


def payload(schema: str) -> Callable[[Path], None]:
    """Writes a sensor with a payload_schema."""
    return sensor(METADATA + f"trigger_types:\n- name: event\n  payload_schema: {schema}\n")


BOMB = "a0: &a0 lol\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30))
"""A few lines of aliases, of which each stands for ten times the one before."""

MERGES = "m0: &m0 {x: lol}\n" + "".join(
    f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}]}}\n" for n in range(1, 30)
)
TWO_SCHEMAS = "name: event\npayload_schema: {type: object, properties: {n: {type: %s}}}\n"
STUCK = "import time\ntime.sleep(1000)\n"

CASES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "malformed YAML": (sensor("class_name: Bad\nentry_point: [bad.py\n"), ["bad.yaml:3: malformed YAML", "correct"]),
    "not a mapping": (sensor("- class_name\n"), ["bad.yaml:1: must be a mapping"]),
    "empty": (sensor(""), ["bad.yaml: must be a mapping"]),
    "no class_name": (sensor("entry_point: bad.py\n"), ["bad.yaml:1: class_name is missing; add it"]),
    "no entry_point": (sensor("class_name: Bad\n"), ["bad.yaml:1: entry_point is missing; add it"]),
    "file missing": (sensor(METADATA, None), ["bad.yaml:2: entry_point: there is no file", "bad.py; correct"]),
    "class missing": (
        sensor(METADATA, GOOD.replace("Bad", "Other")),
        ["bad.yaml: class_name: there is no class Bad", "which has Other; correct class_name"],
    ),
    "no sensor class": (
        sensor(METADATA, "class Bad:\n    pass\n"),
        ["bad.py:1: class Bad does not derive from Sensor"],
    ),
    "abstract methods": (
        sensor(METADATA, GOOD.replace("def cleanup", "def clean").replace("def setup", "def set_up")),
        ["bad.py:3: class Bad lacks cleanup, setup; define"],
    ),
    "constructor without poll_interval": (
        sensor(METADATA + "poll_interval: 2\n", NO_INTERVAL),
        [
            "bad.py:4: the constructor of Bad cannot be called with sensor_service, config, poll_interval: got an",
            "or remove poll_interval from the metadata",
        ],
    ),
    "syntax error": (sensor(METADATA, "def (:\n"), ["bad.py:1: syntax error", "correct the code"]),
    "Python 2": (sensor(METADATA, "print 'x'\n"), ["bad.py:1: syntax error: Missing parentheses"]),
    "library missing": (
        sensor(METADATA, "import os\nimport nosuchlibrary\n"),
        ["bad.py:2: cannot be imported: No module named 'nosuchlibrary'", "requirements.txt"],
    ),
    "raises at import": (sensor(METADATA, "x = 1\nx / 0\n"), ["bad.py:2: cannot be imported: ZeroDivisionError"]),
    "exits at import": (sensor(METADATA, "exit(3)\n"), ["bad.py:1: cannot be imported: SystemExit: 3"]),
    "ends its process": (sensor(METADATA, "import os\nos._exit(0)\n"), ["bad.py: the process that imported it ended"]),
    "hangs at import": (sensor(METADATA, STUCK), ["bad.py: importing it took more than 10 s", "setup()"]),
    "poll_interval -1": (sensor(METADATA + "poll_interval: -1\n"), ["bad.yaml:3: poll_interval", "minimum of 0"]),
    "poll_interval text": (
        sensor(METADATA + "poll_interval: '5'\n"),
        ["bad.yaml:3: poll_interval: '5' is not of type 'number'", "without quotes"],
    ),
    "bad payload_schema": (
        sensor(METADATA + "trigger_types:\n- name: event\n  payload_schema: {type: nosuchtype}\n"),
        ["bad.yaml:5: payload_schema of trigger bad.event is not a valid JSON schema: type: 'nosuchtype'"],
    ),
    "two sensors of one name": (
        both(sensor(METADATA), sensor(METADATA, name="other")),
        ["other.yaml:1: sensor bad.Bad is already declared in", "bad.yaml; give one of them another class_name"],
    ),
    "no pack.yaml": (without_pack_yaml, ["packs/bad: the pack has no pack.yaml; add one"]),
    "trigger type twice": (
        both(
            trigger(TWO_SCHEMAS % "string"),
            sensor(METADATA + "trigger_types:\n- name: event\n  payload_schema: {type: array}\n"),
        ),
        ["bad.yaml: trigger type bad.event has another schema in", "triggers/bad.yaml; make both equal"],
    ),
    "rule with bad parameters": (
        rule("name: bad\ntrigger:\n  type: core.st2.IntervalTimer\n  parameters: {unit: years, delta: 1}\n"),
        ["bad.yaml:4: parameters do not fit trigger type core.st2.IntervalTimer: unit: 'years' is not one of"],
    ),
    "rule without a parameter": (
        rule("name: bad\ntrigger:\n  type: core.st2.webhook\n"),
        ["bad.yaml:2: parameters do not fit trigger type core.st2.webhook: 'url' is a required property"],
    ),
    "payload_schema with a reference to nowhere": (
        sensor(METADATA + "trigger_types:\n- name: event\n  payload_schema: {$ref: '#/definitions/x'}\n"),
        ["bad.yaml:5: payload_schema of trigger bad.event", "$ref: the schema has no #/definitions/x"],
    ),
    "payload_schema that contains itself": (
        sensor(METADATA + "trigger_types:\n- name: event\n  payload_schema: &a {properties: {x: *a}}\n"),
        ["bad.yaml: holds a value that JSON cannot represent: Circular reference"],
    ),
    "binary": (
        sensor(METADATA + "trigger_types:\n- name: event\n  payload_schema: {default: !!binary aGk=}\n"),
        ["bad.yaml: holds a value that JSON cannot represent"],
    ),
    "poll_interval infinite": (
        sensor(METADATA + "poll_interval: .inf\n"),
        ["bad.yaml: holds a value that JSON cannot represent"],
    ),
    "trigger type without a mapping": (
        sensor(METADATA + "trigger_types: [event]\n"),
        ["bad.yaml:3: trigger_types.0: 'event' is not of type 'object'; it must be a mapping with a name"],
    ),
    "rule of another pack": (
        rule("name: bad\npack: other\ntrigger:\n  type: core.st2.webhook\n"),
        ["bad.yaml:2: pack: the file is in pack bad, but names other"],
    ),
    "aliases that multiply": (sensor(BOMB + METADATA), ["bad.yaml:", "its aliases expand to more than"]),
    "merges that multiply": (sensor(MERGES + METADATA), ["bad.yaml:", "its aliases expand to more than"]),
    "a number of more than 8 bytes": (
        payload("{type: object, properties: {n: {maximum: 18446744073709551615}}}"),
        ["bad.yaml:5: trigger_types.0.payload_schema.properties.n.maximum: is a number of more than 8 bytes"],
    ),
    "half of a surrogate pair": (
        rule('{"name": "bad", "trigger": {"type": "no.such", "parameters": {"t": "\\ud83d\\ude00"}}}'),
        ["bad.yaml:1: trigger.parameters.t: holds half of a surrogate pair"],
    ),
    "a NUL in a key": (
        payload('{type: object, properties: {"a\\0b": {}}}'),
        ["bad.yaml:5: trigger_types.0.payload_schema.properties: has a key with a NUL character"],
    ),
    "nested deeply": (payload("{default: " + "[" * 150 + "]" * 150 + "}"), ["bad.yaml:5: ", "levels deep"]),
    "a pipe": (fifo, ["sensors/bad.yaml: cannot be read: it is not a regular file"]),
    "a name that is not UTF-8": (latin1, ["rules/caf\\xe9.yaml: its name is not valid UTF-8", "rename it"]),
    "rule without a trigger": (rule("name: bad\n"), ["bad.yaml:1: trigger is missing; add it"]),
}


SLOW = "hangs at import"
"""The case that takes as long as an import may."""


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.soak] if case == SLOW else []) for case in CASES]
)
def test_bad_content_fails_alone_with_its_place_and_remedy(embedded: Workspace, case: str) -> None:
    write, words = CASES[case]
    embedded.add_sensor("healthy", "Healthy", HEALTHY, poll_interval=0.2, trigger_types=[{"name": "event"}])
    write(embedded.add_pack("bad"))

    done = embedded.reload()

    assert done.returncode == 1, done.stdout
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    for word in words:
        assert word in errors[0]
    assert "Traceback" not in done.stderr
    sensors = [item["ref"] for item in embedded.documents("sensor_type_d_b")]
    assert "healthy.Healthy" in sensors


@pytest.mark.parametrize(
    "case", ["aliases that multiply", "a number of more than 8 bytes", "half of a surrogate pair", "nested deeply"]
)
def test_what_cannot_be_stored_is_told_beforehand(embedded: Workspace, case: str) -> None:
    write, messages = CASES[case]
    write(embedded.add_pack("bad"))
    done = embedded.run("st2sensor", "validate", "packs/bad")
    assert done.returncode == 1
    assert all(message.replace("bad.yaml:5: ", ":5: error: ") in done.stdout for message in messages[1:]), done.stdout


def test_a_constructor_without_poll_interval_is_told_beforehand_and_at_the_start(embedded: Workspace) -> None:
    sensor(METADATA + "poll_interval: 2\n", NO_INTERVAL.replace(", config):", ", config, poll_interval=None):"))(
        embedded.add_pack("bad")
    )
    embedded.reload_well()
    code = embedded.packs / "bad" / "sensors" / "bad.py"
    code.write_text(NO_INTERVAL)
    problem = "the constructor of Bad cannot be called with sensor_service, config, poll_interval: got an unexpected"
    done = embedded.run("st2sensor", "validate", "packs/bad")
    assert done.returncode == 1
    assert f"packs/bad/sensors/bad.py:4: error: {problem}" in done.stdout
    assert done.stdout.splitlines()[0].endswith("[constructor]")
    container = embedded.start()
    container.wait_for_log(f"{code}:4: {problem}")


def test_a_rule_for_an_unknown_type_waits_for_it(embedded: Workspace) -> None:
    path = embedded.add_rule("bad", "bad", "healthy.asked", n=1)
    done = embedded.reload()
    assert done.returncode == 0, done.stderr
    assert "bad.yaml:5: there is no trigger type healthy.asked; correct the type" in done.stderr
    assert re.search(r"^rule +bad.bad +waiting$", done.stdout, re.MULTILINE), done.stdout
    embedded.add_sensor(
        "healthy", "Healthy", HEALTHY, trigger_types=[{"name": "asked", "parameters_schema": {"type": "object"}}]
    )
    assert "waiting" not in embedded.reload_well()
    (rule,) = embedded.documents("st2sensor_rules")
    assert rule["metadata_file"] == str(path.relative_to(embedded.packs / "bad"))


def test_a_file_of_code_may_have_any_name(embedded: Workspace) -> None:
    embedded.add_sensor("healthy", "Healthy", HEALTHY, trigger_types=[{"name": "event"}])
    lib = embedded.packs / "healthy" / "lib"
    lib.mkdir()
    (lib / os.fsdecode(b"caf\xe9.py")).write_text("")
    assert "failed" not in embedded.reload_well().replace("failed\n", "")
    done = embedded.run("st2sensor", "validate", "packs/healthy")
    assert done.returncode == 0, done.stdout


def test_code_that_hangs_at_import_is_given_up_with_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(STUCK)
    code = Code(interpreter=Path(sys.executable), file=file, class_name="Bad", search_paths=(), pack=tmp_path)
    with pytest.raises(ContentError) as caught:
        check_code(code, metadata_file="bad.yaml", deadline=0.5)
    assert str(caught.value).startswith(
        f"{file}: importing it took more than 0.5 s; move code that waits from the module into setup()"
    )


def test_the_rest_runs_beside_all_bad_content_at_once(embedded: Workspace) -> None:
    embedded.add_sensor("healthy", "Healthy", HEALTHY, poll_interval=0.2, trigger_types=[{"name": "event"}])
    for number, (case, (write, _)) in enumerate(CASES.items()):
        if case != SLOW:
            write(embedded.add_pack(f"bad{number}"))

    done = embedded.reload()
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    embedded.start()
    embedded.listen().wait_for("healthy.event", 2)


def test_equal_declarations_of_a_trigger_type_are_fine(embedded: Workspace) -> None:
    pack = embedded.add_pack("twice")
    (pack / "triggers" / "event.yaml").write_text(TWO_SCHEMAS % "string")
    schema = {"type": "object", "properties": {"n": {"type": "string"}}}
    for name in ("First", "Second"):
        embedded.add_sensor(
            "twice",
            name,
            f"class {name}(Sensor):\n    pass",
            trigger_types=[{"name": "event", "payload_schema": schema}],
        )
    embedded.reload_well()
    assert len([item for item in embedded.documents("trigger_type_d_b") if item["ref"] == "twice.event"]) == 1


def test_unknown_metadata_keys_are_tolerated_with_a_warning(embedded: Workspace) -> None:
    embedded.add_sensor("one", "Odd", "class Odd(Sensor):\n    pass", payload_info=["x"])
    done = embedded.reload()
    assert done.returncode == 0
    assert "odd.yaml:3: payload_info is not a key of a sensor" in done.stderr


def test_a_version_that_fails_leaves_the_registered_one_running(workspace: Workspace) -> None:
    code = HEALTHY.replace("Healthy", "Ticker").replace("healthy.", "one.")
    path = workspace.add_sensor("one", "Ticker", code, poll_interval=60, trigger_types=[{"name": "event"}])
    workspace.reload_well()
    listener = workspace.listen()
    container = workspace.start()
    listener.wait_for("one.event")
    pid = container.wrappers()["one.Ticker"].pid

    path.write_text("import nosuchlibrary\n")
    done = workspace.reload()

    assert done.returncode == 1
    (registration,) = workspace.documents("st2sensor_registrations")
    assert "nosuchlibrary" in registration["error"]
    assert registration["digest"]
    # A reload that is over has announced what it had to; the next one proves that the container looked.
    workspace.add_sensor("two", "Other", "class Other(Sensor):\n    pass")
    workspace.reload()
    container.wait_for_log("two.Other started")
    assert container.wrappers()["one.Ticker"].pid == pid


def test_a_class_name_with_a_typo_leaves_the_registered_sensor_running(embedded: Workspace) -> None:
    embedded.add_sensor("one", "Ticker", HEALTHY.replace("Healthy", "Ticker"), poll_interval=60)
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("one.Ticker started")
    metadata = embedded.packs / "one" / "sensors" / "ticker.yaml"
    metadata.write_text(metadata.read_text().replace("Ticker", "Tikcer"))
    done = embedded.reload()
    assert done.returncode == 1
    assert "there is no class Tikcer" in done.stderr
    assert [item["ref"] for item in embedded.documents("sensor_type_d_b")] == ["one.Ticker"]
    metadata.unlink()
    assert embedded.reload().returncode == 0
    assert embedded.documents("sensor_type_d_b") == []
    assert embedded.documents("st2sensor_registrations") == []


def test_a_file_that_no_longer_parses_keeps_its_last_registration(workspace: Workspace) -> None:
    workspace.add_sensor("one", "Ticker", HEALTHY.replace("Healthy", "Ticker"), poll_interval=60)
    workspace.reload_well()
    (workspace.packs / "one" / "sensors" / "ticker.yaml").write_text("class_name: [\n")
    assert workspace.reload().returncode == 1
    assert [item["ref"] for item in workspace.documents("sensor_type_d_b")] == ["one.Ticker"]
    (registration,) = workspace.documents("st2sensor_registrations")
    assert "malformed YAML" in registration["error"]


@pytest.mark.parametrize("command", [["st2ctl", "reload"], ["st2sensorcontainer"]])
@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("[database]\nconnection = redis://127.0.0.1", ["[database] connection = redis://127.0.0.1", "use mongodb://"]),
        ("[messaging]\nurl = kafka://127.0.0.1", ["[messaging] url = kafka://127.0.0.1", "use amqp://"]),
        ("resync_interval = often", ["[sensorcontainer] resync_interval", "often"]),
        ("[messaging]\nserializer = xml", ["[messaging] serializer", "xml"]),
        ("no equals sign here", ["st2.conf", "no equals sign here"]),
        (
            "[messaging]\nurl = amqp://me:hush@127.0.0.1:abc//",
            ["[messaging] url = amqp://***@127.0.0.1:abc//: the port"],
        ),
        (
            "[messaging]\nurl = amqp://me:hu#sh@127.0.0.1//",
            ["[messaging] url = amqp://***@127.0.0.1//: write # in it as %23"],
        ),
        ("[database]\nconnection = mongodb://127.0.0.1:99999", ["[database] connection", "99999"]),
    ],
)
def test_a_wrong_configuration_is_one_line_that_names_file_and_key(
    embedded: Workspace, command: list[str], extra: str, words: list[str]
) -> None:
    embedded.configure(extra)
    done = embedded.run(command[0], "--config-file", str(embedded.config), *command[1:])
    assert done.returncode == 78
    assert len(done.stderr.splitlines()) == 1
    for word in [str(embedded.config), *words]:
        assert word in done.stderr
    assert "sh@" not in done.stderr


def test_a_missing_configuration_file_is_named(embedded: Workspace) -> None:
    done = embedded.run("st2sensorcontainer", "--config-file", "/no/such.conf")
    assert done.returncode == 78
    assert (
        done.stderr == "st2sensorcontainer: error: no configuration file at /no/such.conf: "
        "name one with --config-file or $ST2_CONF\n"
    )


def test_a_reload_without_a_database_says_so_in_one_line(folder: Path) -> None:
    workspace = Workspace(folder, database="mongodb://user:hush@127.0.0.1:1", messaging="local://")
    done = workspace.reload()
    assert done.returncode == 69
    assert len(done.stderr.splitlines()) == 1
    assert "cannot reach MongoDB at mongodb://127.0.0.1:1" in done.stderr
    assert "[database]" in done.stderr
    assert "hush" not in done.stderr


def test_a_reload_without_a_broker_registers_and_warns(folder: Path) -> None:
    workspace = Workspace(folder, database="sqlite://", messaging="amqp://guest:hush@127.0.0.1:1//")
    workspace.add_sensor("one", "Ticker", HEALTHY.replace("Healthy", "Ticker"))
    done = workspace.reload()
    assert done.returncode == 0
    (warning,) = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert "cannot reach the broker at amqp://guest:**@127.0.0.1:1//" in warning
    assert "resync_interval" in warning
    assert [item["ref"] for item in workspace.documents("sensor_type_d_b")] == ["one.Ticker"]


def test_every_method_of_the_api_is_one_that_tests_fill_in() -> None:
    from st2sensor.sensor import Sensor  # noqa: PLC0415

    assert set(METHODS) == Sensor.__abstractmethods__
