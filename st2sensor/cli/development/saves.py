"""Watches the files of packs that are developed. A thread each for what is watched."""

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
"""Milliseconds in which saves are gathered, at the most, and that must pass without one."""


UNDECODABLE = "Unable to decode path"
"""How the watcher says that it has met a name that is not UTF-8; then it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """:param root: the folder.
    :param given: the folder as messages name it.
    :param only: the one file that counts; None for all of a pack, in subfolders, too.
    """

    root: Path
    given: Path
    only: str | None = None

    def concerns(self, change: Change, path: str) -> bool:  # noqa: ARG002 (watchfiles' signature)
        """Whether a file is one that sensors are made of; editors' temporary files and caches are not."""
        inner = Path(path).relative_to(self.root)
        if self.only is not None:
            return str(inner) == self.only
        if any(part.startswith(".") or part == "__pycache__" for part in inner.parts):
            return False
        return inner.suffix in CODE or inner.name == REQUIREMENTS

    def name(self, path: str) -> str:
        """A file as messages name it."""
        return str(self.given / Path(path).relative_to(self.root))


@contextmanager
def watching(folder: Folder, saved: Callable[[set[str]], None], failed: Callable[[str, str], None]) -> Iterator[None]:
    """While this lasts, hand on the names of files that are saved.

    :param saved: called in threads, one call at a time for each pack.
    :param failed: told of a folder that cannot be watched, and why.
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
        # Its folder: editors replace a file rather than write it.
        if not any(file.resolve().is_relative_to(root) for root in roots):
            yield Watched(root=file.parent.resolve(), given=file.parent, only=file.name)


def _watch(
    watched: Watched,
    saved: Callable[[set[str]], None],
    failed: Callable[[str, str], None],
    stop: threading.Event,
) -> None:
    is_told = False
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
                failed(str(watched.given), f"cannot be watched: {exception}; start again to see what is saved")
                return
            # Somebody has opened a file of such a name; the others are watched again.
            if not is_told:
                failed(
                    str(watched.given), f"a file's name is not UTF-8: {exception}; rename it to see when it is saved"
                )
            is_told = True
        except OSError as exception:
            # As when the system has no more inotify watches to give.
            failed(str(watched.given), f"cannot be watched: {exception}; start again to see what is saved")
            return
