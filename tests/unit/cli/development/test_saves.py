"""The watch on saved files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from watchfiles import Change
from watchfiles._rust_notify import WatchfilesRustInternalError

from st2sensor.cli.development import saves
from st2sensor.cli.development.saves import Watched


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
