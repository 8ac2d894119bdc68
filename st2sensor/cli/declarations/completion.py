"""The command of `st2sensor` that sets up a shell's completion."""

from __future__ import annotations

import click

from st2sensor.cli.declarations.shared import examples
from st2sensor.cli.invocation import runs


@click.command(
    epilog=examples(
        "st2sensor completion bash > /etc/bash_completion.d/st2sensor",
        "st2sensor completion fish > ~/.config/fish/completions/st2sensor.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@runs("st2sensor.cli.commands.completion:script")
def completion() -> None:
    """Print the script by which a shell completes this command."""
