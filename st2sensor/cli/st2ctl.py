"""`st2ctl`: registers content, in StackStorm's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from st2sensor import config, logs
from st2sensor.cli import registration
from st2sensor.cli.invocation import command, examples, invoke


@click.group()
@command
@click.pass_context
def root(context: click.Context, config_files: Sequence[str], debug: bool) -> None:
    """Manage an st2sensor installation."""
    logs.configure(debug=debug, quiet=True)
    context.obj = config_files


@root.command(
    epilog=examples(
        "st2ctl reload --register-all",
        "st2ctl --config-file conf/st2.dev.conf reload --register-sensors --register-rules",
    )
)
@registration.flags
@click.pass_obj
def reload(config_files: Sequence[str], /, **options: Any) -> int:
    """Register what is on disk; running containers start, restart and stop just the sensors that changed.

    Ends with exit code 1 when anything failed to register; the rest is registered all the same.
    """
    return registration.register(config.load(config_files), **options)


def main(argv: Sequence[str] | None = None) -> int:
    return invoke(root, argv, "st2ctl")
