"""Checks whether the product's commands accept the command lines in texts that people paste from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from st2sensor.cli import (
    st2_generate_symmetric_crypto_key,
    st2_register_content,
    st2ctl,
    st2sensor,
    st2sensorcontainer,
)
from st2sensor.cli.invocation import Body

ROOTS: dict[str, click.Command] = {
    "st2ctl": st2ctl.root,
    "st2sensor": st2sensor.root,
    "st2sensorcontainer": st2sensorcontainer.root,
    "st2-register-content": st2_register_content.root,
    "st2-generate-symmetric-crypto-key": st2_generate_symmetric_crypto_key.root,
}


def commands(command: click.Command, *names: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield a command and all its subcommands, each with the words that call it."""
    yield names, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from commands(below, *names, name)


def bodies() -> Iterator[tuple[click.Command, Body]]:
    """Yield the body of every command of every program, with the command that declares it."""
    for name, root in ROOTS.items():
        for _, command in commands(root, name):
            if isinstance(command.callback, Body):
                yield command, command.callback


def accept(name: str, arguments: Sequence[str]) -> None:
    """Parse a command line without the options before a subcommand. Raises click.UsageError."""
    command: click.Command = ROOTS[name]
    context, rest = click.Context(command, info_name=name), list(arguments)
    while isinstance(command, click.Group):
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None, f"{name} {' '.join(arguments)}: no such command"
        command, context = found, click.Context(found, parent=context, info_name=found.name)
    command.make_context(command.name, rest, parent=context.parent)
