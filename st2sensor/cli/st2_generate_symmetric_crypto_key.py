"""`st2-generate-symmetric-crypto-key`: makes the key that the datastore's secrets are encrypted under."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from st2sensor.cli.declarations.shared import HELP, examples, version
from st2sensor.cli.invocation import invoke, runs


@click.command(
    context_settings=HELP,
    epilog=examples("st2-generate-symmetric-crypto-key --key-path /etc/st2/keys/datastore_key.json"),
)
@click.option(
    "--key-path",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the key goes; [keyvalue] encryption_key_path names it.",
)
@version
@runs("st2sensor.cli.commands.crypto_key:generate")
def root() -> None:
    """Make a new key, which only its owner can read. A file that is there is left alone."""


def main(argv: Sequence[str] | None = None) -> int:
    return invoke(root, argv, "st2-generate-symmetric-crypto-key")
