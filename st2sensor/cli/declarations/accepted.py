"""Options of StackStorm's programs that have no effect here. They are accepted with a warning that says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Function = Callable[..., Any]

PROFILER = "use cProfile, or py-spy on the process that st2sensor show names"

FLAGS = {
    "--use-debugger": "a debugger needs no option: use st2sensor run PACK.CLASS",
    "--profile": "the database's own profiler logs queries",
    "--enable-profiler": PROFILER,
    "--enable-eventlet-blocking-detection": "st2sensor list shows sensors that hang",
}
"""Flags by name, each with the alternative to it."""

VALUES = {"--eventlet-blocking-detection-resolution": FLAGS["--enable-eventlet-blocking-detection"]}


def warned(reason: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Return a callback that warns when an option without effect is given.

    :param reason: why the option has no effect, or what to use instead.
    """

    def warn(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value and not context.resilient_parsing:
            click.echo(f"warning: {parameter.opts[0]} has no effect: {reason}", err=True)

    return warn


def accepted(function: Function) -> Function:
    """Add the options that all services of StackStorm accept."""
    for name, reason in VALUES.items():
        function = click.option(name, hidden=True, expose_value=False, type=float, callback=warned(reason))(function)
    for name, reason in FLAGS.items():
        function = click.option(name, is_flag=True, hidden=True, expose_value=False, callback=warned(reason))(function)
    return function
