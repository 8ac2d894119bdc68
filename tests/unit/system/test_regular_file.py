from __future__ import annotations

import os
from pathlib import Path

import pytest

from st2sensor.system.regular_file import is_there, read, reason


def make(kind: str, path: Path) -> None:
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    elif kind == "a link to itself":
        path.symlink_to(path)
    elif kind == "a link to nothing":
        path.symlink_to(path.with_name("nothing"))
    elif kind == "a sparse file":
        path.touch()
        os.truncate(path, 10**12)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("a pipe", "it is not a regular file"),
        ("a folder", "it is not a regular file"),
        ("a device", "it is not a regular file"),
        ("a link to itself", "Too many levels of symbolic links"),
        ("a link to nothing", "No such file or directory"),
        ("a sparse file", "it has more than 1,000 bytes"),
    ],
)
def test_only_regular_files_of_bounded_size_are_read(tmp_path: Path, kind: str, why: str) -> None:
    path = tmp_path / "file"
    make(kind, path)
    assert is_there(path)
    with pytest.raises(OSError, match=why) as caught:
        read(path, 1000)
    assert reason(caught.value) == why


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, regular = tmp_path / "file", tmp_path / "regular"
    regular.write_text("x")
    os.mkfifo(path)
    monkeypatch.setattr(os, "stat", lambda _: os.lstat(regular))
    with pytest.raises(OSError, match="it is not a regular file"):
        read(path, 1000)


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)
    assert read(path, 1000) == b"x" * 1000


def test_a_name_in_no_folder_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not is_there(tmp_path / "nothing")
    assert not is_there(tmp_path / "file" / "inner")
    assert is_there(tmp_path / ("x" * 300))
