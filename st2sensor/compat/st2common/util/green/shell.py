"""StackStorm's name for running commands with a time limit."""

from st2sensor.portable.shell import TIMED_OUT, run_command_in_time

TIMEOUT_EXIT_CODE = TIMED_OUT

run_command = run_command_in_time

__all__ = ["TIMEOUT_EXIT_CODE", "run_command"]
