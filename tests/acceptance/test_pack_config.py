"""What sensors get as their configuration, and what becomes of a change to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers.mongodb import MongoDB
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace

SHOWS = """
import json
import os
import time

class {name}(Sensor):
    def run(self):
        with open("{folder}/{name}.new", "w") as file:
            json.dump(self.config, file)
        os.rename("{folder}/{name}.new", "{folder}/{name}.json")
        self.sensor_service.get_logger(__name__).warning("configured with %s", self.config)
        print("printed", self.config, flush=True)
        time.sleep(1000)
"""


def add(workspace: Workspace, pack: str, name: str, values: str | None, schema: str | None) -> None:
    path = workspace.add_sensor(pack, name, SHOWS.format(name=name, folder=workspace.folder))
    configs = workspace.folder / "configs"
    configs.mkdir(exist_ok=True)
    if values is not None:
        (configs / f"{pack}.yaml").write_text(values)
    if schema is not None:
        (path.parent.parent / "config.schema.yaml").write_text(schema)


def key(workspace: Workspace, *arguments: str) -> None:
    done = workspace.run("st2sensor", "--config-file", str(workspace.config), "key", *arguments)
    assert done.returncode == 0, done.stderr


def shown(workspace: Workspace, name: str) -> Any:
    path = workspace.folder / f"{name}.json"
    eventually(f"{name} has shown its configuration", path.exists)
    return json.loads(path.read_text())


def test_a_sensor_gets_rendered_values_and_its_secrets_are_masked_in_the_log(workspace: Workspace) -> None:
    workspace.make_key()
    key(workspace, "set", "api.host", "h1")
    key(workspace, "set", "api_token", "open sesame", "--encrypt")
    key(workspace, "set", "colour", "mauve", "--scope", "user")
    add(
        workspace,
        "p",
        "S",
        "url: 'https://{{ st2kv.system.api.host }}/'\n"
        "token: '{{ st2kv.system.api_token | decrypt_kv }}'\n"
        "colour: '{{ st2kv.user.colour }}'\n"
        "written: hunter22\n",
        "token: {type: string, secret: true, required: true}\n"
        "written: {type: string, secret: true}\n"
        "size: {type: integer, default: 3}\n",
    )
    workspace.reload_well()
    container = workspace.start("--debug")
    assert shown(workspace, "S") == {
        "url": "https://h1/",
        "token": "open sesame",
        "colour": "mauve",
        "written": "hunter22",
        "size": 3,
    }
    container.wait_for_log("printed {")
    container.wait_for_log("configured with {")
    for line in container.log.splitlines():
        if "configured with" in line or "printed" in line:
            assert "'https://h1/'" in line
            assert line.count("********") == 2
    assert "sesame" not in container.log
    assert "hunter22" not in container.log
    container.stop()


def test_a_wrong_configuration_stops_its_own_sensors_alone_until_it_is_right(embedded: Workspace) -> None:
    schema = "size: {type: integer, required: true}\n"
    add(embedded, "good", "G", "size: 1\n", schema)
    add(embedded, "bad", "B", "colour: red\nsize: large\n", schema)
    add(embedded, "bad", "C", None, None)
    done = embedded.reload()
    assert done.returncode == 1
    problem = (
        f"{embedded.folder}/configs/bad.yaml:2: size: 'large' is not of type 'integer'; set it as the pack's "
        "config.schema.yaml says, then run st2ctl reload"
    )
    unknown = f"{embedded.folder}/configs/bad.yaml:1: colour is not in the pack's config.schema.yaml"
    assert done.stderr.splitlines() == [f"warning: {unknown}; correct it, or add it there", f"error: {problem}"]
    container = embedded.start()
    assert shown(embedded, "G") == {"size": 1}
    assert list(container.wrappers()) == ["good.G"]

    (embedded.folder / "configs" / "bad.yaml").write_text("size: 2\n")
    embedded.reload_well()
    assert shown(embedded, "B") == shown(embedded, "C") == {"size": 2}

    # What is running goes on under the configuration that it was started with.
    (embedded.folder / "configs" / "bad.yaml").write_text("size: [\n")
    assert "malformed YAML" in embedded.reload().stderr
    (embedded.folder / "configs" / "good.yaml").write_text("size: 3\n")
    (embedded.folder / "G.json").unlink()
    embedded.reload("--register-sensors")
    assert shown(embedded, "G") == {"size": 3}
    assert container.log.count("bad.B started") == 1


def test_a_pack_without_a_configuration_runs_on_its_schemas_defaults_and_everyone_warns_of_what_it_lacks(
    embedded: Workspace,
) -> None:
    schema = (
        "token: {type: string, required: true}\nport: {type: integer, default: 8099}\n"
        "targets: {type: array, items: {type: string}}\n"
        "labels: {type: object, additionalProperties: {type: string}}\n"
    )
    add(embedded, "p", "S", None, schema)
    missing = f"{embedded.folder}/configs/p.yaml"
    lack = "These required keys have no default: token. Write a configuration, then run st2ctl reload"
    done = embedded.reload()
    assert (done.returncode, done.stderr.count(missing), done.stderr.count(lack)) == (0, 1, 1)
    validate = ("st2sensor", "--config-file", str(embedded.config), "validate", str(embedded.packs / "p"))
    validated = embedded.run(*validate)
    assert validated.returncode == 0
    assert (
        "configs/p.yaml:1: warning: the pack has no configuration, and runs on the defaults of its" in validated.stdout
    )
    container = embedded.start()
    assert shown(embedded, "S") == {"port": 8099, "targets": [], "labels": {}}
    container.wait_for_log(lack)

    # With one, it is held against the schema.
    (embedded.folder / "configs" / "p.yaml").write_text("port: 1\n")
    problem = "configs/p.yaml:1: 'token' is a required property"
    assert problem in embedded.reload().stderr
    assert "1: error: 'token' is a required property" in embedded.run(*validate).stdout
    (embedded.folder / "configs" / "p.yaml").write_text("token: t\n")
    (embedded.folder / "S.json").unlink()
    assert "warning" not in embedded.reload().stderr
    assert shown(embedded, "S")["token"] == "t"


def test_a_sensor_whose_configuration_broke_says_why_it_does_not_start(embedded: Workspace) -> None:
    add(embedded, "p", "S", "size: 1\n", "size: {type: integer}\n")
    embedded.configure("restart_delay = 0.1\nrestart_delay_max = 0.5")
    embedded.reload_well()
    (embedded.folder / "configs" / "p.yaml").write_text("size: large\n")
    container = embedded.start()
    container.wait_for_log(
        f"{embedded.folder}/configs/p.yaml:1: size: 'large' is not of type 'integer', 'null'; set it"
    )
    container.wait_for_log("starts again in")
    (embedded.folder / "configs" / "p.yaml").write_text("size: 5\n")
    assert shown(embedded, "S") == {"size": 5}


def test_a_changed_datastore_key_is_picked_up_by_a_reload_and_by_those_alone_who_use_it(embedded: Workspace) -> None:
    key(embedded, "set", "host", "h1")
    add(embedded, "p", "S", "host: '{{ st2kv.system.host }}'\nnone: '{{ st2kv.system.none }}'\n", None)
    add(embedded, "q", "T", "host: fixed\n", None)
    done = embedded.reload()
    assert done.returncode == 0
    assert "warning:" in done.stderr
    assert (
        "none: the datastore has no key none in scope st2kv.system; set it with: st2sensor key set none" in done.stderr
    )
    container = embedded.start()
    assert shown(embedded, "S") == {"host": "h1", "none": None}
    container.wait_for_log("p.S: ")
    show = ("st2sensor", "--config-file", str(embedded.config), "show", "p.S", "--json")
    (lacking,) = json.loads(embedded.run(*show).stdout)["configuration"]
    assert "none: the datastore has no key none in scope st2kv.system; set it with: st2sensor key set none" in lacking
    assert "configuration" in embedded.run(*show[:-1]).stdout
    (embedded.folder / "S.json").unlink()
    key(embedded, "set", "host", "h2")
    key(embedded, "set", "none", "some")
    embedded.reload_well()
    assert shown(embedded, "S") == {"host": "h2", "none": "some"}
    assert json.loads(embedded.run(*show).stdout)["configuration"] == []
    assert "configuration" not in embedded.run(*show[:-1]).stdout
    assert container.log.count("q.T started") == 1


@pytest.mark.soak
def test_while_the_database_is_away_a_sensor_starts_again_with_what_was_last_seen(folder: Path) -> None:
    server = MongoDB(folder)
    server.start()
    (folder / "w").mkdir()
    workspace = Workspace(folder / "w", database=server.url, messaging="local://")
    try:
        workspace.configure("restart_delay = 0.1\nrestart_delay_max = 0.3\n[datastore]\ntimeout = 0.5")
        key(workspace, "set", "host", "h1")
        add(workspace, "p", "S", "host: '{{ st2kv.system.host }}'\n", None)
        workspace.reload_well()
        container = workspace.start()
        assert shown(workspace, "S") == {"host": "h1"}
        server.stop()
        (workspace.folder / "S.json").unlink()
        container.wrappers()["p.S"].kill()
        assert shown(workspace, "S") == {"host": "h1"}
        container.wait_for_log("its configuration uses the values last read from the datastore")
        # Without ever having seen it, a container cannot know.
        container.stop()
        (workspace.folder / "S.json").unlink()
        container = workspace.start()
        container.wait_for_log("the database is away, and the configuration needs host from it")
        server.start()
        assert shown(workspace, "S") == {"host": "h1"}
    finally:
        workspace.close()
        server.stop()


def test_an_expression_that_python_stumbles_over_harms_its_own_pack_alone(embedded: Workspace) -> None:
    add(embedded, "good", "G", "size: 1\n", None)
    add(embedded, "bad", "B", "k: '{{ 5 | dictsort }}'\n", None)
    add(embedded, "worse", "W", "k: 1\n", "k: {patternProperties: {'[': {type: string}}}\n")
    done = embedded.reload()
    assert done.returncode == 1
    assert "bad.yaml:1: k: {{ 5 | dictsort }} cannot be rendered: AttributeError" in done.stderr
    assert "config.schema.yaml:1: is not a valid JSON schema: patternProperties: [ is not a regular" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    embedded.start()
    assert shown(embedded, "G") == {"size": 1}


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        pytest.param(
            "{{ 'x' | center(10000000000) }}", "exceeded the limit of 512,000,000 bytes of memory", id="memory"
        ),
        pytest.param(
            "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}x",
            "the expressions take more than 5 s",
            id="time",
            marks=pytest.mark.soak,
        ),
    ],
)
def test_an_expression_that_takes_too_much_harms_its_own_pack_alone(
    embedded: Workspace, expression: str, reason: str
) -> None:
    add(embedded, "good", "G", "size: 1\nsum: '{{ 1 + 1 }}'\n", None)
    add(embedded, "bad", "B", "k: 1\n", None)
    assert embedded.reload().returncode == 0
    (embedded.folder / "configs" / "bad.yaml").write_text(f'k: "{expression}"\n')
    container = embedded.start()
    assert shown(embedded, "G") == {"size": 1, "sum": "2"}
    container.wait_for_log(reason)
    done = embedded.reload()
    assert done.returncode == 1
    assert reason in done.stderr
    validated = embedded.run(
        "st2sensor", "--config-file", str(embedded.config), "validate", str(embedded.packs / "bad")
    )
    assert reason in validated.stdout
    assert container.stop() == 0
