"""`st2-generate-symmetric-crypto-key`: create the key that encrypts the datastore's secrets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from st2sensor.cli.declarations.shared import HELP, as_json, examples, version
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
    help="File to create; set [keyvalue] encryption_key_path to it.",
)
@as_json
@version
@runs("st2sensor.cli.commands.generate_symmetric_crypto_key:generate")
def root() -> None:
    """Create a key file that only its owner can read. An existing file is left alone."""


def main(argv: Sequence[str] | None = None) -> int:
    return invoke(root, argv, "st2-generate-symmetric-crypto-key")
