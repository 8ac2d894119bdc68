"""`st2sensor config`: print a commented configuration to start from."""

from __future__ import annotations

from collections.abc import Sequence

import click

from st2sensor.system.share import share

PRODUCTION, DEV = "st2.conf", "st2.dev.conf"
"""Files in `conf`."""


def config(_config_files: Sequence[str], *, dev: bool) -> None:
    """Print one of the two configurations. Raises ConfigError if they are not installed."""
    folder = share()
    text = (folder / "conf" / (DEV if dev else PRODUCTION)).read_text()
    if dev:
        # The sample is in a folder of the checkout. The printed configuration may be saved anywhere.
        text = text.replace("../packs", str(folder / "packs")).replace("../var", "var")
    click.echo(text, nl=False)
