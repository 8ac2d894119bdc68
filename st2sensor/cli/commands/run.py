"""Runs sensors in this process as a command line asks for: all of them, or one in this terminal."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from st2sensor import config
from st2sensor.cli.configuration import configured
from st2sensor.cli.daemon.serve import serve
from st2sensor.errors import ConfigError
from st2sensor.logs import setup as logs

LOG = logging.getLogger("st2sensor.container")

DAY = 86400.0
"""Seconds: so long may whoever debugs think."""


def container(
    config_files: Sequence[str],
    *,
    debug: bool,
    sensor_ref: str | None,
    single_sensor_mode: bool,
    set_aside_damaged_outbox: bool,
) -> int:
    """What `st2sensorcontainer` does."""
    settings = config.load(config_files)
    logs.configure_as(settings.log, debug=debug or settings.log.debug)
    for warning in settings.warnings:
        LOG.warning("%s", warning)
    only = sensor_ref or settings.container.sensor_ref
    if only is None and (single_sensor_mode or settings.container.single_sensor_mode):
        raise ConfigError("single-sensor mode needs --sensor-ref=PACK.CLASS, or [sensorcontainer] sensor_ref")
    return serve(settings, only, set_aside_damaged=set_aside_damaged_outbox)


def sensor(config_files: Sequence[str], *, ref: str) -> int:
    """What `st2sensor run` does."""
    settings = configured(config_files)
    patient = replace(
        settings.container,
        start_timeout=DAY,
        setup_timeout=None,
        poll_timeout=None,
        trigger_timeout=None,
        http=None,
    )
    return serve(replace(settings, container=patient), ref, foreground=True)
