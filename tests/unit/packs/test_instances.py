"""What a file of instances says, and every mistake in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from st2sensor.errors import ContentError
from st2sensor.models import SensorType, TriggerType
from st2sensor.packs import instances

SENSOR = SensorType(
    pack="p", name="S", artifact_uri="file:///s.py", entry_point="sensors.s.S", trigger_types=("p.line", "p.gone")
)


def load(folder: Path, text: str, pack: str = "p") -> instances.PackInstances:
    (folder / f"{pack}.yaml").write_text(text)
    return instances.load(folder, pack)


def problems(folder: Path, text: str, pack: str = "p") -> list[str]:
    found = load(folder, text, pack)
    assert len({str(item.error) for item in found.problems}) == len(found.problems)
    return [str(item.error).removeprefix(f"{folder}/") for item in found.problems]


def test_without_a_file_there_are_no_instances(tmp_path: Path) -> None:
    assert instances.load(None, "p") == instances.load(tmp_path, "p") == instances.NOTHING
    found = load(tmp_path, "")
    assert (found.classes, found.problems, found.is_broken) == ({}, (), False)


def test_an_instance_has_the_keys_of_overrides_and_its_own(tmp_path: Path) -> None:
    text = """
p.S:
  default: {}
  prod:
  forks: {config: {a: [1]}, enabled: false, memory: 100M, runs_on: [dmz], log_level: DEBUG, triggers: {p.line: }}
"""
    found = load(tmp_path, text)
    assert not found.problems
    assert list(found.classes["S"]) == ["default", "prod", "forks"]
    assert found.classes["S"]["prod"] == {}
    assert found.classes["S"]["forks"]["runs_on"] == ["dmz"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("p.S: {a.b: {}}", "p.yaml:1: p.S: 'a.b' cannot be a name; use 1 to 64 letters, digits, _ and -"),
        ("p.S: {" + "x" * 65 + ": {}}", "cannot be a name"),
        ("p.S: {a: {pol_interval: 3}}", "p.yaml:1: p.S.a.pol_interval is not known; did you mean poll_interval?"),
        ("p.S:\n  a: {nice: 99}", "p.yaml:2: p.S.a.nice: 99 is greater than the maximum of 19; it must be a number"),
        ("p.S:\n  a: 7", "p.yaml:2: p.S.a: 7 is not of type 'object', 'null'; it must be a mapping of config"),
        ("p.S:\n  a:\n    config: 7", "p.yaml:3: p.S.a.config: 7 is not of type"),
        ("p.S:\n  a:\n    triggers: [p.line]", "p.yaml:3: p.S.a.triggers: ['p.line'] is not of type"),
        ("p.S: 7", "p.yaml:1: p.S: 7 is not of type 'object'; it must be a mapping of names to instances"),
        ("p.S: {}", "p.yaml:1: p.S lists no instance; remove it, or add one, as in default: {}"),
        ("p.S: {default: {enabled: true}}", "default is the class itself; set enabled in the pack's overrides"),
        ("default: {}", "p.yaml:1: default: write the class with its pack, as in p.default"),
        ("q.S: {a: {}}", "p.yaml:1: q.S: this file is for pack p; move it to q.yaml in the same folder"),
        ("[]", "p.yaml:1: must be a mapping of PACK.CLASS to instances"),
        ("p.S: {", "malformed YAML"),
    ],
)
def test_each_mistake_is_explained(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = problems(tmp_path, text)
    assert problem in found


def test_the_bundled_pack_has_no_instances(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "core.WebhookSensor: {a: {}}", "core")
    assert "has no instances" in found


def test_a_mistake_in_one_instance_leaves_the_others_alone(tmp_path: Path) -> None:
    found = load(tmp_path, "p.S: {a: {nice: x}, b: {}}")
    assert not found.is_broken
    assert [len(found.errors("S", name)) for name in "ab"] == [1, 0]


def test_a_class_that_the_pack_lacks_is_an_error(tmp_path: Path) -> None:
    found = load(tmp_path, "p.Sensr: {a: {}}\np.S: {a: {}}")
    (error,) = instances.strangers(found, "p", ["S", "Sensor"])
    assert "p.Sensr: the pack has no such sensor; did you mean Sensor?" in str(error)


def test_a_filter_names_types_and_parameters_that_exist(tmp_path: Path) -> None:
    found = load(tmp_path, "p.S: {a: {triggers: {p.lin: , p.line: {file: /tmp, pth: x}, p.gone: {any: 1}}}}")
    types = {"p.line": TriggerType(pack="p", name="line", parameters_schema={"properties": {"file": {}}})}
    texts = [str(error) for error in instances.misplaced_triggers(found, SENSOR, "a", types)]
    assert len(texts) == 2
    assert "p.S has no trigger type p.lin; did you mean p.line?" in texts[0]
    assert "trigger type p.line has no parameter pth" in texts[1]


@pytest.mark.parametrize(
    ("conditions", "accepted"),
    [
        (None, True),
        ({}, False),
        ({"p.u": {}}, False),
        ({"p.t": None}, True),
        ({"p.t": {"path": "/var/*"}}, True),
        ({"p.t": {"path": "/VAR/*"}}, False),
        ({"p.t": {"path": ["/tmp/*", "/var/log"]}}, True),
        ({"p.t": {"path": "/var/*", "n": 1}}, True),
        ({"p.t": {"n": True}}, False),
        ({"p.t": {"missing": "*"}}, False),
    ],
)
def test_a_filter_accepts_triggers_by_type_and_parameters(conditions: dict[str, object] | None, accepted: bool) -> None:
    assert instances.accepts(conditions, "p.t", {"path": "/var/log", "n": 1}) is accepted


def test_the_configuration_of_an_instance_is_read_again_when_the_file_changes(tmp_path: Path) -> None:
    load(tmp_path, "p.S: {default: {config: {a: 0}}, x: {config: {a: 1}}}")
    one = SensorType(pack="p", name="S@x", artifact_uri="", entry_point="sensors.s.S")
    path = tmp_path / "p.yaml"
    assert instances.config_in(tmp_path, one) == (path, ("p.S", "x"), {"a": 1})
    assert instances.config_in(tmp_path, SENSOR) == (path, ("p.S", "default"), {"a": 0})
    load(tmp_path, "p.S: {x: {config: {a: 22}}}")
    assert instances.config_in(tmp_path, one) == (path, ("p.S", "x"), {"a": 22})
    assert instances.config_in(tmp_path, SENSOR) is None
    path.unlink()
    with pytest.raises(ContentError, match=r"p\.S@x is no longer listed here; run st2ctl reload"):
        instances.config_in(tmp_path, one)
