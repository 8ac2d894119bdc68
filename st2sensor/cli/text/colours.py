"""Colours of states and of levels, in the order in which commands name these."""

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
"""Of sensors."""

OF_LEVELS = {"DEBUG": "dim", "INFO": "", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}
"""Of lines of a log."""
