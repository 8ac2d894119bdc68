"""The folder of the demonstration."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.cli.development import demonstration
from st2sensor.errors import ConfigError, StateDirectoryBusy
from st2sensor.packs.validation import packs as validation


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    return tmp_path / "c" / "st2sensor" / "demo"


def test_its_configuration_is_valid_and_its_packs_have_no_mistakes(home: Path) -> None:
    with demonstration.opened() as file:
        settings = config.load([str(file)])
        assert settings.warnings == ()
        demonstration.write_rules(home / "packs" / "demo", home / "demo.log")
        report = validation.validate([home / "packs" / "demo", home / "packs" / "linux"], settings.content, {})
        assert (report.findings, report.packs, report.sensors) == ((), 2, 4)


def test_a_port_in_use_is_replaced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert demonstration._port(port) not in (0, port)
    assert demonstration._port(port) == port


def test_each_demonstration_begins_afresh_and_a_file_that_others_link_to_stays(home: Path, tmp_path: Path) -> None:
    home.mkdir(parents=True)
    (home / "st2.db").touch()
    (tmp_path / "kept").mkdir()
    (home / "packs").mkdir()
    (home / "packs" / "mine").symlink_to(tmp_path / "kept")
    with demonstration.opened():
        assert not (home / "st2.db").exists()
        assert sorted(os.listdir(home / "packs")) == ["demo", "linux"]
    assert (tmp_path / "kept").exists()


def test_a_second_demonstration_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demonstration, "holder", lambda _: 4711)
    with pytest.raises(StateDirectoryBusy, match="in use by process 4711"), demonstration.opened():
        pass


def test_a_home_that_cannot_be_used_is_reported_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="with the variable XDG_CACHE_HOME"), demonstration.opened():
        pass


def test_paths_are_shown_as_a_person_types_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert demonstration.below_home(Path("/home/me/a/b")) == "~/a/b"
    assert demonstration.below_home(Path("/home/mean")) == "/home/mean"
    monkeypatch.setenv("HOME", "/")
    assert demonstration.below_home(Path("/a")) == "/a"
