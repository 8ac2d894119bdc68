from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from st2sensor.errors import ContentError
from st2sensor.models import Overrides, SensorType
from st2sensor.packs import overrides

SENSOR = SensorType(pack="p", name="S", artifact_uri="file:///s.py", entry_point="sensors.s.S", poll_interval=5)


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.yaml").write_text(text)


def test_without_files_nothing_is_overridden(tmp_path: Path) -> None:
    assert overrides.load(tmp_path / "missing", "p").apply(SENSOR) == (SENSOR, Overrides())


def test_the_packs_file_goes_over_the_global_one_and_exceptions_over_defaults(tmp_path: Path) -> None:
    write(tmp_path, "_global", "default:\n  sensors: {nice: 1, open_files: 100, enabled: false}\n")
    write(
        tmp_path,
        "p",
        "default:\n  sensors: {nice: 2, setup_timeout: 30}\n"
        "exceptions:\n  sensors:\n    S: {nice: 3, enabled: true, poll_interval: 0.5}\n    T:\n",
    )
    sensor, rest = overrides.load(tmp_path, "p").apply(SENSOR)
    assert (sensor.enabled, sensor.poll_interval) == (True, 0.5)
    assert rest == Overrides(nice=3, open_files=100, setup_timeout=30)
    other, rest = overrides.load(tmp_path, "q").apply(SENSOR)
    assert (other.enabled, rest) == (False, Overrides(nice=1, open_files=100))


@pytest.mark.parametrize(
    ("written", "size"), [("1000", 1000), ("2K", 2048), ("'60M'", 60 * 2**20), ("1G", 2**30), ("'77'", 77)]
)
def test_memory_has_units(tmp_path: Path, written: str, size: int) -> None:
    write(tmp_path, "p", f"default: {{sensors: {{memory: {written}}}}}")
    assert overrides.load(tmp_path, "p").apply(SENSOR)[1].memory == size


def test_labels_are_a_list_and_an_empty_one_needs_none(tmp_path: Path) -> None:
    write(tmp_path, "_global", "default: {sensors: {runs_on: [dmz]}}")
    write(tmp_path, "p", "exceptions: {sensors: {S: {runs_on: [gpu, dmz]}, T: {runs_on: []}}}")
    loaded = overrides.load(tmp_path, "p")
    assert loaded.apply(SENSOR)[1] == Overrides(runs_on=("gpu", "dmz"))
    assert loaded.apply(replace(SENSOR, name="T"))[1] == Overrides(runs_on=())
    assert loaded.apply(replace(SENSOR, name="U"))[1] == Overrides(runs_on=("dmz",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default: {sensors: {nice: 20}}", "default.sensors.nice: 20 is greater than the maximum of 19; it must be a"),
        ("default: {sensors: {memory: 0}}", "it must be a number of bytes, or one with K, M or G behind it"),
        ("default: {sensors: {memory: lots}}", "it must be a number of bytes, or one with K, M or G behind it"),
        ("default: {sensors: {poll_timeout: '5'}}", "it must be a number of seconds, 0 for no limit, without quotes"),
        ("default: {sensors: {start_timeout: 0}}", "it must be a number of seconds above 0, without quotes"),
        ("default: {sensors: {log_level: LOUD}}", "it must be DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        ("default: {sensors: {runs_on: gpu}}", "'gpu' is not of type 'array'; it must be a list of labels, as in [gpu"),
        ("default: {sensors: {runs_on: [1]}}", "it must be a label, as text"),
        ("default: {sensors: {polltimeout: 5}}", "it must be a mapping of enabled, poll_interval, start_timeout"),
        ("exceptions: {sensors: {S: {nice: low}}}", "exceptions.sensors.S.nice: 'low' is not of type 'integer'"),
        ("- 1", "must be a mapping of keys to values"),
        ("{", "malformed YAML"),
    ],
)
def test_what_is_wrong_is_told_with_place_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, "p", text)
    with pytest.raises(ContentError) as caught:
        overrides.load(tmp_path, "p")
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/p.yaml")
