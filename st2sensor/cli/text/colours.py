"""Colours of states and log levels. Help texts list both in this order."""

from __future__ import annotations

OF_STATES = {
    "running": "green",
    "starting": "cyan",
    "stopping": "cyan",
    "waiting": "cyan",
    "finished": "blue",
    "backoff": "yellow",
    "refused": "red",
    "down": "red",
    "stopped": "dim",
    "disabled": "dim",
    "elsewhere": "dim",
}
"""Colours of the states of sensors."""

OF_LEVELS = {"DEBUG": "dim", "INFO": "", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}
"""Colours of log levels."""
