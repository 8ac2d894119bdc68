"""Control groups, on a folder that stands for the kernel's: limits, leftovers, and groups that cannot be used."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from st2sensor.container.launch import cgroup
from st2sensor.container.launch.cgroup import CONTAINER, TRIES, Cgroup, Cgroups
from st2sensor.models import Overrides

NOBODY = 2**22 + 1
"""A process id that the kernel never gives."""


class Later:
    """A loop that calls nothing by itself."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []

    def call_later(self, seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        self.calls.append((seconds, call, arguments))

    def go_on(self) -> None:
        _, call, arguments = self.calls.pop(0)
        call(*arguments)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A group in which folders can be removed with the files that the kernel would provide."""
    own = tmp_path / CONTAINER
    own.mkdir()
    (own / "cgroup.kill").touch()
    removed = Path.rmdir

    def rmdir(path: Path) -> None:
        if not (path / "busy").exists():
            for file in path.iterdir():
                file.unlink()
        removed(path)

    monkeypatch.setattr(Path, "rmdir", rmdir)
    monkeypatch.setattr(cgroup, "REMOVE_RETRY", 0)
    return tmp_path


def make(home: Path, name: str, **files: str) -> Path:
    path = home / name
    path.mkdir()
    for file, text in files.items():
        (path / file.replace("_", ".")).write_text(text)
    return path


def test_a_sensor_gets_a_group_with_its_limits(home: Path) -> None:
    group = Cgroups(home).make("p.S", "7", Overrides(memory=5000, processes=20))
    assert group.path == home / f"sensor-{os.getpid()}-p.S-7"
    texts = {file.name: file.read_text() for file in group.path.iterdir()}
    assert texts == {"pids.max": "20", "memory.max": "5000", "memory.swap.max": "0", "memory.oom.group": "1"}
    assert group.limits_memory


def test_a_sensor_without_limits_gets_a_group_without_them(home: Path) -> None:
    group = Cgroups(home).make("p.S", "7", Overrides())
    assert list(group.path.iterdir()) == []
    assert not group.limits_memory


def test_a_limit_that_the_kernel_refuses_does_not_count(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = cgroup._write
    monkeypatch.setattr(cgroup, "_write", lambda file, text: file.name != "memory.max" and write(file, text))
    group = Cgroup(home / "s", memory=5, processes=None)
    assert not group.limits_memory
    assert list(group.path.iterdir()) == []
    assert not group.was_out_of_memory


@pytest.mark.parametrize(
    ("events", "was"),
    [("low 0\noom_kill 2\n", True), ("low 5\noom_kill 0\n", False), ("low 5\n", False), (None, False)],
)
def test_the_kernel_tells_whether_memory_ran_out(home: Path, events: str | None, was: bool) -> None:
    group = Cgroup(home / "s", memory=5, processes=None)
    if events is not None:
        (group.path / "memory.events").write_text(events)
    assert group.was_out_of_memory is was


def test_the_container_moves_into_a_group_of_its_own_and_hands_controllers_on(home: Path) -> None:
    Cgroups(home)
    assert (home / CONTAINER / "cgroup.procs").read_text() == str(os.getpid())
    assert (home / "cgroup.subtree_control").exists()


def test_a_group_in_which_nothing_can_be_killed_is_not_used(home: Path) -> None:
    (home / CONTAINER / "cgroup.kill").unlink()
    with pytest.raises(OSError, match="this kernel cannot kill a control group"):
        Cgroups(home)


def test_a_group_that_this_process_cannot_enter_is_not_used(home: Path) -> None:
    (home / CONTAINER / "cgroup.procs").mkdir()
    with pytest.raises(OSError, match="this process cannot be moved into it"):
        Cgroups(home)


def test_groups_of_containers_that_have_ended_are_removed(home: Path) -> None:
    dead = make(home, f"sensor-{NOBODY}-p.S-1")
    alive = make(home, f"sensor-{os.getppid()}-p.S-1")
    other = make(home, "another")
    Cgroups(home)
    assert not dead.exists()
    assert alive.exists()
    assert other.exists()


def test_only_this_containers_groups_are_cleared(home: Path) -> None:
    groups = Cgroups(home)
    own = groups.make("p.S", "1", Overrides())
    other = make(home, f"sensor-{os.getppid()}-p.S-1")
    groups.clear()
    assert not own.path.exists()
    assert other.exists()


def test_groups_that_cannot_be_removed_are_reported_in_the_end(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    groups = Cgroups(home)
    stuck = groups.make("p.S", "1", Overrides())
    (stuck.path / "busy").touch()
    groups.clear()
    assert len(pauses) == TRIES
    assert f"cannot remove control groups {stuck.path}" in caplog.text


def test_a_group_is_removed_once_its_processes_have_ended(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    loop = Later()
    group = Cgroup(home / "s", memory=None, processes=None)
    (group.path / "busy").touch()
    group.remove(cast(asyncio.AbstractEventLoop, loop))
    assert (group.path / "cgroup.kill").read_text() == "1"
    loop.go_on()
    assert len(loop.calls) == 1
    (group.path / "busy").unlink()
    loop.go_on()
    assert not group.path.exists()
    assert loop.calls == []
    group.remove(cast(asyncio.AbstractEventLoop, loop))
    assert not loop.calls
    assert not caplog.records


def test_a_group_that_stays_is_given_up_with_a_warning(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    loop = Later()
    group = Cgroup(home / "s", memory=None, processes=None)
    (group.path / "busy").touch()
    group.remove(cast(asyncio.AbstractEventLoop, loop), tries=2)
    loop.go_on()
    assert not caplog.records
    loop.go_on()
    assert not loop.calls
    assert f"cannot remove control group {group.path}" in caplog.text


@pytest.mark.parametrize(
    ("user", "marked", "is_delegated"),
    [(1000, None, True), (0, None, False), (0, b"1", True), (0, b"0", False)],
)
def test_root_needs_a_mark_of_systemd(
    home: Path, monkeypatch: pytest.MonkeyPatch, user: int, marked: bytes | None, is_delegated: bool
) -> None:
    def mark(path: Path, name: str) -> bytes:  # noqa: ARG001
        if marked is None or name != "trusted.delegate":
            raise OSError("no such attribute")
        return marked

    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "getxattr", mark)
    monkeypatch.setattr(os, "access", lambda *_: True)
    monkeypatch.setattr(cgroup, "_own", lambda: home)
    assert (cgroup.delegated() is not None) is is_delegated


def test_a_group_that_this_user_may_not_change_is_not_delegated(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(cgroup, "_own", lambda: home)
    assert cgroup.delegated() is None
    monkeypatch.setattr(cgroup, "_own", lambda: None)
    assert cgroup.delegated() is None


def test_a_delegated_group_that_cannot_be_used_is_reported(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cgroup, "_own", lambda: home)
    monkeypatch.setattr(cgroup, "_is_delegated", lambda _: True)
    (home / CONTAINER / "cgroup.kill").unlink()
    assert cgroup.delegated() is None
    assert f"control group {home} cannot be used: this kernel cannot kill a control group" in caplog.text


@pytest.mark.parametrize(
    ("entries", "mounts", "own"),
    [
        ("0::/a/b\n", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", "/sys/fs/cgroup/a/b"),
        ("12:memory:/m\n0::/a\n", "proc /proc proc rw 0 0\nx /mnt cgroup2 rw 0 0\n", "/mnt/a"),
        ("0::/\n", "x /mnt cgroup2 rw 0 0\n", None),
        ("12:memory:/m\n", "x /mnt cgroup2 rw 0 0\n", None),
        ("0::/a\n", "x /mnt cgroup rw 0 0\n", None),
        (None, None, None),
    ],
)
def test_the_own_group_is_read_from_proc(
    monkeypatch: pytest.MonkeyPatch, entries: str | None, mounts: str | None, own: str | None
) -> None:
    texts = {"/proc/self/cgroup": entries, "/proc/self/mounts": mounts}

    def read_text(path: Path) -> str:
        text = texts[str(path)]
        if text is None:
            raise FileNotFoundError(str(path))
        return text

    monkeypatch.setattr(Path, "read_text", read_text)
    found = cgroup._own()
    monkeypatch.undo()
    assert found == (None if own is None else Path(own))
