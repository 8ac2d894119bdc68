"""Content of packs under development."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from st2sensor import config
from st2sensor.cli.development.content import Content, WantedTrigger, parse_trigger
from st2sensor.cli.development.folder import opened
from st2sensor.cli.development.screen import Screen
from st2sensor.errors import ConfigError, SensorNotFound, TriggerRefused
from st2sensor.models import SensorType
from st2sensor.storage import open_storage
from tests.support.workspace import complete


def pack(folder: Path, name: str = "sample") -> Path:
    path = folder / name
    (path / "sensors").mkdir(parents=True)
    (path / "pack.yaml").write_text(f"name: {name}\nversion: 1.0.0\n")
    return path


def plain_screen() -> tuple[Screen, io.StringIO]:
    stream = io.StringIO()
    return Screen(Console(file=stream, width=100, highlight=False)), stream


def test_a_trigger_is_asked_for_with_values_as_in_yaml() -> None:
    found = parse_trigger("""linux.line path=/tmp/x lines=3 'words=[a, "b c"]' on=true url=http://a/?b=c""")
    assert found == WantedTrigger(
        trigger_type="linux.line",
        parameters={"path": "/tmp/x", "lines": 3, "words": ["a", "b c"], "on": True, "url": "http://a/?b=c"},
    )


@pytest.mark.parametrize("text", ["", "linux.line path", "linux.line =x", "linux.line path=[", "linux.line 'path=x"])
def test_what_asks_for_no_trigger_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write it like 'linux.file_watch.line file_path=/tmp/x'"):
        parse_trigger(text)


@pytest.mark.parametrize(
    ("sensors", "triggers", "error", "said"),
    [
        (["Nobody"], [], SensorNotFound, r"--sensor Nobody: no such sensor; the sensors are: sample\.One"),
        (["sample.One", "One"], ["sample.line path=5"], TriggerRefused, r"sample\.line: path: 5 is not of type"),
        ([], ["sample.none"], TriggerRefused, r"there is no trigger type sample\.none"),
    ],
)
def test_what_is_not_there_ends_the_start(
    tmp_path: Path, sensors: list[str], triggers: list[str], error: type[Exception], said: str
) -> None:
    path = pack(tmp_path)
    schema = {"type": "object", "properties": {"path": {"type": "string"}}}
    declared = {
        "class_name": "One",
        "entry_point": "one.py",
        "trigger_types": [{"name": "line", "parameters_schema": schema}],
    }
    (path / "sensors" / "one.yaml").write_text(yaml.safe_dump(declared))
    (path / "sensors" / "one.py").write_text(complete("class One(Sensor):\n    pass\n"))
    with opened([path], tmp_path / "state", [], sensors, fresh=False, common_libs=False) as folder:
        settings = config.load([str(folder.config_file)])
        with closing(open_storage(settings.database)) as storage:
            storage.prepare()
            content = Content(
                folder,
                settings,
                storage,
                plain_screen()[0],
                triggers=[parse_trigger(text) for text in triggers],
                virtualenvs=False,
            )
            with pytest.raises(error, match=said):
                content.start(sensors)


def test_a_sensor_that_is_asked_for_is_not_missed_in_other_packs(tmp_path: Path) -> None:
    paths = [pack(tmp_path, name) for name in ("one", "two")]
    for path in paths:
        class_name = path.name.capitalize()
        declared = {"class_name": class_name, "entry_point": "s.py"}
        (path / "sensors" / "s.yaml").write_text(yaml.safe_dump(declared))
        (path / "sensors" / "s.py").write_text(complete(f"class {class_name}(Sensor):\n    pass\n"))
    screen, stream = plain_screen()
    with opened(paths, tmp_path / "state", [], ["One"], fresh=False, common_libs=False) as folder:
        settings = config.load([str(folder.config_file)])
        with closing(open_storage(settings.database)) as storage:
            storage.prepare()
            Content(folder, settings, storage, screen, triggers=[], virtualenvs=False).start(["One"])
            enabled = {sensor.ref: sensor.enabled for sensor in storage.all(SensorType)}
    assert (enabled["one.One"], enabled["two.Two"]) == (True, False)
    assert "warning" not in stream.getvalue()


def test_a_warning_is_shown_once_until_it_is_gone(tmp_path: Path) -> None:
    path, config_file = pack(tmp_path), tmp_path / "mine.yaml"
    (path / "sensors" / "one.yaml").write_text(yaml.safe_dump({"class_name": "One", "entry_point": "one.py"}))
    (path / "sensors" / "one.py").write_text(complete("class One(Sensor):\n    pass\n"))
    (path / "config.schema.yaml").write_text("token: {type: string}\n")
    config_file.write_text("tokn: x\n")
    screen, stream = plain_screen()
    shown: list[int] = []
    with opened([path], tmp_path / "state", [config_file], [], fresh=False, common_libs=False) as folder:
        settings = config.load([str(folder.config_file)])
        with closing(open_storage(settings.database)) as storage:
            storage.prepare()
            content = Content(folder, settings, storage, screen, triggers=[], virtualenvs=False)
            content.start([])
            for text in ("tokn: y\n", "token: y\n", "tokn: z\n"):
                shown.append(stream.getvalue().count("did you mean token?"))
                config_file.write_text(text)
                content.saved(["mine.yaml"])
    assert [*shown, stream.getvalue().count("did you mean token?")] == [1, 1, 1, 2]
