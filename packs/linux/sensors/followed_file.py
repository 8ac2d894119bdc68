"""Follows one growing file, over rotation and truncation."""

import os

CHUNK = 65536
"""Bytes read at a time."""


class FollowedFile:
    """The lines appended to a file from now on, or from a position that an earlier process has noted.

    :param path: need not exist yet; a file that appears later is read from its start.
    :param position: what `position()` returned earlier, or None.
    """

    def __init__(self, path, position=None):
        self._path = path
        self._file = None
        self._partial = b""
        self._open()
        if self._file is not None:
            self._start_at(position)

    def position(self):
        """Where the next line starts: inode and offset; None while there is no file."""
        if self._file is None:
            return None
        return [os.fstat(self._file.fileno()).st_ino, self._file.tell() - len(self._partial)]

    def lines(self):
        """Yield the lines that are complete by now, without their newline."""
        while True:
            yield from self._appended()
            if not self._replaced():
                return
            # The rotated file may have grown between the last read and the look at the path.
            yield from self._appended()
            self.close()
            self._open()
            if self._file is None:
                return

    def close(self):
        if self._file is not None:
            self._file.close()
        self._file, self._partial = None, b""

    def _open(self):
        try:
            self._file = open(self._path, "rb")  # noqa: SIM115 (stays open)
        except OSError:
            self._file = None

    def _start_at(self, position):
        status = os.fstat(self._file.fileno())
        if position is not None and position[0] == status.st_ino and position[1] <= status.st_size:
            self._file.seek(position[1])
        elif position is None:
            self._file.seek(0, os.SEEK_END)

    def _appended(self):
        if self._file is None:
            return
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)
            self._partial = b""
        while data := self._file.read(CHUNK):
            *complete, self._partial = (self._partial + data).split(b"\n")
            for line in complete:
                yield line.decode("utf-8", "replace")

    def _replaced(self):
        """Whether the path names another file than the open one."""
        try:
            status = os.stat(self._path)
        except OSError:
            return False
        if self._file is None:
            return True
        opened = os.fstat(self._file.fileno())
        return (status.st_dev, status.st_ino) != (opened.st_dev, opened.st_ino)
