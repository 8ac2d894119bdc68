"""`st2sensor log-level`: change the log level of the container or of one sensor."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from st2sensor.cli.configuration import configured
from st2sensor.cli.inspection.control_client import reached
from st2sensor.cli.inspection.references import sensor_named
from st2sensor.cli.text.outcome import print_outcome


def log_level(config_files: Sequence[str], *, level: str, ref: str | None, json_output: bool) -> None:
    """Set the level. Raises SensorNotFound, ContainerAway, ContainerForbidden.

    :param ref: the sensor; None for the whole container.
    """
    settings = configured(config_files)
    named = nullcontext() if ref is None else sensor_named(settings, ref)
    with named as ref, reached(settings.container.state_dir, ref) as container:
        container.call("log_level", level=level, ref=ref)
    print_outcome(json_output, f"{ref or 'the container'} logs {level} and above", ref=ref, level=level)
