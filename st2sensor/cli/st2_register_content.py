"""`st2-register-content`: StackStorm's other name for `st2ctl reload`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from st2sensor.cli.declarations.accepted import accepted
from st2sensor.cli.declarations.registering import flags
from st2sensor.cli.declarations.shared import HELP, common, examples, version
from st2sensor.cli.invocation import invoke, runs


@click.command(
    context_settings=HELP, epilog=examples("st2-register-content --config-file=/etc/st2/st2.conf --register-all")
)
@common
@flags
@accepted
@version
@runs("st2sensor.cli.registration:reload")
def root() -> None:
    """Register the sensors, trigger types and rules of the packs on disk."""


def main(argv: Sequence[str] | None = None) -> int:
    return invoke(root, argv, "st2-register-content")
