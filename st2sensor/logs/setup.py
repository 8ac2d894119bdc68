"""Sets up the log: its destination, levels and format."""

from __future__ import annotations

import io
import logging
import logging.config
import sys
from collections.abc import Callable
from configparser import ConfigParser
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from st2sensor.errors import ConfigError
from st2sensor.logs import background, handlers, names
from st2sensor.logs.stream_file import STANDARD, StreamFile, descriptor_of
from st2sensor.settings import Log

LOG = logging.getLogger("st2sensor.logs")

SENSOR = "sensor"
"""Attribute of a log record that holds the reference of its sensor, if it has one."""

FORMAT = "%(asctime)s %(process)d %(levelname)-7s %(name)s: %(message)s"

AUDIT = logging.CRITICAL + 10
"""StackStorm's highest level, which is used in its logging.conf files."""

GELF = "st2common.logging.formatters.GelfLogFormatter"
"""A formatter of StackStorm that writes each record as one line of JSON."""

STACKSTORMS = {
    "st2common.log.FormatNamedFileHandler": handlers.FormatNamedFileHandler,
    "st2common.logging.handlers.FormatNamedFileHandler": handlers.FormatNamedFileHandler,
    "st2common.logging.formatters.ConsoleLogFormatter": handlers.ConsoleLogFormatter,
    GELF: handlers.GelfLogFormatter,
}
"""Our classes, by the names that StackStorm's logging.conf files use."""

SYSLOG_HANDLERS = ("st2common.log.ConfigurableSyslogHandler", "st2common.logging.handlers.ConfigurableSyslogHandler")
"""Both names of a handler of StackStorm that sends to the address in `[syslog]`."""

LIBRARIES = ("amqp", "kombu", "pymongo", "asyncio")

STREAMS: dict[str, Callable[[], TextIO]] = {"stderr": lambda: sys.stderr, "stdout": lambda: sys.stdout}

FORMATTERS: dict[str, Callable[[], logging.Formatter]] = {
    "text": lambda: logging.Formatter(FORMAT),
    "json": lambda: handlers.JsonFormatter(SENSOR),
}

_STREAM_FILES: dict[int | None, StreamFile] = {}
"""The files behind the standard streams, by descriptor."""


def of_sensor(ref: str) -> dict[str, str]:
    """Return the `extra` of a log record that concerns one sensor."""
    return {SENSOR: ref}


def configure(*, debug: bool = False, quiet: bool = False) -> None:
    """Log to stderr: everything if `debug`, only warnings if `quiet`, otherwise one line per state change."""
    level = logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO
    logging.basicConfig(stream=sys.stderr, level=level, format=FORMAT, force=True)
    _quieten_libraries(debug)


def configure_as(settings: Log, *, debug: bool) -> None:
    """Log as configured for a daemon. Raises ConfigError.

    :param debug: whether to log everything, regardless of the levels in the file.
    """
    _STREAM_FILES.clear()
    _STREAM_FILES.update({number: file for number in STANDARD if (file := StreamFile.of(number))})
    if settings.file is None:
        stream = logging.StreamHandler(STREAMS[settings.stream]())
        stream.setFormatter(FORMATTERS[settings.format]())
        logging.basicConfig(level=logging.DEBUG if debug else settings.level, handlers=[stream], force=True)
        _quieten_libraries(debug)
    else:
        _read(settings.file, settings)
        root = logging.getLogger()
        if debug:
            root.setLevel(logging.DEBUG)
            for handler in root.handlers:
                handler.setLevel(logging.DEBUG)
        _quieten_libraries(debug)
    for handler in _handlers():
        handler.addFilter(lambda record: not _is_below(record.name, settings.excludes))
        _contain(handler)
    if settings.redirect_stderr:
        sys.stderr = _LoggedLines(logging.getLogger("stderr"))


def set_level(level: str) -> None:
    """Set the least severe level that is logged."""
    root = logging.getLogger()
    root.setLevel(level)
    for handler in root.handlers:
        if handler.level > root.level:
            handler.setLevel(level)


def write_in_background() -> None:
    """Write the log in threads from now on, so that no caller waits for it. Raises RuntimeError if none can start."""
    background.start(_handlers())


def reopen() -> None:
    """Reopen all log files by name, because logrotate may have renamed them.

    They include a file to which stderr or stdout was redirected when the log was set up.
    """
    for handler in _handlers():
        if isinstance(handler, logging.FileHandler):
            again = partial(handlers.reopen, handler)
            background.soon(handler, partial(_reopen, handler.baseFilename, again))
        elif isinstance(handler, logging.StreamHandler):
            file = _STREAM_FILES.get(descriptor_of(handler.stream))
            if file is not None:
                background.soon(handler, partial(_reopen, str(file.path), file.reopen))


def _reopen(name: str, again: Callable[[], None]) -> None:
    try:
        again()
    except OSError as exception:
        LOG.warning("%s cannot be opened again: %s; logging continues in the old file", name, exception)


def _handlers() -> list[logging.Handler]:
    """Return the handlers of all loggers."""
    named = [item for item in logging.root.manager.loggerDict.values() if isinstance(item, logging.Logger)]
    return list(dict.fromkeys(handler for logger in (logging.root, *named) for handler in logger.handlers))


def _read(file: Path, settings: Log) -> None:
    logging.addLevelName(AUDIT, "AUDIT")
    parser = ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read_text(), source=str(file))
        for name in parser.sections():
            if "qualname" in parser[name]:
                parser[name]["qualname"] = names.current(parser[name]["qualname"])
            known = STACKSTORMS.get(parser[name].get("class", ""))
            if known is not None:
                parser[name]["class"] = f"{known.__module__}.{known.__qualname__}"
            elif parser[name].get("class") in SYSLOG_HANDLERS:
                parser[name]["class"] = "handlers.SysLogHandler"
                parser[name]["args"] = repr((settings.syslog_address, settings.syslog_facility, settings.syslog_socket))
        logging.config.fileConfig(parser, disable_existing_loggers=False)
    # The file's classes and arguments are evaluated, so any error is possible.
    except Exception as exception:
        raise ConfigError(
            f"[sensorcontainer] logging: {file}: {type(exception).__name__}: {exception}; correct it, or remove the key"
        ) from exception


def _quieten_libraries(debug: bool) -> None:
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(logging.INFO if debug else logging.WARNING)


def _contain(handler: logging.Handler) -> None:
    """Hide a handler's errors from its callers: any code may log, and must continue. Only the record is lost."""
    handle, warned = handler.handle, False

    def contained(record: logging.LogRecord) -> Any:
        nonlocal warned
        try:
            return handle(record)
        except Exception as exception:  # noqa: BLE001 (the caller that logs is not at fault)
            if not warned:
                warned = True
                with suppress(Exception):
                    print(f"{type(handler).__name__} loses log records: {exception!r}", file=sys.__stderr__)
            return False

    handler.handle = contained  # type: ignore[method-assign]


def _is_below(name: str, starts: tuple[str, ...]) -> bool:
    return any(name == start or name.startswith(f"{start}.") for start in starts)


class _LoggedLines(io.TextIOBase):
    """A text stream that logs each line written to it."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._partial = ""
        self._is_writing = False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._is_writing:
            # A failing handler writes here. Logging the text would make the handler fail again.
            return len(text)
        if background.is_writing():
            # The same, in a thread.
            if sys.__stderr__ is not None:
                sys.__stderr__.write(text)
            return len(text)
        self._is_writing = True
        try:
            *lines, self._partial = (self._partial + text).split("\n")
            for line in filter(None, lines):
                self._logger.error("%s", line)
        finally:
            self._is_writing = False
        return len(text)
