"""The configuration of a command. Warnings about it go to stderr, because any command may be the first to read it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from st2sensor import config
from st2sensor.cli.text.printable import in_line
from st2sensor.settings import Settings


def configured(config_files: Sequence[str], *, show_warnings: bool = True) -> Settings:
    """Read the configuration. Raises ConfigError.

    :param show_warnings: print warnings, such as those about options without effect.
    """
    settings = config.load(config_files)
    if show_warnings:
        _warn(settings)
    return settings


def configured_if_any(config_files: Sequence[str]) -> Settings | None:
    """Read the configuration. Return None if no file is named and the default is absent. Raises ConfigError."""
    settings = config.load_if_any(config_files)
    if settings is not None:
        _warn(settings)
    return settings


def _warn(settings: Settings) -> None:
    for warning in settings.warnings:
        click.echo(f"warning: {in_line(warning)}", err=True)
