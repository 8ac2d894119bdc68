"""Watch the files of packs under development, with a thread for each folder.

The kernel reports at once that something has changed below a folder. It reports no changes to the targets of symbolic
links, and no more changes at all once the folder, or a folder in it, has been replaced. So the state of each path is
also compared with its earlier state: after each hint of the kernel, and otherwise every SCAN_INTERVAL.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from watchfiles import Change, watch
from watchfiles._rust_notify import WatchfilesRustInternalError

from st2sensor.cli.development.folder import Folder
from st2sensor.packs.code.virtualenv import REQUIREMENTS
from st2sensor.packs.yaml_files import SUFFIXES

CODE = (".py", *SUFFIXES)

SAVES_DELAY, SETTLE = 100, 50
"""Maximum number of milliseconds for which saves are collected, and milliseconds of quiet that end this time
earlier."""

SCAN_INTERVAL = 1000
"""Milliseconds between two comparisons without a hint."""

ABSENT_INTERVAL = 0.5
"""Seconds between two checks whether a missing folder is back."""

MOST_FILES = 20_000
"""Maximum number of files that are compared. A folder with more is hardly a pack."""

State = tuple[int, int, int, int]
"""Device, inode, time of the last change, and size of a file."""

UNDECODABLE = "Unable to decode path"
"""Message of the watcher about a file name that is not UTF-8, after which it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A watched folder.

    :param root: the folder.
    :param given: the folder as it appears in messages.
    :param only: the only file that counts; None for all files of a pack, including subfolders.
    """

    root: Path
    given: Path
    only: str | None = None

    def concerns(self, change: Change, path: str) -> bool:  # noqa: ARG002 (watchfiles' signature)
        """Return whether a change is a hint. A change of a folder is one, because its files may have been moved with
        it."""
        inner = Path(path).relative_to(self.root)
        return str(inner) == self.only if self.only is not None else not _is_hidden(inner)

    def counts(self, inner: Path) -> bool:
        """Return whether a file belongs to a sensor. Caches and temporary files of editors do not.

        :param inner: its path below the root.
        """
        if self.only is not None:
            return str(inner) == self.only
        return not _is_hidden(inner) and (inner.suffix in CODE or inner.name == REQUIREMENTS)

    def files(self) -> dict[str, State]:
        """Return the state of each file that counts, by its path. Symbolic links are followed.

        Raises OSError if the root is gone.
        """
        os.stat(self.root)
        found: dict[str, State] = {}
        for path in [str(self.root / self.only)] if self.only is not None else self._paths():
            with suppress(OSError):
                status = os.stat(path)
                if stat.S_ISREG(status.st_mode):
                    found[path] = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
            if len(found) >= MOST_FILES:
                break
        return found

    def _paths(self) -> Iterator[str]:
        seen: set[tuple[int, int]] = set()
        for folder, inner, names in os.walk(self.root, followlinks=True):
            with suppress(OSError):
                status = os.stat(folder)
                place = status.st_dev, status.st_ino
                if place in seen:
                    # A link to a folder above it.
                    inner.clear()
                    continue
                seen.add(place)
            inner[:] = [name for name in inner if not _is_hidden(Path(name))]
            for name in names:
                path = os.path.join(folder, name)
                if self.counts(Path(path).relative_to(self.root)):
                    yield path

    def name(self, path: str) -> str:
        """Return a path as it appears in messages."""
        return str(self.given / Path(path).relative_to(self.root))


def _is_hidden(inner: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in inner.parts)


@contextmanager
def watching(folder: Folder, saved: Callable[[set[str]], None], failed: Callable[[str, str], None]) -> Iterator[None]:
    """Report saved files while the context lasts.

    :param saved: called with the names of saved files, in threads, one call at a time for each pack.
    :param failed: called with a folder that cannot be watched, and the reason.
    """
    stop = threading.Event()
    # Take the first state here, so that no save is missed once this returns.
    threads = [
        threading.Thread(target=_watch, args=(item, item.files(), saved, failed, stop), name="saves", daemon=True)
        for item in _all(folder)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _all(folder: Folder) -> Iterator[Watched]:
    # Not resolved: a symbolic link may be pointed at another folder.
    roots = {Path(os.path.abspath(path)): path for path in folder.packs.values()}
    for root, given in roots.items():
        yield Watched(root=root, given=given)
    for file in folder.configs.values():
        # Watch its folder: editors replace a file instead of writing to it.
        path = Path(os.path.abspath(file))
        if not any(path.is_relative_to(root) for root in roots):
            yield Watched(root=path.parent, given=file.parent, only=file.name)


def _watch(
    watched: Watched,
    before: Mapping[str, State],
    saved: Callable[[set[str]], None],
    failed: Callable[[str, str], None],
    stop: threading.Event,
) -> None:
    reported: set[str] = set()

    def tell_once(kind: str, problem: str) -> None:
        if kind not in reported:
            reported.add(kind)
            failed(str(watched.given), problem)

    while not stop.is_set():
        try:
            root = _identity(watched.root)
            for _ in watch(
                watched.root,
                watch_filter=watched.concerns,
                debounce=SAVES_DELAY,
                step=SETTLE,
                stop_event=stop,
                recursive=watched.only is None,
                rust_timeout=SCAN_INTERVAL,
                yield_on_timeout=True,
            ):
                now = watched.files()
                changed = {path for path in before.keys() | now.keys() if before.get(path) != now.get(path)}
                before = now
                if changed:
                    saved({watched.name(path) for path in changed})
                if _identity(watched.root) != root:
                    # The kernel still watches the folder that was here before.
                    break
            else:
                return
            reported.discard("gone")
        except WatchfilesRustInternalError as exception:
            if UNDECODABLE not in str(exception):
                tell_once("kernel", f"changes are noticed late: {exception}")
                stop.wait(ABSENT_INTERVAL)
                continue
            # A file whose name is not UTF-8 was opened. Watch the other files again.
            tell_once("name", f"saves of a file are not noticed, because its name is not UTF-8; rename it: {exception}")
        except FileNotFoundError:
            # Tools that replace a folder remove it first.
            if stop.wait(ABSENT_INTERVAL) or watched.root.is_dir():
                continue
            tell_once("gone", "the folder is gone; its sensors keep running, and restart once the folder is back")
        except OSError as exception:
            # For example, the system has run out of inotify watches.
            failed(str(watched.given), f"cannot be watched: {exception}; restart st2sensor dev to watch it again")
            return


def _identity(root: Path) -> tuple[int, int]:
    """Return device and inode of a folder. Raises OSError."""
    status = os.stat(root)
    return status.st_dev, status.st_ino
