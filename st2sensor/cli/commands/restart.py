"""`st2sensor restart`: has the container stop a sensor and start it again."""

from __future__ import annotations

from collections.abc import Sequence

from st2sensor.cli.configuration import configured
from st2sensor.cli.inspection.control_client import reached
from st2sensor.cli.text.outcome import report


def restart(config_files: Sequence[str], *, ref: str, json_output: bool) -> None:
    with reached(configured(config_files).container.state_dir, ref) as container:
        container.call("restart", ref=ref)
    report(json_output, f"{ref} is restarted", ref=ref, restarted=True)
