"""What a command is configured with. What has no effect there is warned of on stderr: each command may be the first."""

from __future__ import annotations

from collections.abc import Sequence

import click

from st2sensor import config
from st2sensor.cli.text.printable import in_line
from st2sensor.settings import Settings


def configured(config_files: Sequence[str]) -> Settings:
    """Read the configuration. Raises ConfigError."""
    return _warned(config.load(config_files))


def configured_if_any(config_files: Sequence[str]) -> Settings | None:
    """The same; None when no file is named and there is none at the usual place."""
    settings = config.load_if_any(config_files)
    return None if settings is None else _warned(settings)


def _warned(settings: Settings) -> Settings:
    for warning in settings.warnings:
        click.echo(f"warning: {in_line(warning)}", err=True)
    return settings
