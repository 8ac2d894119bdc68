"""`[log]`, `[syslog]` and `[sensorcontainer] logging`."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from oslo_config import cfg

from st2sensor.settings import Log

DEFAULT_LOG_FILE = "/etc/st2/logging.sensorcontainer.conf"

SOCKETS = {"udp": int(socket.SOCK_DGRAM), "tcp": int(socket.SOCK_STREAM)}


def log(options: cfg.ConfigOpts, resolve: Callable[[str], Path]) -> Log:
    """Return the log's settings. Raises ValueError naming the key."""
    return Log(
        file=_file(options.sensorcontainer.logging, resolve),
        stream=options.log.stream,
        format=options.log.format,
        level=options.log.level,
        excludes=tuple(options.log.excludes),
        redirect_stderr=options.log.redirect_stderr,
        mask_secrets=options.log.mask_secrets,
        secret_keys=frozenset(options.log.mask_secrets_blacklist),
        syslog_address=(options.syslog.host, options.syslog.port),
        syslog_facility=options.syslog.facility,
        syslog_socket=SOCKETS[options.syslog.protocol],
        debug=options.system.debug,
    )


def _file(path: str, resolve: Callable[[str], Path]) -> Path | None:
    """Return the logging.conf to read. StackStorm's default file may be missing; any other file must exist."""
    file = resolve(path)
    if file.is_file():
        return file
    if path == DEFAULT_LOG_FILE:
        return None
    raise ValueError(f"[sensorcontainer] logging: there is no file {file}; correct the path, or remove the key")
