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


def lines(file: Any) -> list[str]:
    return [line for batch in file.batches() for line in batch]


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_only_lines_appended_from_now_on_are_seen(follow: Any, log: Path) -> None:
    file = follow(log)
    assert lines(file) == []
    append(log, "one\ntwo\n")
    assert lines(file) == ["one", "two"]
    assert lines(file) == []


def test_a_line_is_seen_once_it_is_complete(follow: Any, log: Path) -> None:
    file = follow(log)
    append(log, "hal")
    assert lines(file) == []
    append(log, "f\nnext\n")
    assert lines(file) == ["half", "next"]


def test_rotation_loses_neither_the_old_files_last_lines_nor_the_new_ones_first(follow: Any, log: Path) -> None:
    file = follow(log)
    append(log, "old\n")
    log.rename(log.with_suffix(".1"))
    append(log.with_suffix(".1"), "old, late\n")
    log.write_text("new\n")
    assert lines(file) == ["old", "old, late", "new"]


def test_two_rotations_between_two_looks_still_find_the_newest(follow: Any, log: Path) -> None:
    file = follow(log)
    log.rename(log.with_suffix(".1"))
    log.write_text("new\n")
    assert lines(file) == ["new"]
    log.unlink()
    assert lines(file) == []
    log.write_text("newer\n")
    assert lines(file) == ["newer"]


def test_truncation_starts_over(follow: Any, log: Path) -> None:
    file = follow(log)
    append(log, "a long line that is gone soon\n")
    assert len(lines(file)) == 1
    log.write_text("short\n")
    assert lines(file) == ["short"]


def test_a_file_that_appears_later_is_read_from_its_start(follow: Any, tmp_path: Path) -> None:
    file = follow(tmp_path / "later.log")
    assert lines(file) == []
    (tmp_path / "later.log").write_text("first\n")
    assert lines(file) == ["first"]


def test_a_noted_position_is_taken_up_where_it_was_left(follow: Any, log: Path) -> None:
    file = follow(log)
    append(log, "one\nhalf")
    assert lines(file) == ["one"]
    position = file.position()
    append(log, " done\ntwo\n")
    assert lines(follow(log, position)) == ["half done", "two"]


def test_a_file_that_was_replaced_meanwhile_is_read_from_its_start(follow: Any, log: Path) -> None:
    position = follow(log).position()
    log.rename(log.with_suffix(".1"))
    log.write_text("new\n")
    assert lines(follow(log, position)) == ["new"]


def test_bytes_that_are_no_text_do_no_harm(follow: Any, log: Path) -> None:
    file = follow(log)
    with log.open("ab") as raw:
        raw.write(b"\xff\xfe\n")
    (line,) = lines(file)
    assert isinstance(line, str)


def test_a_batch_whose_reader_stopped_in_the_middle_comes_again_and_none_is_lost(follow: Any, log: Path) -> None:
    file = follow(log)
    written = [str(number) for number in range(500)]
    append(log, "".join(f"{line}\n" for line in written))
    batches = file.batches()
    first, second = next(batches), next(batches)
    batches.close()
    rest = lines(follow(log, file.position()))
    assert first + rest == written
    assert second == rest[: len(second)]
    assert len(second) < 500


def test_a_batch_is_bounded_in_lines_and_in_bytes(follow: Any, log: Path) -> None:
    file = follow(log)
    append(log, "\n" * 60_000 + "x" * 200_000 + "\n" + "y\n" * 3)
    batches = list(file.batches())
    assert max(map(len, batches)) <= 200
    assert max(sum(map(len, batch)) for batch in batches if len(batch) > 1) <= 2 * 65536
    assert [line for batch in batches for line in batch] == [""] * 60_000 + ["x" * 200_000] + ["y"] * 3


def test_a_file_created_while_nobody_looked_is_read_from_its_start(follow: Any, tmp_path: Path) -> None:
    position = follow(tmp_path / "later.log").position()
    (tmp_path / "later.log").write_text("first\n")
    assert lines(follow(tmp_path / "later.log", position)) == ["first"]


def test_a_file_that_cannot_be_read_says_why(follow: Any, tmp_path: Path) -> None:
    assert isinstance(follow(tmp_path).problem, IsADirectoryError)
    file = follow(tmp_path / "none")
    assert isinstance(file.problem, FileNotFoundError)
    (tmp_path / "none").touch()
    assert lines(file) == []
    assert file.problem is None
