"""Moves the writing of the log into threads, for a program whose loop must not wait for it.

Each destination has a thread, so one that blocks holds back no other. Only the daemon uses this: the log of a command
is written at once.
"""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Callable, Iterable
from typing import TextIO

from st2sensor.logs.writer import Writer

DRAIN_TIMEOUT = 2.0
"""Seconds within which the destinations of the log must accept the rest of it when the program ends."""

RECORD = 1000
"""Bytes in memory of a record, besides its text."""

EXCEPTION = 250_000
"""Bytes for which a record with an exception counts: the exception keeps the objects of its frames in memory."""

PLAIN = (str, int, float, bool, type(None))
"""Types of arguments that cannot change before they are formatted."""

DROPPED = "%d log messages were dropped: too many were waiting while their destination accepted none"


class Background:
    """The threads that write the log. Everything printed to stderr goes through them as well.

    :param handlers: the handlers of all loggers; their `handle` is replaced.

    Raises RuntimeError if a thread cannot be started.
    """

    def __init__(self, handlers: Iterable[logging.Handler]) -> None:
        self._writers: dict[object, Writer] = {}
        self._of_handlers: dict[logging.Handler, Writer] = {}
        stderr = sys.stderr
        for handler in handlers:
            # Handlers of one stream share its thread, which keeps the order of its lines.
            stream = getattr(handler, "stream", None)
            place = stream if stream in (stderr, sys.stdout) else handler
            writer = self._writer(place, _telling(handler.handle, handler))
            self._of_handlers[handler] = writer
            handler.handle = _deferred(writer, handler.handle)  # type: ignore[method-assign, assignment]
        if isinstance(stderr, io.TextIOWrapper):
            sys.stderr = Printed(stderr, self._writer(stderr, lambda count: stderr.write(f"{DROPPED % count}\n")))

    def is_writing(self) -> bool:
        """Return whether the calling thread is one of the log's own."""
        return any(writer.is_current for writer in self._writers.values())

    def soon(self, handler: logging.Handler, call: Callable[[], object]) -> None:
        """Make a handler's thread call a function before its next record."""
        self._of_handlers[handler].put_first(handler, call)

    def finish(self, timeout: float = DRAIN_TIMEOUT) -> bool:
        """Write the rest of the log, and drop later records. Returns False if a destination still blocks.

        :param timeout: seconds that this may take.
        """
        until = time.monotonic() + timeout
        for handler, writer in self._of_handlers.items():
            writer.put(0, handler.flush)
        blocked = [writer for writer in self._writers.values() if not writer.drain(until)]
        return not blocked

    def _writer(self, place: object, tell_dropped: Callable[[int], object]) -> Writer:
        if place not in self._writers:
            self._writers[place] = Writer(f"log_{len(self._writers)}", tell_dropped)
        return self._writers[place]


_background: Background | None = None
"""Set once the log of this process is written in threads."""


def start(handlers: Iterable[logging.Handler]) -> None:
    """Write the log in threads from now on. Raises RuntimeError if a thread cannot be started."""
    global _background
    _background = Background(handlers)


def soon(handler: logging.Handler, call: Callable[[], object]) -> None:
    """Call a function between two records of a handler: in the handler's thread, or at once if it has none."""
    if _background is None:
        call()
    else:
        _background.soon(handler, call)


def is_writing() -> bool:
    """Return whether the calling thread is one of the log's own."""
    return _background is not None and _background.is_writing()


def finish() -> bool:
    """Write the rest of the log. Returns False if a destination blocks.

    In that case the interpreter must not end normally, because it would wait for that destination.
    """
    return _background is None or _background.finish()


class Printed(io.TextIOBase):
    """A text stream whose text a thread writes to another stream."""

    def __init__(self, stream: TextIO, writer: Writer) -> None:
        self._stream = stream
        self._writer = writer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._stream.errors

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"this stream takes text, not {type(text).__name__}")
        if text:
            self._writer.put(RECORD + len(text), lambda: self._print(text))
        return len(text)

    def _print(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def prepare(record: logging.LogRecord) -> int:
    """Make a record independent of objects that may change before it is written. Returns its size in bytes."""
    try:
        text = record.getMessage()
    except Exception as error:  # noqa: BLE001 (the caller that logs must go on)
        text = f"a message cannot be formatted: {type(error).__name__} at {record.pathname}:{record.lineno}"
        record.msg, record.args = text, None
    if not (isinstance(record.args, tuple) and record.args and all(type(part) in PLAIN for part in record.args)):
        record.msg, record.args = text, None
    return RECORD + len(text) + len(record.stack_info or "") + (EXCEPTION if record.exc_info else 0)


def _deferred(writer: Writer, handle: Callable[[logging.LogRecord], object]) -> Callable[[logging.LogRecord], bool]:
    def put(record: logging.LogRecord) -> bool:
        writer.put(prepare(record), lambda: handle(record))
        return True

    return put


def _telling(handle: Callable[[logging.LogRecord], object], handler: logging.Handler) -> Callable[[int], object]:
    """Return a function that logs how many records were dropped, through one handler."""

    def tell(count: int) -> None:
        if handler.level <= logging.WARNING:
            handle(logging.LogRecord("st2sensor.logs", logging.WARNING, "", 0, DROPPED, (count,), None))

    return tell
