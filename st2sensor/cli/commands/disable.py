"""`st2sensor disable`: stop a sensor and keep it stopped, on every node."""

from __future__ import annotations

from collections.abc import Sequence

from st2sensor.cli.configuration import configured
from st2sensor.cli.content_changes import change_enabled
from st2sensor.cli.inspection.references import sensor_named
from st2sensor.cli.text.outcome import print_outcome


def disable(config_files: Sequence[str], *, ref: str, json_output: bool) -> None:
    """Disable a sensor. Raises SensorNotFound, StorageError."""
    settings = configured(config_files)
    with sensor_named(settings, ref) as ref:
        is_changed = change_enabled(settings, ref, enabled=False)
    line = f"{ref} is disabled" if is_changed else f"{ref} was already disabled"
    print_outcome(json_output, line, ref=ref, enabled=False, changed=is_changed)
