"""The watch on saved files."""

from __future__ import annotations

import os
import queue
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchfiles import Change
from watchfiles._rust_notify import WatchfilesRustInternalError

from st2sensor.cli.development import saves
from st2sensor.cli.development.saves import Watched
from tests.plugins.patience import SOON


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
    assert watched.counts(Path(path)) is counts
    assert watched.name(f"/home/.me/pack/{path}") == f"pack/{path}"


def test_of_a_configurations_folder_its_file_alone_counts() -> None:
    watched = Watched(root=Path("/etc"), given=Path("/etc"), only="mine.yaml")
    assert watched.concerns(Change.modified, "/etc/mine.yaml")
    assert not watched.concerns(Change.modified, "/etc/other.yaml")


def test_a_name_that_is_not_utf8_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rounds: list[Exception | set[tuple[int, str]]] = [
        WatchfilesRustInternalError('Unable to decode path "caf\\xE9.py" to string'),
        WatchfilesRustInternalError('Unable to decode path "caf\\xE9.py" to string'),
        {(1, "a.py")},
    ]

    def watch(*_: object, **__: object) -> Iterator[set[tuple[int, str]]]:
        following = rounds.pop(0)
        if isinstance(following, Exception):
            raise following
        (tmp_path / "a.py").touch()
        yield following

    monkeypatch.setattr(saves, "watch", watch)
    saved: list[set[str]] = []
    failed: list[str] = []
    watched = saves.Watched(root=tmp_path, given=Path("p"))
    saves._watch(watched, {}, saved.append, lambda _, why: failed.append(why), threading.Event())
    assert saved == [{"p/a.py"}]
    assert len(failed) == 1
    assert "name is not UTF-8" in failed[0]


Saved = Callable[[Callable[[], object], set[str]], None]


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Saved]:
    """Watches the pack `p` and a link to it; a call makes a change, and waits until some files are reported."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "linked.py").write_text("")
    (tmp_path / "p" / "sensors").mkdir(parents=True)
    (tmp_path / "p" / "sensors" / "a.py").write_text("")
    (tmp_path / "p" / "sensors" / "linked.py").symlink_to(tmp_path / "outside" / "linked.py")
    (tmp_path / "p" / "lib").symlink_to(tmp_path / "outside")
    (tmp_path / "p" / "loop").symlink_to(tmp_path / "p")
    (tmp_path / "link").symlink_to("p")
    changes: queue.Queue[set[str]] = queue.Queue()
    stop = threading.Event()
    watched = [saves.Watched(root=tmp_path / name, given=Path(name)) for name in ("p", "link")]
    threads = [
        threading.Thread(target=saves._watch, args=(item, item.files(), changes.put, lambda *_: None, stop))
        for item in watched
    ]
    for thread in threads:
        thread.start()

    def change(make: Callable[[], object], expected: set[str]) -> None:
        make()
        seen: set[str] = set()
        while not expected <= seen:
            seen |= changes.get(timeout=SOON)
        while not changes.empty():
            changes.get()

    yield change
    stop.set()
    for thread in threads:
        thread.join(SOON)


def replaced(folder: Path, **files: str) -> None:
    """Replace a folder by another, as a checkout does."""
    new = folder.with_name("new")
    new.mkdir()
    for name, text in files.items():
        (new / f"{name}.py").write_text(text)
    shutil.move(folder, folder.with_name("old"))
    new.rename(folder)


def test_what_is_changed_behind_links_is_noticed_by_every_path(saved: Saved, tmp_path: Path) -> None:
    expected = {"p/sensors/linked.py", "p/lib/linked.py", "link/sensors/linked.py", "link/lib/linked.py"}
    saved(lambda: (tmp_path / "outside" / "linked.py").write_text("x = 1"), expected)


def test_a_subfolder_that_is_replaced_by_a_rename_is_noticed_again_and_again(saved: Saved, tmp_path: Path) -> None:
    sensors = tmp_path / "p" / "sensors"
    saved(lambda: replaced(sensors, a="x = 1"), {"p/sensors/a.py", "link/sensors/a.py"})
    saved(lambda: (sensors / "a.py").write_text("x = 22"), {"p/sensors/a.py", "link/sensors/a.py"})


def test_a_pack_that_is_replaced_is_noticed_again_and_again(saved: Saved, tmp_path: Path) -> None:
    pack = tmp_path / "p"
    saved(lambda: replaced(pack, b="x = 1"), {"p/b.py", "link/b.py"})
    saved(lambda: (pack / "b.py").write_text("x = 22"), {"p/b.py", "link/b.py"})
    shutil.rmtree(pack.with_name("old"))
    shutil.copytree(pack, pack.with_name("copy"))
    shutil.rmtree(pack)
    saved(lambda: os.rename(pack.with_name("copy"), pack), {"p/b.py", "link/b.py"})


def test_a_link_that_is_pointed_at_another_folder_is_noticed(saved: Saved, tmp_path: Path) -> None:
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "c.py").write_text("")
    (tmp_path / "next").symlink_to("q")
    saved(lambda: (tmp_path / "next").replace(tmp_path / "link"), {"link/c.py"})


def test_nothing_is_reported_while_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    (tmp_path / "README.md").write_text("")
    watched = saves.Watched(root=tmp_path, given=Path("p"))
    before = watched.files()
    (tmp_path / "README.md").write_text("more")
    assert watched.files() == before
    assert list(before) == [str(tmp_path / "a.py")]
