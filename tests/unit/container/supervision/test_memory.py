"""A sensor's memory: what it and its descendants use, as /proc tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from st2sensor.container.supervision import memory


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "PROC", tmp_path)
    return tmp_path


def add(proc: Path, pid: int, kilobytes: int | None, **threads: str) -> None:
    """Add a process.

    :param threads: the children of each thread, by the thread's name.
    """
    for name, children in threads.items():
        task = proc / str(pid) / "task" / name
        task.mkdir(parents=True)
        (task / "children").write_text(children)
    (proc / str(pid)).mkdir(exist_ok=True)
    if kilobytes is not None:
        (proc / str(pid) / "smaps_rollup").write_text(
            f"1-2 [rollup]\nRss: 9999 kB\nPss: {kilobytes} kB\nPss_Dirty: 1 kB\n"
            "Private_Clean: 1 kB\nPrivate_Dirty: 2 kB\nSwap: 0 kB\n"
        )


def test_descendants_of_all_threads_count(proc: Path) -> None:
    add(proc, 1, 100, first="2 3 ", second="4")
    add(proc, 2, 10, first="5 ")
    add(proc, 3, 1, first="")
    add(proc, 4, 7)
    add(proc, 5, 2)
    add(proc, 6, 5000)
    assert memory.used_by(1) == (100 + 10 + 1 + 7 + 2) * 1024
    assert memory.used_alone(1) == 100 * 1024


def test_a_process_that_has_ended_uses_nothing(proc: Path) -> None:
    add(proc, 1, 100, first="2")
    assert memory.used_by(1) == 100 * 1024
    assert memory.used_by(7) == memory.used_alone(7) == 0


def test_a_thread_that_ends_while_its_children_are_read_hides_only_them(proc: Path) -> None:
    add(proc, 1, 100, first="")
    # Reading this raises an OSError, as a file of a thread that has ended does.
    (proc / "1" / "task" / "gone" / "children").mkdir(parents=True)
    assert memory.used_by(1) == 100 * 1024


def test_a_process_without_a_sum_uses_nothing(proc: Path) -> None:
    add(proc, 1, None)
    (proc / "1" / "smaps_rollup").write_text("1-2 [rollup]\n")
    assert memory.used_alone(1) == 0


def test_a_size_is_shown_in_megabytes() -> None:
    assert memory.shown(0) == "0 MB"
    assert memory.shown(250 * 2**20) == "250 MB"
    assert memory.shown(2**20 * 3 // 2) == "2 MB"


def test_pages_that_no_other_process_shares_are_its_own(proc: Path) -> None:
    add(proc, 1, 100, first="2")
    add(proc, 2, 10)
    add(proc, 3, 5)
    assert memory.measured(1) == memory.Used(total=110 * 1024, own=2 * 3 * 1024)
    assert memory.measured(4) == memory.Used(total=0, own=0)
