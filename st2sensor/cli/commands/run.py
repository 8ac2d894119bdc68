"""`st2sensor run`: run one sensor in this terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from st2sensor.cli.configuration import configured
from st2sensor.cli.daemon.serve import serve
from st2sensor.cli.inspection.references import sensor_named

DEBUGGING_TIME = 86400.0
"""Seconds that a sensor may take to start: its author may have stopped it at a breakpoint."""


def run(config_files: Sequence[str], *, ref: str) -> int:
    """Run a sensor without time limits until it ends; return its exit code. Raises the errors of `serve`."""
    settings = configured(config_files)
    patient = replace(
        settings.container,
        start_timeout=DEBUGGING_TIME,
        setup_timeout=None,
        poll_timeout=None,
        trigger_timeout=None,
        http=None,
    )
    with sensor_named(settings, ref) as ref:
        return serve(replace(settings, container=patient), ref, foreground=True)
