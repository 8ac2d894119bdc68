from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.workspace import ROOT


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_text("before\n")
    return path


@pytest.fixture
def follow() -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location(
        "followed_file", ROOT / "packs" / "linux" / "sensors" / "followed_file.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    opened: list[Any] = []

    def make(path: Path, position: list[int] | None = None) -> Any:
        opened.append(module.FollowedFile(str(path)))
        if position is not None:
            opened[-1].resume(position)
        return opened[-1]

    yield make
    for file in opened:
        file.close()


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_only_lines_appended_from_now_on_are_seen(follow: Any, log: Path) -> None:
    file = follow(log)
    assert list(file.lines()) == []
    append(log, "one\ntwo\n")
    assert list(file.lines()) == ["one", "two"]
    assert list(file.lines()) == []


def test_a_line_is_seen_once_it_is_complete(follow: Any, log: Path) -> None:
    file = follow(log)
    append(log, "hal")
    assert list(file.lines()) == []
    append(log, "f\nnext\n")
    assert list(file.lines()) == ["half", "next"]


def test_rotation_loses_neither_the_old_files_last_lines_nor_the_new_ones_first(follow: Any, log: Path) -> None:
    file = follow(log)
    append(log, "old\n")
    log.rename(log.with_suffix(".1"))
    append(log.with_suffix(".1"), "old, late\n")
    log.write_text("new\n")
    assert list(file.lines()) == ["old", "old, late", "new"]


def test_two_rotations_between_two_looks_still_find_the_newest(follow: Any, log: Path) -> None:
    file = follow(log)
    log.rename(log.with_suffix(".1"))
    log.write_text("new\n")
    assert list(file.lines()) == ["new"]
    log.unlink()
    assert list(file.lines()) == []
    log.write_text("newer\n")
    assert list(file.lines()) == ["newer"]


def test_truncation_starts_over(follow: Any, log: Path) -> None:
    file = follow(log)
    append(log, "a long line that is gone soon\n")
    assert len(list(file.lines())) == 1
    log.write_text("short\n")
    assert list(file.lines()) == ["short"]


def test_a_file_that_appears_later_is_read_from_its_start(follow: Any, tmp_path: Path) -> None:
    file = follow(tmp_path / "later.log")
    assert list(file.lines()) == []
    (tmp_path / "later.log").write_text("first\n")
    assert list(file.lines()) == ["first"]


def test_a_noted_position_is_taken_up_where_it_was_left(follow: Any, log: Path) -> None:
    file = follow(log)
    append(log, "one\nhalf")
    assert list(file.lines()) == ["one"]
    position = file.position()
    append(log, " done\ntwo\n")
    assert list(follow(log, position).lines()) == ["half done", "two"]


def test_a_file_that_was_replaced_meanwhile_is_read_from_its_start(follow: Any, log: Path) -> None:
    position = follow(log).position()
    log.rename(log.with_suffix(".1"))
    log.write_text("new\n")
    assert list(follow(log, position).lines()) == ["new"]


def test_bytes_that_are_no_text_do_no_harm(follow: Any, log: Path) -> None:
    file = follow(log)
    with log.open("ab") as raw:
        raw.write(b"\xff\xfe\n")
    (line,) = file.lines()
    assert isinstance(line, str)


def test_a_line_whose_reader_stopped_in_the_middle_comes_again_and_none_is_lost(follow: Any, log: Path) -> None:
    file = follow(log)
    append(log, "one\ntwo\nthree\n")
    seen = []
    for line in file.lines():
        seen.append(line)
        if line == "two":
            break
    assert list(follow(log, file.position()).lines()) == ["two", "three"]
    assert seen == ["one", "two"]


def test_a_file_created_while_nobody_looked_is_read_from_its_start(follow: Any, tmp_path: Path) -> None:
    position = follow(tmp_path / "later.log").position()
    (tmp_path / "later.log").write_text("first\n")
    assert list(follow(tmp_path / "later.log", position).lines()) == ["first"]


def test_a_file_that_cannot_be_read_says_why(follow: Any, tmp_path: Path) -> None:
    assert isinstance(follow(tmp_path).problem, IsADirectoryError)
    file = follow(tmp_path / "none")
    assert isinstance(file.problem, FileNotFoundError)
    (tmp_path / "none").touch()
    assert list(file.lines()) == []
    assert file.problem is None
