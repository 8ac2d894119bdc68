"""Compiled code of a pack's files: Python keeps it in a cache, and must not take an old version from there.

Python considers cached code current if the size of the source and the second of its last change are the same. If a file
is saved twice within a second, the first version would run.
"""

from __future__ import annotations

import os
import sys
import time
from importlib import machinery
from importlib.machinery import FileFinder, SourceFileLoader
from typing import Any, Iterable

RACY = 2.0
"""Minimum number of seconds between two different modification times, at worst (on FAT)."""


class PackLoader(SourceFileLoader):
    """Loads a file, but does not cache the code of a file that was saved less than RACY seconds ago."""

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Write the cached code. importlib calls this.

        :param path: the file of the cached code; the source is `self.path`.
        :param data: bytes.
        """
        try:
            saved = os.stat(self.path).st_mtime
        except OSError:
            return
        if saved <= time.time() - RACY:
            super().set_data(path, data, _mode=_mode)


_find = FileFinder.path_hook(
    (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
    (PackLoader, machinery.SOURCE_SUFFIXES),
    (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
)


def load_from(folders: Iterable[str]) -> None:
    """Load all modules in these folders, and in folders inside them, with PackLoader from now on."""
    packs = tuple(os.path.join(folder, "") for folder in folders)

    def finder(path: str) -> Any:
        if not os.path.join(path, "").startswith(packs):
            raise ImportError("not a pack's folder", path=path)
        return _find(path)

    sys.path_hooks.insert(0, finder)
    for path in [path for path in sys.path_importer_cache if os.path.join(path, "").startswith(packs)]:
        del sys.path_importer_cache[path]
