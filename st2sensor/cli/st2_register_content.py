"""`st2-register-content`: what `st2ctl reload` does, under StackStorm's other name for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from st2sensor import config, logs
from st2sensor.cli import registration
from st2sensor.cli.invocation import command, examples, invoke


@click.command(epilog=examples("st2-register-content --config-file=/etc/st2/st2.conf --register-all"))
@command
@registration.flags
def root(config_files: Sequence[str], debug: bool, **options: Any) -> int:
    """Register the sensors, trigger types and rules of the packs on disk."""
    logs.configure(debug=debug, quiet=True)
    return registration.register(config.load(config_files), **options)


def main(argv: Sequence[str] | None = None) -> int:
    return invoke(root, argv, "st2-register-content")
