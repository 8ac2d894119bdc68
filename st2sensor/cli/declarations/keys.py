"""The commands of `st2sensor` for keys of the datastore and API keys of webhooks."""

from __future__ import annotations

from pathlib import Path

import click

from st2sensor.cli.declarations.shared import as_json, examples
from st2sensor.cli.invocation import completed, runs
from st2sensor.portable.keyspace import MOST, SCOPES

section = click.Group("Keys")

named = click.argument("name", shell_complete=completed("st2sensor.cli.commands.completion:keys"))
decrypt = click.option("--decrypt", is_flag=True, help="Show secrets in clear text.")
of_user = click.option("--user", metavar="USER", help="Owner of the key in scope user. [default: [system_user] user]")
in_scope = click.option(
    "--scope", type=click.Choice(["system", "user"]), default="system", show_default=True, help="Scope of the key."
)


@section.group(
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
    """Keys of the datastore. A sensor's own keys start with its reference and a colon."""


@key.command("list", epilog=examples("st2sensor key list", "st2sensor key list --prefix github. --json"))
@click.option("--prefix", default="", help="Show only keys that start with this.")
@click.option(
    "--scope", type=click.Choice(list(SCOPES)), default="system", show_default=True, help="Scope of the keys."
)
@click.option(
    "--limit", type=click.IntRange(min=0, max=MOST), help="Maximum number of keys to show per scope. [default: all]"
)
@decrypt
@as_json
@runs("st2sensor.cli.commands.key:list_")
def list_() -> None:
    """List keys by name. Secrets are masked."""


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
@click.option(
    "--ttl", type=float, metavar="SECONDS", help="Time until the key expires; 0 means never. [default: never]"
)
@click.option("--encrypt", is_flag=True, help="Store the value encrypted, as a secret.")
@as_json
@runs("st2sensor.cli.commands.key:set_")
def set_() -> None:
    """Store a value. An existing value is replaced."""


@key.command(epilog=examples("st2sensor key delete github.token"))
@named
@in_scope
@of_user
@as_json
@runs("st2sensor.cli.commands.key:delete")
def delete() -> None:
    """Delete a key."""


@key.command(epilog=examples("st2sensor key move github.GithubRepositorySensor github.GithubRepositorySensor@prod"))
@click.argument("old", shell_complete=completed("st2sensor.cli.commands.completion:sensors"))
@click.argument("new", shell_complete=completed("st2sensor.cli.commands.completion:sensors"))
@as_json
@runs("st2sensor.cli.commands.key:move")
def move() -> None:
    """Give the keys of sensor OLD to sensor NEW.

    An instance starts without keys, even if its class already has some: this command moves them. First disable both
    sensors.
    """


@key.command(epilog=examples("st2sensor key load keys.yaml", "st2sensor key load keys.json --convert"))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--convert", is_flag=True, help="Store values that are not text as JSON, instead of refusing them.")
@as_json
@runs("st2sensor.cli.commands.key:load")
def load() -> None:
    """Store the keys of a JSON or YAML file.

    The file holds a list of mappings with name and value. Each key may also have scope, user, and ttl or
    expire_timestamp. Set secret: true to encrypt the value, and encrypted: true if it is already encrypted. The output
    of key list --decrypt --json can be loaded. If any key is malformed, nothing is stored. Expired keys are skipped.
    """


@key.command(epilog=examples("st2sensor key reencrypt"))
@as_json
@runs("st2sensor.cli.commands.key:reencrypt")
def reencrypt() -> None:
    """Encrypt every secret with the current key.

    The current key is in [keyvalue] encryption_key_path. To rotate keys, name the old key's file in previous_key_paths
    and a new one in encryption_key_path, restart the containers, run this command, then remove the old key.
    """


@section.group(
    epilog=examples(
        'st2sensor apikey create --note "GitHub of team A"', "st2sensor apikey list", "st2sensor apikey revoke 3f2c1d0e"
    )
)
def apikey() -> None:
    """API keys for webhooks. [webhooks] require_key says when a request needs a key."""


@apikey.command(epilog=examples("st2sensor apikey create", 'st2sensor apikey create --note "GitHub of team A"'))
@click.option("--note", default="", help="Purpose of the key.")
@as_json
@runs("st2sensor.cli.commands.apikey:create")
def create() -> None:
    """Create a key and show it. It is shown only once, because only its hash is stored."""


@apikey.command("list", epilog=examples("st2sensor apikey list", "st2sensor apikey list --json"))
@as_json
@runs("st2sensor.cli.commands.apikey:list_")
def list_apikeys() -> None:
    """List the keys, without their secrets."""


@apikey.command(epilog=examples("st2sensor apikey revoke 3f2c1d0e"))
@click.argument("identifier", metavar="ID", shell_complete=completed("st2sensor.cli.commands.completion:api_keys"))
@as_json
@runs("st2sensor.cli.commands.apikey:revoke")
def revoke() -> None:
    """Stop accepting a key, within seconds. The key stays in the list, and requests still need a key."""
