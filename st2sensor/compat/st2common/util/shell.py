"""StackStorm's name for running commands."""

from st2sensor.command import run_command

__all__ = ["run_command"]
