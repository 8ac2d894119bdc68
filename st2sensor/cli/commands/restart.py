"""`st2sensor restart`: stop a sensor and start it again."""

from __future__ import annotations

from collections.abc import Sequence

from st2sensor.cli.configuration import configured
from st2sensor.cli.inspection.control_client import reached
from st2sensor.cli.inspection.references import sensor_named
from st2sensor.cli.text.outcome import print_outcome


def restart(config_files: Sequence[str], *, ref: str, json_output: bool) -> None:
    """Tell the container to restart a sensor. Raises SensorNotFound, ContainerAway, ContainerForbidden."""
    settings = configured(config_files)
    with sensor_named(settings, ref) as ref, reached(settings.container.state_dir, ref) as container:
        container.call("restart", ref=ref)
    print_outcome(json_output, f"{ref} is restarted", ref=ref, restarted=True)
