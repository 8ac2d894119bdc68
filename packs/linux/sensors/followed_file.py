"""Follows one growing file through rotation and truncation."""

import os

CHUNK = 65536
"""Bytes read at a time."""

ABSENT = [0, 0]
"""The position in a file that does not exist: inode and offset."""


class FollowedFile:
    """The lines appended to a file from now on, or from a position that was saved earlier.

    :param path: need not exist yet; a file that appears later is read from its start.
    """

    def __init__(self, path):
        self._path = path
        self._file = None
        self._offset = 0
        self.problem = None
        """Why the file cannot be read: an OSError, or None."""
        self._open()
        if self._file is not None:
            self._offset = os.fstat(self._file.fileno()).st_size

    def position(self):
        """Return where the next line starts: inode and offset."""
        if self._file is None:
            return ABSENT
        return [os.fstat(self._file.fileno()).st_ino, self._offset]

    def resume(self, position):
        """Continue from an earlier result of `position()`. A file that was replaced since is read from its start."""
        if self._file is not None:
            status = os.fstat(self._file.fileno())
            same = position[0] == status.st_ino and position[1] <= status.st_size
            self._offset = position[1] if same else 0

    def lines(self):
        """Yield the lines that are complete by now, without their newline.

        A line counts as read once the next one is requested: a caller that stops in between gets it again.
        """
        while True:
            yield from self._appended()
            if not self._replaced():
                return
            # The rotated file may have grown between the last read and the check of the path.
            yield from self._appended()
            self.close()
            self._open()
            if self._file is None:
                return

    def close(self):
        if self._file is not None:
            self._file.close()
        self._file = None

    def _open(self):
        self._offset = 0
        try:
            self._file = open(self._path, "rb")  # noqa: SIM115 (stays open)
            self.problem = None
        except OSError as error:
            self._file = None
            self.problem = error

    def _appended(self):
        if self._file is None:
            return
        if os.fstat(self._file.fileno()).st_size < self._offset:
            self._offset = 0
        self._file.seek(self._offset)
        partial = b""
        while data := self._file.read(CHUNK):
            *complete, partial = (partial + data).split(b"\n")
            for line in complete:
                yield line.decode("utf-8", "replace")
                self._offset += len(line) + 1

    def _replaced(self):
        """Return whether the path names another file than the open one."""
        try:
            status = os.stat(self._path)
        except OSError as error:
            if self._file is None:
                self.problem = error
            return False
        if self._file is None:
            return True
        opened = os.fstat(self._file.fileno())
        return (status.st_dev, status.st_ino) != (opened.st_dev, opened.st_ino)
