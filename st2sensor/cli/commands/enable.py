"""`st2sensor enable`: let a sensor run, on any node."""

from __future__ import annotations

from collections.abc import Sequence

from st2sensor.cli.configuration import configured
from st2sensor.cli.content_changes import change_enabled
from st2sensor.cli.inspection.references import sensor_named
from st2sensor.cli.text.outcome import print_outcome


def enable(config_files: Sequence[str], *, ref: str, json_output: bool) -> None:
    """Enable a sensor. Raises SensorNotFound, StorageError."""
    settings = configured(config_files)
    with sensor_named(settings, ref) as ref:
        is_changed = change_enabled(settings, ref, enabled=True)
    line = f"{ref} is enabled" if is_changed else f"{ref} was already enabled"
    print_outcome(json_output, line, ref=ref, enabled=True, changed=is_changed)
