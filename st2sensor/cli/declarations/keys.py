"""Commands of `st2sensor` for keys: those of the datastore, and those that senders of webhooks show."""

from __future__ import annotations

from pathlib import Path

import click

from st2sensor.cli.declarations.shared import as_json, examples
from st2sensor.cli.invocation import runs
from st2sensor.portable.keyspace import MOST, SCOPES

named = click.argument("name")
decrypt = click.option("--decrypt", is_flag=True, help="Show the text of secrets.")
of_user = click.option("--user", metavar="USER", help="Whose key, in scope user. [default: [system_user] user]")
in_scope = click.option(
    "--scope", type=click.Choice(["system", "user"]), default="system", show_default=True, help="Of the key."
)


@click.group(
    epilog=examples(
        "st2sensor key list --prefix github.",
        "st2sensor key set github.token hush --encrypt",
        "st2sensor key get github.token --decrypt",
        "st2sensor key set lock me --ttl 60",
        "st2sensor key load keys.yaml",
        "st2sensor key reencrypt",
    ),
)
def key() -> None:
    """Keys of the datastore. A sensor's own begin with its reference and a colon."""


@key.command("list", epilog=examples("st2sensor key list", "st2sensor key list --prefix github. --json"))
@click.option("--prefix", default="", help="Only keys that begin so.")
@click.option("--scope", type=click.Choice(list(SCOPES)), default="system", show_default=True, help="Of the keys.")
@click.option("--limit", type=click.IntRange(min=0, max=MOST), help="So many of each scope at the most. [default: all]")
@decrypt
@as_json
@runs("st2sensor.cli.commands.key:list_")
def list_() -> None:
    """Show keys, by name. Secrets are masked."""


@key.command(epilog=examples("st2sensor key get github.token", "st2sensor key get github.token --decrypt"))
@named
@in_scope
@of_user
@decrypt
@as_json
@runs("st2sensor.cli.commands.key:get")
def get() -> None:
    """Show one key."""


@key.command(
    "set", epilog=examples("st2sensor key set github.token hush --encrypt", "st2sensor key set lock me --ttl 60")
)
@named
@click.argument("value")
@in_scope
@of_user
@click.option("--ttl", type=float, metavar="SECONDS", help="Until the key expires; 0 is never. [default: never]")
@click.option("--encrypt", is_flag=True, help="Store a secret.")
@runs("st2sensor.cli.commands.key:set_")
def set_() -> None:
    """Store a value, whatever was there before."""


@key.command(epilog=examples("st2sensor key delete github.token"))
@named
@in_scope
@of_user
@runs("st2sensor.cli.commands.key:delete")
def delete() -> None:
    """Delete a key."""


@key.command(epilog=examples("st2sensor key load keys.yaml", "st2sensor key load keys.json --convert"))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--convert", is_flag=True, help="Store what is not text as JSON; otherwise it is refused.")
@runs("st2sensor.cli.commands.key:load")
def load() -> None:
    """Store the keys of a JSON or YAML file: a list of mappings with name and value.

    Each may have scope, user, ttl or expire_timestamp, secret: true for what is to be encrypted, and encrypted: true
    for what already is. So what key list --decrypt --json prints can be loaded. Nothing is stored unless the whole file
    is sound; keys that have expired are left out.
    """


@key.command(epilog=examples("st2sensor key reencrypt"))
@runs("st2sensor.cli.commands.key:reencrypt")
def reencrypt() -> None:
    """Encrypt every secret under the key of [keyvalue] encryption_key_path.

    To rotate keys: put the old key's file into previous_key_paths and a new one into encryption_key_path, restart the
    containers, run this, and take the old one away.
    """


@click.group(
    epilog=examples(
        'st2sensor apikey create --note "GitHub of team A"', "st2sensor apikey list", "st2sensor apikey revoke 3f2c1d0e"
    )
)
def apikey() -> None:
    """API keys of senders of webhooks. Once there is one, each request needs one."""


@apikey.command(epilog=examples("st2sensor apikey create", 'st2sensor apikey create --note "GitHub of team A"'))
@click.option("--note", default="", help="What it is for.")
@as_json
@runs("st2sensor.cli.commands.apikey:create")
def create() -> None:
    """Make a key, and show it, this one time: what is stored is a hash."""


@apikey.command("list", epilog=examples("st2sensor apikey list", "st2sensor apikey list --json"))
@as_json
@runs("st2sensor.cli.commands.apikey:list_")
def list_apikeys() -> None:
    """Show the keys there are, without their secrets."""


@apikey.command(epilog=examples("st2sensor apikey revoke 3f2c1d0e"))
@click.argument("identifier", metavar="ID")
@as_json
@runs("st2sensor.cli.commands.apikey:revoke")
def revoke() -> None:
    """Take a key no longer, within seconds. It stays in the list, and requests go on to need one."""
