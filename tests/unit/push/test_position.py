"""Cursors of targets, on disk."""

from __future__ import annotations

import stat
from pathlib import Path

from st2sensor.push.position import DAMAGED, SAVE_INTERVAL, Position


def test_a_new_target_has_no_cursor(tmp_path: Path) -> None:
    assert Position(tmp_path / "a.cursor").cursor is None


def test_a_cursor_survives_and_others_cannot_read_it(tmp_path: Path) -> None:
    path = tmp_path / "push" / "a.cursor"
    Position(path).move("abcd.7")
    assert Position(path).cursor == "abcd.7"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["a.cursor"]


def test_the_file_is_written_at_intervals_and_when_asked(tmp_path: Path) -> None:
    now, path = [0.0], tmp_path / "a.cursor"
    position = Position(path, lambda: now[0])
    position.move("abcd.1")
    position.move("abcd.2")
    assert Position(path).cursor == "abcd.1"
    position.save()
    assert Position(path).cursor == "abcd.2"
    now[0] = SAVE_INTERVAL
    position.move("abcd.3")
    assert Position(path).cursor == "abcd.3"


def test_a_damaged_file_gives_a_cursor_of_no_history(tmp_path: Path) -> None:
    path = tmp_path / "a.cursor"
    for content in (b"", b"\0\0\0", b"abcd.", b"abcd.1\nabcd.2"):
        path.write_bytes(content)
        assert Position(path).cursor == DAMAGED


def test_a_file_that_cannot_be_written_is_a_problem_until_it_can(tmp_path: Path) -> None:
    blocker = tmp_path / "push"
    blocker.write_text("not a folder")
    position = Position(blocker / "a.cursor")
    position.move("abcd.1")
    assert "cannot write" in position.problem
    blocker.unlink()
    position.save()
    assert (position.problem, Position(blocker / "a.cursor").cursor) == ("", "abcd.1")
