"""An outbox whose files are deleted, replaced, damaged, too large, or on a full disk."""

from __future__ import annotations

import itertools
import os
import queue
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from st2sensor.delivery.dead_letters import DeadLetters
from st2sensor.errors import OutboxDamaged, OutboxError
from st2sensor.outbox.backlog import Settled
from st2sensor.outbox.database import limit_table, rows
from st2sensor.outbox.database.aside import rename, set_aside
from st2sensor.outbox.database.failures import heals, is_full, is_of_file
from st2sensor.outbox.database.file import open_file
from st2sensor.outbox.database.limit_table import Changes, LimitTable, Seen
from st2sensor.outbox.database.reserve import LARGEST, SHARE, SMALLEST, Reserve
from st2sensor.outbox.database.rows import columns_of
from st2sensor.outbox.database.shrinking import KEPT, empty_journal
from st2sensor.outbox.database.store import INSERT, PAGE
from st2sensor.outbox.entry import size_of
from st2sensor.outbox.outbox import Outbox
from tests.plugins.patience import AT_LAST, SOON
from tests.support.servers.waiting import eventually
from tests.unit.outbox.test_outbox import entry, on_disk, put, writer_of

JOURNALS = ("-wal", "-shm")


def coded(code: int) -> sqlite3.Error:
    """Return an error like those of SQLite."""
    error = sqlite3.OperationalError("no")
    error.sqlite_errorcode = code
    return error


def delete(path: Path) -> None:
    for file in path.parent.glob("outbox.db*"):
        file.unlink()


def delete_journal(path: Path) -> None:
    path.with_name("outbox.db-wal").unlink()


def delete_index(path: Path) -> None:
    path.with_name("outbox.db-shm").unlink()


def delete_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def delete_folder_and_make_it_again(path: Path) -> None:
    delete_folder(path)
    path.parent.mkdir()


def replace_by_another(path: Path) -> None:
    other = path.with_name("other.db")
    with closing(Outbox(other)) as outbox:
        put(outbox, entry(77))
    delete(path)
    other.rename(path)


@pytest.mark.parametrize(
    "harm",
    [delete, delete_journal, delete_index, delete_folder, delete_folder_and_make_it_again, replace_by_another],
)
def test_files_that_are_deleted_under_an_outbox_come_back_with_all_that_waits(
    tmp_path: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state" / "outbox.db"
    with closing(Outbox(path)) as outbox:
        put(outbox, entry(1), entry(2), entry(9, reason="dead"))
        harm(path)
        put(outbox, entry(3))
        eventually("it is back", lambda: "was restored with all" in caplog.text)
        assert "was deleted or replaced while in use" in caplog.text
        put(outbox, entry(4))
        # This also holds for a process that reads the file now, and for one after a crash.
        assert on_disk(path) == ["1", "2", "3", "4"]
        rows = outbox.read(0, 10, SOON)
        assert [row.entry.body for row in rows] == ["1", "2", "3", "4"]
        outbox.confirm(rows[1].id, 2)
        assert [row.entry.body for row in outbox.read_back([rows[2].id])] == ["3"]
        eventually("what is confirmed is deleted", lambda: on_disk(path) == ["3", "4"])
    assert on_disk(path, "dead_letters") == ["9"]
    with closing(Outbox(path)) as outbox:
        assert outbox.depth == 2
    if harm is replace_by_another:
        (aside,) = (file for file in path.parent.glob("outbox.db.replaced-*") if not file.name.endswith(JOURNALS))
        assert on_disk(aside) == ["77"]


def test_files_that_cannot_come_back_make_dispatch_wait_until_they_can(tmp_path: Path) -> None:
    path = tmp_path / "state" / "outbox.db"
    with closing(Outbox(path)) as outbox:
        put(outbox, entry(1))
        delete_folder(path)
        # No file can be created there.
        path.parent.write_text("")
        eventually("it is told", lambda: "cannot be copied back" in outbox.problem)
        answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        outbox.submit(entry(2), answers.put)
        eventually("it waits", lambda: not outbox.has_room)
        assert answers.empty()
        path.parent.unlink()
        assert answers.get(timeout=SOON) is None
        # The writer answers first, and clears the problem afterwards.
        eventually("nothing is wrong any more", lambda: not outbox.problem)
    assert on_disk(path) == ["1", "2"]


class Cut(Exception):
    """A crash."""


def cut_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Crash instead of a step that changes names, after the given number of such steps."""
    count = itertools.count()
    rename, unlink = Path.rename, Path.unlink

    def counted_rename(self: Path, target: Path) -> Path:
        if next(count) >= steps:
            raise Cut
        return rename(self, target)

    def counted_unlink(self: Path, missing_ok: bool = False) -> None:
        if next(count) >= steps:
            raise Cut
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "rename", counted_rename)
    monkeypatch.setattr(Path, "unlink", counted_unlink)


@pytest.mark.parametrize("steps", range(8))
def test_a_damaged_outbox_is_never_parted_from_its_journal(
    tmp_path: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(b"damage" * 1000)
    path.with_name("outbox.db-wal").write_bytes(b"journal")
    path.with_name("outbox.db-shm").write_bytes(b"index")
    with monkeypatch.context() as patch:
        cut_after(patch, steps)
        with suppress(Cut):
            set_aside(path)
    # It is still there as it was, or it was moved away completely before anything is opened.
    try:
        with closing(Outbox(path)) as outbox:
            assert outbox.depth == 0
    except OutboxError:
        assert set_aside(path) is not None
    (aside,) = (file for file in tmp_path.glob("outbox.db.damaged-*") if not file.name.endswith(JOURNALS))
    assert aside.read_bytes() == b"damage" * 1000
    journal = aside.with_name(f"{aside.name}-wal")
    assert journal.read_bytes() == b"journal"
    assert not path.with_name("outbox.db-aside").exists()


@pytest.mark.parametrize("steps", range(1, 9))
def test_a_copy_that_was_cut_in_two_loses_nothing(tmp_path: Path, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "outbox.db"
    outbox = Outbox(path)
    put(outbox, entry(1), entry(2))
    outbox._writer.closing.set()
    store = outbox._store
    with monkeypatch.context() as patch:
        # The journal is gone, but the database is not: without the copy, rows that only the copy has are lost.
        delete_journal(path)
        cut_after(patch, steps)
        with suppress(Cut):
            store.restore()
        store.close()
    with closing(Outbox(path)) as again:
        assert [row.entry.body for row in again.read(again.cursor, 10, SOON)] == ["1", "2"]


def test_a_drained_outbox_gives_its_room_back(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path)) as outbox:
        put(outbox, *(replace(entry(number), body="x" * 20_000) for number in range(800)))
        assert path.stat().st_size + path.with_name("outbox.db-wal").stat().st_size > 16_000_000
        cursor = 0
        while rows := outbox.read(cursor, 500, 0):
            cursor = rows[-1].id
            outbox.confirm(cursor, len(rows))
        small = 2 * KEPT * PAGE
        eventually("the file is small", lambda: path.stat().st_size < small)
        journal = path.with_name("outbox.db-wal")
        eventually("the journal is small", lambda: journal.stat().st_size <= 4 * outbox._store.largest_commit)
        put(outbox, entry(1))
        assert on_disk(path) == ["1"]


def test_a_file_of_an_earlier_version_gives_its_room_back_too(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL, sensor TEXT NOT NULL,"
            "trigger TEXT NOT NULL, trigger_type TEXT NOT NULL, created REAL NOT NULL, tagged INTEGER NOT NULL,"
            "body TEXT NOT NULL)"
        )
        row = ("m", "p.S", "p.t", "p.t", 0.0, 0, "x" * 20_000)
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO outbox VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", [row] * 800)
        connection.execute("COMMIT")
    with closing(Outbox(path)) as outbox:
        assert outbox.depth == 800
        cursor = 0
        while rows := outbox.read(cursor, 500, 0):
            cursor = rows[-1].id
            outbox.confirm(cursor, len(rows))
        eventually("the file is small", lambda: path.stat().st_size < 2 * KEPT * PAGE)
        put(outbox, entry(1))
    assert on_disk(path) == ["1"]


@pytest.mark.parametrize("is_running", [False, True])
def test_a_purge_of_dead_letters_gives_their_room_back(tmp_path: Path, is_running: bool) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path)) as outbox:
        put(outbox, *(replace(entry(number, reason="no"), body="x" * 20_000) for number in range(800)))
        if is_running:
            DeadLetters(path).remove(DeadLetters(path).ids())
            eventually("the file is small", lambda: path.stat().st_size < 2 * KEPT * PAGE)
    if not is_running:
        assert path.stat().st_size > 16_000_000
        dead = DeadLetters(path)
        dead.remove(dead.ids())
        dead.give_back()
        assert path.stat().st_size < 2 * KEPT * PAGE


def test_a_file_that_was_repaired_may_hold_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(open_file(path, "full")) as connection:
        values = "'m', CAST(x'ff' AS TEXT), 'p.t', 'p.t', 'never', 'x', CAST(x'fffe' AS TEXT), 'f'"
        for table, more in (("outbox", ""), ("dead_letters", ", CAST(x'ff' AS TEXT), 0")):
            columns = "message_id, sensor, trigger, trigger_type, created, tagged, body, fence"
            columns += ", reason, buried" if more else ""
            connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({values}{more})")
    with closing(Outbox(path)) as outbox:
        put(outbox, entry(1))
        assert len(outbox.read(0, 10, SOON)) == 2
        assert len(list(DeadLetters(path).all())) == 1


FULL = """
import queue, sys, time
from contextlib import closing, suppress
from pathlib import Path
from st2sensor.outbox.outbox import Outbox
from tests.support.servers.waiting import eventually
from tests.plugins.patience import LATER, SOON
from tests.unit.outbox.test_outbox import entry, on_disk
from dataclasses import replace

path, size = Path(sys.argv[1]) / "outbox.db", int(sys.argv[2])
told = []
def take(outbox, cursor):
    rows = outbox.read(cursor, 500, 0)
    if rows:
        outbox.confirm(rows[-1].id, len(rows))
    return rows
with closing(Outbox(path)) as outbox:
    count = 3 * int(sys.argv[3]) * 1_000_000 // size
    for number in range(count):
        outbox.submit(replace(entry(number), body=f"{number} ".ljust(size, "y")), told.append)
    eventually("the disk is full", lambda: "disk is full" in outbox.problem or "No space left" in outbox.problem)
    taken = len(told)
    assert 0 < taken < count, taken
    # Somebody else takes what was left.
    hog = (path.parent / "hog").open("wb", buffering=0)
    try:
        while hog.write(b"x" * 4096):
            pass
    except OSError:
        pass
    # The broker takes some: dispatch() goes on, in the room of that.
    rows = take(outbox, 0)
    eventually("some more is taken", lambda: len(told) > taken, LATER)
    cursor = rows[-1].id
    received = [row.entry.body for row in rows]
    # What is confirmed while the disk is full is not repeated after the end.
    eventually("the disk is full again", lambda: outbox.problem or len(told) == count, LATER)
    rows = take(outbox, cursor)
    received += [row.entry.body for row in rows]
answered = sum(error is None for error in told)
left = on_disk(path)
with closing(Outbox(path)) as outbox:
    cursor = 0
    while rows := take(outbox, cursor):
        received += [row.entry.body for row in rows]
        cursor = rows[-1].id
numbers = [int(body.split()[0]) for body in received]
assert numbers == list(range(answered)), (len(numbers), answered)
print("well")
"""


@pytest.mark.parametrize(("megabytes", "size"), [(2, 300), (2, 20_000), (8, 20_000)])
def test_a_disk_that_an_outage_has_filled_frees_itself_and_nothing_is_repeated(
    tmp_path: Path, megabytes: int, size: int
) -> None:
    """Tests on a small, separate file system."""
    if os.getuid() != 0 or subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0:
        pytest.skip("needs root, to mount a small file system where nobody else sees it")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = f'mount --make-rprivate / && mount -t tmpfs -o size={megabytes}m none {disk} && exec "$@"'
    command = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        mounted,
        "sh",
        sys.executable,
        "-c",
        FULL,
        str(disk),
        str(size),
        str(megabytes),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=AT_LAST, check=False)
    assert done.stdout == "well\n", done.stderr


def test_space_that_cannot_be_reserved_is_given_up_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = Reserve(tmp_path / "outbox.db")
    assert SMALLEST <= reserve.size <= LARGEST
    assert (reserve.journal, reserve.commit) == (reserve.size // 2, reserve.size // 4)
    assert not reserve.is_held
    reserve.take(more=4096)
    file = tmp_path / "outbox.db-reserve"
    assert file.stat().st_size == reserve.size + 4096
    reserve.take()
    assert (file.stat().st_size, reserve.is_held) == (reserve.size, True)

    def refuse(descriptor: int, offset: int, length: int) -> None:
        raise OSError(f"no space for {length} at {offset} of {descriptor}")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    reserve.take()
    with pytest.raises(OSError, match="no space"):
        reserve.take(more=1)
    assert not file.exists()
    assert not reserve.is_held
    reserve.release()


def test_the_reserve_is_a_share_of_what_is_free_with_what_it_holds_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 40 << 20
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=free // 4096, f_frsize=4096))
    assert Reserve(tmp_path / "outbox.db").size == free // SHARE
    (tmp_path / "outbox.db-reserve").write_bytes(b"x" * (8 << 20))
    assert Reserve(tmp_path / "outbox.db").size == (48 << 20) // SHARE
    free = 1 << 20
    assert Reserve(tmp_path / "other.db").size == SMALLEST
    free = 1 << 40
    assert Reserve(tmp_path / "other.db").size == LARGEST


def test_the_second_file_that_is_set_aside_within_a_second_has_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.strftime", lambda _: "20260101T000000")
    path = tmp_path / "outbox.db"
    for number in range(3):
        path.write_text(str(number))
        rename(path, "damaged")
    found = sorted(tmp_path.glob("outbox.db.*"))
    assert [(file.name, file.read_text()) for file in found] == [
        ("outbox.db.damaged-20260101T000000", "0"),
        ("outbox.db.damaged-20260101T000000.2", "1"),
        ("outbox.db.damaged-20260101T000000.3", "2"),
    ]


@pytest.mark.parametrize(
    ("exception", "verdicts"),
    [
        (OutboxError("no"), (True, False, False)),
        (OutboxDamaged("no"), (False, True, False)),
        (OSError("no"), (True, False, True)),
        (coded(sqlite3.SQLITE_FULL), (True, False, True)),
        (coded(sqlite3.SQLITE_IOERR_WRITE), (True, False, True)),
        (coded(sqlite3.SQLITE_BUSY), (True, False, False)),
        (coded(sqlite3.SQLITE_CORRUPT), (False, True, False)),
        (sqlite3.OperationalError("no such table"), (False, True, False)),
        (sqlite3.IntegrityError("refused"), (False, False, False)),
        (OverflowError("too large"), (False, False, False)),
    ],
    ids=repr,
)
def test_errors_of_the_disk_of_the_file_and_of_an_entry_are_told_apart(
    exception: Exception, verdicts: tuple[bool, bool, bool]
) -> None:
    assert (heals(exception), is_of_file(exception), is_full(exception)) == verdicts


def test_message_ids_beyond_the_most_are_forgotten_those_that_end_first_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limit_table, "MOST_SEEN", 2)
    with closing(open_file(tmp_path / "outbox.db", "process")) as connection:
        table = LimitTable(connection)
        assert not table.is_due(100.0)
        seen = [(name, Seen(ends, None)) for name, ends in (("a", 4.0), ("b", 3.0), ("c", 2.0), ("d", 1.0))]
        table.store(Changes(seen=seen), ())
        assert not table.is_due(1.0)
        assert table.is_due(1.5)
        table.forget(1.5)
        assert [name for name, _ in seen if table.seen(name)] == ["a", "b"]
        table.forget(1.5)
        assert [name for name, _ in seen if table.seen(name)] == ["a", "b"]


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("process", 1)])
def test_a_file_is_as_durable_as_it_is_configured(tmp_path: Path, durability: str, synchronous: int) -> None:
    with closing(open_file(tmp_path / "outbox.db", durability)) as connection:
        pragmas = ("synchronous", "journal_mode", "auto_vacuum", "secure_delete")
        found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
    assert found == [synchronous, "wal", 2, 2]


def test_a_journal_is_emptied_once_nobody_reads_any_more(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(open_file(path, "process")) as writer, closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM outbox").fetchone()
        writer.execute("UPDATE run_clock SET seconds = 1")
        assert not empty_journal(writer)
        reader.execute("COMMIT")
        assert empty_journal(writer)
        assert path.with_name("outbox.db-wal").stat().st_size == 0


def test_a_page_of_rows_is_bounded_in_bytes_but_holds_at_least_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "PAGE_BYTES", 2 * size_of(entry(1)))
    with closing(open_file(tmp_path / "outbox.db", "process")) as connection:
        for number in (1, 2, 3):
            connection.execute(INSERT, (number, None, *columns_of(entry(number)), None))
        connection.execute(INSERT, (4, None, *columns_of(replace(entry(4), body="x" * 5000)), None))
        assert rows.page(connection, "outbox", 0) == [1, 2]
        assert rows.page(connection, "outbox", 2) == [3]
        assert rows.page(connection, "outbox", 3) == [4]
        assert rows.page(connection, "outbox", 4) == []


def test_ids_without_gaps_are_deleted_as_ranges() -> None:
    assert rows.ranges(Settled(number) for number in (5, 1, 2, 9, 3)) == [(1, 3), (5, 5), (9, 9)]


def test_only_entries_that_the_database_refuses_are_flawed_and_none_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with closing(Outbox(path)) as outbox:
        put(outbox, entry(1), entry(2))
        writer_of(outbox).setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000)
        entries = [entry(3), replace(entry(4), body="x" * 20_000), entry(5), replace(entry(6), created=None)]  # type: ignore[arg-type]
        flawed = outbox._store.flawed(entries, 2)
        assert {number: type(error) for number, error in flawed.items()} == {
            1: sqlite3.DataError,
            3: sqlite3.IntegrityError,
        }
        (pages,) = writer_of(outbox).execute("PRAGMA page_count").fetchone()
        writer_of(outbox).execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            outbox._store.flawed([replace(entry(number), body="x" * 9_000) for number in range(100)], 2)
        writer_of(outbox).execute("PRAGMA max_page_count = 1000000")
        assert on_disk(path) == ["1", "2"]
