"""The state folder of `st2sensor dev`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.cli.development.folder import SOCKET, SOCKET_LIMIT, Folder, opened
from st2sensor.errors import ConfigError, ContentError


def pack(folder: Path, name: str = "sample") -> Path:
    path = folder / name
    (path / "sensors").mkdir(parents=True)
    (path / "pack.yaml").write_text(f"name: {name}\nversion: 1.0.0\n")
    return path


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
        (["nothing"], [], "nothing: this folder is not a pack: it has no pack.yaml"),
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
        pytest.raises((ConfigError, ContentError), match=said),
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
    assert folder.as_given("with: st2sensor run a.S") == "with: st2sensor --config-file /s/st2.conf run a.S"
    assert folder.as_given("with: st2sensor key set k VALUE").endswith("--config-file /s/st2.conf key set k VALUE")
    missing = "/s/configs/a.yaml:1: key set k VALUE, then run st2ctl reload"
    assert folder.as_given(missing) == "mine.yaml:1: key set k VALUE, then save mine.yaml again"
