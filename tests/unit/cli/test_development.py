"""The parts of `st2sensor dev`."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from watchfiles import Change
from watchfiles._rust_notify import WatchfilesRustInternalError

from st2sensor import config
from st2sensor.cli.development import saves
from st2sensor.cli.development.content import Asked, Content, asked
from st2sensor.cli.development.folder import SOCKET, SOCKET_LIMIT, Folder, opened
from st2sensor.cli.development.log import Log
from st2sensor.cli.development.saves import Watched
from st2sensor.cli.development.screen import Screen, highlighted
from st2sensor.errors import ConfigError, TriggerRefused
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


def folder_of(path: Path, **packs: Path) -> Folder:
    return Folder(path=path, home=path, packs=packs, configs={})


# Triggers to add.


def test_a_trigger_is_asked_for_with_values_as_in_yaml() -> None:
    found = asked("""linux.line path=/tmp/x lines=3 'words=[a, "b c"]' on=true url=http://a/?b=c""")
    assert found == Asked(
        trigger_type="linux.line",
        parameters={"path": "/tmp/x", "lines": 3, "words": ["a", "b c"], "on": True, "url": "http://a/?b=c"},
    )


@pytest.mark.parametrize("text", ["", "linux.line path", "linux.line =x", "linux.line path=[", "linux.line 'path=x"])
def test_what_asks_for_no_trigger_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write it like 'linux.file_watch.line file_path=/tmp/x'"):
        asked(text)


@pytest.mark.parametrize(
    ("sensors", "triggers", "error", "said"),
    [
        (["Nobody"], [], ConfigError, r"--sensor Nobody: no such sensor; the sensors are: sample\.One"),
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
                triggers=[asked(text) for text in triggers],
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


# The folder.


def test_the_folder_is_private_and_a_fresh_start_takes_the_datastore_away(tmp_path: Path) -> None:
    path, state = pack(tmp_path), tmp_path / "state"
    with opened([path], state, [], [], fresh=False, common_libs=False) as folder:
        assert folder.path == folder.home == state
        assert state.stat().st_mode & 0o777 == 0o700
        assert [item.resolve() for item in (state / "packs").iterdir()] == [path]
        (state / "st2.db").touch()
        (state / "virtualenvs").mkdir()
        key = (state / "datastore_key.json").read_text()
    with opened([path], state, [], [], fresh=False, common_libs=False):
        assert (state / "st2.db").exists()
    with opened([path], state, [], [], fresh=True, common_libs=True):
        assert not (state / "st2.db").exists()
        assert (state / "virtualenvs").exists()
        assert (state / "datastore_key.json").read_text() == key
        assert config.load([str(state / "st2.conf")]).content.enable_common_libs


def test_a_folder_with_a_long_name_gets_a_short_one_for_sockets(tmp_path: Path) -> None:
    state = tmp_path / ("long" * 25)
    with opened([pack(tmp_path)], state, [], [], fresh=False, common_libs=False) as folder:
        assert len(os.fsencode(folder.path / SOCKET)) <= SOCKET_LIMIT
        assert folder.config_file.samefile(state / "st2.conf")
        assert config.load([str(folder.config_file)]).container.state_dir == folder.path
    assert not folder.path.parent.exists()
    assert (state / "st2.conf").exists()


@pytest.mark.parametrize(
    ("packs", "configs", "said"),
    [
        (["nothing"], [], "nothing is not a pack: it has no pack.yaml"),
        (["one", "twin/one"], [], "are both pack one"),
        (
            ["one", "two"],
            ["mine.yaml"],
            "--config .*mine.yaml: no such pack; with several packs, name the file <pack>.yaml",
        ),
        (["one"], ["mine.yaml", "one.yaml"], "pack one already has .*mine.yaml"),
    ],
)
def test_what_cannot_be_developed_is_refused(tmp_path: Path, packs: list[str], configs: list[str], said: str) -> None:
    pack(tmp_path, "one")
    pack(tmp_path, "two")
    pack(tmp_path / "twin", "one")
    paths, files = [tmp_path / name for name in packs], [tmp_path / name for name in configs]
    with (
        pytest.raises(ConfigError, match=said),
        opened(paths, tmp_path / "state", files, [], fresh=False, common_libs=False),
    ):
        pass


def test_messages_name_files_as_the_user_gave_them() -> None:
    folder = Folder(
        path=Path("/s"), home=Path("/s"), packs={"a": Path("packs/a"), "b": Path()}, configs={"a": Path("mine.yaml")}
    )
    assert folder.as_given("/s/packs/a/sensors/x.py:3: no") == "packs/a/sensors/x.py:3: no"
    assert folder.as_given("/s/packs/b/sensors/x.py:3: no") == "sensors/x.py:3: no"
    assert folder.as_given("/s/configs/a.yaml:1: no") == "mine.yaml:1: no"
    assert folder.as_given("/s/configs/b.yaml: no") == "config.schema.yaml: no"


# Saves.


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("sensors/x.py", True),
        ("sensors/deep/x.py", True),
        ("sensors/x.yaml", True),
        ("triggers/x.json", True),
        ("requirements.txt", True),
        ("sensors/__pycache__/x.cpython-311.pyc", False),
        ("sensors/__pycache__/x.py", False),
        ("sensors/.x.py.swp", False),
        ("sensors/.#x.py", False),
        ("sensors/x.py~", False),
        ("sensors/4913", False),
        (".git/config.yaml", False),
        ("README.md", False),
    ],
)
def test_only_what_sensors_are_made_of_counts_as_a_save(path: str, counts: bool) -> None:
    watched = Watched(root=Path("/home/.me/pack"), given=Path("pack"))
    assert watched.concerns(Change.modified, f"/home/.me/pack/{path}") is counts
    assert watched.name(f"/home/.me/pack/{path}") == f"pack/{path}"


def test_of_a_configurations_folder_its_file_alone_counts() -> None:
    watched = Watched(root=Path("/etc"), given=Path("/etc"), only="mine.yaml")
    assert watched.concerns(Change.modified, "/etc/mine.yaml")
    assert not watched.concerns(Change.modified, "/etc/other.yaml")


# The log.


def line(name: str, message: str, level: int = 6) -> bytes:
    fields = {"timestamp_f": 0.0, "level": level, "full_message": message, "_python": {"name": name}}
    return json.dumps(fields).encode() + b"\n"


def shown(*lines: bytes) -> list[str]:
    screen, stream = plain_screen()
    Log(folder_of(Path("/s"), sample=Path("sample")), screen).follow(io.BytesIO(b"".join(lines)))
    return [text.partition("  ")[2] for text in stream.getvalue().splitlines()]


def test_the_log_tells_sensors_from_the_container() -> None:
    assert shown(
        line("sample.One.One", "hello"),
        line("sample.One.library", "careful", 4),
        line("st2sensor.supervision", "sample.One started, pid 5"),
        line("st2sensor.supervision", "sample.One: poll() has taken more than 5 s", 3),
        line("st2sensor.container", "stopping 1 sensors"),
        line("st2sensor.dispatch", "sample.One dispatched x, which is kept as a dead letter: it is wrong", 4),
        line("st2sensor.delivery", "connected to local"),
        b"not a record\n",
    ) == [
        "info       sample.One    hello",
        "warning    sample.One.library  careful",
        "sensor     sample.One    started, pid 5",
        "error      sample.One    poll() has taken more than 5 s",
        "container  stopping 1 sensors",
        "container  not a record",
    ]


def test_tracebacks_are_kept_together_logged_or_printed() -> None:
    traceback = ["Traceback (most recent call last):", '  File "/s/packs/sample/sensors/x.py", line 3, in poll']
    assert shown(
        line("sample.One", "\n".join(["it failed", *traceback, "ValueError: no"]), 3),
        line("sample.One", traceback[0]),
        line("sample.Two", "between"),
        line("sample.One", traceback[1]),
        line("sample.One", "KeyError: 5"),
        line("sample.One", "after"),
    ) == [
        "error      sample.One    it failed",
        "        Traceback (most recent call last):",
        '          File "sample/sensors/x.py", line 3, in poll',
        "        ValueError: no",
        "info       sample.Two    between",
        "error      sample.One    Traceback (most recent call last):",
        '          File "sample/sensors/x.py", line 3, in poll',
        "        KeyError: 5",
        "info       sample.One    after",
    ]


# The screen.


def test_nothing_that_others_wrote_steers_the_terminal() -> None:
    screen, stream = plain_screen()
    payload: Any = {"a": "\x1b[2J\udc80", "b": "[red]"}
    screen.show("trigger", "x\x1b]0;title\x07", highlighted(payload))
    screen.show("info", "", "[bold]\x1b[2J")
    assert "\x1b" not in stream.getvalue()
    assert '"b": "[red]"' in stream.getvalue()
    assert "[bold]\\x1b[2J" in stream.getvalue()


def test_a_name_that_is_not_utf8_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rounds: list[Exception | set[tuple[int, str]]] = [
        WatchfilesRustInternalError('Unable to decode path "caf\\xE9.py" to string'),
        WatchfilesRustInternalError('Unable to decode path "caf\\xE9.py" to string'),
        {(1, str(tmp_path / "a.py"))},
    ]

    def watch(*_: object, **__: object) -> Iterator[set[tuple[int, str]]]:
        following = rounds.pop(0)
        if isinstance(following, Exception):
            raise following
        yield following

    monkeypatch.setattr(saves, "watch", watch)
    saved: list[set[str]] = []
    failed: list[str] = []
    watched = saves.Watched(root=tmp_path, given=Path("p"))
    saves._watch(watched, saved.append, lambda _, why: failed.append(why), threading.Event())
    assert saved == [{"p/a.py"}]
    assert len(failed) == 1
    assert "name is not UTF-8" in failed[0]
