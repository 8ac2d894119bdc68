"""Secrets in files, such as those that Docker, Kubernetes or an agent puts there."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from st2sensor.errors import SecretError, SecretUnavailable
from st2sensor.secrets.source import MAX_SIZE, text_of

LOG = logging.getLogger("st2sensor.secrets")


class Files:
    """Reads files below some folders. Links are followed, and must lead to a file below these folders.

    :param folders: absolute paths.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._open_to_all: set[str] = set()
        """Files that a warning has been logged for."""

    def check(self, arguments: tuple[str, ...]) -> None:
        (path,) = arguments
        self._allowed(path)
        if not os.path.exists(path):
            raise SecretUnavailable(f"{path} does not exist; create it, or correct the path")
        if not os.path.isfile(path):
            raise SecretError(f"{path} is not a regular file")

    def read(self, arguments: tuple[str, ...]) -> str:
        (path,) = arguments
        data = _content(self._allowed(path), path)
        if data.mode & stat.S_IROTH and path not in self._open_to_all:
            self._open_to_all.add(path)
            LOG.warning("%s: every user of this host can read this secret; run: chmod o-r %s", path, path)
        return text_of(data.bytes, path)

    def _allowed(self, path: str) -> str:
        """Return the path with all links followed. Raises SecretError if it leads elsewhere."""
        if not os.path.isabs(path):
            raise SecretError(f"{path!r} is not an absolute path; write /FOLDER/FILE")
        real = os.path.realpath(path)
        if not any(Path(real).is_relative_to(os.path.realpath(folder)) for folder in self._folders):
            folders = ", ".join(map(str, self._folders)) or "no folder"
            raise SecretError(f"{path} leads outside [secrets] file_folders ({folders}); move it, or add its folder")
        return real


class _Data:
    """The content of a file, and its mode."""

    def __init__(self, data: bytes, mode: int) -> None:
        self.bytes = data
        self.mode = mode


def _content(real: str, path: str) -> _Data:
    """Raise SecretError and SecretUnavailable."""
    try:
        # A file that was replaced by a link or a pipe since the check must not lead elsewhere, or block.
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise SecretUnavailable(f"{path} cannot be read: {error.strerror}") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise SecretError(f"{path} is not a regular file")
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return _Data(file.read(MAX_SIZE + 1), mode)
    except OSError as error:
        raise SecretUnavailable(f"{path} cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
