"""The log of the daemon: no caller waits for a destination, and nothing is lost at a normal end."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from st2sensor.logs import background
from st2sensor.logs import setup as logs
from st2sensor.logs.background import Background, prepare
from st2sensor.logs.writer import Writer
from tests.plugins.patience import SOON
from tests.support.servers.waiting import eventually

BRIEFLY = 0.05
"""Seconds that the end waits for a destination that blocks."""


class Blocks(logging.Handler):
    """Blocks until it is released, then keeps its records."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.threads: set[str] = set()
        self.reached = threading.Event()
        self.released = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.reached.set()
        assert self.released.wait(SOON)
        self.threads.add(threading.current_thread().name)
        self.lines.append(self.format(record))


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.Logger("st2sensor.test")
    stderr = sys.stderr
    yield made
    sys.stderr = stderr
    for handler in made.handlers:
        if isinstance(handler, Blocks):
            handler.released.set()
        handler.close()


def test_a_handler_that_blocks_holds_back_neither_its_caller_nor_the_other_handlers(
    logger: logging.Logger, tmp_path: Path
) -> None:
    blocks = Blocks()
    logger.addHandler(blocks)
    logger.addHandler(logging.FileHandler(tmp_path / "log"))
    threads = Background(logger.handlers)
    for number in range(3):
        logger.warning("line %d", number)
    assert not threads.finish(BRIEFLY)
    assert (tmp_path / "log").read_text() == "line 0\nline 1\nline 2\n"
    blocks.released.set()
    assert threads.finish(SOON)
    assert blocks.lines == ["line 0", "line 1", "line 2"]
    assert blocks.threads == {"log_0"}


def test_a_record_shows_what_its_arguments_were_when_it_was_logged(logger: logging.Logger) -> None:
    blocks = Blocks()
    logger.addHandler(blocks)
    threads = Background(logger.handlers)
    names = ["a"]
    logger.warning("%s", names)
    logger.warning("%(name)s", {"name": names})
    logger.warning(names)
    names.append("b")
    blocks.released.set()
    assert threads.finish(SOON)
    assert blocks.lines == ["['a']", "['a']", "['a']"]


def test_a_handler_gets_the_arguments_and_the_exception_of_a_record(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[logging.LogRecord] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", seen.append)
    logger.addHandler(handler)
    threads = Background(logger.handlers)
    try:
        raise ValueError("why")
    except ValueError:
        logger.exception("%s of %d", "one", 2)
    assert threads.finish(SOON)
    (record,) = seen
    assert (record.msg, record.args) == ("%s of %d", ("one", 2))
    assert record.exc_info is not None
    assert "why" in logging.Formatter().format(record)


def test_a_message_that_cannot_be_formatted_is_logged_as_such(logger: logging.Logger) -> None:
    blocks = Blocks()
    blocks.released.set()
    logger.addHandler(blocks)
    threads = Background(logger.handlers)
    logger.warning("%d lines", "no number")
    assert threads.finish(SOON)
    (line,) = blocks.lines
    assert line.startswith(f"a message cannot be formatted: TypeError at {__file__}:")


def test_the_size_of_a_record_counts_its_text_and_what_its_exception_keeps() -> None:
    def record(message: str, **more: object) -> logging.LogRecord:
        return logging.makeLogRecord({"msg": message, **more})

    plain = prepare(record("x" * 100))
    assert plain == background.RECORD + 100
    assert prepare(record("x" * 50 + "%s", args=("y" * 50,))) == plain
    assert prepare(record("x" * 100, stack_info="z" * 20)) == plain + 20
    assert prepare(record("x" * 100, exc_info=(ValueError, ValueError(), None))) == plain + background.EXCEPTION


def test_the_log_says_how_many_records_were_dropped(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = Blocks()
    monkeypatch.setattr(background, "Writer", lambda name, tell: Writer(name, tell, most=3 * background.RECORD))
    logger.addHandler(blocks)
    threads = Background(logger.handlers)
    logger.warning("0")
    assert blocks.reached.wait(SOON)
    for number in range(1, 6):
        logger.warning("%d", number)
    blocks.released.set()
    assert threads.finish(SOON)
    assert blocks.lines[0] == "0"
    dropped = 6 - len(blocks.lines[:-1])
    assert dropped >= 3
    assert blocks.lines[-1] == background.DROPPED % dropped


def test_a_handler_for_errors_is_not_told_of_dropped_records() -> None:
    told: list[logging.LogRecord] = []
    handler = logging.Handler(logging.ERROR)
    background._telling(told.append, handler)(3)
    handler.setLevel(logging.WARNING)
    background._telling(told.append, handler)(4)
    assert [record.getMessage() for record in told] == [background.DROPPED % 4]


def test_everything_printed_to_stderr_keeps_its_order_with_the_log(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    stderr = io.TextIOWrapper(written, "utf-8", errors="backslashreplace")
    monkeypatch.setattr(sys, "stderr", stderr)
    logger.addHandler(logging.StreamHandler(stderr))
    threads = Background(logger.handlers)
    logger.warning("first")
    print("second: \udcff", file=sys.stderr)
    logger.warning("third")
    click.echo("fourth", err=True)
    assert threads.finish(SOON)
    assert written.getvalue().decode() == "first\nsecond: \\udcff\nthird\nfourth\n"
    with pytest.raises(TypeError):
        sys.stderr.write(b"bytes")  # type: ignore[arg-type]


def test_a_log_file_is_opened_again_between_two_records(
    monkeypatch: pytest.MonkeyPatch, logger: logging.Logger, tmp_path: Path
) -> None:
    monkeypatch.setattr(background, "_background", None)
    handler = logging.FileHandler(tmp_path / "log")
    logger.addHandler(handler)
    calls: list[Callable[[], object]] = []
    background.soon(handler, lambda: calls.append(handler.flush))
    assert calls == [handler.flush]
    background.start(logger.handlers)
    monkeypatch.setattr(logs, "_handlers", lambda: [handler])
    logger.warning("before")
    assert not background.is_writing()
    for name in ("old", "older"):
        eventually("the file", (tmp_path / "log").exists)
        (tmp_path / "log").rename(tmp_path / name)
        logs.reopen()
        logger.warning("after %s", name)
    assert background.finish()
    assert (tmp_path / "log").read_text() == "after older\n"


def test_the_log_of_a_command_needs_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_background", None)
    assert background.finish()
    assert not background.is_writing()
