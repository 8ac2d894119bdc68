"""Settings of the log and of statsd metrics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """`[log]`, `[syslog]` and `[sensorcontainer] logging`.

    :param file: file in the format of logging.conf; None to log to a stream.
    :param stream: `stderr` or `stdout`.
    :param format: `text` or `json`.
    :param level: the least severe level that is logged.
    :param excludes: loggers to leave out, together with the loggers below them.
    :param redirect_stderr: whether the container's output to stderr becomes log records.
    :param mask_secrets: whether secrets of the packs' configurations are masked in the log.
    :param secret_keys: keys of configurations whose values are secret regardless of the schema.
    :param syslog_address: host and port.
    :param syslog_facility: name of the facility, such as `local7`.
    :param syslog_socket: type of the socket, one of the socket module's constants.
    :param debug: `[system] debug`: log everything, regardless of all levels.
    """

    file: Path | None = None
    stream: str = "stderr"
    format: str = "text"
    level: str = "INFO"
    excludes: tuple[str, ...] = ()
    redirect_stderr: bool = False
    mask_secrets: bool = True
    secret_keys: frozenset[str] = frozenset()
    syslog_address: tuple[str, int] = ("127.0.0.1", 514)
    syslog_facility: str = "local7"
    syslog_socket: int = 2
    debug: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """`[metrics]`.

    :param driver: `noop`, `echo` (writes to the log), or `statsd`.
    :param prefix: text before each metric's name; None for no prefix.
    :param sample_rate: share of the metrics that are sent.
    """

    driver: str = "noop"
    host: str = "127.0.0.1"
    port: int = 8125
    prefix: str | None = None
    sample_rate: float = 1.0
