"""`st2sensorcontainer`: run all sensors, or one of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from st2sensor.cli.configuration import configured
from st2sensor.cli.daemon.serve import serve
from st2sensor.errors import ConfigError
from st2sensor.logs import setup as logs
from st2sensor.system.lazy import resolve

LOG = logging.getLogger("st2sensor.container")


def container(
    config_files: Sequence[str],
    *,
    debug: bool,
    sensor_ref: str | None,
    single_sensor_mode: bool,
    set_aside_damaged_outbox: bool,
) -> int:
    """Run a container until it is stopped; return its exit code. Raises ConfigError, and the errors of `serve`."""
    # Warnings about the configuration go to the log that it configures.
    settings = configured(config_files, show_warnings=False)
    logs.configure_as(settings.log, debug=debug or settings.log.debug)
    logs.write_in_background()
    for warning in settings.warnings:
        LOG.warning("%s", warning)
    only = sensor_ref or settings.container.sensor_ref
    if only is None and (single_sensor_mode or settings.container.single_sensor_mode):
        raise ConfigError("single-sensor mode needs --sensor-ref=PACK.CLASS, or [sensorcontainer] sensor_ref")
    if only is None:
        return serve(settings, None, set_aside_damaged=set_aside_damaged_outbox)
    # The daemon needs none of the modules that find sensors by name.
    with resolve("st2sensor.cli.inspection.references:sensor_named")(settings, only) as ref:
        return serve(settings, ref, set_aside_damaged=set_aside_damaged_outbox)
