"""`st2-generate-symmetric-crypto-key`: makes the key that the datastore's secrets are encrypted under."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from st2sensor import crypto
from st2sensor.cli.invocation import examples, invoke

MODE = 0o600


@click.command(
    epilog=examples("st2-generate-symmetric-crypto-key --key-path /etc/st2/keys/datastore_key.json"),
)
@click.option(
    "--key-path",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the key goes; [keyvalue] encryption_key_path names it.",
)
def root(key_path: Path) -> None:
    """Make a new key, which only its owner can read. A file that is there is left alone."""
    try:
        file = os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    except FileExistsError as exception:
        raise click.ClickException(
            f"{key_path} is there already: without it, what was encrypted under it is lost; name another file, and put "
            "this one into [keyvalue] previous_key_paths"
        ) from exception
    except OSError as exception:
        raise click.ClickException(f"cannot write {key_path}: {exception.strerror}") from exception
    with os.fdopen(file, "w") as key:
        # Whatever the umask takes away.
        os.fchmod(key.fileno(), MODE)
        key.write(crypto.generate())
    click.echo(f"{key_path} holds a new key; keep a copy of it in a safe place")


def main(argv: Sequence[str] | None = None) -> int:
    return invoke(root, argv, "st2-generate-symmetric-crypto-key")
