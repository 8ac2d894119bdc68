"""Watch the files of packs under development, with a thread for each folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from watchfiles import Change, watch
from watchfiles._rust_notify import WatchfilesRustInternalError

from st2sensor.cli.development.folder import Folder
from st2sensor.packs.code.virtualenv import REQUIREMENTS
from st2sensor.packs.yaml_files import SUFFIXES

CODE = (".py", *SUFFIXES)

SAVES_DELAY, SETTLE = 100, 50
"""Milliseconds for which saves are collected at most, and milliseconds without a save after which they are reported."""

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
        """Return whether a file belongs to a sensor. Caches and temporary files of editors do not."""
        inner = Path(path).relative_to(self.root)
        if self.only is not None:
            return str(inner) == self.only
        if any(part.startswith(".") or part == "__pycache__" for part in inner.parts):
            return False
        return inner.suffix in CODE or inner.name == REQUIREMENTS

    def name(self, path: str) -> str:
        """Return a path as it appears in messages."""
        return str(self.given / Path(path).relative_to(self.root))


@contextmanager
def watching(folder: Folder, saved: Callable[[set[str]], None], failed: Callable[[str, str], None]) -> Iterator[None]:
    """Report saved files while the context lasts.

    :param saved: called with the names of saved files, in threads, one call at a time for each pack.
    :param failed: called with a folder that cannot be watched, and the reason.
    """
    stop = threading.Event()
    threads = [
        threading.Thread(target=_watch, args=(item, saved, failed, stop), name="saves", daemon=True)
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
    roots = {path.resolve(): path for path in folder.packs.values()}
    for root, given in roots.items():
        yield Watched(root=root, given=given)
    for file in folder.configs.values():
        # Watch its folder: editors replace a file instead of writing to it.
        if not any(file.resolve().is_relative_to(root) for root in roots):
            yield Watched(root=file.parent.resolve(), given=file.parent, only=file.name)


def _watch(
    watched: Watched,
    saved: Callable[[set[str]], None],
    failed: Callable[[str, str], None],
    stop: threading.Event,
) -> None:
    was_reported = False
    while not stop.is_set():
        try:
            for changes in watch(
                watched.root,
                watch_filter=watched.concerns,
                debounce=SAVES_DELAY,
                step=SETTLE,
                stop_event=stop,
                recursive=watched.only is None,
            ):
                saved({watched.name(path) for _, path in changes})
            return
        except WatchfilesRustInternalError as exception:
            if UNDECODABLE not in str(exception):
                failed(str(watched.given), f"cannot be watched: {exception}; restart st2sensor dev to watch it again")
                return
            # A file with such a name was opened. Watch the others again.
            if not was_reported:
                failed(
                    str(watched.given), f"a file's name is not UTF-8: {exception}; rename it to see when it is saved"
                )
            was_reported = True
        except OSError as exception:
            # For example, the system has run out of inotify watches.
            failed(str(watched.given), f"cannot be watched: {exception}; restart st2sensor dev to watch it again")
            return
