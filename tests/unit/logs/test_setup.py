"""Handlers of the log that raise errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.container.broadcast import Broadcast
from st2sensor.container.operators.recent_logs import RecentLogs
from st2sensor.logs import setup as logs

LOGGING = """
[loggers]
keys = root
[handlers]
keys = raises, writes
[formatters]
keys = plain
[logger_root]
level = INFO
handlers = raises, writes
[handler_raises]
class = tests.unit.logs.test_setup.Raises
level = INFO
args = ()
[handler_writes]
class = FileHandler
level = INFO
formatter = plain
args = ("{file}",)
[formatter_plain]
format = %(message)s
"""


class Raises(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
        raise RuntimeError("no connection")


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, which is restored afterwards."""
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    yield logger
    for handler in logger.handlers:
        if handler not in handlers:
            handler.close()
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_a_handler_that_raises_loses_its_own_records_and_says_so_once(
    tmp_path: Path,
    root: logging.Logger,  # noqa: ARG001
    capfd: pytest.CaptureFixture[str],
) -> None:
    file, written = tmp_path / "logging.conf", tmp_path / "log"
    file.write_text(LOGGING.format(file=written))
    conf = tmp_path / "st2.conf"
    conf.write_text(f"[sensorcontainer]\nstate_dir = {tmp_path}\n")
    logs.configure_as(replace(config.load([str(conf)]).log, file=file), debug=False)
    for number in range(3):
        logging.getLogger("st2sensor.x").warning("line %d", number)
    assert written.read_text() == "line 0\nline 1\nline 2\n"
    assert capfd.readouterr().err.count("Raises loses log records: RuntimeError('no connection')") == 1


def test_a_record_that_cannot_be_formatted_is_not_kept_and_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)

    async def main() -> None:
        journal = RecentLogs(asyncio.get_running_loop(), Broadcast())
        for message, argument in (("%d lines", "no number"), ("%d lines", 7)):
            record = logging.LogRecord("p.S", logging.INFO, "", 0, message, (argument,), None)
            vars(record).update(logs.of_sensor("p.S"))
            journal.handle(record)
        assert [line["text"] for line in journal.lines("p.S")] == ["7 lines"]

    asyncio.run(main())
