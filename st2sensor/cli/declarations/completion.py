"""The command of `st2sensor` that sets up shell completion."""

from __future__ import annotations

import click

from st2sensor.cli.declarations.shared import examples
from st2sensor.cli.invocation import runs

section = click.Group("Setup")


@section.command(
    epilog=examples(
        "st2sensor completion bash > /etc/bash_completion.d/st2sensor",
        "st2sensor completion fish > ~/.config/fish/completions/st2sensor.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@runs("st2sensor.cli.commands.completion:script")
def completion() -> None:
    """Print the completion script of a shell."""
