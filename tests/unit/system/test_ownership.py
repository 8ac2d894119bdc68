"""Root's files in a folder of another user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from st2sensor.system import ownership
from st2sensor.system.private_file import create

OTHER = 12345

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@only_root
def test_root_gives_a_new_file_to_the_owner_of_its_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, OTHER, OTHER)
    create(tmp_path / "st2.db")
    status = (tmp_path / "st2.db").stat()
    assert (status.st_uid, status.st_gid) == (OTHER, OTHER)


@only_root
def test_only_what_root_left_changes_hands_and_links_are_not_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "state", tmp_path / "outside"
    (folder / "p.S").mkdir(parents=True)
    outside.touch()
    (folder / "link").symlink_to(outside)
    (folder / "p.S" / "outbox.db").touch()
    (folder / "third").touch()
    os.chown(folder / "third", OTHER + 1, OTHER + 1)
    os.chown(folder, OTHER, OTHER)
    ownership.hand_over_content(folder)
    owners = {str(path.relative_to(folder)): path.lstat().st_uid for path in folder.rglob("*")}
    assert owners == {"p.S": OTHER, "p.S/outbox.db": OTHER, "link": OTHER, "third": OTHER + 1}
    assert outside.stat().st_uid == 0


def test_nothing_changes_in_a_folder_of_ones_own_or_in_one_that_is_missing(tmp_path: Path) -> None:
    assert ownership.other_owner(tmp_path) is None
    assert ownership.other_owner(tmp_path / "missing") is None
    create(tmp_path / "file")
    assert (tmp_path / "file").stat().st_uid == os.geteuid()


def test_other_users_give_nothing_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)
    assert ownership.other_owner(Path("/")) is None
